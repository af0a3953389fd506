#include "src/selection/entropy_law.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "src/core/error.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

std::vector<std::string> split_csv(const std::string& line) {
  std::vector<std::string> fields(1);
  bool is_quoted = false;
  for (const char c : line) {
    if (c == '"') {
      is_quoted = !is_quoted;
    } else if (c == ',' && !is_quoted) {
      fields.emplace_back();
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::optional<std::size_t> column_of(const std::vector<std::string>& header, std::initializer_list<const char*> names) {
  for (const char* name : names)
    for (std::size_t i = 0; i < header.size(); ++i)
      if (lower(header[i]) == name) return i;
  return std::nullopt;
}

// The inverse of a small symmetric positive definite matrix, or nullopt.
using Matrix = std::vector<std::vector<double>>;
std::optional<Matrix> inverse(Matrix a) {
  const std::size_t n = a.size();
  Matrix b(n, std::vector<double>(n));
  for (std::size_t i = 0; i < n; ++i) b[i][i] = 1.0;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i)
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    if (std::abs(a[pivot][k]) < 1e-12) return std::nullopt;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    for (std::size_t i = 0; i < n; ++i) {
      const double factor = i == k ? 1 - 1 / a[k][k] : a[i][k] / a[k][k];
      for (std::size_t j = 0; j < n; ++j) {
        const double from_a = a[k][j], from_b = b[k][j];
        a[i][j] -= factor * from_a;
        b[i][j] -= factor * from_b;
      }
    }
  }
  return b;
}

struct Standardised {
  double mean, scale;
  std::vector<double> values;
};

std::optional<Standardised> standardise(const std::vector<double>& column) {
  Standardised s{0.0, 0.0, {}};
  for (const double x : column) s.mean += x / static_cast<double>(column.size());
  for (const double x : column) s.scale += (x - s.mean) * (x - s.mean);
  s.scale = std::sqrt(s.scale);
  if (!(s.scale > 1e-12 * std::abs(s.mean))) return std::nullopt;  // constant
  for (const double x : column) s.values.push_back((x - s.mean) / s.scale);
  return s;
}

std::vector<double> log_ratios(const std::vector<LawRow>& rows) {
  std::vector<double> values;
  for (const LawRow& row : rows) values.push_back(std::log(row.ratio));
  return values;
}

bool all_have_losses(const std::vector<LawRow>& rows) {
  return std::all_of(rows.begin(), rows.end(), [](const LawRow& row) { return row.loss.has_value(); });
}

}  // namespace

std::vector<LawRow> parse_law_table(const std::string& csv, const std::string& path) {
  std::istringstream lines(csv);
  std::string line;
  std::getline(lines, line);
  const auto header = split_csv(line);
  const auto name = column_of(header, {"name", "dataset"}), ratio = column_of(header, {"ratio", "r"});
  const auto loss = column_of(header, {"loss"}), score = column_of(header, {"score"});
  if (!name || !ratio || !score) {
    throw Error(ErrorKind::kData,
                path + ": the header has no column " +
                    (!name    ? "name"
                     : !ratio ? "ratio"
                              : "score"),
                "its first line is name,ratio,loss,score; loss may be missing");
  }
  std::vector<LawRow> rows;
  for (int number = 2; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto fields = split_csv(line);
    const auto value = [&](std::size_t column) {
      const std::string field = column < fields.size() ? fields[column] : "";
      double number_read = 0.0;
      const auto result = std::from_chars(field.data(), field.data() + field.size(), number_read);
      if (result.ec != std::errc() || result.ptr != field.data() + field.size() || !std::isfinite(number_read))
        throw Error(ErrorKind::kData, path + ", line " + std::to_string(number) + ": \"" + field +
                                          "\" is no number for " + header[column]);
      return number_read;
    };
    LawRow row{*name < fields.size() ? fields[*name] : "", value(*ratio), std::nullopt, value(*score)};
    if (loss && *loss < fields.size() && !fields[*loss].empty()) row.loss = value(*loss);
    if (row.ratio <= 0)
      throw Error(ErrorKind::kData,
                  path + ", line " + std::to_string(number) + ": R is " + fields[*ratio] + ", not above 0");
    rows.push_back(std::move(row));
  }
  return rows;
}

std::optional<LawFit> fit_linear(const std::vector<std::vector<double>>& columns, const std::vector<std::string>& names,
                                 std::span<const double> y, double level) {
  const std::size_t n = y.size(), p = columns.size() + 1;
  if (n <= p) return std::nullopt;
  // Standardised columns, so that the normal equations are well conditioned; the terms are turned back below.
  std::vector<Standardised> x;
  for (const auto& column : columns) {
    auto s = standardise(column);
    if (!s) return std::nullopt;
    x.push_back(std::move(*s));
  }
  const auto at = [&](std::size_t k, std::size_t i) { return k == 0 ? 1.0 : x[k - 1].values[i]; };
  Matrix gram(p, std::vector<double>(p));
  std::vector<double> moment(p);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < p; ++k) {
      moment[k] += at(k, i) * y[i];
      for (std::size_t l = 0; l < p; ++l) gram[k][l] += at(k, i) * at(l, i);
    }
  const auto inverted = inverse(gram);
  if (!inverted) return std::nullopt;
  std::vector<double> beta(p);
  for (std::size_t k = 0; k < p; ++k)
    for (std::size_t l = 0; l < p; ++l) beta[k] += (*inverted)[k][l] * moment[l];

  LawFit fit;
  fit.n = n;
  double y_mean = 0.0, residual_ss = 0.0, total_ss = 0.0;
  for (const double value : y) y_mean += value / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) {
    double predicted = 0.0;
    for (std::size_t k = 0; k < p; ++k) predicted += beta[k] * at(k, i);
    fit.predicted.push_back(predicted);
    residual_ss += (y[i] - predicted) * (y[i] - predicted);
    total_ss += (y[i] - y_mean) * (y[i] - y_mean);
  }
  const auto df = static_cast<double>(n - p);
  fit.r_squared = total_ss > 0 ? 1 - residual_ss / total_ss : 1.0;
  fit.residual_sd = std::sqrt(residual_ss / df);
  // Each term is a linear combination of the standardised ones.
  for (std::size_t k = 0; k < p; ++k) {
    std::vector<double> weight(p);
    weight[k] = k == 0 ? 1.0 : 1 / x[k - 1].scale;
    if (k == 0)
      for (std::size_t l = 1; l < p; ++l) weight[l] = -x[l - 1].mean / x[l - 1].scale;
    double value = 0.0, variance = 0.0;
    for (std::size_t l = 0; l < p; ++l) {
      value += weight[l] * beta[l];
      for (std::size_t m = 0; m < p; ++m) variance += weight[l] * weight[m] * (*inverted)[l][m];
    }
    const double error = fit.residual_sd * std::sqrt(variance), half = student_t_quantile((1 + level) / 2, df) * error;
    const double p_value = error > 0 ? student_t_two_sided(value / error, df) : 0.0;
    fit.terms.push_back({k == 0 ? "intercept" : names[k - 1], value, error, {value - half, value + half}, p_value});
  }
  return fit;
}

std::optional<LawFit> fit_entropy_law(const std::vector<LawRow>& rows, double level) {
  std::vector<double> scores, losses;
  for (const LawRow& row : rows) {
    scores.push_back(row.score);
    losses.push_back(row.loss.value_or(0.0));
  }
  if (!all_have_losses(rows)) return fit_linear({log_ratios(rows)}, {"ln R"}, scores, level);
  return fit_linear({log_ratios(rows), losses}, {"ln R", "loss"}, scores, level);
}

namespace {

// How far rounding takes a loss from a line that it lies on, and residuals from 0, in parts of the largest loss.
constexpr double kRoundedLoss = 1e-9, kRoundedResidual = 1e-12;

// Of a loss `off` the expected one. Where the others lie on their line exactly there is no spread to measure it by: it
// lies there, too, or it cannot be chance.
double p_of_loss(double off, double sd, double residual_sd, double df, double largest) {
  if (residual_sd > kRoundedResidual * largest) return student_t_two_sided(off / sd, df);
  return std::abs(off) <= kRoundedLoss * largest ? 1.0 : 0.0;
}

}  // namespace

std::string law_formula(const LawFit& fit) {
  std::string formula = "score = a";
  for (std::size_t k = 1; k < fit.terms.size(); ++k)
    formula += std::string(" + ") + static_cast<char>('a' + k) + " " + fit.terms[k].name;
  return formula;
}

std::string why_losses_are_unchecked(const std::vector<LawRow>& rows) {
  const auto n = std::count_if(rows.begin(), rows.end(), [](const LawRow& row) { return row.loss.has_value(); });
  if (n == 0) return "no data set has a loss";
  if (n == std::ssize(rows))
    return "they cannot be expected from the R of the other data sets, which are too much alike";
  return std::to_string(std::ssize(rows) - n) + " of " + std::to_string(rows.size()) +
         " data sets have none, and the other losses were left out of the fit, too";
}

std::vector<LossCheck> check_losses(const std::vector<LawRow>& rows, double level) {
  std::vector<LossCheck> checks;
  if (rows.size() < 4 || !all_have_losses(rows)) return checks;
  double largest = 0.0;
  for (const LawRow& row : rows) largest = std::max(largest, std::abs(*row.loss));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> x, losses;
    for (std::size_t j = 0; j < rows.size(); ++j) {
      if (j == i) continue;
      x.push_back(std::log(rows[j].ratio));
      losses.push_back(*rows[j].loss);
    }
    const auto fit = fit_linear({x}, {"ln R"}, losses, level);
    if (!fit) return {};
    double mean = 0.0, ss = 0.0;
    for (const double value : x) mean += value / static_cast<double>(x.size());
    for (const double value : x) ss += (value - mean) * (value - mean);
    const double at = std::log(rows[i].ratio), df = static_cast<double>(x.size()) - 2;
    LossCheck check{rows[i].name, *rows[i].loss, fit->terms[0].value + fit->terms[1].value * at};
    const double sd =
        fit->residual_sd * std::sqrt(1 + 1 / static_cast<double>(x.size()) + (at - mean) * (at - mean) / ss);
    const double half = student_t_quantile((1 + level) / 2, df) * sd;
    check.interval = {check.expected - half, check.expected + half};
    check.p = p_of_loss(check.loss - check.expected, sd, fit->residual_sd, df, largest);
    check.is_abnormal = check.p < (1 - level) / static_cast<double>(rows.size());
    checks.push_back(check);
  }
  return checks;
}

}  // namespace lmbits
