#include <cmath>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/linear.h"

namespace lmbits::kernels {

std::int64_t packed_bytes(Isa isa, const Linear& map) {
  const std::int64_t n_lanes = bodies(isa).linear_panels(map) * 2 * bodies(isa).lanes;
  switch (map.format) {
    case WeightFormat::kBFloat16:
      return n_lanes * map.n_in * 2;
    case WeightFormat::kInt8:
      return n_lanes * (map.n_in + static_cast<std::int64_t>(sizeof(float)));
    case WeightFormat::kFloat32:
      break;
  }
  return n_lanes * map.n_in * 4;
}

void pack_linear(Isa isa, const Linear& map, const float* weight, const float* gain, void* packed) {
  bodies(isa).pack_linear_weight(map, weight, gain, packed);
}

void linear(Isa isa, const Linear& map, const void* packed, const float* x, std::int64_t n_rows, const float* residual,
            float* y) {
  bodies(isa).linear_rows(map, packed, x, n_rows, residual, y);
}

void linear_reference(const Linear& map, const float* weight, const float* gain, const float* x, std::int64_t n_rows,
                      const float* residual, double* y) {
  std::vector<double> row(static_cast<std::size_t>(map.n_in));
  for (std::int64_t r = 0; r < n_rows; ++r, x += map.n_in, y += map.n_out) {
    double squares = 0.0;
    for (std::int64_t i = 0; i < map.n_in; ++i) squares += double{x[i]} * x[i];
    const double factor = map.norm_eps ? 1.0 / std::sqrt(squares / static_cast<double>(map.n_in) + *map.norm_eps) : 1.0;
    for (std::int64_t i = 0; i < map.n_in; ++i)
      row[static_cast<std::size_t>(i)] = x[i] * factor * (gain ? gain[i] : 1.0F);
    const auto output = [&](std::int64_t out) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < map.n_in; ++i) sum += row[static_cast<std::size_t>(i)] * weight[out * map.n_in + i];
      return sum;
    };
    for (std::int64_t out = 0; out < map.n_out; ++out) {
      const double a = output(out);
      y[out] = map.gated ? a / (1.0 + std::exp(-a)) * output(map.n_out + out) : a;
      if (residual != nullptr) y[out] += residual[r * map.n_out + out];
    }
  }
}

}  // namespace lmbits::kernels
