#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <span>

namespace lmbits {

// Pages of floats with an unmapped page on either side: what is read or written beyond them faults.
class GuardedPages {
 public:
  explicit GuardedPages(std::size_t n_pages = 2)
      : n_pages_(n_pages), page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    void* memory = mmap(nullptr, (n_pages_ + 2) * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<char*>(memory);
    mprotect(memory_ + page_, n_pages_ * page_, PROT_READ | PROT_WRITE);
  }
  ~GuardedPages() { munmap(memory_, (n_pages_ + 2) * page_); }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;

  std::span<float> floats() { return {reinterpret_cast<float*>(memory_ + page_), n_pages_ * page_ / sizeof(float)}; }

 private:
  std::size_t n_pages_, page_;
  char* memory_;
};

}  // namespace lmbits
