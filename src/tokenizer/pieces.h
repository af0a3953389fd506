// Tokens on their way out: ids, and how many bytes of the source each stands for.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

namespace lmbits {

// Two arrays that grow together. What make_room() adds is not zeroed: a text's tokens are written once.
class Pieces {
 public:
  bool lossy = false;  // a word among them is not what its tokens decode to, or their n_bytes do not add up to its

  std::size_t size() const { return size_; }
  std::span<std::int32_t> ids() { return {ids_.get(), size_}; }
  std::span<const std::int32_t> ids() const { return {ids_.get(), size_}; }
  std::span<std::int32_t> n_bytes() { return {n_bytes_.get(), size_}; }
  std::span<const std::int32_t> n_bytes() const { return {n_bytes_.get(), size_}; }

  void put(std::uint32_t id, std::int32_t bytes) {
    make_room(1);
    ids_[size_] = static_cast<std::int32_t>(id);
    n_bytes_[size_++] = bytes;
  }
  // Room for `n` more behind what is there, at ids_end() and n_bytes_end(); set_size() says how many were written.
  void make_room(std::size_t n) {
    if (size_ + n > capacity_) grow(size_ + n);
  }
  std::int32_t* ids_end() { return ids_.get() + size_; }
  std::int32_t* n_bytes_end() { return n_bytes_.get() + size_; }
  void set_size(std::size_t n) { size_ = n; }

  // Memory is kept for the next text, but not that of a huge one.
  void clear() {
    constexpr std::size_t kKept = std::size_t{1} << 20;
    if (capacity_ > kKept) *this = Pieces();
    size_ = 0;
    lossy = false;
  }

 private:
  void grow(std::size_t at_least) {
    const std::size_t capacity = std::max<std::size_t>({at_least, capacity_ * 2, 4096});
    for (auto* array : {&ids_, &n_bytes_}) {
      auto larger = std::make_unique_for_overwrite<std::int32_t[]>(capacity);
      std::copy_n(array->get(), size_, larger.get());
      *array = std::move(larger);
    }
    capacity_ = capacity;
  }

  std::unique_ptr<std::int32_t[]> ids_, n_bytes_;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace lmbits
