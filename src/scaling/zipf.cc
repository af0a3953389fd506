#include "src/scaling/zipf.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "src/stats/linear.h"
#include "src/stats/normal.h"

namespace lmbits {

std::optional<ZipfFit> fit_zipf(std::vector<std::int64_t> counts, std::int64_t rank_lo, std::int64_t rank_hi,
                                double level) {
  std::sort(counts.begin(), counts.end(), std::greater<>());
  ZipfFit fit;
  fit.n_types = std::ssize(counts);
  for (const std::int64_t c : counts) fit.n_tokens += c;
  if (rank_hi == 0) rank_hi = std::upper_bound(counts.begin(), counts.end(), 10, std::greater<>()) - counts.begin();
  rank_hi = std::min(rank_hi, fit.n_types);
  if (rank_lo < 1 || rank_hi - rank_lo < 2) return std::nullopt;
  fit.rank_lo = rank_lo;
  fit.rank_hi = rank_hi;
  fit.count_lo = counts[static_cast<std::size_t>(rank_hi - 1)];
  std::vector<double> log_rank, count;
  double n = 0.0, mean_log = 0.0;
  for (std::int64_t r = rank_lo; r <= rank_hi; ++r) {
    log_rank.push_back(std::log(static_cast<double>(r)));
    count.push_back(static_cast<double>(counts[static_cast<std::size_t>(r - 1)]));
    n += count.back();
    mean_log += count.back() * log_rank.back();
  }
  mean_log /= n;
  fit.share = n / static_cast<double>(fit.n_tokens);
  // The likelihood's slope is n (E_s[log r] - mean log r), E_s falling in s: bisect.
  const auto moments = [&](double s) {
    double z = 0.0, first = 0.0, second = 0.0;
    for (const double x : log_rank) {
      const double w = std::exp(-s * (x - log_rank[0]));
      z += w;
      first += w * x;
      second += w * x * x;
    }
    return std::array{first / z, second / z - first * first / (z * z), z};
  };
  double lo = -5.0, hi = 20.0;
  for (int i = 0; i < 200; ++i) {
    const double middle = 0.5 * (lo + hi);
    (moments(middle)[0] > mean_log ? lo : hi) = middle;
  }
  fit.exponent = 0.5 * (lo + hi);
  const auto at = moments(fit.exponent);
  const double half = normal_quantile(0.5 * (1.0 + level)) / std::sqrt(n * at[1]);
  fit.interval = Interval{fit.exponent - half, fit.exponent + half};
  std::vector<double> log_count;
  for (std::size_t i = 0; i < count.size(); ++i) {
    log_count.push_back(std::log(std::max(count[i], 0.5)));
    const double expected = std::log(n / at[2]) - fit.exponent * (log_rank[i] - log_rank[0]);
    fit.worst_ratio = std::max(fit.worst_ratio, std::exp(std::abs(log_count[i] - expected)));
  }
  const auto line = least_squares({std::vector<double>(log_rank.size(), 1.0), log_rank}, log_count);
  fit.least_squares = line ? -(*line)[1] : 0.0;
  return fit;
}

}  // namespace lmbits
