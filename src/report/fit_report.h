// `lmbits scaling fit`: a fitted law, what it rests on, and how sure it is, as text and JSON.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/table.h"
#include "src/scaling/coverage.h"
#include "src/scaling/fit.h"
#include "src/scaling/known_law.h"
#include "src/scaling/points.h"

namespace lmbits {

struct FitReportRequest {
  double level = 0.95;
  std::vector<FitInterval> intervals = {FitInterval::kBca};
  std::int64_t n_resamples = 1000;
  std::uint64_t seed = 1;
  bool draws_as_numpy = false;  // resamples as numpy_bootstrap_fits draws them
  int n_threads = 1;
  bool keeps_refits = false;    // also where no interval asked for needs them: for a law that is written down
  std::int64_t n_coverage = 0;  // made-up data sets for the measured coverage of the intervals; 0: not measured
  double cutoff_flops = 0.0;    // of the hold-out; 0: the 80 % quantile
  std::vector<ScalingPoint> predictions = {};  // where to predict; label: as asked for
};

// A parameter, or something computed from it.
struct FitReportRow {
  std::string name;
  double value = 0.0;
  std::optional<double> se;                        // of the bootstrap
  std::vector<std::optional<Interval>> intervals;  // one a kind asked for
};

struct FitReport {
  FitReportRequest request;
  Fit fit;
  Points points;  // of which the fit is
  Refits refits;
  std::vector<FitReportRow> parameters, derived, predictions;
  std::optional<HoldOut> hold_out;
  std::string no_hold_out;  // why there is none
  std::optional<Coverage> coverage;
  std::vector<std::string> warnings;
};

// Every interval that a parameter of the fit has, or a quantity computed from several (for which there is no profile).
FitReportRow row_of(const FitReport& report, const std::string& name, const Quantity& quantity);

FitReport report_fit(const Fit& fit, const Points& points, const FitReportRequest& request);
std::string to_text(const FitReport& report, const TextStyle& style);
Json to_json(const FitReport& report);

std::string significant(double value, int digits);  // "482.01", "2.085e+03" only where a fixed form would be long
std::string significant(const std::optional<Interval>& interval, int digits);  // "[285, 744]", "—"

// "N=7e10,D=1.4T": a point without a loss. Throws Error(kUsage).
ScalingPoint parse_point(const std::string& text);

}  // namespace lmbits
