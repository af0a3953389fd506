#include "src/conventions/top_k.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "src/core/error.h"

namespace lmbits {

double top_k_bits(std::span<const float> logits, std::int32_t target, std::int64_t k) {
  LMBITS_CHECK(k >= 1);
  const bool has_nan = std::any_of(logits.begin(), logits.end(), [](float z) { return std::isnan(z); });
  if (has_nan || target < 0 || static_cast<std::size_t>(target) >= logits.size())
    return std::numeric_limits<double>::quiet_NaN();
  const float own = logits[static_cast<std::size_t>(target)];
  std::vector<float> kept(logits.begin(), logits.end());
  if (static_cast<std::size_t>(k) < kept.size()) {
    std::nth_element(kept.begin(), kept.begin() + (k - 1), kept.end(), std::greater<>());
    if (own >= kept[static_cast<std::size_t>(k - 1)]) kept.resize(static_cast<std::size_t>(k));
  }
  const double largest = *std::max_element(kept.begin(), kept.end());
  double sum = 0.0;
  for (const float z : kept) sum += std::exp(static_cast<double>(z) - largest);
  return std::log2(sum) + (largest - own) / std::numbers::ln2;
}

}  // namespace lmbits
