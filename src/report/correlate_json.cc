// A CorrelateReport for machines: JSON and CSV.
#include <cmath>

#include "src/core/json.h"
#include "src/report/correlate_report.h"
#include "src/report/correlate_tables.h"
#include "src/report/rank_report.h"

namespace lmbits {
namespace {

Json points_json(const PanelResult& result) {
  Json points = Json::array();
  for (std::size_t i = 0; i < result.panel.points.size(); ++i) {
    const JoinedPoint& p = result.panel.points[i];
    Json point{{"model", printable(p.model)},
               {"family", printable(p.family)},
               {"x", p.x},
               {"y", p.y},
               {"y_stderr", to_json_or_null(p.y_error)},
               {"bits_per_token", to_json_or_null(p.bits_per_token)},
               {"parameters", to_json_or_null(p.parameters)}};
    if (i < result.association.influences.size()) {
      const Influence& influence = result.association.influences[i];
      point.update({{"residual", influence.residual},
                    {"leverage", influence.leverage},
                    {"cooks_distance", to_json_or_null(influence.cooks_distance)},
                    {"predicted", to_json_or_null(influence.predicted)},
                    {"prediction", to_json(influence.prediction)},
                    {"r_without", to_json_or_null(influence.pearson_without)}});
    }
    points.push_back(std::move(point));
  }
  return points;
}

const char* kind_name(PanelKind kind) {
  return kind == PanelKind::kOverall ? "overall" : kind == PanelKind::kArea ? "area" : "benchmark";
}

Json panel_json(const PanelResult& result) {
  const Panel& panel = result.panel;
  Json json{{"kind", kind_name(panel.kind)},
            {"name", printable(panel_name(panel))},
            {"area", panel.area.empty() ? Json(nullptr) : Json(printable(panel.area))},
            {"benchmark", panel.benchmark.empty() ? Json(nullptr) : Json(printable(panel.benchmark))},
            {"metric", panel.metric.empty() ? Json(nullptr) : Json(printable(panel.metric))},
            {"corpora", panel.corpora},
            {"lower_is_better", panel.lower_is_better},
            {"association", to_json(result.association)},
            {"r_bits_per_token", to_json_or_null(result.bits_per_token_r)},
            {"given_log_parameters", nullptr},
            {"points", points_json(result)},
            {"left_out", panel.left_out},
            {"warnings", result.warnings}};
  if (result.given_parameters)
    json["given_log_parameters"] = {{"n", result.given_parameters->n},
                                    {"r", to_json_or_null(result.given_parameters->r)},
                                    {"interval", to_json(result.given_parameters->interval)}};
  if (result.association.fit) {
    const LinearFit& fit = *result.association.fit;  // what bands are drawn from: docs/method.md
    json["fit"] = {{"n", fit.n},
                   {"slope", fit.slope},
                   {"intercept", fit.intercept},
                   {"x_mean", fit.x_mean},
                   {"x_ss", fit.x_ss},
                   {"residual_sd", std::isfinite(fit.residual_sd) ? Json(fit.residual_sd) : Json(nullptr)}};
  }
  return json;
}

}  // namespace

std::string to_csv(const CorrelateReport& report) {
  Table table;
  for (const char* key : {"kind", "area", "benchmark", "metric", "n", "number", "value"})
    table.columns.push_back({.key = key, .title = key});
  for (const char* key : {"formula", "bca", "percentile", "clusters"})
    table.columns.push_back({.key = key, .title = key, .interval = true});
  table.columns.push_back({.key = "p", .title = "p"});
  const auto text_cell = [](const std::string& text) { return text.empty() ? Cell(std::monostate{}) : Cell(text); };
  for (const PanelResult& result : report.panels) {
    const Association& a = result.association;
    for (const NamedEstimate& named : named_estimates()) {
      const Estimate& e = a.*named.estimate;
      const std::optional<PermutationTest>* test = named.estimate == &Association::pearson    ? &a.pearson_test
                                                   : named.estimate == &Association::spearman ? &a.spearman_test
                                                   : named.estimate == &Association::kendall  ? &a.kendall_test
                                                                                              : nullptr;
      table.rows.push_back(
          {{std::string(kind_name(result.panel.kind)), text_cell(result.panel.area), text_cell(result.panel.benchmark),
            text_cell(result.panel.metric), static_cast<std::int64_t>(a.n), std::string(named.key), cell_of(e.value),
            cell_of(e.formula), cell_of(e.bca), cell_of(e.percentile), cell_of(e.clusters),
            test != nullptr && *test ? Cell((*test)->p) : Cell(std::monostate{})}});
    }
  }
  return to_csv(table);
}

Json to_json(const std::optional<Interval>& interval) {
  if (!interval || !std::isfinite(interval->lo) || !std::isfinite(interval->hi)) return nullptr;
  return Json::array({interval->lo, interval->hi});
}

Json to_json(const Association& a) {
  Json json{{"n", a.n}, {"n_clusters", a.n_clusters}, {"largest_cluster", a.largest_cluster}};
  for (const NamedEstimate& named : named_estimates()) {
    const Estimate& e = a.*named.estimate;
    json[named.key] = {{"value", to_json_or_null(e.value)},
                       {"formula", to_json(e.formula)},
                       {"bca", to_json(e.bca)},
                       {"percentile", to_json(e.percentile)},
                       {"clusters", to_json(e.clusters)}};
  }
  json["pearson"]["clusters_t"] = to_json(a.pearson_clusters_t);
  json["pearson"]["bootstrap_t"] = to_json(a.pearson_bootstrap_t);
  json["pearson"]["t_p"] = to_json_or_null(a.pearson_t_p);
  const auto test = [&](const char* key, const std::optional<PermutationTest>& t) {
    json[key]["test"] =
        t ? Json{{"p", t->p}, {"exact", t->exact}, {"n_permutations", t->n_permutations}} : Json(nullptr);
  };
  test("pearson", a.pearson_test);
  test("spearman", a.spearman_test);
  test("kendall", a.kendall_test);
  return json;
}

Json to_json(const CorrelateReport& report) {
  Json json{{"schema", 1},
            {"by", report.join ? Json(metric_key(report.join->by)) : Json(nullptr)},
            {"level", report.request.level},
            {"resamples", report.request.n_resamples},
            {"permutations", report.request.n_permutations},
            {"seed", report.request.seed},
            {"family_kind", report.family_kind},
            {"panels", Json::array()},
            {"matrix", Json::array()},
            {"gzip", to_json(gzip_table(report))},
            {"gzip_across_corpora", to_json_or_null(report.gzip_across_corpora)},
            {"gzip_documents", to_json(gzip_documents_table(report))},
            {"notes", all_notes(report)}};
  for (const PanelResult& result : report.panels) json["panels"].push_back(panel_json(result));
  for (const MatrixRow& row : report.matrix) {
    Json r = Json::object(), intervals = Json::object();
    for (std::size_t c = 0; c < row.cells.size(); ++c) {
      r[report.matrix_corpora[c]] = to_json_or_null(row.cells[c].r);
      intervals[report.matrix_corpora[c]] = to_json(row.cells[c].interval);
    }
    json["matrix"].push_back({{"area", row.area}, {"r", r}, {"interval", intervals}});
  }
  return json;
}

}  // namespace lmbits
