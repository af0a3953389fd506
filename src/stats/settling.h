// How much text does it take? Numbers of several models as text accumulates, in many random orders of the text.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

struct SettlingOptions {
  double level = 0.95;
  double r_tolerance = 0.01;    // r has settled where it stays this close to its value on all of the text
  double tau_tolerance = 0.05;  // the order has settled where Kendall's tau with the final order stays above 1 - this
  int n_orders = 1000;
  std::int64_t n_resamples = 2000;
  std::uint64_t seed = 1;
  int n_threads = 1;
};

// A number over the random orders: its median, and the central share `level` of it.
struct Spread {
  double median = 0.0;
  Interval range{0.0, 0.0};
};

struct SettlingPoint {
  double weight = 0.0;      // of the text so far (bytes), the mean over the orders
  std::optional<Spread> r;  // null without scores
  Spread tau;               // with the order on all of the text
};

struct Settling {
  double weight = 0.0;  // of all the text
  std::optional<double> r;
  std::vector<SettlingPoint> curve;  // powers of two of a unit, and all
  std::optional<Spread> r_settled;   // weight after which r has settled
  Spread order_settled;
  std::optional<Interval>
      r_by_text;  // percentile interval of r over resampled text: what other text of this kind and size would do
};

// `y` are the models' scores; empty: the order alone. Orders end at all of the text, where every number is settled by
// definition: a settling point beyond half of the text says that there is too little text to tell. Needs two models,
// two units.
Settling settle(const PairedUnits& units, std::span<const double> y, const SettlingOptions& options);

}  // namespace lmbits
