#include "src/report/huang2024_figures.h"

#include "src/core/error.h"
#include "src/report/correlate_figures.h"
#include "src/report/reproduce_huang2024.h"

namespace lmbits {
namespace {

const Panel& panel_of(const ScoreJoin& join, PanelKind kind, const std::string& area) {
  for (const Panel& panel : join.panels)
    if (panel.kind == kind && panel.area == area) return panel;
  LMBITS_CHECK(!"the published tables have this panel");
  return join.panels.front();
}

}  // namespace

std::vector<Figure> huang2024_figures(double level) {
  const ScoreJoin all = huang2024_join(), without_qwen = huang2024_join(/*without_qwen=*/true);
  CorrelateRequest request;
  request.level = level;
  request.n_resamples = 100;  // no picture shows what is resampled or permuted
  request.n_permutations = 99;
  const auto scatter = [&](PanelKind kind, const std::string& area, const ScoreJoin& fitted) {
    const PanelResult result = analyse(panel_of(fitted, kind, area), all.by, "families", request);
    return scatter_with_unfitted(result, panel_of(all, kind, area), all.by, level);
  };
  const Scatter overall = scatter(PanelKind::kOverall, "", all);
  const std::vector<Scatter> areas = {scatter(PanelKind::kArea, "knowledge", all),
                                      scatter(PanelKind::kArea, "coding", all),
                                      scatter(PanelKind::kArea, "math", without_qwen)};
  const std::string source = "Data: Huang et al. 2024 (arXiv:2404.09937v2), tables 4, 6 and 8.";
  std::vector<Figure> figures = {{"huang2024_overview", "overview", source, draw_overview(overall, areas)},
                                 {"huang2024_overall", "overall", source, draw_scatter(overall)},
                                 {"huang2024_overall_residuals", "overall", source, draw_residuals(overall)}};
  for (const Scatter& area : areas) {
    figures.push_back({"huang2024_" + area.title, area.title, source, draw_scatter(area)});
    figures.push_back({"huang2024_" + area.title + "_residuals", area.title, source, draw_residuals(area)});
  }
  return figures;
}

}  // namespace lmbits
