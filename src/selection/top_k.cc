#include "src/selection/top_k.h"

#include <algorithm>
#include <utility>

#include "src/core/error.h"

namespace lmbits {

std::vector<std::int64_t> torch_top_k(std::span<const float> values, std::int64_t k) {
  const auto n = std::ssize(values);
  LMBITS_CHECK(k >= 1 && k <= n);
  std::vector<std::pair<float, std::int64_t>> queue;
  queue.reserve(values.size());
  for (std::int64_t i = 0; i < n; ++i) queue.emplace_back(values[static_cast<std::size_t>(i)], i);
  const auto less = [](const auto& a, const auto& b) { return a.first < b.first; };
  if (64 * k <= n) {
    std::partial_sort(queue.begin(), queue.begin() + k, queue.end(), less);
  } else {
    std::nth_element(queue.begin(), queue.begin() + (k - 1), queue.end(), less);
    std::sort(queue.begin(), queue.begin() + (k - 1), less);
  }
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < k; ++i) indices.push_back(queue[static_cast<std::size_t>(i)].second);
  return indices;
}

}  // namespace lmbits
