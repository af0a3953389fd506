// How often do a fit's intervals hold the truth? Measured on made-up losses of a law that is known.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "src/scaling/fit.h"

namespace lmbits {

struct CoverageRequest {
  double sigma = 0.0;  // of the normal noise on log losses
  double level = 0.95;
  std::int64_t n_times = 200, n_resamples = 400;
  std::uint64_t seed = 1;
  int n_threads = 1;
  std::vector<ScalingPoint> predictions = {};  // label: what the column is called
  std::vector<FitInterval> kinds = {FitInterval::kPercentile, FitInterval::kBca, FitInterval::kProfile};
};

struct Coverage {
  CoverageRequest request;
  std::vector<std::string> quantities;  // the free parameters, then the predictions
  struct Kind {
    FitInterval kind;
    std::vector<double> shares;  // of the intervals that held the truth, one a quantity
    double least() const;
    double most() const;
  };
  std::vector<Kind> kinds;
  // Standard error of a share whose true value is the level.
  double error() const;
};

// n_times: the points' losses become those of `law` at `truth` with noise of their own, the law is fitted as `request`
// says, and each kind of interval at the level either holds the truth or does not. Every fit is resampled by a seed of its
// own: one seed for all would leave all of them with the same error of resampling. Throws as fit_law does.
Coverage measure_coverage(std::shared_ptr<const Law> law, const Parameters& truth,
                          const std::vector<ScalingPoint>& points, const FitRequest& request,
                          const CoverageRequest& coverage);

}  // namespace lmbits
