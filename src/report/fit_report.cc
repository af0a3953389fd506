#include "src/report/fit_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/suggest.h"
#include "src/report/wording.h"

namespace lmbits {
namespace {

bool has(const std::vector<FitInterval>& kinds, FitInterval kind) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

std::optional<Interval> interval_of(const FitReport& report, FitInterval kind, const Quantity& quantity) {
  if (report.refits.resampled.empty()) return std::nullopt;
  return bootstrap_interval(report.refits, report.fit, quantity, report.request.level,
                            kind == FitInterval::kBca ? IntervalMethod::kBca : IntervalMethod::kPercentile);
}

void add_parameters(FitReport& report) {
  const auto parameters = report.fit.law->parameters();
  for (std::size_t j = 0; j < parameters.size(); ++j) {
    FitReportRow row =
        row_of(report, parameters[j].name, [&](const Parameters& p) { return parameters[j].shown(p[j]); });
    const Constraint& held = report.fit.request.constraints[j];
    if (held.fixed) {
      row.name += " (given)";
      row.se.reset();
      std::fill(row.intervals.begin(), row.intervals.end(), std::nullopt);
    }
    if (held.tied_to) row.name += " = " + parameters[*held.tied_to].name;
    for (std::size_t k = 0; k < report.request.intervals.size(); ++k) {
      if (report.request.intervals[k] == FitInterval::kProfile)
        row.intervals[k] = profile_interval(report.fit, report.points.points, j, report.request.level);
    }
    report.parameters.push_back(std::move(row));
  }
}

void add_derived(FitReport& report) {
  const std::string law = report.fit.law->name();
  const auto add = [&](const std::string& name, const Quantity& quantity) {
    report.derived.push_back(row_of(report, name, quantity));
  };
  const double e_floor = -39.0;
  if (law == "chinchilla" || law == "data-constrained") {
    add("a: N* ~ C^a", [](const Parameters& p) { return optimal_exponent(p); });
    if (law == "chinchilla")
      add("D*/N* at 5.76e23 FLOP", [](const Parameters& p) {
        const Allocation best = compute_optimal(p, 5.76e23);
        return best.d / best.n;
      });
  }
  if (law.starts_with("kaplan-") && law != "kaplan-nd" && report.fit.p[0] < e_floor)
    add(symbol_of(report.fit.law->variables()[0]) + "c", [](const Parameters& p) { return std::exp(p[1] / p[2]); });
}

void add_predictions(FitReport& report) {
  for (const ScalingPoint& at : report.request.predictions) {
    const Observation x = observe(at);
    for (const Variable variable : report.fit.law->variables()) {
      if (!at.at(variable))
        throw Error(ErrorKind::kUsage, "--predict " + at.label + " gives no " + symbol_of(variable),
                    "write " + symbol_of(variable) + "=VALUE too");
    }
    FitReportRow row =
        row_of(report, at.label, [&](const Parameters& p) { return std::exp(report.fit.law->log_loss(p, x)); });
    for (std::size_t k = 0; k < report.request.intervals.size(); ++k) {
      if (report.request.intervals[k] == FitInterval::kProfile)
        row.intervals[k] = profile_prediction(report.fit, report.points.points, at, report.request.level);
    }
    report.predictions.push_back(std::move(row));
  }
}

void add_warnings(FitReport& report) {
  const Fit& fit = report.fit;
  const auto parameters = fit.law->parameters();
  if (!fit.identifiability.identified) report.warnings.push_back(fit.identifiability.message);
  for (std::size_t j = 0; j < parameters.size(); ++j) {
    if (fit.request.constraints[j].fixed) continue;
    const double shown = parameters[j].shown(fit.p[j]);
    if (parameters[j].is_log && shown == 0.0)
      report.warnings.push_back(parameters[j].name + " ended at 0: these points do not show it");
    else if (fit.p[j] <= parameters[j].lo || fit.p[j] >= parameters[j].hi)
      report.warnings.push_back(parameters[j].name + " ended at the bound of the search, " + significant(shown, 3));
    const auto& se = report.parameters[j].se;
    if (se && fit.identifiability.identified && !parameters[j].is_log && *se > 0.5 * std::abs(shown))
      report.warnings.push_back(parameters[j].name + " is hardly determined: its standard error is " +
                                significant(100.0 * *se / std::abs(shown), 2) + " % of it");
  }
  if (fit.n < 3 * fit.n_free)
    report.warnings.push_back(std::to_string(fit.n) + " points for " + std::to_string(fit.n_free) +
                              " parameters: any interval is too short");
  if (fit.n_agreeing == 1 && fit.n_ended > 1)
    report.warnings.push_back("one search alone ended at this minimum: it may not be the best there is");
  if (fit.law->name() == "gzip")
    report.warnings.push_back(
        "the published law rests on 36 runs for each of its fits, 9 to 98 % of whose N are embeddings");
}

std::string percent(double share, bool sign) { return format_fixed(100.0 * share, 2, sign) + " %"; }

std::string excluded_text(const Points& points) {
  std::string text;
  for (const auto& [rule, n] : points.excluded) text += (text.empty() ? "" : ", ") + rule + ": " + std::to_string(n);
  return text.empty() ? "" : ", excluded " + text;
}

std::vector<std::pair<std::string, std::string>> facts(const FitReport& report) {
  const Fit& fit = report.fit;
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back(
      "points", std::to_string(fit.n) + " of " + std::to_string(report.points.n_rows) + excluded_text(report.points));
  for (const std::string& note : report.points.notes) rows.emplace_back("", note);
  rows.emplace_back("objective",
                    significant(fit.objective, 10) + ", the " + name_of(fit.request.objective) + " (sum, not mean)");
  rows.emplace_back("starts", std::to_string(fit.n_starts) + ": " + fit.starts);
  rows.emplace_back("minima",
                    std::to_string(fit.n_ended) + " followed, " + std::to_string(fit.n_agreeing) + " ended here");
  rows.emplace_back("residuals", "rms " + percent(fit.rms, false) + ", mean " + percent(fit.bias, true) +
                                     ", R2 of the losses " + significant(fit.r_squared, 4));
  rows.emplace_back("condition", significant(fit.identifiability.condition, 3) +
                                     (fit.identifiability.identified ? ": the points tell the parameters apart"
                                                                     : ": they do not tell the parameters apart"));
  if (!report.hold_out) rows.emplace_back("hold-out", "none: " + report.no_hold_out);
  if (report.hold_out) {
    const HoldOut& h = *report.hold_out;
    rows.emplace_back("hold-out", "fitted to " + std::to_string(h.n_below) + " points below " +
                                      significant(h.cutoff_flops, 3) + " FLOP, predicts the " +
                                      std::to_string(h.n_above) + " from there on");
    rows.emplace_back("", "rms error " + percent(h.rms, false) + ", bias " + percent(h.bias, true) + ", worst " +
                              percent(h.worst, true));
  }
  return rows;
}

Table table_of(const FitReport& report) {
  Table table;
  table.columns = {{.key = "name", .title = "parameter", .align = Align::kLeft},
                   {.key = "value", .title = "value"},
                   {.key = "se", .title = "se"}};
  const std::string level = percent_as_given(report.request.level);
  for (const FitInterval kind : report.request.intervals)
    table.columns.push_back({.key = name_of(kind), .title = level + " " + name_of(kind)});
  const auto add = [&](const std::vector<FitReportRow>& rows) {
    for (const FitReportRow& row : rows) {
      std::vector<Cell> cells{row.name, significant(row.value, 5), row.se ? Cell(significant(*row.se, 3)) : Cell()};
      for (const auto& interval : row.intervals) cells.push_back(interval ? Cell(significant(interval, 4)) : Cell());
      table.rows.push_back({std::move(cells)});
    }
  };
  add(report.parameters);
  add(report.derived);
  add(report.predictions);
  return table;
}

// Of intervals on data like these: the fitted law taken for true, with normal noise of the residuals' size.
Coverage coverage_of(const FitReport& report) {
  CoverageRequest request;
  request.sigma = report.fit.rms;
  request.level = report.request.level;
  request.n_times = report.request.n_coverage;
  request.n_resamples = std::min<std::int64_t>(report.request.n_resamples, 400);
  request.seed = report.request.seed;
  request.n_threads = report.request.n_threads;
  request.predictions = report.request.predictions;
  return measure_coverage(report.fit.law, report.fit.p, report.points.points, report.fit.request, request);
}

std::string coverage_text(const Coverage& coverage, const TextStyle& style) {
  Table table;
  table.columns = {{.key = "kind", .title = "holds the truth, %", .align = Align::kLeft}};
  for (const std::string& quantity : coverage.quantities)
    table.columns.push_back({.key = quantity, .title = quantity, .decimals = 1});
  for (const Coverage::Kind& kind : coverage.kinds) {
    std::vector<Cell> cells{name_of(kind.kind)};
    for (const double share : kind.shares) cells.push_back(100.0 * share);
    table.rows.push_back({std::move(cells)});
  }
  return "\n" + to_text(table, style) + "\n" + with_thousands(coverage.request.n_times) +
         " made-up data sets at these points: this law, normal noise of " +
         format_fixed(100.0 * coverage.request.sigma, 2) + " % on the loss, " +
         with_thousands(coverage.request.n_resamples) + " refits each. An honest " +
         percent_as_given(coverage.request.level) + " interval holds the truth that often, give or take " +
         format_fixed(100.0 * coverage.error(), 1) + " (one standard error).\n";
}

Json coverage_json(const Coverage& coverage) {
  Json json{{"n_times", coverage.request.n_times},
            {"n_resamples", coverage.request.n_resamples},
            {"sigma", coverage.request.sigma},
            {"standard_error", coverage.error()},
            {"quantities", coverage.quantities}};
  for (const Coverage::Kind& kind : coverage.kinds) json["shares"][name_of(kind.kind)] = kind.shares;
  return json;
}

Json json_rows(const FitReport& report, const std::vector<FitReportRow>& rows) {
  Json list = Json::array();
  for (const FitReportRow& row : rows) {
    Json json{{"name", row.name}, {"value", row.value}, {"se", to_json_or_null(row.se)}};
    for (std::size_t k = 0; k < row.intervals.size(); ++k) {
      const auto& interval = row.intervals[k];
      const auto end = [](double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); };
      json[name_of(report.request.intervals[k])] =
          interval ? Json{end(interval->lo), end(interval->hi)} : Json(nullptr);
    }
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

FitReportRow row_of(const FitReport& report, const std::string& name, const Quantity& quantity) {
  FitReportRow row{name, quantity(report.fit.p), std::nullopt, {}};
  if (!report.refits.resampled.empty()) row.se = bootstrap_se(report.refits, quantity);
  for (const FitInterval kind : report.request.intervals)
    row.intervals.push_back(kind == FitInterval::kProfile ? std::nullopt : interval_of(report, kind, quantity));
  return row;
}

FitReport report_fit(const Fit& fit, const Points& points, const FitReportRequest& request) {
  FitReport report;
  report.request = request;
  report.fit = fit;
  report.points = points;
  const bool bootstrapped = request.keeps_refits || has(request.intervals, FitInterval::kBca) ||
                            has(request.intervals, FitInterval::kPercentile);
  if (bootstrapped)
    report.refits = request.draws_as_numpy
                        ? numpy_bootstrap_fits(fit, points.points, request.n_resamples,
                                               static_cast<std::uint32_t>(request.seed), request.n_threads)
                        : bootstrap_fits(fit, points.points, request.n_resamples, request.seed, request.n_threads);
  add_parameters(report);
  add_derived(report);
  add_predictions(report);
  try {
    report.hold_out = hold_out(fit, points.points, request.cutoff_flops);
  } catch (const Error& error) {  // below the cut-off too little may be left
    if (error.kind() != ErrorKind::kData) throw;
    report.no_hold_out = error.what();
  }
  if (request.n_coverage > 0) report.coverage = coverage_of(report);
  add_warnings(report);
  return report;
}

std::string to_text(const FitReport& report, const TextStyle& style) {
  std::string text = report.fit.law->name() + ": " + report.fit.law->equation() + ", losses in " +
                     name_of(report.points.unit) + "\n\n";
  for (const auto& [name, value] : facts(report)) {
    char line[16];
    std::snprintf(line, sizeof line, "%-11s", name.c_str());
    text += line + printable(value) + "\n";
  }
  text += "\n" + to_text(table_of(report), style);
  for (const std::string& warning : report.warnings) text += "  ! " + warning + "\n";
  const bool bootstrapped = !report.refits.resampled.empty();
  if (bootstrapped)
    text += "\nse and bootstrap intervals: " + with_thousands(report.request.n_resamples) +
            " refits to resampled points (" + (report.request.draws_as_numpy ? "NumPy's draws, " : "") + "seed " +
            std::to_string(report.request.seed) + ").\n";
  if (report.coverage) text += coverage_text(*report.coverage, style);
  return text;
}

Json to_json(const FitReport& report) {
  const Fit& fit = report.fit;
  Json json{{"law", fit.law->name()}, {"equation", fit.law->equation()}, {"unit", name_of(report.points.unit)}};
  json["objective"] = {{"name", name_of(fit.request.objective)},
                       {"value", fit.objective},
                       {"delta", fit.request.objective.kind == ObjectiveKind::kHuber ? Json(fit.request.objective.delta)
                                                                                     : Json(nullptr)},
                       {"reduction", "sum"}};
  json["n_points"] = fit.n;
  json["n_rows"] = report.points.n_rows;
  json["excluded"] = Json::array();
  for (const auto& [rule, n] : report.points.excluded) json["excluded"].push_back({{"rule", rule}, {"n", n}});
  json["notes"] = report.points.notes;
  json["starts"] = {
      {"grid", fit.starts}, {"n", fit.n_starts}, {"n_followed", fit.n_ended}, {"n_ended_here", fit.n_agreeing}};
  json["residuals"] = {{"rms", fit.rms}, {"mean", fit.bias}, {"r_squared", fit.r_squared}};
  const double condition = fit.identifiability.condition;
  json["condition"] = std::isfinite(condition) ? Json(condition) : Json(nullptr);
  json["identified"] = fit.identifiability.identified;
  json["level"] = report.request.level;
  json["n_resamples"] = report.refits.resampled.size();
  json["seed"] = report.request.seed;
  json["draws"] = report.request.draws_as_numpy ? "numpy" : "own";
  json["parameters"] = json_rows(report, report.parameters);
  json["derived"] = json_rows(report, report.derived);
  json["predictions"] = json_rows(report, report.predictions);
  json["hold_out"] = nullptr;
  json["no_hold_out"] = report.hold_out ? Json(nullptr) : Json(report.no_hold_out);
  if (report.hold_out) {
    const HoldOut& h = *report.hold_out;
    json["hold_out"] = {{"cutoff_flops", h.cutoff_flops},
                        {"n_below", h.n_below},
                        {"n_above", h.n_above},
                        {"rms", h.rms},
                        {"bias", h.bias},
                        {"worst", h.worst}};
  }
  json["coverage"] = report.coverage ? coverage_json(*report.coverage) : Json(nullptr);
  json["warnings"] = report.warnings;
  return json;
}

std::string significant(double value, int digits) {
  if (std::isinf(value)) return value > 0 ? "∞" : "-∞";
  char text[40];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  std::string short_form = text;
  const std::size_t e = short_form.find("e+");
  if (e == std::string::npos || value != value) return short_form;
  const int exponent = std::atoi(short_form.c_str() + e + 2);
  if (exponent > 5) return short_form.substr(0, e + 1) + std::to_string(exponent);
  std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

std::string significant(const std::optional<Interval>& interval, int digits) {
  if (!interval) return "—";
  return "[" + significant(interval->lo, digits) + ", " + significant(interval->hi, digits) + "]";
}

ScalingPoint parse_point(const std::string& text) {
  ScalingPoint point;
  point.label = text;
  std::string header, row;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size()), equals = text.find('=', at);
    if (equals == std::string::npos || equals > comma)
      throw Error(ErrorKind::kUsage, "\"" + text + "\" is no point", "write it as N=7e10,D=1.4T");
    header += (header.empty() ? "" : ",") + text.substr(at, equals - at);
    row += (row.empty() ? "" : ",") + text.substr(equals + 1, comma - equals - 1);
    at = comma + 1;
  }
  try {
    point.x = read_points(header + ",loss\n" + row + ",1\n", "\"" + text + "\"", {}).points.at(0).x;
  } catch (const Error& error) {  // it speaks of a file's line
    std::string what = error.what();
    if (const std::size_t line = what.find(", line 2"); line != std::string::npos) what.erase(line, 8);
    throw Error(ErrorKind::kUsage, what, "write a point as N=7e10,D=1.4T");
  }
  return point;
}

}  // namespace lmbits
