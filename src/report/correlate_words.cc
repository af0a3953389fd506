#include "src/report/correlate_words.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/report/rank_report.h"

namespace lmbits {
namespace {

std::string fixed(double value, int decimals, bool sign = false) { return format_fixed(value, decimals, sign); }

// `compression_lower`, `scores_lower`: of which less is better.
std::string verdict(const Association& a, bool compression_lower, bool scores_lower) {
  const auto& interval = a.pearson.formula;
  if (!a.pearson.value) return "No correlation can be computed.";
  const double r = *a.pearson.value, size = std::abs(r);
  if (!interval) return "r = " + fixed(r, 3) + ", without an interval: too few models.";
  const std::string spread = "its interval is " + fixed(interval->lo, 3) + " to " + fixed(interval->hi, 3);
  if (interval->contains(0.0))
    return "No relation is shown: r = " + fixed(r, 3) + ", and " + spread + ", which includes 0.";
  const char* strength = size >= 0.9 ? "very strong" : size >= 0.7 ? "strong" : size >= 0.4 ? "moderate" : "weak";
  const bool higher = compression_lower == (r < 0.0);  // the scores of models that compress better
  const std::string models = higher != scores_lower ? "Models" : "Contrary to expectation, models";
  return std::string("A ") + strength + " linear relation: r = " + fixed(r, 3) + ", " + spread + ". " + models +
         " that compress better score " + (higher ? "higher" : "lower") +
         (!scores_lower ? "."
          : higher      ? ", which is worse here."
                        : ", which is better here.");
}

// Are the scores shares, whose hundredths are points?
bool in_points(const Panel& panel) {
  return !panel.lower_is_better && std::all_of(panel.points.begin(), panel.points.end(),
                                               [](const JoinedPoint& p) { return p.y >= 0.0 && p.y <= 1.0; });
}

struct Prediction {
  double root_mean_square = 0.0;
  std::size_t n = 0, n_inside = 0;
};

Prediction predictions_of(const PanelResult& result) {
  Prediction sum;
  for (std::size_t i = 0; i < result.association.influences.size(); ++i) {
    const Influence& point = result.association.influences[i];
    if (!point.predicted || !point.prediction) continue;
    const double error = result.panel.points[i].y - *point.predicted;
    sum.root_mean_square += error * error;
    sum.n_inside += point.prediction->contains(result.panel.points[i].y);
    ++sum.n;
  }
  if (sum.n > 0) sum.root_mean_square = std::sqrt(sum.root_mean_square / static_cast<double>(sum.n));
  return sum;
}

std::string range_text(const std::vector<double>& values) {
  const auto [lo, hi] = std::minmax_element(values.begin(), values.end());
  return values.size() == 1 ? fixed(*lo, 2) : fixed(*lo, 2) + " to " + fixed(*hi, 2);
}

// Does the model gain where gzip gains, document by document, and is that more than the documents' size?
std::string documents_words(const CorrelateReport& report) {
  std::size_t n_above = 0, n_below = 0;
  std::vector<double> rho, r, given_size;
  for (const GzipDocuments& row : report.gzip_documents) {
    if (!row.spearman || !row.pearson || !row.given_size) continue;
    const Interval interval =
        row.spearman_interval.value_or(Interval{*row.spearman, *row.spearman});  // none where rho is 1
    n_above += interval.lo > 0.0;
    n_below += interval.hi < 0.0;
    rho.push_back(*row.spearman);
    r.push_back(std::abs(*row.pearson));
    given_size.push_back(*row.given_size);
  }
  if (rho.empty()) return {};
  std::string text = "Document by document, models gain where gzip gains in " + std::to_string(n_above) + " of " +
                     counted(static_cast<std::int64_t>(rho.size()), "run") + " (ρ " + range_text(rho) +
                     (n_below > 0 ? "; the opposite in " + std::to_string(n_below) : std::string()) +
                     "). With the documents' size held fixed r is " + range_text(given_size);
  const double before = std::accumulate(r.begin(), r.end(), 0.0);
  const double after = std::accumulate(given_size.begin(), given_size.end(), 0.0);
  return text + (after < 0.5 * before ? ": most of it is that short documents compress badly for everyone." : ".");
}

std::string unmatched(const std::vector<std::string>& names, const std::string& what) {
  if (names.empty()) return {};
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return what + ": " + list;
}

// The place of the corpus that an area's scores are set beside, where it is one.
std::optional<std::size_t> own_corpus(const CorrelateReport& report, const MatrixRow& row) {
  for (const PanelResult& result : report.panels) {
    if (result.panel.kind != PanelKind::kArea || result.panel.area != row.area || result.panel.corpora.size() != 1)
      continue;
    const auto found =
        std::find(report.matrix_corpora.begin(), report.matrix_corpora.end(), result.panel.corpora.front());
    if (found != report.matrix_corpora.end()) return static_cast<std::size_t>(found - report.matrix_corpora.begin());
  }
  return std::nullopt;
}

}  // namespace

std::string heading(const CorrelateReport& report) {
  std::size_t n = 0;
  for (const PanelResult& result : report.panels) n = std::max(n, result.association.n);
  const bool higher = report.join->by == CompressionMetric::kRatio;
  const bool scores_lower = std::any_of(report.panels.begin(), report.panels.end(),
                                        [](const PanelResult& p) { return p.panel.lower_is_better; });
  return "compression (" + metric_words(report.join->by) + (higher ? " ↑" : " ↓") + ") against scores " +
         (scores_lower ? "↓" : "↑") + " · " + counted(static_cast<std::int64_t>(n), "model");
}

bool is_common(const std::string& warning) {
  return warning.find("checkpoints of") != std::string::npos || warning.starts_with("by bits/token");
}

std::string corpora_text(const Panel& panel) {
  std::string text;
  for (const std::string& corpus : panel.corpora) text += (text.empty() ? "" : ", ") + printable(corpus);
  return panel.corpora.size() > 1 ? "the mean of " + text : text;
}

std::string panel_words(const PanelResult& result, CompressionMetric by, double level) {
  const Association& a = result.association;
  std::string text = verdict(a, by != CompressionMetric::kRatio, result.panel.lower_is_better);
  const bool points = in_points(result.panel);
  const double unit = points ? 100.0 : 1.0;
  const int decimals = points ? 1 : 3;
  const std::string of_score = points ? " points of score" : " of score";
  if (a.slope.value && a.slope.formula) {
    const double step = (by == CompressionMetric::kRatio ? 0.1 : -0.1) * unit;
    const double lo = std::min(step * a.slope.formula->lo, step * a.slope.formula->hi);
    const double hi = std::max(step * a.slope.formula->lo, step * a.slope.formula->hi);
    text += " 0.1 " + metric_words(by) + (by == CompressionMetric::kRatio ? " more" : " less") + " goes with " +
            fixed(step * *a.slope.value, decimals, true) + of_score + " (" + fixed(lo, decimals, true) + " to " +
            fixed(hi, decimals, true) + ").";
  }
  const Prediction prediction = predictions_of(result);
  if (prediction.n > 0)
    text += " Each model predicted from the others: off by " + fixed(unit * prediction.root_mean_square, decimals) +
            (points ? " points" : "") + " (root mean square), " + std::to_string(prediction.n_inside) + " of " +
            std::to_string(prediction.n) + " inside their " + percent_as_given(level) + " prediction interval.";
  if (a.pearson_clusters_t)
    text += " Where related models are left out together, r is from " + fixed(a.pearson_clusters_t->lo, 3) + " to " +
            fixed(a.pearson_clusters_t->hi, 3) + ".";
  if (result.given_parameters && result.given_parameters->r)
    text += " With log parameters held fixed (" +
            counted(static_cast<std::int64_t>(result.given_parameters->n), "model") + ") r is " +
            fixed(*result.given_parameters->r, 3) +
            (result.given_parameters->interval ? " [" + fixed(result.given_parameters->interval->lo, 3) + ", " +
                                                     fixed(result.given_parameters->interval->hi, 3) + "]."
                                               : ".");
  return text;
}

std::string tests_line(const Association& a, double level) {
  std::string text =
      "p: r " + p_text(a.pearson_test) + " · ρ " + p_text(a.spearman_test) + " · τ " + p_text(a.kendall_test);
  if (a.pearson_clusters_t)
    text += " · r without whole families, t on z, " + percent_as_given(level) + ": [" +
            fixed(a.pearson_clusters_t->lo, 3) + ", " + fixed(a.pearson_clusters_t->hi, 3) + "]";
  if (a.pearson_bootstrap_t)
    text += " · r by bootstrap-t on z, " + percent_as_given(level) + ": [" + fixed(a.pearson_bootstrap_t->lo, 3) +
            ", " + fixed(a.pearson_bootstrap_t->hi, 3) + "]";
  return text;
}

// Which model moves r most, and which the line.
std::string influence_line(const PanelResult& result) {
  const auto& all = result.association.influences;
  const std::optional<std::size_t> moves_r = most_moving(result.association);
  if (!moves_r) return {};
  const auto moves_line = std::max_element(all.begin(), all.end(), [](const Influence& a, const Influence& b) {
    return a.cooks_distance.value_or(0.0) < b.cooks_distance.value_or(0.0);
  });
  const auto model = [&](std::size_t point) { return printable(result.panel.points[point].model); };
  const std::optional<double>& without = all[*moves_r].pearson_without;
  const std::string text = "moves r most: " + model(*moves_r) + ", without it " +
                           (without ? "r = " + fixed(*without, 3) : std::string("there is no correlation"));
  if (!moves_line->cooks_distance) return text;
  return text + " · moves the line most: " + model(static_cast<std::size_t>(moves_line - all.begin())) +
         ", Cook's distance " + fixed(*moves_line->cooks_distance, 2) +
         (*moves_line->cooks_distance > 1.0 ? ": above 1, the line leans on it" : "");
}

std::string matrix_words(const CorrelateReport& report) {
  std::string text;
  for (const MatrixRow& row : report.matrix) {
    const auto strength = [&](const MatrixCell& cell) { return cell.r ? std::abs(*cell.r) : -1.0; };
    const auto best =
        std::max_element(row.cells.begin(), row.cells.end(),
                         [&](const MatrixCell& a, const MatrixCell& b) { return strength(a) < strength(b); });
    if (best == row.cells.end() || !best->r) continue;
    const auto place = static_cast<std::size_t>(best - row.cells.begin());
    text += (text.empty() ? "Scores of " : "; of ") + printable(row.area) +
            (text.empty() ? " go best with " : " with ") + printable(report.matrix_corpora[place]);
    const std::optional<std::size_t> own = own_corpus(report, row);
    if (own == place)
      text += ", their own corpus (r = " + fixed(*best->r, 3) + ")";
    else
      text += " (r = " + fixed(*best->r, 3) +
              (own && row.cells[*own].r ? "; with their own corpus " + fixed(*row.cells[*own].r, 3) : std::string()) +
              ")";
  }
  if (text.empty()) return text;
  return "Does the corpus matter? " + text +
         ". A table below has every pair, with intervals; whether one r is larger than another it does not test.";
}

std::string gzip_words(const CorrelateReport& report) {
  std::string text;
  if (report.gzip_across_corpora)
    text += "Across the " + std::to_string(report.gzip.size()) +
            " corpora the median model's ratio and gzip's have r = " + fixed(*report.gzip_across_corpora, 2) +
            (report.gzip.size() < 5 ? ": too few corpora to mean much." : ".");
  const std::string documents = documents_words(report);
  return text + (text.empty() || documents.empty() ? "" : " ") + documents;
}

std::vector<std::string> all_notes(const CorrelateReport& report) {
  std::vector<std::string> notes = report.notes;
  if (!report.join) return notes;
  for (const std::string& note :
       {unmatched(report.join->only_scores, "scores without compression (--names maps names)"),
        unmatched(report.join->only_compression, "compression without scores")})
    if (!note.empty()) notes.push_back(note);
  for (const PanelResult& result : report.panels) {
    const std::string note =
        unmatched(result.panel.left_out, panel_name(result.panel) + " leaves out models that lack a part of it");
    if (!note.empty()) notes.push_back(note);
  }
  return notes;
}

std::string p_shown(double p) { return p < 0.0001 ? "<0.0001" : fixed(p, 4); }

std::string p_text(const std::optional<PermutationTest>& test) {
  if (!test) return "—";
  const std::string how = test->exact ? "exact" : with_thousands(test->n_permutations) + " permutations";
  return p_shown(test->p) + " (" + how + ")";
}

}  // namespace lmbits
