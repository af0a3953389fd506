#include "src/report/rank_claims.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/rank_report.h"
#include "src/stats/correlation.h"

namespace lmbits {
namespace {

constexpr std::size_t kPairsShown = 5;

void count_pairs(RankClaim& claim) {
  const auto& points = claim.result.panel.points;
  for (std::size_t i = 1; i < points.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      ++claim.n_pairs;
      const JoinedPoint& better = points[i].x > points[j].x ? points[i] : points[j];
      const JoinedPoint& worse = points[i].x > points[j].x ? points[j] : points[i];
      if (better.x == worse.x || better.y == worse.y) {
        ++claim.n_tied;
      } else if (better.y > worse.y) {
        ++claim.n_agreeing;
      } else {
        DisorderedPair pair{better.model, worse.model, better.x - worse.x, worse.y - better.y, std::nullopt};
        if (better.y_error && worse.y_error)
          pair.within_noise = pair.score_difference < 2.0 * std::hypot(*better.y_error, *worse.y_error);
        claim.disordered.push_back(pair);
      }
    }
  }
  std::stable_sort(
      claim.disordered.begin(), claim.disordered.end(),
      [](const DisorderedPair& a, const DisorderedPair& b) { return a.score_difference > b.score_difference; });
}

std::size_t n_within_noise(const RankClaim& claim) {
  return static_cast<std::size_t>(
      std::count_if(claim.disordered.begin(), claim.disordered.end(),
                    [](const DisorderedPair& p) { return p.within_noise.value_or(false); }));
}

Table claims_table(const RankClaims& report) {
  const std::string level = "[" + percent_as_given(report.level) + "]";
  Table table;
  table.columns = {
      {.key = "name", .title = "scores", .align = Align::kLeft},
      {.key = "n", .title = "models"},
      {.key = "n_pairs", .title = "pairs"},
      {.key = "n_agreeing", .title = "in order"},
      {.key = "n_disordered", .title = "not"},
      {.key = "n_within_noise", .title = "noise"},
      {.key = "rho", .title = "ρ", .decimals = 3, .sign = true},
      {.key = "rho_interval", .title = level, .decimals = 3, .sign = true, .interval = true, .joined = true},
      {.key = "tau", .title = "τ", .decimals = 3, .sign = true},
      {.key = "p", .title = "p", .audience = Audience::kMachines},
      {.key = "", .title = "p", .audience = Audience::kPeople}};
  for (const RankClaim& claim : report.claims) {
    const Association& a = claim.result.association;
    const bool known = std::all_of(claim.disordered.begin(), claim.disordered.end(),
                                   [](const DisorderedPair& p) { return p.within_noise.has_value(); });
    table.rows.push_back(
        {{panel_name(claim.result.panel), static_cast<std::int64_t>(a.n), static_cast<std::int64_t>(claim.n_pairs),
          static_cast<std::int64_t>(claim.n_agreeing), static_cast<std::int64_t>(claim.disordered.size()),
          known ? Cell(static_cast<std::int64_t>(n_within_noise(claim))) : Cell(std::monostate{}),
          cell_of(a.spearman.value), cell_of(a.spearman.formula), cell_of(a.kendall.value),
          a.kendall_test ? Cell(a.kendall_test->p) : Cell(std::monostate{}),
          a.kendall_test ? Cell(p_shown(a.kendall_test->p)) : Cell(std::monostate{})},
         claim.result.panel.kind == PanelKind::kBenchmark ? Emphasis::kNone : Emphasis::kStrong});
  }
  return table;
}

std::string verdict(const RankClaim& claim) {
  const std::size_t n = claim.disordered.size(), noise = n_within_noise(claim);
  const std::string share =
      std::to_string(claim.n_agreeing) + " of " + counted(static_cast<std::int64_t>(claim.n_pairs), "pair");
  if (n == 0)
    return "The claim holds: every pair of models that differs is in the same order by ratio and by score (" + share +
           ").";
  if (n == noise)
    return "The orders agree in " + share +
           "; all others differ in score by less than their noise, so the claim is not contradicted.";
  if (std::any_of(claim.disordered.begin(), claim.disordered.end(), [](const auto& p) { return !p.within_noise; }))
    return "The claim does not hold exactly: " + share + " are in the same order, " + std::to_string(n) +
           (n == 1 ? " is" : " are") + " not. Whether that is noise the scores do not say: they lack standard errors.";
  return "The claim does not hold exactly: " + share + " are in the same order; " + std::to_string(n - noise) +
         (n - noise == 1 ? " is not, though its" : " are not, though their") + " scores differ by more than noise.";
}

Table ranks_table(const RankClaim& claim) {
  const auto& points = claim.result.panel.points;
  std::vector<double> x, y;
  for (const JoinedPoint& point : points) {
    x.push_back(-point.x);  // rank 1 is the largest
    y.push_back(-point.y);
  }
  const std::vector<double> by_ratio = mid_ranks(x), by_score = mid_ranks(y);
  std::vector<std::size_t> order(points.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return by_ratio[a] < by_ratio[b]; });
  Table table;
  table.columns = {{.key = "model", .title = "model", .align = Align::kLeft},
                   {.key = "ratio", .title = "ratio ↑", .decimals = 3},
                   {.key = "rank_by_ratio", .title = "rank", .decimals = 0},
                   {.key = "score", .title = "score ↑", .decimals = 3},
                   {.key = "rank_by_score", .title = "rank", .decimals = 0},
                   {.key = "moved", .title = "moved", .decimals = 0, .sign = true}};
  for (const std::size_t i : order)
    table.rows.push_back(
        {{points[i].model, points[i].x, by_ratio[i], points[i].y, by_score[i], by_score[i] - by_ratio[i]}});
  return table;
}

}  // namespace

RankClaims rank_claims(const CompressionTable& table, const std::vector<Score>& scores, CorrelateRequest request) {
  request.join.by = CompressionMetric::kRatio;
  RankClaims report;
  report.level = request.level;
  const ScoreJoin join = join_scores(table, scores, request.join);
  report.notes = join.notes;
  for (const Panel& panel : join.panels)
    if (panel.lower_is_better)
      throw Error(ErrorKind::kUsage, "of " + request.join.metric + " less is better: the claim is about scores",
                  "ask with a metric of which more is better");
  const bool has_ratio = join.by == CompressionMetric::kRatio;
  if (!has_ratio)
    report.notes.push_back("the order is by 1 / (" + metric_words(join.by) +
                           "), which is as good as a ratio on one text");
  for (Panel panel : join.panels) {
    RankClaim claim;
    for (JoinedPoint& point : panel.points) point.x = has_ratio ? point.x : 1.0 / point.x;
    claim.result = analyse(panel, CompressionMetric::kRatio, table.family_kind, request);
    count_pairs(claim);
    report.claims.push_back(std::move(claim));
  }
  return report;
}

std::string to_text(const RankClaims& report, const TextStyle& style) {
  std::string text =
      "Guo et al. 2024, \"Ranking LLMs by compression\" (arXiv:2406.14171): the order by compression ratio is the "
      "order by score\n" +
      to_text(claims_table(report), style) + "\n";
  if (report.claims.empty()) return text;
  const RankClaim& first = report.claims.front();
  text += wrapped(panel_name(first.result.panel) + ": " + verdict(first), style.width, 0) +
          to_text(ranks_table(first), style);
  for (std::size_t i = 0; i < std::min(kPairsShown, first.disordered.size()); ++i) {
    const DisorderedPair& pair = first.disordered[i];
    text += wrapped("  " + pair.better_compressor + " compresses better than " + pair.better_scorer + " by " +
                        format_fixed(pair.ratio_difference, 3) + ", but scores " +
                        format_fixed(100.0 * pair.score_difference, 1) + " points lower" +
                        (pair.within_noise ? *pair.within_noise ? " (within noise)" : " (beyond noise)" : ""),
                    style.width, 4);
  }
  if (first.disordered.size() > kPairsShown)
    text += "  and " + counted(static_cast<std::int64_t>(first.disordered.size() - kPairsShown), "more pair") + "\n";
  text += "\n";
  for (const std::string& note : report.notes) text += wrapped("! " + printable(note), style.width, 2);
  return text +
         wrapped(
             "noise: pairs not in order whose scores differ by less than two standard errors of their difference. "
             "Checkpoints of one training run are in order almost by themselves: more bits saved and more questions "
             "answered are both training progress.",
             style.width, 0);
}

Json to_json(const RankClaims& report) {
  Json json{
      {"schema", 1}, {"name", "guo2024"}, {"level", report.level}, {"claims", Json::array()}, {"notes", report.notes}};
  const Json rows = to_json(claims_table(report));
  for (std::size_t i = 0; i < report.claims.size(); ++i) {
    Json claim = rows[i];
    claim["ranks"] = to_json(ranks_table(report.claims[i]));
    claim["disordered"] = Json::array();
    for (const DisorderedPair& pair : report.claims[i].disordered)
      claim["disordered"].push_back({{"better_compressor", pair.better_compressor},
                                     {"better_scorer", pair.better_scorer},
                                     {"ratio_difference", pair.ratio_difference},
                                     {"score_difference", pair.score_difference},
                                     {"within_noise", to_json_or_null(pair.within_noise)}});
    json["claims"].push_back(std::move(claim));
  }
  return json;
}

}  // namespace lmbits
