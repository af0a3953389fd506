// What to train with a budget, what a wrong size costs, and which runs to fit a law to.
#pragma once
#include <optional>
#include <vector>

#include "src/scaling/known_law.h"

namespace lmbits {

struct PlanRequest {
  std::vector<double> flops;
  double level = 0.95;
  std::optional<double> unique_tokens = {};  // data-constrained laws; nullopt: as many as are trained on
};

struct PlanRow {
  double flops = 0.0;
  Allocation best{};
  std::optional<Interval> n, d, ratio, loss;  // ratio: D* / N*
};

// The compute-optimal model for each budget. Throws Error(kUsage) for a law without N and D, and for a gzip law: take it at
// the data's H first (at_complexity).
std::vector<PlanRow> plan(const KnownLaw& law, const PlanRequest& request);

// A model of another size than N* at the same compute: its loss, and what a model of the best size would have needed for
// that loss. `wasted` is the share of the compute that it would not.
struct MisSized {
  double factor, n, d, loss, wasted;
};
std::vector<MisSized> mis_sized(const KnownLaw& law, double flops, const PlanRequest& request);

// A sweep to fit a law to, for `budget` FLOP in all: `n_budgets` isoFLOP budgets a factor `step` apart, with
// `n_sizes` sizes each, equally far in logarithm from N* / spread to N* spread.
struct SweepRun {
  double flops, n, d;
};
struct SweepRequest {
  double budget = 0.0;
  int n_budgets = 5, n_sizes = 7;
  double step = 3.0, spread = 4.0;
};
std::vector<SweepRun> sweep(const KnownLaw& law, const SweepRequest& sweep, const PlanRequest& request);

}  // namespace lmbits
