// A bounded queue between one producer and several workers. A producer who found it full is woken once half of it is empty,
// not for every item: waking a thread costs as much as a hundred small operators.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace lmbits {

template <typename Item>
class WorkQueue {
 public:
  explicit WorkQueue(std::size_t capacity) : capacity_(capacity) {}

  // Waits for room. False, and the item is dropped, once the queue is closed.
  bool push(Item item) {
    std::unique_lock lock(mutex_);
    if (items_.size() >= capacity_) has_room_.wait(lock, [&] { return closed_ || half_empty(); });
    if (closed_) return false;
    items_.push_back(std::move(item));
    has_items_.notify_one();
    return true;
  }

  // Waits for an item; nullopt once the queue is closed and, unless it was abandoned, empty.
  std::optional<Item> pop() {
    std::unique_lock lock(mutex_);
    has_items_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    Item item = std::move(items_.front());
    items_.pop_front();
    if (half_empty()) has_room_.notify_one();
    return item;
  }

  void close() {
    const std::lock_guard lock(mutex_);
    close_locked();
  }

  // Closes and forgets what is waiting.
  void abandon() {
    const std::lock_guard lock(mutex_);
    close_locked();
    items_.clear();
  }

 private:
  bool half_empty() const { return items_.size() <= capacity_ / 2; }

  void close_locked() {
    closed_ = true;
    has_room_.notify_all();
    has_items_.notify_all();
  }

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable has_room_, has_items_;
  std::deque<Item> items_;
  bool closed_ = false;
};

}  // namespace lmbits
