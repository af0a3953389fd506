// Pictures and the report's section of `lmbits correlate`.
#pragma once
#include <string>
#include <vector>

#include "src/report/correlate_report.h"
#include "src/report/run_figures.h"
#include "src/report/run_report.h"
#include "src/report/scatter.h"

namespace lmbits {

// One panel's points with the intervals of their scores (normal, from the standard errors), its least squares line with
// Student's bands, r and the RMSE that divides by n.
Scatter scatter_of(const PanelResult& result, CompressionMetric by, double level);

// The overview (all areas large, the first three areas small) where there are areas, then a scatter and its residuals for
// all areas and for each of them. Panels of fewer than two points are left out.
std::vector<Figure> correlate_figures(const CorrelateReport& report);

// A scatter that takes its points from `shown`, of which only those that `fitted` has too count for the line: `result` is
// of `fitted`.
Scatter scatter_with_unfitted(const PanelResult& result, const Panel& shown, CompressionMetric by, double level);

// The numbers of every panel, warnings, figures. The report must have scores.
ReportSection correlate_section(const CorrelateReport& report);

}  // namespace lmbits
