// The entropy law fitted over data sets: how a model's score depends on its data's redundancy and on the training loss.
//
// Yin et al. 2024 (arXiv:2407.06645) say that performance is f(R, L), falling in both, and give no form of f. Taken here:
//   score = a + b ln R + c loss
// by least squares; without losses c is left out. R is raw / compressed bytes, loss that of the first epoch.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/stats/bootstrap.h"

namespace lmbits {

struct LawRow {
  std::string name;
  double ratio = 0.0;  // R, > 0
  std::optional<double> loss;
  double score = 0.0;
};

// A CSV file with a header that has the columns name (or dataset), ratio (or R), score and, if known, loss. Other columns
// are ignored. Throws Error(kData) naming the line and the field that is missing or no number.
std::vector<LawRow> parse_law_table(const std::string& csv, const std::string& path);

struct LawTerm {
  std::string name;  // "intercept", "ln R", "loss"
  double value = 0.0;
  double error = 0.0;  // standard error
  Interval interval{0.0, 0.0};
  double p = 1.0;  // of the value being 0, two-sided
};

struct LawFit {
  std::size_t n = 0;
  std::vector<LawTerm> terms;
  double r_squared = 0.0;
  double residual_sd = 0.0;  // sqrt(SS / (n - terms))
  std::vector<double> predicted;
};

// Least squares of y on the columns of x, an intercept first. Intervals by Student's t with n - terms degrees of freedom:
// residuals are taken as independent, normal and of one size. nullopt where n <= terms, or the columns determine each other.
std::optional<LawFit> fit_linear(const std::vector<std::vector<double>>& columns, const std::vector<std::string>& names,
                                 std::span<const double> y, double level);

// The law over all rows, with the loss where every row has one.
std::optional<LawFit> fit_entropy_law(const std::vector<LawRow>& rows, double level);

// What was fitted: "score = a + b ln R + c loss", or without the loss.
std::string law_formula(const LawFit& fit);

// A data set whose loss is not what its R lets expect: by the line loss = a + b ln R through the other data sets.
struct LossCheck {
  std::string name;
  double loss = 0.0, expected = 0.0;
  Interval interval{0.0, 0.0};  // for a new data set of this R, at `level`
  double p = 1.0;               // of a loss so far off; 1 or 0 where the others lie on their line exactly
  bool is_abnormal = false;     // p < (1 - level) / n: any of n would be flagged by chance with 1 - level at most
};

// Empty where a loss is missing, or there are fewer than four rows, or R does not vary.
std::vector<LossCheck> check_losses(const std::vector<LawRow>& rows, double level);

// Why check_losses is empty for rows that have a law: for a person.
std::string why_losses_are_unchecked(const std::vector<LawRow>& rows);

}  // namespace lmbits
