#include "src/stats/linear.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>

#include "src/core/error.h"

namespace lmbits {
namespace {

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void rotate(std::vector<double>& a, std::vector<double>& b, double c, double s) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a[i];
    a[i] = c * x - s * b[i];
    b[i] = s * x + c * b[i];
  }
}

// Makes columns p and q orthogonal; false where they were.
bool orthogonalise(Columns& columns, Columns& right, std::size_t p, std::size_t q) {
  const double alpha = dot(columns[p], columns[p]), beta = dot(columns[q], columns[q]);
  const double gamma = dot(columns[p], columns[q]);
  if (!(std::abs(gamma) > 1e-15 * std::sqrt(alpha * beta))) return false;
  const double zeta = (beta - alpha) / (2.0 * gamma);
  const double t = (zeta >= 0.0 ? 1.0 : -1.0) / (std::abs(zeta) + std::hypot(1.0, zeta));
  const double c = 1.0 / std::hypot(1.0, t);
  rotate(columns[p], columns[q], c, c * t);
  rotate(right[p], right[q], c, c * t);
  return true;
}

}  // namespace

Svd svd(Columns columns) {
  const std::size_t k = columns.size();
  Columns right(k, std::vector<double>(k, 0.0));
  for (std::size_t i = 0; i < k; ++i) right[i][i] = 1.0;
  for (int sweep = 0; sweep < 60; ++sweep) {
    bool rotated = false;
    for (std::size_t p = 0; p < k; ++p) {
      for (std::size_t q = p + 1; q < k; ++q) rotated |= orthogonalise(columns, right, p, q);
    }
    if (!rotated) break;
  }
  std::vector<std::size_t> order(k);
  std::iota(order.begin(), order.end(), 0u);
  std::vector<double> length(k);
  for (std::size_t i = 0; i < k; ++i) length[i] = std::sqrt(dot(columns[i], columns[i]));
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return length[a] > length[b]; });
  Svd result;
  for (const std::size_t i : order) {
    result.values.push_back(length[i]);
    result.right.push_back(right[i]);
  }
  return result;
}

std::optional<std::vector<double>> solve_positive_definite(const std::vector<double>& h, const std::vector<double>& b) {
  const std::size_t m = b.size();
  std::vector<double> scale(m), l(m * m, 0.0), x(m);
  for (std::size_t i = 0; i < m; ++i) {
    if (!(h[i * m + i] > 0.0)) return std::nullopt;
    scale[i] = 1.0 / std::sqrt(h[i * m + i]);
  }
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = h[i * m + j] * scale[i] * scale[j];
      for (std::size_t k = 0; k < j; ++k) sum -= l[i * m + k] * l[j * m + k];
      if (i == j && !(sum > 1e-15)) return std::nullopt;
      l[i * m + j] = i == j ? std::sqrt(sum) : sum / l[j * m + j];
    }
  }
  for (std::size_t i = 0; i < m; ++i) {
    double sum = b[i] * scale[i];
    for (std::size_t k = 0; k < i; ++k) sum -= l[i * m + k] * x[k];
    x[i] = sum / l[i * m + i];
  }
  for (std::size_t i = m; i-- > 0;) {
    for (std::size_t k = i + 1; k < m; ++k) x[i] -= l[k * m + i] * x[k];
    x[i] /= l[i * m + i];
  }
  for (std::size_t i = 0; i < m; ++i) x[i] *= scale[i];
  return x;
}

std::vector<double> nonnegative_least_squares(const Columns& columns, const std::vector<double>& target) {
  const std::size_t k = columns.size();
  LMBITS_CHECK(k >= 1 && k <= 4);
  std::vector<double> gram(k * k), with_target(k), best(k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    with_target[i] = dot(columns[i], target);
    for (std::size_t j = 0; j <= i; ++j) gram[i * k + j] = gram[j * k + i] = dot(columns[i], columns[j]);
  }
  double best_gain = 0.0;  // |target|^2 less the sum of squares left
  for (std::uint32_t set = 1; set < (1u << k); ++set) {
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < k; ++i) {
      if ((set >> i) & 1u) of.push_back(i);
    }
    std::vector<double> h(of.size() * of.size()), b(of.size());
    for (std::size_t i = 0; i < of.size(); ++i) {
      b[i] = with_target[of[i]];
      for (std::size_t j = 0; j < of.size(); ++j) h[i * of.size() + j] = gram[of[i] * k + of[j]];
    }
    const auto x = solve_positive_definite(h, b);
    if (!x || std::any_of(x->begin(), x->end(), [](double v) { return !(v >= 0.0); })) continue;
    const double gain = dot(*x, b);
    if (gain <= best_gain) continue;
    best_gain = gain;
    std::fill(best.begin(), best.end(), 0.0);
    for (std::size_t i = 0; i < of.size(); ++i) best[of[i]] = (*x)[i];
  }
  return best;
}

std::optional<std::vector<double>> least_squares(Columns columns, std::vector<double> target) {
  const std::size_t k = columns.size(), n = target.size();
  if (n < k) return std::nullopt;
  std::vector<double> diagonal(k);
  const auto reflect = [n](const std::vector<double>& v, std::vector<double>& x, std::size_t from) {
    double vv = 0.0, vx = 0.0;
    for (std::size_t i = from; i < n; ++i) {
      vv += v[i] * v[i];
      vx += v[i] * x[i];
    }
    if (vv == 0.0) return;
    for (std::size_t i = from; i < n; ++i) x[i] -= 2.0 * vx / vv * v[i];
  };
  for (std::size_t j = 0; j < k; ++j) {
    std::vector<double> v = columns[j];
    double tail = 0.0, all = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      all += v[i] * v[i];
      if (i >= j) tail += v[i] * v[i];
    }
    const double length = std::sqrt(tail);
    if (!(length > 1e-13 * std::sqrt(all)) || all == 0.0) return std::nullopt;
    diagonal[j] = v[j] > 0.0 ? -length : length;
    v[j] -= diagonal[j];
    for (std::size_t l = j + 1; l < k; ++l) reflect(v, columns[l], j);
    reflect(v, target, j);
  }
  std::vector<double> x(k);
  for (std::size_t i = k; i-- > 0;) {
    double sum = target[i];
    for (std::size_t j = i + 1; j < k; ++j) sum -= columns[j][i] * x[j];
    x[i] = sum / diagonal[i];
  }
  return x;
}

}  // namespace lmbits
