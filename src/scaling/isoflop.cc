#include "src/scaling/isoflop.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <set>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/scaling/known_law.h"
#include "src/stats/linear.h"
#include "src/stats/random.h"

namespace lmbits {
namespace {

void set_flops(IsoFlop& budget, const std::vector<ScalingPoint>& points) {
  double sum = 0.0;
  for (const std::size_t i : budget.points) sum += std::log(flops_of(points[i]));
  budget.flops = std::exp(sum / static_cast<double>(budget.points.size()));
}

std::vector<IsoFlop> group_by_budget(const std::vector<ScalingPoint>& points, const IsoFlopRequest& request) {
  std::vector<std::size_t> order(points.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return flops_of(points[a]) < flops_of(points[b]); });
  const double width = std::log1p(request.tolerance);
  std::map<double, IsoFlop> groups;  // by log C: of the cheapest run, or as given
  for (const double flops : request.budgets) groups[std::log(flops)];
  for (const std::size_t i : order) {
    const double log_c = std::log(flops_of(points[i]));
    if (!std::isfinite(log_c)) throw Error(ErrorKind::kData, points[i].label + ": no compute", "give C, or N and D");
    if (request.budgets.empty()) {
      if (groups.empty() || log_c > groups.rbegin()->first + width) groups[log_c];
      groups.rbegin()->second.points.push_back(i);
    } else {
      const auto near = std::min_element(groups.begin(), groups.end(), [&](const auto& a, const auto& b) {
        return std::abs(a.first - log_c) < std::abs(b.first - log_c);
      });
      if (std::abs(near->first - log_c) <= width) near->second.points.push_back(i);
    }
  }
  std::vector<IsoFlop> budgets;
  for (auto& [log_c, budget] : groups) {
    if (budget.points.empty())
      budget.flops = std::exp(log_c);
    else
      set_flops(budget, points);
    budgets.push_back(std::move(budget));
  }
  return budgets;
}

struct Parabola {
  std::array<double, 3> c{};
  double lo = 0.0, hi = 0.0;
  double vertex() const { return -0.5 * c[1] / c[2]; }
};

// Through (x, loss), by QR on x - its mean; nullopt under three different x.
std::optional<Parabola> parabola_through(const std::vector<double>& x, const std::vector<double>& loss) {
  double mean = 0.0;
  for (const double v : x) mean += v / static_cast<double>(x.size());
  Columns columns(3, std::vector<double>(x.size(), 1.0));
  for (std::size_t i = 0; i < x.size(); ++i) {
    columns[1][i] = x[i] - mean;
    columns[2][i] = columns[1][i] * columns[1][i];
  }
  const auto c = least_squares(columns, loss);
  if (!c) return std::nullopt;
  Parabola result;
  result.c = {(*c)[0] - (*c)[1] * mean + (*c)[2] * mean * mean, (*c)[1] - 2.0 * (*c)[2] * mean, (*c)[2]};
  result.lo = *std::min_element(x.begin(), x.end());
  result.hi = *std::max_element(x.begin(), x.end());
  return result;
}

std::string why_refused(const std::optional<Parabola>& parabola, std::size_t n_sizes) {
  if (n_sizes == 0) return "no run within the tolerance";
  if (n_sizes < 4) return "fewer than 4 sizes";
  if (!parabola) return "sizes too alike";
  if (parabola->c[2] <= 0.0) return "opens downwards";
  if (parabola->vertex() <= parabola->lo) return "minimum below the smallest size";
  if (parabola->vertex() >= parabola->hi) return "minimum above the largest size";
  return {};
}

// Fits one budget's parabolas on the runs `drawn` (indices of points).
void fit_budget(IsoFlop& budget, const std::vector<ScalingPoint>& points, const std::vector<std::size_t>& drawn,
                const std::vector<double>& losses) {
  std::vector<double> log_n, log_d, loss;
  std::set<double> sizes;
  for (const std::size_t i : drawn) {
    const double n = *points[i].at(Variable::kParams);
    sizes.insert(n);
    log_n.push_back(std::log(n));
    log_d.push_back(
        std::log(points[i].at(Variable::kTokens) ? *points[i].at(Variable::kTokens) : flops_of(points[i]) / (6.0 * n)));
    loss.push_back(losses[i]);
  }
  const auto of_n = parabola_through(log_n, loss), of_d = parabola_through(log_d, loss);
  budget.refused = why_refused(of_n, sizes.size());
  if (budget.refused.empty()) budget.refused = why_refused(of_d, sizes.size());
  if (!budget.refused.empty()) return;
  budget.parabola = of_n->c;
  budget.n = std::exp(of_n->vertex());
  budget.d = std::exp(of_d->vertex());
  budget.loss = of_n->c[0] - 0.25 * of_n->c[1] * of_n->c[1] / of_n->c[2];
}

struct LinePoint {
  double x, y;  // logarithms
};

std::optional<PowerOfCompute> power_through(const std::vector<LinePoint>& line) {
  if (line.size() < 2) return std::nullopt;
  Columns columns(2, std::vector<double>(line.size(), 1.0));
  std::vector<double> y(line.size());
  for (std::size_t i = 0; i < line.size(); ++i) {
    columns[1][i] = line[i].x;
    y[i] = line[i].y;
  }
  const auto c = least_squares(columns, y);
  if (!c) return std::nullopt;
  return PowerOfCompute{(*c)[0], (*c)[1], std::nullopt};
}

struct Exponents {
  std::optional<PowerOfCompute> n, d;
};

Exponents exponents_of(const std::vector<IsoFlop>& budgets) {
  std::vector<LinePoint> n, d;
  for (const IsoFlop& budget : budgets) {
    if (!budget.refused.empty()) continue;
    n.push_back({std::log(budget.flops), std::log(budget.n)});
    d.push_back({std::log(budget.flops), std::log(budget.d)});
  }
  return {power_through(n), power_through(d)};
}

std::vector<double> losses_of(const std::vector<ScalingPoint>& points) {
  std::vector<double> losses;
  for (const ScalingPoint& point : points) losses.push_back(point.loss);
  return losses;
}

// Percentiles of the exponents over `n` replicates; those without exponents are left out, and too many of them are no
// interval.
template <typename Replicate>
void add_intervals(PowerOfCompute& n, PowerOfCompute& d, const IsoFlopRequest& request, const Replicate& replicate) {
  std::vector<Exponents> all(static_cast<std::size_t>(request.n_resamples));
  parallel_for(request.n_resamples, request.n_threads, [&](std::int64_t b) {
    all[static_cast<std::size_t>(b)] = replicate(Random(request.seed, static_cast<std::uint64_t>(b)));
  });
  std::vector<double> of_n, of_d;
  for (const Exponents& e : all) {
    if (!e.n || !e.d) continue;
    of_n.push_back(e.n->exponent);
    of_d.push_back(e.d->exponent);
  }
  if (10 * of_n.size() < 9 * all.size()) return;
  n.interval = bootstrap_interval(of_n, n.exponent, 0.0, request.level, IntervalMethod::kPercentile);
  d.interval = bootstrap_interval(of_d, d.exponent, 0.0, request.level, IntervalMethod::kPercentile);
}

// `found` makes exponents of losses, one a point.
std::optional<ExponentBias> bias_of(const std::vector<ScalingPoint>& points,
                                    const std::function<Exponents(const std::vector<double>&)>& found) {
  Fit fit;
  try {
    fit = fit_law(make_law("chinchilla"), points, {});
  } catch (const Error&) {
    return std::nullopt;  // too few points for a law: the bias is unknown
  }
  std::vector<double> losses;
  for (const ScalingPoint& point : points) losses.push_back(fit.predict(point));
  const Exponents exponents = found(losses);
  if (!exponents.n || !(fit.p[3] > 0.0) || !(fit.p[4] > 0.0)) return std::nullopt;
  return ExponentBias{optimal_exponent(fit.p), exponents.n->exponent};
}

}  // namespace

double PowerOfCompute::at(double flops) const { return std::exp(log_k + exponent * std::log(flops)); }

IsoFlops isoflop(const std::vector<ScalingPoint>& points, const IsoFlopRequest& request) {
  for (const ScalingPoint& point : points) {
    if (!point.at(Variable::kParams))
      throw Error(ErrorKind::kData, point.label + ": no N", "name its column with --column N=NAME");
  }
  IsoFlops result;
  result.budgets = group_by_budget(points, request);
  const std::vector<double> losses = losses_of(points);
  for (IsoFlop& budget : result.budgets) fit_budget(budget, points, budget.points, losses);
  for (const IsoFlop& budget : result.budgets) result.n_used += budget.refused.empty();
  const Exponents exponents = exponents_of(result.budgets);
  if (!exponents.n || !exponents.d) {
    std::set<std::string> all;
    for (const IsoFlop& budget : result.budgets) all.insert(budget.refused);
    all.erase("");
    std::string reasons;
    for (const std::string& reason : all) reasons += (reasons.empty() ? "" : "; ") + reason;
    throw Error(ErrorKind::kData,
                std::to_string(result.n_used) + " of " + std::to_string(result.budgets.size()) +
                    " budgets have an interior minimum, and a power of compute needs two",
                reasons.empty() ? "give runs of at least two budgets" : reasons);
  }
  result.n = *exponents.n;
  result.d = *exponents.d;
  add_intervals(result.n, result.d, request, [&](Random random) {
    std::vector<IsoFlop> budgets = result.budgets;
    for (IsoFlop& budget : budgets) {
      if (!budget.refused.empty()) continue;
      std::vector<std::size_t> drawn;
      for (std::size_t i = 0; i < budget.points.size(); ++i)
        drawn.push_back(budget.points[random.below(static_cast<std::uint32_t>(budget.points.size()))]);
      fit_budget(budget, points, drawn, losses);
    }
    return exponents_of(budgets);
  });
  result.bias = bias_of(points, [&](const std::vector<double>& noiseless) {
    std::vector<IsoFlop> budgets = result.budgets;
    for (IsoFlop& budget : budgets) {
      if (budget.refused.empty()) fit_budget(budget, points, budget.points, noiseless);
    }
    return exponents_of(budgets);
  });
  return result;
}

// ---- approach 1 ----

namespace {

struct Range {
  double lo, hi;
  bool holds_inside(double x) const { return lo < x && x < hi; }
};

std::string size_text(double n) {
  char text[40];
  std::snprintf(text, sizeof text, "N = %.6g", n);
  return text;
}

std::vector<Curve> curves_of(const Points& points, const std::vector<double>& losses) {
  std::map<std::string, Curve> by_name;
  for (std::size_t i = 0; i < points.points.size(); ++i) {
    const ScalingPoint& point = points.points[i];
    if (!point.at(Variable::kParams) || !std::isfinite(flops_of(point)))
      throw Error(ErrorKind::kData, point.label + ": no N or no compute", "give N, and C or D");
    const double n = *point.at(Variable::kParams);
    const std::string name = points.runs[i].empty() ? size_text(n) : points.runs[i];
    Curve& curve = by_name[name];
    if (curve.name.empty()) curve = {name, n, {}};
    if (curve.n != n)
      throw Error(ErrorKind::kData,
                  point.label + ": run " + name + " has " + size_text(n) + ", and " + size_text(curve.n) + " before",
                  "a training curve has one N; name the column of the runs with --column run=NAME");
    curve.log_flops_and_loss.emplace_back(std::log(flops_of(point)), losses[i]);
  }
  std::vector<Curve> curves;
  for (auto& [name, curve] : by_name) {
    if (curve.log_flops_and_loss.size() < 2) continue;
    std::sort(curve.log_flops_and_loss.begin(), curve.log_flops_and_loss.end());
    curves.push_back(std::move(curve));
  }
  return curves;
}

Range sizes_of(const std::vector<Curve>& curves) {
  Range sizes{curves[0].n, curves[0].n};
  for (const Curve& curve : curves) sizes = {std::min(sizes.lo, curve.n), std::max(sizes.hi, curve.n)};
  return sizes;
}

std::optional<double> loss_at(const Curve& curve, double log_flops) {
  const auto& points = curve.log_flops_and_loss;
  if (log_flops < points.front().first || log_flops > points.back().first) return std::nullopt;
  const auto after = std::lower_bound(points.begin(), points.end(), std::pair{log_flops, -1.0});
  if (after == points.begin()) return after->second;
  if (after == points.end()) return points.back().second;
  const auto before = after - 1;
  const double share = (log_flops - before->first) / std::max(after->first - before->first, 1e-300);
  return before->second + share * (after->second - before->second);
}

std::vector<EnvelopePoint> lowest(const std::vector<Curve>& curves, const std::vector<std::size_t>& drawn, int n_grid) {
  double lo = 1e300, hi = -1e300;
  for (const Curve& curve : curves) {
    lo = std::min(lo, curve.log_flops_and_loss.front().first);
    hi = std::max(hi, curve.log_flops_and_loss.back().first);
  }
  std::vector<EnvelopePoint> points;
  double least = 1e300;  // at this compute or below
  for (int g = 0; g < n_grid; ++g) {
    const double log_c = lo + (hi - lo) * g / (n_grid - 1);
    std::optional<EnvelopePoint> best;
    for (const std::size_t i : drawn) {
      const auto loss = loss_at(curves[i], log_c);
      const double n = curves[i].n, c = std::exp(log_c);
      if (loss && (!best || *loss < best->loss)) best = EnvelopePoint{c, n, c / (6.0 * n), *loss, i};
    }
    if (!best || best->loss > least) continue;
    least = best->loss;
    points.push_back(*best);
  }
  return points;
}

// Without the ends, where the least or the largest size of all is best: a better one may lie outside. log C against log N,
// and the line turned round: N is a staircase of C, whose slope against log C is too flat by 1 / k^2 of it for k steps.
Exponents exponents_of(const std::vector<EnvelopePoint>& points, const Range& sizes) {
  std::vector<LinePoint> line;
  for (const EnvelopePoint& point : points) {
    if (sizes.holds_inside(point.n)) line.push_back({std::log(point.n), std::log(point.flops)});
  }
  const auto turned = power_through(line);
  if (!turned || !(turned->exponent > 0.0)) return {};
  const PowerOfCompute n{-turned->log_k / turned->exponent, 1.0 / turned->exponent, std::nullopt};
  return {n, PowerOfCompute{-std::log(6.0) - n.log_k, 1.0 - n.exponent, std::nullopt}};  // C = 6 N D
}

}  // namespace

Envelope envelope(const Points& points, int n_grid, const IsoFlopRequest& request) {
  Envelope result;
  result.curves = curves_of(points, losses_of(points.points));
  if (result.curves.size() < 3)
    throw Error(
        ErrorKind::kData,
        std::to_string(result.curves.size()) + " training curves with two points or more, and an envelope needs three",
        "give several checkpoints of each run, with a column that names the run");
  std::vector<std::size_t> all(result.curves.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  result.points = lowest(result.curves, all, n_grid);
  const Range sizes = sizes_of(result.curves);
  std::set<std::size_t> winners;
  std::set<double> between;
  for (const EnvelopePoint& point : result.points) {
    winners.insert(point.curve);
    if (sizes.holds_inside(point.n)) between.insert(point.n);
  }
  result.n_winning = winners.size();
  result.n_fitted = between.size();
  if (between.size() < 2)
    throw Error(ErrorKind::kData,
                std::to_string(between.size()) + " sizes between the least, " + size_text(sizes.lo) +
                    ", and the largest, " + size_text(sizes.hi) +
                    ", are best somewhere, and a power of compute needs two",
                "where the least or the largest size is best, a better one may lie outside: give more sizes");
  const Exponents exponents = exponents_of(result.points, sizes);
  if (!exponents.n)
    throw Error(ErrorKind::kData, "the best size does not grow with compute", "give curves of more sizes");
  result.n = *exponents.n;
  result.d = *exponents.d;
  add_intervals(result.n, result.d, request, [&](Random random) {
    std::vector<std::size_t> drawn;
    for (std::size_t i = 0; i < all.size(); ++i) drawn.push_back(random.below(static_cast<std::uint32_t>(all.size())));
    return exponents_of(lowest(result.curves, drawn, std::min(n_grid, 200)), sizes);
  });
  result.bias = bias_of(points.points, [&](const std::vector<double>& noiseless) {
    return exponents_of(lowest(curves_of(points, noiseless), all, n_grid), sizes);
  });
  return result;
}

}  // namespace lmbits
