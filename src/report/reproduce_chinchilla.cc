#include "src/report/reproduce_chinchilla.h"

#include <algorithm>
#include <cmath>

#include "src/core/json.h"
#include "src/report/fit_report.h"
#include "src/report/wording.h"
#include "src/scaling/fit.h"
#include "src/scaling/gzip_complexity.h"
#include "src/scaling/known_law.h"
#include "src/scaling/pcfg.h"
#include "src/scaling/points.h"
#include "src/scaling/published.h"
#include "src/scaling/reconcile.h"

namespace lmbits {
namespace {

void add(ChinchillaReproduction& r, const std::string& section, const std::string& name, double published, double ours,
         double tolerance, const std::string& why) {
  r.numbers.push_back({section, name, published, ours, tolerance, why});
}

// To half a unit of the last digit printed.
void add_printed(ChinchillaReproduction& r, const std::string& section, const std::string& name, double published,
                 double ours, double half_unit) {
  add(r, section, name, published, ours, half_unit * (1.0 + 1e-9), "as printed");
}

// ---- Besiroglu et al. 2024 ----

struct Printed {
  const char* name;
  double value, se, lo, hi;
};

// Table 1 and its confidence intervals.
constexpr Printed kBesiroglu[] = {{"E", 1.8172, 0.03, 1.769, 1.871},
                                  {"A", 482.01, 124.58, 285, 744},
                                  {"B", 2085.43, 1293.23, 1042, 5810},
                                  {"alpha", 0.3478, 0.02, 0.317, 0.373},
                                  {"beta", 0.3658, 0.02, 0.331, 0.415}};
// The paper gives 4,000 resamples and no seed; these are the draws that all fifteen of its numbers come out of.
constexpr std::int64_t kBesirogluResamples = 4000;
constexpr std::uint32_t kBesirogluSeed = 42;

// A parameter with what its refits say.
struct Estimate {
  std::string name;
  double value, se;
  std::optional<Interval> interval;
  double lo_error = 0.0, hi_error = 0.0;  // Monte-Carlo errors of the interval's ends, see quantile_error; NumPy's only
};

// numpy.percentile's: between the order statistics around (n - 1) p.
double numpy_quantile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  const double place = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double above = values[std::min(below + 1, values.size() - 1)];
  return values[below] + (place - static_cast<double>(below)) * (above - values[below]);
}

// How far a quantile of other draws may lie: the 95 % interval of a quantile between order statistics, its larger half
// (binomial ranks; David & Nagaraja 2003, section 7.1).
double quantile_error(const std::vector<double>& values, double p) {
  const double off = 1.96 * std::sqrt(p * (1.0 - p) / static_cast<double>(values.size()));
  const double at = numpy_quantile(values, p);
  return std::max(numpy_quantile(values, p + off) - at, at - numpy_quantile(values, p - off));
}

std::vector<Estimate> estimates_of(const Fit& fit, const Refits& refits, bool as_numpy) {
  std::vector<Estimate> all;
  const auto parameters = fit.law->parameters();
  for (std::size_t j = 0; j < parameters.size(); ++j) {
    const Quantity quantity = [&, j](const Parameters& p) { return parameters[j].shown(p[j]); };
    std::vector<double> replicates;
    for (const Parameters& p : refits.resampled) replicates.push_back(quantity(p));
    const auto interval =
        as_numpy ? std::optional(Interval{numpy_quantile(replicates, 0.025), numpy_quantile(replicates, 0.975)})
                 : bootstrap_interval(refits, fit, quantity, 0.95, IntervalMethod::kPercentile);
    all.push_back({parameters[j].name, quantity(fit.p), bootstrap_se(refits, quantity).value_or(0.0), interval});
    if (!as_numpy) continue;
    all.back().lo_error = quantile_error(replicates, 0.025);
    all.back().hi_error = quantile_error(replicates, 0.975);
  }
  return all;
}

std::string listed(const std::vector<Estimate>& estimates) {
  std::string text;
  for (const Estimate& e : estimates)
    text += (text.empty() ? "" : ", ") + e.name + " " + significant(e.value, 5) + " (" + significant(e.se, 3) + ") " +
            significant(e.interval, 4);
  return text;
}

// The printed estimates are the minimum of the L1 objective, the printed standard errors and intervals are of refits of
// Huber(0.001): each is compared with its own, and what L1's own refits give is said beside.
void add_besiroglu(ChinchillaReproduction& r, const ChinchillaRequest& request) {
  PointsRequest read;
  read.exclude = {"in_published_fit=0"};
  const Points points = read_points(*request.points_csv, "chinchilla_runs.csv", read);
  const std::shared_ptr<const Law> law = make_law("chinchilla");
  FitRequest fit_request;
  fit_request.n_threads = request.n_threads;
  const Fit huber = fit_law(law, points.points, fit_request);
  fit_request.objective.kind = ObjectiveKind::kL1;
  const Fit l1 = fit_law(law, points.points, fit_request);
  const auto of_huber = estimates_of(
      huber, numpy_bootstrap_fits(huber, points.points, kBesirogluResamples, kBesirogluSeed, request.n_threads), true);
  const auto of_l1 =
      estimates_of(l1, bootstrap_fits(l1, points.points, request.n_resamples, request.seed, request.n_threads), false);
  const std::string estimate = "Besiroglu et al. 2024: L1";
  const std::string spread = "their spread: Huber refits";
  for (std::size_t j = 0; j < of_l1.size(); ++j)
    add(r, estimate, kBesiroglu[j].name, kBesiroglu[j].value, of_l1[j].value, 1e-3 * kBesiroglu[j].value, "0.1 %");
  add_printed(r, estimate, "beta / (alpha + beta)", 0.5126, optimal_exponent(l1.p), 5e-5);
  // The same draws: what is left is where an optimiser stops, and that moves an end no further than other draws would.
  for (std::size_t j = 0; j < of_huber.size(); ++j) {
    const Printed& printed = kBesiroglu[j];
    const std::string name = printed.name;
    const double unit = printed.hi > 10.0 ? 0.5 : 0.0005, unit_se = 0.005;
    const auto compare = [&](const std::string& what, double value, double ours, double half_unit, double random) {
      const double close = 1e-3 * value + half_unit;
      const bool is_close = std::abs(ours - value) <= close;
      add(r, spread, what, value, ours, is_close ? close : random + half_unit,
          is_close ? "0.1 % and rounding" : "Monte-Carlo error of " + with_thousands(kBesirogluResamples) + " refits");
    };
    compare(name + " standard error", printed.se, of_huber[j].se, unit_se, 0.0);
    compare(name + " 2.5 %", printed.lo, of_huber[j].interval->lo, unit, of_huber[j].lo_error);
    compare(name + " 97.5 %", printed.hi, of_huber[j].interval->hi, unit, of_huber[j].hi_error);
  }
  r.notes.push_back("Besiroglu et al. 2024: " + std::to_string(points.points.size()) +
                    " points; the estimates are the "
                    "minimum of the " +
                    name_of(l1.request.objective) + ", " + significant(l1.objective, 8) +
                    "; the standard errors and intervals are of " + with_thousands(kBesirogluResamples) +
                    " refits of Huber(0.001) to NumPy's draws, with NumPy's percentiles, of seed " +
                    std::to_string(kBesirogluSeed));
  r.notes.push_back("what goes together: the minimum of Huber(0.001), " + significant(huber.objective, 6) +
                    ", with its refits: " + listed(of_huber));
  r.notes.push_back("and that of L1 with its own (" + with_thousands(request.n_resamples) + ", seed " +
                    std::to_string(request.seed) + "): " + listed(of_l1));
}

// ---- closed forms ----

void add_closed_forms(ChinchillaReproduction& r) {
  const auto at = [](const char* name) { return compute_optimal(find_published(name)->p, 5.76e23); };
  const std::string section = "N*, D*/N* at 5.76e23 FLOP";
  for (const auto& [name, n, ratio, n_half, ratio_half] : {std::tuple{"hoffmann2022-rounded", 3.22e10, 92.6, 5e7, 0.05},
                                                           {"hoffmann2022", 4.03e10, 59.1, 5e7, 0.05},
                                                           {"besiroglu2024", 7.2e10, 18.4, 5e8, 0.05}}) {
    const Allocation best = at(name);
    add_printed(r, section, std::string(name) + " N*", n, best.n, n_half);
    add_printed(r, section, std::string(name) + " D*/N*", ratio, best.d / best.n, ratio_half);
  }
  const std::string of_kaplan = "Kaplan et al. 2020";
  ScalingPoint gpt2;
  gpt2.at(Variable::kParams) = 1.5e9;
  gpt2.at(Variable::kTokens) = 2.3e10;
  add_printed(r, of_kaplan, "L(N = 1.5e9)", 2.3036, kaplan::loss_of_params(1.5e9), 5e-5);
  add_printed(r, of_kaplan, "L(D = 2.3e10)", 2.0903, kaplan::loss_of_tokens(2.3e10), 5e-5);
  const KnownLaw joint = find_law("kaplan2020");
  add_printed(r, of_kaplan, "L(N, D) jointly", 2.3101, joint.loss(gpt2), 5e-5);
}

void add_reconciliation(ChinchillaReproduction& r) {
  const Reconciliation found = reconcile(find_published("besiroglu2024")->p, {});
  const std::string section = "Pearce & Song 2024, their grid";
  add_printed(r, section, "N* without embeddings ~ C^", 0.78, found.non_embedding.n_exponent, 0.005);
  add_printed(r, section, "N* total ~ C^", 0.51, found.total.n_exponent, 0.005);
  add_printed(r, section, "L ~ C^", -0.069, found.non_embedding.loss_exponent, 5e-4);
}

// ---- landmarks ----

void add_landmarks(ChinchillaReproduction& r) {
  const double brown = brown_loss(kGpt3PfDays), kaplan_loss = kaplan::loss_of_least_compute(kGpt3PfDays);
  r.notes.push_back("GPT-3 (3,640 PF-days): Brown et al. 2020's L = 2.57 C^-0.048 gives " + significant(brown, 4) +
                    " nats/token, Kaplan et al.'s L(Cmin) " + significant(kaplan_loss, 4) +
                    "; 175e9 parameters where Kaplan et al.'s N* is " +
                    significant(kaplan::best_params(kGpt3PfDays), 3));
  const Contradiction c = kaplan_contradiction({});
  // Exponents as printed are known to half a unit of their last digit; the corners of that box bound the crossing.
  double lo = c.pf_days, hi = c.pf_days, loss_lo = c.loss, loss_hi = c.loss;
  for (const double a : {0.0495, 0.0505}) {
    for (const double b : {0.0945, 0.0955}) {
      for (const double t : {0.265, 0.275}) {
        const Contradiction corner = kaplan_contradiction({a, b, t});
        lo = std::min(lo, corner.pf_days);
        hi = std::max(hi, corner.pf_days);
        loss_lo = std::min(loss_lo, corner.loss);
        loss_hi = std::max(loss_hi, corner.loss);
      }
    }
  }
  r.notes.push_back("Kaplan et al.'s L(Cmin) and L(D) contradict each other from " + significant(c.pf_days, 3) +
                    " PF-days on (N " + significant(c.n, 3) + ", D " + significant(c.d, 3) + ", L " +
                    significant(c.loss, 3) +
                    "; the paper: about 1e4, 1e12, 1e12, 1.7); rounding of the three exponents alone makes that " +
                    significant(Interval{lo, hi}, 2) + " PF-days, L " + significant(Interval{loss_lo, loss_hi}, 3));
}

// ---- Muennighoff et al. 2023 ----

void add_data_constrained(ChinchillaReproduction& r, const ChinchillaRequest& request) {
  const Points points = read_points(*request.data_constrained_csv, "muennighoff2023_data_constrained.csv", {});
  const PublishedLaw& published = *find_published("muennighoff2023");
  const std::shared_ptr<const Law> law = make_law("data-constrained");
  FitRequest fit_request;
  fit_request.n_threads = request.n_threads;
  fit_request.constraints.resize(7);
  for (std::size_t j = 0; j < 7; ++j) fit_request.constraints[j].fixed = published.p[j];
  const std::string section = "Muennighoff et al. 2023, appendix A";
  double objective = 0.0, left = 0.0, total = 0.0, mean = 0.0;
  for (const ScalingPoint& point : points.points) mean += point.loss / static_cast<double>(points.points.size());
  for (const ScalingPoint& point : points.points) {
    const double log_loss = law->log_loss(published.p, observe(point));
    objective += Objective{}.of(log_loss - std::log(point.loss));
    left += std::pow(std::exp(log_loss) - point.loss, 2);
    total += std::pow(point.loss - mean, 2);
  }
  add_printed(r, section, "objective at the published R*", 0.0158, objective, 5e-5);
  add_printed(r, section, "R2 at the published R*", 0.7722, 1.0 - left / total, 5e-5);
  fit_request.constraints[5] = fit_request.constraints[6] = {};
  const Fit fit = fit_law(law, points.points, fit_request);
  const auto r_d = profile_interval(fit, points.points, 5, 0.95), r_n = profile_interval(fit, points.points, 6, 0.95);
  r.notes.push_back(section + ": fitted here, R_D* " + significant(std::exp(fit.p[5]), 4) + " " + significant(r_d, 3) +
                    ", R_N* " + significant(std::exp(fit.p[6]), 4) + " " + significant(r_n, 3) + ", objective " +
                    significant(fit.objective, 5) + ": the minimum is flat (95 % profile intervals)");
}

// ---- Pandey 2024 ----

void add_complexity(ChinchillaReproduction& r) {
  const auto size_of = [](int n, auto id) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(id(i));
    return static_cast<double>(gzip_size(int32_big_endian(ids)));
  };
  const std::string section = "gzip-9 of int32 ids, bytes";
  add(r, section, "no ids", 20, size_of(0, [](int) { return 0; }), 0, "exact");
  add(r, section, "256 zeros", 29, size_of(256, [](int) { return 0; }), 0, "exact");
  add(r, section, "0 to 255", 405, size_of(256, [](int i) { return i; }), 0, "exact, with zlib 1.2.13");
  add(r, section, "i^2 mod 97", 190, size_of(256, [](int i) { return i * i % 97; }), 0, "exact, with zlib 1.2.13");
  add(r, section, "i mod 4", 38, size_of(256, [](int i) { return i % 4; }), 0, "exact, with zlib 1.2.13");
  add(r, section, "7919 i mod 32000", 721, size_of(256, [](int i) { return 7919 * i % 32000; }), 0,
      "exact, with zlib 1.2.13");
  for (const PcfgSetting& setting : pcfg_presets()) {
    std::vector<double> medians;
    for (std::uint64_t seed = 1; medians.size() < 12; ++seed) {
      const Grammar grammar(setting, seed);
      if (grammar.branching() >= 1.0) continue;
      PcfgStream stream(grammar, seed);
      ComplexityMeter meter = ComplexityMeter::of_ids(256, 1000);
      std::vector<std::int32_t> ids(256);
      while (!meter.full()) {
        stream.fill(ids);
        meter.add(ids);
      }
      medians.push_back(*meter.result().median());
    }
    const auto [lo, hi] = std::minmax_element(medians.begin(), medians.end());
    double mean = 0.0;
    for (const double m : medians) mean += m / 12.0;
    add(r, "Pandey 2024, H of 12 grammars", setting.name, setting.published_h, mean, 0.5 * (*hi - *lo) + 0.005,
        "half the spread, and rounding");
  }
}

}  // namespace

bool ChinchillaReproduction::ok() const {
  return std::all_of(numbers.begin(), numbers.end(), [](const ReproducedNumber& n) { return n.ok(); });
}

ChinchillaReproduction reproduce_chinchilla(const ChinchillaRequest& request) {
  ChinchillaReproduction result;
  if (request.points_csv)
    add_besiroglu(result, request);
  else
    result.skipped.push_back(
        "Besiroglu et al. 2024: the points digitised from Hoffmann et al.'s figure 4 are not at hand");
  add_closed_forms(result);
  add_reconciliation(result);
  if (request.data_constrained_csv)
    add_data_constrained(result, request);
  else
    result.skipped.push_back("Muennighoff et al. 2023: their runs are not at hand");
  if (request.complexity) add_complexity(result);
  add_landmarks(result);
  return result;
}

std::string to_text(const ChinchillaReproduction& r, const TextStyle& style) {
  std::string text;
  for (std::size_t begin = 0; begin < r.numbers.size();) {
    std::size_t end = begin;
    while (end < r.numbers.size() && r.numbers[end].section == r.numbers[begin].section) ++end;
    Table table;
    table.columns = {{.key = "name", .title = r.numbers[begin].section, .align = Align::kLeft},
                     {.key = "published", .title = "published"},
                     {.key = "ours", .title = "here"},
                     {.key = "allowed", .title = "allowed ±"},
                     {.key = "ok", .title = "", .align = Align::kLeft}};
    for (; begin < end; ++begin) {
      const ReproducedNumber& n = r.numbers[begin];
      table.rows.push_back({{n.name, significant(n.published, 6), significant(n.ours, 6), significant(n.tolerance, 2),
                             (n.ok() ? "ok: " : "NOT: ") + n.why}});
    }
    text += to_text(table, style) + "\n";
  }
  for (const std::string& note : r.notes) text += "  " + note + "\n";
  for (const std::string& what : r.skipped) text += "  ! left out: " + what + "\n";
  const auto n_ok = std::count_if(r.numbers.begin(), r.numbers.end(), [](const auto& n) { return n.ok(); });
  return text + "\n" + std::to_string(n_ok) + " of " + std::to_string(r.numbers.size()) +
         " published numbers reproduced\n";
}

Json to_json(const ChinchillaReproduction& r) {
  Json json{{"ok", r.ok()}, {"numbers", Json::array()}, {"notes", r.notes}, {"left_out", r.skipped}};
  for (const ReproducedNumber& n : r.numbers)
    json["numbers"].push_back({{"section", n.section},
                               {"name", n.name},
                               {"published", n.published},
                               {"ours", n.ours},
                               {"tolerance", n.tolerance},
                               {"why", n.why},
                               {"ok", n.ok()}});
  return json;
}

}  // namespace lmbits
