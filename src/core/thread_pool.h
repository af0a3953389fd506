// Work spread over threads, one loop at a time.
#pragma once
#include <cstdint>
#include <functional>

namespace lmbits {

// Calls work(0) ... work(n_items - 1), each once, on up to `n_threads` threads (the caller's is one of them; 0: one a
// hardware thread), and returns when all are done. Items start in ascending order; so long as each writes to its own
// place only, results do not depend on the number of threads. After an item throws, no new one starts, and the
// exception of the lowest item that threw is rethrown here: the same one, whatever the number of threads.
void parallel_for(std::int64_t n_items, int n_threads, const std::function<void(std::int64_t)>& work);

// Hardware threads this process may run on (its affinity mask), at least 1.
int available_threads();

}  // namespace lmbits
