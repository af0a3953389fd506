#include <cmath>
#include <limits>

#include "kernels/nll_row.h"
#include "kernels/nll_rows.h"

namespace lmbits::kernels {
namespace {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double stored_logit(const NllRows& in, std::int64_t at) {
  switch (in.type) {
    case LogitType::kFloat32:
      return static_cast<const float*>(in.logits)[at];
    case LogitType::kBFloat16:
      return from_float_bits(static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(in.logits)[at]) << 16);
    case LogitType::kFloat16:
      return from_half_bits(static_cast<const std::uint16_t*>(in.logits)[at]);
  }
  return kNaN;
}

// z of column v of row i.
double z_of(const NllRows& in, std::int64_t i, std::int64_t v) {
  double y = stored_logit(in, i * in.stride + v);
  if (in.bias != nullptr) y += in.bias[v];
  y *= in.scale;
  if (in.softcap != 0.0F) y = in.softcap * std::tanh(y / in.softcap);
  return kLog2E * y;
}

// Where the sum of `max` and 2^(z - max) goes when z comes in. +inf and NaN make the sum NaN.
void add(NllStateReference& s, double z) {
  if (z == -kInfinity) return;
  if (!(z < kInfinity)) {
    s.sum = kNaN;
    return;
  }
  if (z > s.max) {
    s.sum = s.sum == 0.0 ? 0.0 : s.sum * std::exp2(s.max - z);
    s.max = z;
  }
  s.sum += std::exp2(z - s.max);
}

void fold(const NllRows& in, std::int64_t i, NllStateReference& s) {
  for (std::int64_t v = 0; v < in.n_cols; ++v) add(s, z_of(in, i, v));
  const std::int64_t column = in.targets[i] - in.first_col;
  if (column >= 0 && column < in.n_cols) s.target = z_of(in, i, column);
}

}  // namespace

void nll_rows_reference(const NllRows& in, NllRowReference* out, std::uint32_t* flags) {
  for (std::int64_t i = 0; i < in.n_rows; ++i) {
    NllStateReference s{-kInfinity, 0.0, kNaN};
    fold(in, i, s);
    NllRowReference& row = out[i];
    row.bits = nll_bits_reference(&s, 1);
    row.lse = (s.max + std::log2(s.sum)) / kLog2E;
    row.entropy = 0.0;
    row.rank = 0;
    for (std::int64_t v = 0; v < in.n_cols; ++v) {
      const double z = z_of(in, i, v), p = std::exp2(z - s.max) / s.sum;
      if (p != 0.0) row.entropy -= p * (z - s.max - std::log2(s.sum));
      if (z > s.target) ++row.rank;
    }
    if (std::isnan(row.bits)) row.rank = -1;
    if (flags == nullptr) continue;
    if (!(s.sum > 0.0)) *flags |= kNllNotFinite;
    if (in.targets[i] < 0 || in.targets[i] >= in.n_cols) *flags |= kNllBadTarget;
  }
}

void nll_tile_update_reference(const NllRows& tile, NllStateReference* state) {
  for (std::int64_t i = 0; i < tile.n_rows; ++i) fold(tile, i, state[i]);
}

double nll_bits_reference(const NllStateReference* parts, std::int64_t n_parts) {
  NllStateReference all{-kInfinity, 0.0, kNaN};
  for (std::int64_t k = 0; k < n_parts; ++k) all.max = std::fmax(all.max, parts[k].max);
  for (std::int64_t k = 0; k < n_parts; ++k) {
    if (parts[k].sum != 0.0) all.sum += parts[k].sum * std::exp2(parts[k].max - all.max);
    if (!std::isnan(parts[k].target)) all.target = parts[k].target;
  }
  return all.sum == 0.0 ? kNaN : std::log2(all.sum) + (all.max - all.target);
}

void segment_sums_reference(const float* bits, const std::int64_t* begins, std::int64_t n_segments, NllSum* sums) {
  for (std::int64_t s = 0; s < n_segments; ++s) {
    sums[s] = {0.0, 0.0, begins[s + 1] - begins[s], -1};
    for (std::int64_t row = begins[s]; row < begins[s + 1]; ++row) {
      const double b = bits[row];
      if (!std::isfinite(b) && sums[s].first_bad < 0) sums[s].first_bad = row - begins[s];
      sums[s].bits += b;
      sums[s].bits_squared += b * b;
    }
  }
}

}  // namespace lmbits::kernels
