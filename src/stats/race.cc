#include "src/stats/race.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "src/core/error.h"
#include "src/stats/linear.h"
#include "src/stats/normal.h"
#include "src/stats/student_t.h"

namespace lmbits {
namespace {

double dot(const double* x, const double* y, std::int64_t n) {
  double sum = 0.0;
  for (std::int64_t k = 0; k < n; ++k) sum += x[k] * y[k];
  return sum;
}

std::size_t distance_of(std::size_t i, std::size_t j) { return i > j ? i - j : j - i; }

double inverse_square(std::size_t distance) { return 1.0 / static_cast<double>(distance * distance); }

// The factor f for which the shares f / (i - j)^2 add up to 1 over the pairs that can be claimed wrongly, whichever the
// true order is.
double distance_factor(std::size_t n_models, const RaceOptions& options) {
  double all = 0.0, of_one = 0.0;  // over all pairs; over those of one model, at worst
  for (std::size_t i = 0; i < n_models; ++i) {
    double sum = 0.0;
    for (std::size_t j = 0; j < n_models; ++j) {
      if (j != i) sum += inverse_square(distance_of(i, j));
    }
    all += sum / 2.0;
    of_one = std::max(of_one, sum);
  }
  if (options.goal == RaceGoal::kTop) return 1.0 / (of_one * static_cast<double>(options.top));
  return 1.0 / all;
}

}  // namespace

double race_boundary(std::int64_t n, std::int64_t n_pieces, double a, double tuned_share) {
  if (n >= n_pieces) return 0.0;
  const double count = static_cast<double>(n), all = static_cast<double>(n_pieces);
  const double t = count * all / (all - count);
  const double tuned_t = tuned_share * all / (1.0 - tuned_share);
  const double log_a = -2.0 * std::log(a);
  const double t_rho2 = t * (log_a + std::log(1.0 + log_a)) / tuned_t;
  const double width =
      std::sqrt(2.0 * (t_rho2 + 1.0) / (t * t_rho2) * std::log(1.0 + std::sqrt(t_rho2 + 1.0) / (2.0 * a)));
  return width * student_t_quantile(a, count - 1.0) / normal_quantile(a);
}

double expected_race_share(std::int64_t n_pieces, double gap, double sd, double zone, double a, double tuned_share) {
  std::int64_t lo = std::min(first_look(a), n_pieces), hi = n_pieces;  // c falls as n grows
  while (lo < hi) {
    const std::int64_t n = lo + (hi - lo) / 2;
    if (race_boundary(n, n_pieces, a, tuned_share) * sd <= gap + zone) {
      hi = n;
    } else {
      lo = n + 1;
    }
  }
  return static_cast<double>(lo) / static_cast<double>(n_pieces);
}

std::int64_t first_look(double error_of_a_pair) { return error_of_a_pair > 0.01 ? 96 : 48; }

std::vector<std::vector<double>> race_controls(const std::vector<std::int64_t>& n_bytes,
                                               const std::vector<std::size_t>& category) {
  constexpr double kVaries = 0.1;  // sd over mean
  const std::size_t n = n_bytes.size();
  std::vector<double> size(n_bytes.begin(), n_bytes.end());
  const double mean = std::accumulate(size.begin(), size.end(), 0.0) / static_cast<double>(n);
  const double variance =
      dot(size.data(), size.data(), static_cast<std::int64_t>(n)) / static_cast<double>(n) - mean * mean;
  std::vector<std::vector<double>> controls;
  if (variance > kVaries * kVaries * mean * mean) controls.push_back(std::move(size));
  const std::size_t n_categories = n == 0 ? 0 : *std::max_element(category.begin(), category.end()) + 1;
  for (std::size_t c = 1; c < n_categories; ++c) {
    std::vector<double>& indicator = controls.emplace_back(n);
    for (std::size_t p = 0; p < n; ++p) indicator[p] = category[p] == c;
  }
  return controls;
}

Race::Race(std::size_t n_models, std::int64_t n_pieces, std::vector<std::vector<double>> controls,
           const RaceOptions& options)
    : n_models_(n_models), n_pieces_(n_pieces), options_(options) {
  LMBITS_CHECK(n_models >= 2 && n_pieces >= 2);
  LMBITS_CHECK(options.top >= 1 && options.top < n_models && options.baseline < n_models);
  near_share_ = distance_factor(n_models, options);
  for (std::vector<double>& control : controls) {
    LMBITS_CHECK(static_cast<std::int64_t>(control.size()) == n_pieces);
    const double mean = std::accumulate(control.begin(), control.end(), 0.0) / static_cast<double>(n_pieces);
    for (double& value : control) value -= mean;
    if (dot(control.data(), control.data(), n_pieces) > 0.0) controls_.push_back(std::move(control));
  }
  const std::size_t n_columns = n_models_ + controls_.size();
  sum_.assign(n_columns, 0.0);
  gram_.assign(n_columns * n_columns, 0.0);
  active_.assign(n_models_, 1);
  open_.assign(n_models_ * n_models_, 1);
  for (std::size_t i = 0; i < n_models_; ++i) open_[i * n_models_ + i] = 0;
  if (options_.goal == RaceGoal::kBaseline) {
    for (std::size_t i = 0; i < n_models_; ++i) {
      for (std::size_t j = 0; j < n_models_; ++j) {
        if (i != options_.baseline && j != options_.baseline) open_[i * n_models_ + j] = 0;
      }
    }
  }
  before_.assign(n_models_ * n_models_, 0);
  strictly_before_ = before_;
  chosen_.assign(n_models_, 0);
  mean_.assign(n_models_, 0.0);
  n_of_.assign(n_models_, 0);
}

std::int64_t Race::next_look() const {
  if (n_ == 0) {
    const std::int64_t first =
        options_.min_pieces > 0 ? options_.min_pieces : first_look((1.0 - options_.level) / n_claims());
    return std::min(first, n_pieces_);
  }
  const auto grown = static_cast<std::int64_t>(static_cast<double>(n_) * options_.look_growth);
  return std::min(n_pieces_, std::max(n_ + options_.look_step, grown));
}

bool Race::finished() const { return std::find(active_.begin(), active_.end(), 1) == active_.end(); }

// How many pairs may be claimed wrongly, whichever the true order is.
double Race::n_claims() const {
  const double k = static_cast<double>(n_models_), top = static_cast<double>(options_.top);
  if (options_.goal == RaceGoal::kTop) return top * (k - top);
  return options_.goal == RaceGoal::kOrder && options_.zone > 0.0 ? k * (k - 1.0) / 2.0 : k - 1.0;
}

double Race::share(std::size_t distance) const {
  const bool known =
      options_.goal == RaceGoal::kBaseline || (options_.goal == RaceGoal::kOrder && options_.zone == 0.0);
  if (known) return 1.0 / n_claims();
  return 0.5 / n_claims() + 0.5 * near_share_ * inverse_square(distance);
}

void Race::take(const std::vector<std::vector<double>>& bits, std::int64_t n_new) {
  const std::size_t n_columns = n_models_ + controls_.size();
  std::vector<std::vector<double>> centred(n_models_);
  std::vector<const double*> columns(n_columns, nullptr);
  if (n_ == 0) offset_.assign(n_models_, 0.0);
  for (std::size_t i = 0; i < n_models_; ++i) {
    if (!active_[i]) continue;
    LMBITS_CHECK(static_cast<std::int64_t>(bits[i].size()) == n_new);
    if (n_ == 0) offset_[i] = std::accumulate(bits[i].begin(), bits[i].end(), 0.0) / static_cast<double>(n_new);
    centred[i] = bits[i];
    for (double& value : centred[i]) value -= offset_[i];
    columns[i] = centred[i].data();
  }
  for (std::size_t c = 0; c < controls_.size(); ++c) columns[n_models_ + c] = controls_[c].data() + n_;
  for (std::size_t a = 0; a < n_columns; ++a) {
    if (!columns[a]) continue;
    sum_[a] += std::accumulate(columns[a], columns[a] + n_new, 0.0);
    for (std::size_t b = 0; b <= a; ++b) {
      if (columns[b]) gram_[a * n_columns + b] += dot(columns[a], columns[b], n_new);
    }
  }
  n_ += n_new;
}

Race::Moments Race::moments() const {
  const std::size_t n_columns = n_models_ + controls_.size(), n_controls = controls_.size();
  const double n = static_cast<double>(n_);
  const auto covariance = [&](std::size_t a, std::size_t b) {
    if (a < b) std::swap(a, b);
    return (gram_[a * n_columns + b] - sum_[a] * sum_[b] / n) / (n - 1.0);
  };
  std::vector<double> of_controls(n_controls * n_controls);
  for (std::size_t a = 0; a < n_controls; ++a) {
    for (std::size_t b = 0; b < n_controls; ++b)
      of_controls[a * n_controls + b] = covariance(n_models_ + a, n_models_ + b);
    of_controls[a * n_controls + a] *=
        1.0 + 1e-9;  // a category that no piece had yet, or categories that add up to one
  }
  std::vector<std::vector<double>> weights(n_models_);  // of the controls, a model's regression on them
  const bool controlled = n_controls > 0 && n_ > static_cast<std::int64_t>(4 * n_controls);
  for (std::size_t i = 0; i < n_models_ && controlled; ++i) {
    if (!active_[i]) continue;
    std::vector<double> right(n_controls);
    for (std::size_t c = 0; c < n_controls; ++c) right[c] = covariance(n_models_ + c, i);
    weights[i] = solve_positive_definite(of_controls, right).value_or(std::vector<double>());
  }
  // What the fitted slopes cost: residual degrees of freedom, and more the further the drawn pieces' means of the controls
  // lie from the corpus' (the standard error of a regression line away from the middle of its points).
  double lost = 1.0;
  if (controlled) {
    std::vector<double> drift(n_controls);
    for (std::size_t c = 0; c < n_controls; ++c) drift[c] = sum_[n_models_ + c] / n;
    const auto solved = solve_positive_definite(of_controls, drift);
    const double leverage = solved ? dot(drift.data(), solved->data(), static_cast<std::int64_t>(n_controls)) : 0.0;
    lost = (n - 1.0) / (n - 1.0 - static_cast<double>(n_controls)) * (1.0 + leverage * n / (n - 1.0));
  }
  Moments now{std::vector<double>(n_models_), std::vector<double>(n_models_ * n_models_),
              std::vector<double>(n_models_)};
  for (std::size_t distance = 1; distance < n_models_; ++distance) {
    const bool as_before = distance > 1 && share(distance) == share(distance - 1);
    now.boundary[distance] =
        as_before ? now.boundary[distance - 1]
                  : race_boundary(n_, n_pieces_, (1.0 - options_.level) * share(distance), options_.tuned_share);
  }
  for (std::size_t i = 0; i < n_models_; ++i) {
    if (!active_[i]) continue;
    now.mean[i] = offset_[i] + sum_[i] / n;
    for (std::size_t c = 0; c < weights[i].size(); ++c) now.mean[i] -= weights[i][c] * sum_[n_models_ + c] / n;
    for (std::size_t j = 0; j <= i; ++j) {
      if (!active_[j]) continue;
      double value = covariance(i, j);
      for (std::size_t c = 0; c < weights[i].size(); ++c) value -= weights[i][c] * covariance(n_models_ + c, j);
      now.covariance[i * n_models_ + j] = now.covariance[j * n_models_ + i] = value * lost;
    }
  }
  return now;
}

bool Race::claim(const Moments& now, std::size_t i, std::size_t j, double zone) const {
  const double scale = 1.0 + zone;
  const double mean = now.mean[i] - scale * now.mean[j];
  if (n_ >= n_pieces_) return mean <= 0.0;
  if (mean > 0.0) return false;
  const auto covariance = [&](std::size_t a, std::size_t b) { return now.covariance[a * n_models_ + b]; };
  const double variance = covariance(i, i) + scale * scale * covariance(j, j) - 2.0 * scale * covariance(i, j);
  return mean + now.boundary[distance_of(i, j)] * std::sqrt(std::max(variance, 0.0)) <= 0.0;
}

void Race::advance(const std::vector<std::vector<double>>& bits) {
  LMBITS_CHECK(bits.size() == n_models_ && !finished());
  take(bits, next_look() - n_);
  const Moments now = moments();
  for (std::size_t i = 0; i < n_models_; ++i) {
    if (!active_[i]) continue;
    mean_[i] = now.mean[i];
    n_of_[i] = n_;
  }
  if (options_.goal == RaceGoal::kTop) {
    settle_top(now);
  } else {
    settle_pairs(now);
  }
}

void Race::settle_pairs(const Moments& now) {
  for (std::size_t i = 0; i < n_models_; ++i) {
    for (std::size_t j = i + 1; j < n_models_; ++j) {
      if (!open_[i * n_models_ + j]) continue;
      const bool forward = claim(now, i, j, options_.zone), backward = claim(now, j, i, options_.zone);
      if (!forward && !backward) continue;
      const bool i_first = forward && (!backward || now.mean[i] <= now.mean[j]);
      (i_first ? before_[i * n_models_ + j] : before_[j * n_models_ + i]) = 1;
      open_[i * n_models_ + j] = open_[j * n_models_ + i] = 0;
    }
  }
  for (std::size_t i = 0; i < n_models_; ++i) {
    const auto row = open_.begin() + static_cast<std::ptrdiff_t>(i * n_models_);
    active_[i] =
        std::find(row, row + static_cast<std::ptrdiff_t>(n_models_), 1) != row + static_cast<std::ptrdiff_t>(n_models_);
  }
}

// A model is chosen when all but as many as there are places left were claimed to lie behind it, and drops out when as
// many lie strictly before it; both change what the others need, so it goes round until nothing changes.
void Race::settle_top(const Moments& now) {
  const auto n_active = [&] { return static_cast<std::size_t>(std::count(active_.begin(), active_.end(), 1)); };
  for (std::size_t i = 0; i < n_models_; ++i) {
    for (std::size_t j = 0; j < n_models_; ++j) {
      if (i == j || !active_[i] || !active_[j]) continue;
      if (claim(now, i, j, options_.zone)) before_[i * n_models_ + j] = 1;
      if (claim(now, i, j, 0.0)) strictly_before_[i * n_models_ + j] = 1;
    }
  }
  std::vector<std::size_t> by_mean(n_models_);
  std::iota(by_mean.begin(), by_mean.end(), std::size_t{0});
  std::stable_sort(by_mean.begin(), by_mean.end(),
                   [&](std::size_t i, std::size_t j) { return now.mean[i] < now.mean[j]; });
  for (bool changed = true; changed;) {
    changed = false;
    const auto places = [&] {
      return options_.top - static_cast<std::size_t>(std::count(chosen_.begin(), chosen_.end(), 1));
    };
    for (const std::size_t i : by_mean) {
      if (!active_[i] || places() == 0) continue;
      std::size_t n_behind = 0, n_ahead = 0;
      for (std::size_t j = 0; j < n_models_; ++j) {
        if (!active_[j]) continue;
        n_behind += static_cast<std::size_t>(before_[i * n_models_ + j]);
        n_ahead += static_cast<std::size_t>(strictly_before_[j * n_models_ + i]);
      }
      const bool belongs = n_behind + places() >= n_active();
      if (!belongs && n_ahead < places()) continue;
      chosen_[i] = belongs;
      active_[i] = 0;
      changed = true;
    }
    if (places() == n_active()) {
      for (std::size_t i = 0; i < n_models_; ++i) chosen_[i] = chosen_[i] || active_[i];
    }
    if (places() == 0) std::fill(active_.begin(), active_.end(), 0);
  }
}

std::vector<std::size_t> Race::order() const {
  std::vector<std::size_t> order(n_models_);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto n_behind = [&](std::size_t i) {
    const auto row = before_.begin() + static_cast<std::ptrdiff_t>(i * n_models_);
    return std::count(row, row + static_cast<std::ptrdiff_t>(n_models_), 1);
  };
  const auto place = [&](std::size_t i) -> std::ptrdiff_t {
    switch (options_.goal) {
      case RaceGoal::kOrder:
        return -n_behind(i);
      case RaceGoal::kTop:
        return chosen_[i] ? 0 : 1;
      case RaceGoal::kBaseline:
        return is_before(i, options_.baseline) ? 0 : i == options_.baseline ? 1 : 2;
    }
    return 0;
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
    return place(i) != place(j) ? place(i) < place(j) : mean_[i] < mean_[j];
  });
  return order;
}

}  // namespace lmbits
