#include "src/scaling/reconcile.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "src/stats/linear.h"

namespace lmbits {
namespace {

// How N_T grows with N_E: s = d log N_T / d log N_E, and d log s / d log N_E.
struct Growth {
  double s, log_slope;
};

Growth growth_at(double non_embedding, double omega) {
  const double t = omega * std::pow(non_embedding, -2.0 / 3.0), s = (1.0 + t / 3.0) / (1.0 + t);
  return {s, 4.0 / 9.0 * t / ((1.0 + t) * (1.0 + t)) / s};
}

double between(double lo, double hi, int i, int n) { return n > 1 ? lo + (hi - lo) * i / (n - 1) : lo; }

double slope_of(const std::vector<FrontierPoint>& points, double FrontierPoint::*member) {
  Columns columns(2, std::vector<double>(points.size(), 1.0));
  std::vector<double> y;
  for (std::size_t i = 0; i < points.size(); ++i) {
    columns[1][i] = std::log(points[i].flops);
    y.push_back(std::log(points[i].*member));
  }
  const auto line = least_squares(columns, y);
  if (!line) throw Error(ErrorKind::kConfig, "the frontier has fewer than two budgets", "widen the grid");
  return (*line)[1];
}

// One model's loss at each compute, read off linearly between the grid's token counts. nullopt beyond them.
std::optional<double> loss_at(const Parameters& p, const ReconcileGrid& grid, double total, double flops_per_token,
                              double flops) {
  const double log_d = std::log10(flops / flops_per_token);
  const double step = (grid.log10_d_hi - grid.log10_d_lo) / (grid.n_tokens - 1);
  const double place = (log_d - grid.log10_d_lo) / step;
  if (place < 0.0 || place > grid.n_tokens - 1) return std::nullopt;
  const double below = std::floor(place);
  const auto loss = [&](double at) {
    return std::exp(p[0]) + std::exp(p[1]) * std::pow(total, -p[3]) +
           std::exp(p[2]) * std::pow(10.0, -p[4] * (grid.log10_d_lo + step * at));
  };
  const double left = std::pow(10.0, grid.log10_d_lo + step * below),
               right = std::pow(10.0, grid.log10_d_lo + step * (below + 1.0));
  const double share = (flops / flops_per_token - left) / (right - left);
  return loss(below) + share * (loss(below + 1.0) - loss(below));
}

Frontier frontier(const Parameters& p, const ReconcileGrid& grid, bool in_total, double lo, double hi) {
  Frontier result;
  for (int k = 0; k < grid.n_budgets; ++k) {
    const double flops = std::pow(10.0, between(lo, hi, k, grid.n_budgets));
    FrontierPoint best{flops, 0.0, 0.0, 0.0};
    for (int i = 0; i < grid.n_sizes; ++i) {
      const double n_e = std::pow(10.0, between(grid.log10_n_lo, grid.log10_n_hi, i, grid.n_sizes));
      const double n_t = total_params(n_e, grid.omega), n = in_total ? n_t : n_e;
      const auto loss = loss_at(p, grid, n_t, 6.0 * n, flops);
      if (loss && (best.n == 0.0 || *loss < best.loss)) best = {flops, n, flops / (6.0 * n), *loss};
    }
    if (best.n > 0.0) result.points.push_back(best);
  }
  result.n_exponent = slope_of(result.points, &FrontierPoint::n);
  result.d_exponent = slope_of(result.points, &FrontierPoint::d);
  result.loss_exponent = slope_of(result.points, &FrontierPoint::loss);
  return result;
}

}  // namespace

double total_params(double non_embedding, double omega) { return non_embedding + omega * std::cbrt(non_embedding); }

double non_embedding_params(double total, double omega) {
  double lo = 0.0, hi = total;
  for (int i = 0; i < 200; ++i) {
    const double middle = 0.5 * (lo + hi);
    (total_params(middle, omega) < total ? lo : hi) = middle;
  }
  return 0.5 * (lo + hi);
}

Reconciliation reconcile(const Parameters& chinchilla, const ReconcileGrid& grid) {
  return {frontier(chinchilla, grid, false, grid.log10_ce_lo, grid.log10_ce_hi),
          frontier(chinchilla, grid, true, grid.log10_ct_lo, grid.log10_ct_hi)};
}

double local_exponent(const Parameters& p, double non_embedding, double omega) {
  const Growth growth = growth_at(non_embedding, omega);
  return p[4] / (p[4] + p[3] * growth.s - growth.log_slope);
}

double flops_of_optimum(const Parameters& p, double non_embedding, double omega) {
  const double s = growth_at(non_embedding, omega).s, log_total = std::log(total_params(non_embedding, omega));
  const double log_pull = std::log(p[3] * s / p[4]) + p[1] - p[2] - p[3] * log_total;
  return std::exp(std::log(6.0 * non_embedding) - log_pull / p[4]);
}

}  // namespace lmbits
