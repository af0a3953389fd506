// Pictures of scaling laws.
#pragma once
#include <string>
#include <vector>

#include "src/report/fit_report.h"
#include "src/report/run_figures.h"
#include "src/scaling/isoflop.h"
#include "src/scaling/reconcile.h"
#include "src/scaling/run_points.h"

namespace lmbits {

// Residuals over compute (the law's own first variable where compute is not known); for laws of N and D also contours of
// the loss over (N, D) with the points and the compute-optimal frontier; for gzip laws D*/N* against H.
std::vector<Figure> fit_figures(const FitReport& report);

// The profiles with their parabolas, and N* and D* against compute.
std::vector<Figure> isoflop_figures(const std::vector<ScalingPoint>& points, const IsoFlops& result, LossUnit unit);

// The training curves and their envelope, and N* and D* against compute.
std::vector<Figure> envelope_figures(const Envelope& result, LossUnit unit);

// N* against C in both countings with the fitted lines, and the local exponent.
std::vector<Figure> reconcile_figures(const Reconciliation& result, const Parameters& chinchilla, double omega);

// bits/byte against training steps, a curve of the law for each size, with the runs.
Figure runs_figure(const std::vector<RunPoint>& runs, const Fit& fit, bool non_embedding, const std::string& title);

}  // namespace lmbits
