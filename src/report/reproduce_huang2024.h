// Huang et al. 2024, "Compression Represents Intelligence Linearly" (arXiv:2404.09937v2): every correlation that the
// paper's tables allow, computed anew and set beside what it prints.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/correlate_report.h"
#include "src/report/score_join.h"
#include "src/report/table.h"

namespace lmbits {

// The fit of random tables that would be printed as the paper's are: each number moved within half of its last digit.
struct Rounding {
  static constexpr int kTables = 10000;
  Interval r, rmse;
  int n_as_printed = 0;  // of kTables those whose r and rmse are, rounded, the printed ones
  double share() const { return static_cast<double>(n_as_printed) / kTables; }
};

struct ReproducedFit {
  std::string source;  // "Table 5"
  std::string what;    // "knowledge hellaswag", "math average on cc"
  double printed_r = 0.0, printed_rmse = 0.0;
  bool without_qwen = false;
  std::string not_possible;  // why it cannot be computed; else empty
  std::size_t n = 0;
  std::optional<double> r, rmse;
  std::optional<Interval> interval;  // of r: Fisher's z
  std::optional<Rounding> rounding;
  std::optional<double> r_with_qwen, rmse_with_qwen;  // where the fit is without Qwen: what it were with it
  std::optional<Rounding> rounding_with_qwen;

  bool same_digits() const;            // r and rmse, rounded as printed
  bool explained_by_rounding() const;  // one of the random tables has the printed numbers, both of them
};

// Two sources that say the same thing: how far are they apart?
struct PublishedAgreement {
  std::string what;
  std::size_t n = 0;
  double mean_difference = 0.0, largest_difference = 0.0;
  std::string largest_model;
  double tau = 0.0;  // Kendall's, of the order of the models
};

struct Huang2024 {
  double level = 0.95;
  std::vector<ReproducedFit> fits;
  std::vector<PublishedAgreement> agreements;
};

// The paper's points: the overview (its first four panels: overall, then the areas knowledge, coding and maths) with
// its benchmarks. Scores on 0-1. `without_qwen`: as the maths fit leaves out Qwen 7b, 14b and 72b.
ScoreJoin huang2024_join(bool without_qwen = false);

Huang2024 reproduce_huang2024(double level);

std::string to_text(const Huang2024& report, const TextStyle& style);
std::string to_csv(const Huang2024& report);
Json to_json(const Huang2024& report);

}  // namespace lmbits
