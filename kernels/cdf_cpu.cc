#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/cdf.h"
#include "kernels/dispatch.h"

namespace lmbits::kernels {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int kTotalBits = 54;  // V 2^k may have; with V ones more, a total stays below 2^55
constexpr int kMaxPrecision = 40;

double scale_of(std::int64_t n) { return std::ldexp(1.0, cdf_precision(n)); }

}  // namespace

int cdf_precision(std::int64_t n) {
  const auto vocab_bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
  return std::min(kMaxPrecision, kTotalBits - vocab_bits);
}

CdfInterval cdf_interval(Isa isa, const float* logits, std::int64_t n, std::int64_t target) {
  const Bodies& body = bodies(isa);
  const float max = body.row_max(logits, n);
  const double scale = scale_of(n);
  alignas(64) float e[kNllBlock];
  alignas(64) std::uint64_t weights[kNllBlock];
  CdfInterval interval{0, 0, 0, 0.0};
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < n; begin += kNllBlock) {
    const std::int64_t here = std::min(kNllBlock, n - begin);
    const CdfBlock block = body.cdf_block(logits + begin, here, max, scale, e, weights);
    if (target >= begin + here) {
      interval.low += block.total;
    } else if (target >= begin) {
      for (std::int64_t i = 0; i < target - begin; ++i) interval.low += weights[i];
      interval.width = weights[target - begin];
    }
    interval.total += block.total;
    sum += block.sum;
  }
  interval.bits = std::log2(sum) + kLog2E * (double{max} - logits[target]);
  return std::isfinite(sum) ? interval : CdfInterval{0, 0, 0, std::numeric_limits<double>::quiet_NaN()};
}

std::uint64_t cdf_weights(Isa isa, const float* logits, std::int64_t n, std::uint64_t* weights) {
  const Bodies& body = bodies(isa);
  const float max = body.row_max(logits, n);
  const double scale = scale_of(n);
  alignas(64) float e[kNllBlock];
  std::uint64_t total = 0;
  double sum = 0.0;
  for (std::int64_t begin = 0; begin < n; begin += kNllBlock) {
    const CdfBlock block =
        body.cdf_block(logits + begin, std::min(kNllBlock, n - begin), max, scale, e, weights + begin);
    total += block.total;
    sum += block.sum;
  }
  return std::isfinite(sum) ? total : 0;
}

CdfSymbol cdf_find(const std::uint64_t* weights, std::int64_t n, std::uint64_t at) {
  constexpr std::int64_t kStep = 64;
  std::uint64_t low = 0;
  std::int64_t symbol = 0;
  for (; symbol + kStep < n; symbol += kStep) {
    std::uint64_t step = 0;
    for (std::int64_t i = 0; i < kStep; ++i) step += weights[symbol + i];
    if (at < low + step) break;
    low += step;
  }
  for (; symbol + 1 < n && at - low >= weights[symbol]; ++symbol) low += weights[symbol];
  return {symbol, low, weights[symbol]};
}

std::uint64_t cdf_weights_reference(const float* logits, std::int64_t n, std::uint64_t* weights) {
  float max = -kInfinity;
  for (std::int64_t v = 0; v < n; ++v) max = std::fmax(max, logits[v]);
  std::uint64_t total = 0;
  for (std::int64_t v = 0; v < n; ++v) {
    const double e = std::exp(double{logits[v]} - max);
    if (std::isnan(e)) return 0;
    total += weights[v] = 1 + static_cast<std::uint64_t>(std::llrint(e * scale_of(n)));
  }
  return total;
}

}  // namespace lmbits::kernels
