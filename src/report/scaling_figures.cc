#include "src/report/scaling_figures.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "src/report/plot.h"

namespace lmbits {
namespace {

constexpr double kWidth = 720.0, kHeight = 480.0;

Figure figure_of(const std::string& name, const std::string& title, const std::string& caption, const Plot& plot) {
  Figure figure{name, title, caption, Drawing(kWidth, kHeight, title)};
  draw_plot(figure.drawing, {0.0, 0.0, kWidth, kHeight}, plot);
  return figure;
}

std::vector<double> geometric(double lo, double hi, int n) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(lo * std::pow(hi / lo, static_cast<double>(i) / (n - 1)));
  return values;
}

struct Range {
  double lo = 1e300, hi = 0.0;
  void add(double x) {
    lo = std::min(lo, x);
    hi = std::max(hi, x);
  }
};

// ---- fits ----

Figure residual_figure(const FitReport& report) {
  const std::vector<ScalingPoint>& points = report.points.points;
  const bool by_compute =
      std::all_of(points.begin(), points.end(), [](const ScalingPoint& p) { return std::isfinite(flops_of(p)); });
  const Variable variable = report.fit.law->variables()[0];
  Plot plot;
  plot.title = "Residuals of " + report.fit.law->name();
  plot.x = {.title = by_compute ? "compute, FLOP" : symbol_of(variable),
            .scale = Scale::kLog,
            .notation = by_compute ? Notation::kPowers : Notation::kSi};
  plot.y = {.title = "seen / law - 1, %"};
  plot.references = {{.value = 0.0, .label = ""}};
  PointSeries seen;
  for (const ScalingPoint& point : points) {
    const double x = by_compute ? flops_of(point) : *point.at(variable);
    seen.points.push_back({.at = {x, 100.0 * (point.loss / report.fit.predict(point) - 1.0)}, .tooltip = point.label});
  }
  plot.points.push_back(std::move(seen));
  plot.mark = points.size() > 100 ? 3.0 : 4.5;
  return figure_of("residuals", plot.title, "How far each point lies from the law.", plot);
}

bool is_law_of_n_and_d(const Law& law) { return law.name() == "chinchilla" || law.name() == "kaplan-nd"; }

// The D at which the loss at N is `loss`; nullopt outside of [lo, hi].
std::optional<double> tokens_for(const Law& law, const Parameters& p, double n, double loss, double lo, double hi) {
  const auto at = [&](double d) {
    Observation x{};
    x[0] = std::log(n);
    x[1] = std::log(d);
    return std::exp(law.log_loss(p, x));
  };
  if (at(lo) < loss || at(hi) > loss) return std::nullopt;
  for (int i = 0; i < 60; ++i) {
    const double middle = std::sqrt(lo * hi);
    (at(middle) > loss ? lo : hi) = middle;
  }
  return std::sqrt(lo * hi);
}

// Contours of the loss, D against N, where the points are.
Figure contour_figure(const FitReport& report) {
  const Fit& fit = report.fit;
  Range n, d, loss;
  PointSeries seen{.name = "points", .colour = 0};
  for (const ScalingPoint& point : report.points.points) {
    n.add(*point.at(Variable::kParams));
    d.add(*point.at(Variable::kTokens));
    loss.add(fit.predict(point));
    seen.points.push_back({.at = {*point.at(Variable::kParams), *point.at(Variable::kTokens)}, .tooltip = point.label});
  }
  n = {n.lo / 1.5, n.hi * 1.5};
  d = {d.lo / 1.5, d.hi * 1.5};
  Plot plot;
  plot.title = "Loss by " + fit.law->name() + ", " + name_of(report.points.unit);
  plot.x = {.title = "parameters N", .scale = Scale::kLog, .notation = Notation::kPowers, .lo = n.lo, .hi = n.hi};
  plot.y = {.title = "tokens D", .scale = Scale::kLog, .notation = Notation::kPowers, .lo = d.lo, .hi = d.hi};
  constexpr int kLevels = 7;
  for (int level = 0; level < kLevels; ++level) {
    const double value = loss.lo * std::pow(loss.hi / loss.lo, (level + 0.5) / kLevels);
    LineSeries line{.name = "", .colour = kMuted, .thin = true};
    for (const double at : geometric(n.lo, n.hi, 200)) {
      if (const auto tokens = tokens_for(*fit.law, fit.p, at, value, d.lo, d.hi)) line.points.push_back({at, *tokens});
    }
    if (line.points.size() < 2) continue;
    // Named where the contour leaves the frame: an invisible mark there carries the label.
    plot.points.push_back(
        {.name = "",
         .colour = kMuted,
         .points = {{.at = line.points[line.points.size() / 2], .label = significant(value, 3), .hollow = true}}});
    plot.lines.push_back(std::move(line));
  }
  if (fit.law->name() == "chinchilla") {
    LineSeries frontier{.name = "compute-optimal", .colour = kInk, .dash = Dash::kDashed};
    for (const double flops : geometric(6.0 * n.lo * d.lo, 6.0 * n.hi * d.hi, 200)) {
      const Allocation best = compute_optimal(fit.p, flops);
      if (best.n >= n.lo && best.n <= n.hi && best.d >= d.lo && best.d <= d.hi)
        frontier.points.push_back({best.n, best.d});
    }
    if (frontier.points.size() > 1) plot.lines.push_back(std::move(frontier));
  }
  plot.points.push_back(std::move(seen));
  plot.mark = report.points.points.size() > 100 ? 2.5 : 4.0;
  return figure_of("contours", plot.title,
                   "Lines of equal loss over parameters and tokens, the points, and the compute-optimal frontier.",
                   plot);
}

// D*/N* against H, a line a budget.
Figure complexity_figure(const FitReport& report) {
  Range h;
  for (const ScalingPoint& point : report.points.points) h.add(*point.at(Variable::kComplexity));
  Plot plot;
  plot.title = "Compute-optimal tokens per parameter by the data's complexity";
  plot.x = {.title = "gzip complexity H"};
  plot.y = {.title = "D*/N*", .scale = Scale::kLog};
  int colour = 0;
  for (const double flops : {1e18, 1e20, 1e22}) {
    LineSeries line{.name = significant(flops, 2) + " FLOP", .colour = colour++};
    for (int i = 0; i <= 60; ++i) {
      const double at = h.lo + (h.hi - h.lo) * i / 60.0;
      Parameters p{};
      for (std::size_t j = 0; j < 5; ++j) {
        const double value = report.fit.p[j] + at * report.fit.p[5 + j];
        p[j] = j < 3 ? std::log(value) : value;
      }
      const Allocation best = compute_optimal(p, flops);
      if (std::isfinite(best.d / best.n)) line.points.push_back({at, best.d / best.n});
    }
    if (line.points.size() > 1) plot.lines.push_back(std::move(line));
  }
  return figure_of("complexity", plot.title, "How the law moves with H.", plot);
}

// ---- powers of compute ----

struct Optimum {
  double flops, n, d;
};

Figure optima_figure(const std::vector<Optimum>& optima, const PowerOfCompute& n, const PowerOfCompute& d,
                     const std::string& title, bool as_points) {
  Plot plot;
  plot.title = title;
  plot.x = {.title = "compute C, FLOP", .scale = Scale::kLog, .notation = Notation::kPowers};
  plot.y = {.title = "parameters N*, tokens D*", .scale = Scale::kLog, .notation = Notation::kPowers};
  const auto line_of = [&](const PowerOfCompute& power, const std::string& name, int colour) {
    LineSeries line{.name = name + " ~ C^" + significant(power.exponent, 3), .colour = colour};
    for (const Optimum* at : {&optima.front(), &optima.back()}) line.points.push_back({at->flops, power.at(at->flops)});
    plot.lines.push_back(std::move(line));
  };
  line_of(n, "N*", 0);
  line_of(d, "D*", 1);
  PointSeries of_n{.name = "", .colour = 0}, of_d{.name = "", .colour = 1};
  LineSeries steps_n{.name = "", .colour = 0, .thin = true}, steps_d{.name = "", .colour = 1, .thin = true};
  for (const Optimum& at : optima) {
    of_n.points.push_back({.at = {at.flops, at.n}});
    of_d.points.push_back({.at = {at.flops, at.d}});
    steps_n.points.push_back({at.flops, at.n});
    steps_d.points.push_back({at.flops, at.d});
  }
  if (as_points)
    plot.points = {of_n, of_d};
  else
    plot.lines.insert(plot.lines.end(), {steps_n, steps_d});
  return figure_of("frontier", title,
                   "Compute-optimal parameters and tokens, and the powers of compute fitted to them.", plot);
}

}  // namespace

std::vector<Figure> fit_figures(const FitReport& report) {
  std::vector<Figure> figures;
  if (is_law_of_n_and_d(*report.fit.law)) figures.push_back(contour_figure(report));
  if (report.fit.law->name() == "gzip") figures.push_back(complexity_figure(report));
  figures.push_back(residual_figure(report));
  return figures;
}

std::vector<Figure> isoflop_figures(const std::vector<ScalingPoint>& points, const IsoFlops& result, LossUnit unit) {
  Plot plot;
  plot.title = "isoFLOP profiles";
  plot.x = {.title = "parameters N", .scale = Scale::kLog, .notation = Notation::kPowers};
  plot.y = {.title = name_of(unit)};
  std::vector<Optimum> optima;
  PointSeries minima{.name = "minimum", .colour = kInk};
  int colour = 0;
  for (const IsoFlop& budget : result.budgets) {
    if (!budget.refused.empty()) continue;
    Range n;
    PointSeries runs{.name = significant(budget.flops, 3) + " FLOP", .colour = colour};
    for (const std::size_t i : budget.points) {
      const double size = *points[i].at(Variable::kParams);
      n.add(size);
      runs.points.push_back({.at = {size, points[i].loss}, .tooltip = points[i].label});
    }
    LineSeries curve{.name = "", .colour = colour % kSeriesColours, .thin = true};
    for (const double size : geometric(n.lo, n.hi, 80)) {
      const double x = std::log(size);
      curve.points.push_back({size, budget.parabola[0] + budget.parabola[1] * x + budget.parabola[2] * x * x});
    }
    plot.points.push_back(std::move(runs));
    plot.lines.push_back(std::move(curve));
    minima.points.push_back({.at = {budget.n, budget.loss}, .hollow = true});
    optima.push_back({budget.flops, budget.n, budget.d});
    ++colour;
  }
  plot.points.push_back(std::move(minima));
  plot.mark = 3.5;
  plot.font = result.n_used > 12 ? 10.0 : 12.0;
  std::vector<Figure> figures;
  figures.push_back(
      figure_of("isoflop", plot.title, "Loss against size at each budget, and the parabola in log N.", plot));
  figures.push_back(optima_figure(optima, result.n, result.d, "Compute-optimal sizes from isoFLOP profiles", true));
  return figures;
}

std::vector<Figure> envelope_figures(const Envelope& result, LossUnit unit) {
  Plot plot;
  plot.title = "Training curves and their envelope";
  plot.x = {.title = "compute C, FLOP", .scale = Scale::kLog, .notation = Notation::kPowers};
  plot.y = {.title = name_of(unit)};
  for (const Curve& curve : result.curves) {
    LineSeries line{.name = "", .colour = kMuted, .thin = true};
    for (const auto& [log_flops, loss] : curve.log_flops_and_loss) line.points.push_back({std::exp(log_flops), loss});
    plot.lines.push_back(std::move(line));
  }
  std::vector<Optimum> optima;
  std::size_t last = result.curves.size();
  for (const EnvelopePoint& p :
       result.points) {  // a line for each stretch that one run is best on: between them are gaps
    if (p.curve != last) plot.lines.push_back({.name = optima.empty() ? "envelope" : "", .colour = 1});
    last = p.curve;
    plot.lines.back().points.push_back({p.flops, p.loss});
    optima.push_back({p.flops, p.n, p.d});
  }
  std::vector<Figure> figures;
  figures.push_back(figure_of("envelope", plot.title, "The best loss of any run at each compute.", plot));
  figures.push_back(optima_figure(optima, result.n, result.d, "Compute-optimal sizes from the envelope", false));
  return figures;
}

std::vector<Figure> reconcile_figures(const Reconciliation& result, const Parameters& chinchilla, double omega) {
  Plot plot;
  plot.title = "One law, counted in two ways";
  plot.x = {.title = "compute C in the same counting, FLOP", .scale = Scale::kLog, .notation = Notation::kPowers};
  plot.y = {.title = "compute-optimal parameters N*", .scale = Scale::kLog, .notation = Notation::kPowers};
  const auto add = [&](const Frontier& frontier, const std::string& name, int colour) {
    PointSeries steps{.name = name, .colour = colour};
    double log_n = 0.0, log_c = 0.0;
    for (const FrontierPoint& p : frontier.points) {
      steps.points.push_back({.at = {p.flops, p.n}});
      log_n += std::log(p.n) / static_cast<double>(frontier.points.size());
      log_c += std::log(p.flops) / static_cast<double>(frontier.points.size());
    }
    LineSeries line{.name = "~ C^" + significant(frontier.n_exponent, 2), .colour = colour};
    for (const FrontierPoint* p : {&frontier.points.front(), &frontier.points.back()})
      line.points.push_back({p->flops, std::exp(log_n + frontier.n_exponent * (std::log(p->flops) - log_c))});
    plot.points.push_back(std::move(steps));
    plot.lines.push_back(std::move(line));
  };
  add(result.non_embedding, "without embeddings", 0);
  add(result.total, "all parameters", 1);
  plot.mark = 2.5;
  Plot local;
  local.title = "The exponent of N* ~ C^g, without embeddings";
  local.x = {.title = "parameters without embeddings", .scale = Scale::kLog, .notation = Notation::kPowers};
  local.y = {.title = "local exponent g", .lo = 0.45, .hi = 1.0};
  LineSeries line{.name = "", .colour = 0};
  for (const double n : geometric(1e2, 1e13, 300)) line.points.push_back({n, local_exponent(chinchilla, n, omega)});
  local.lines.push_back(std::move(line));
  local.references = {{.value = 0.73, .label = "Kaplan et al. 0.73"}, {.value = 0.50, .label = "Hoffmann et al. 0.50"}};
  std::vector<Figure> figures;
  figures.push_back(figure_of("reconcile", plot.title,
                              "Frontiers of one law without embeddings and with them, and the powers fitted to them.",
                              plot));
  figures.push_back(figure_of("local_exponent", local.title, "How the exponent depends on where one looks.", local));
  return figures;
}

Figure runs_figure(const std::vector<RunPoint>& runs, const Fit& fit, bool non_embedding, const std::string& title) {
  std::map<double, std::vector<const RunPoint*>> sizes;
  Range steps;
  for (const RunPoint& run : runs) {
    sizes[non_embedding ? run.n_non_embedding : run.n_total].push_back(&run);
    steps.add(run.steps);
  }
  Plot plot;
  plot.title = title;
  plot.x = {.title = "training steps", .scale = Scale::kLog};
  plot.y = {.title = "bits/byte"};
  int colour = 0;
  for (const auto& [size, of] : sizes) {
    LineSeries line{.name = "", .colour = colour % kSeriesColours, .thin = true};
    for (const double at : geometric(steps.lo, steps.hi, 100)) {
      ScalingPoint point;
      point.at(Variable::kParams) = size;
      point.at(Variable::kSteps) = at;
      line.points.push_back({at, fit.predict(point)});
    }
    plot.lines.push_back(std::move(line));
    PointSeries seen{.name = significant(size, 3) + " parameters", .colour = colour};
    for (const RunPoint* run : of) seen.points.push_back({.at = {run->steps, run->bits_per_byte}, .label = run->model});
    plot.points.push_back(std::move(seen));
    ++colour;
  }
  return figure_of("law_" + file_stem(title), title, "bits/byte = c + b / P^p + d / S^q, a curve for each size.", plot);
}

}  // namespace lmbits
