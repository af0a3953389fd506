#include "src/stats/paired_tests.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "src/stats/normal.h"

namespace lmbits {
namespace {

struct SignedRanks {
  std::vector<std::int64_t> doubled;  // 2 x the rank of each |d|: an integer also where ties share their mean rank
  std::int64_t doubled_positive = 0;  // sum over d > 0
  double tie_term = 0.0;              // sum over groups of t equal |d| of t^3 - t
};

SignedRanks signed_ranks(std::span<const double> differences) {
  std::vector<double> sorted;
  for (const double d : differences) {
    if (d != 0.0) sorted.push_back(d);
  }
  std::sort(sorted.begin(), sorted.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
  SignedRanks ranks;
  for (std::size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && std::abs(sorted[end]) == std::abs(sorted[begin])) ++end;
    const auto doubled = static_cast<std::int64_t>(begin + 1 + end);
    for (std::size_t i = begin; i < end; ++i) {
      ranks.doubled.push_back(doubled);
      if (sorted[i] > 0.0) ranks.doubled_positive += doubled;
    }
    const auto t = static_cast<double>(end - begin);
    ranks.tie_term += t * t * t - t;
  }
  return ranks;
}

// P(sum of the positive ranks as far from its mean as observed) when each sign is a fair coin: the distribution of the
// sum by adding one rank after the other.
double exact_p(const SignedRanks& ranks) {
  std::int64_t total = 0;
  for (const std::int64_t r : ranks.doubled) total += r;
  std::vector<double> probability(static_cast<std::size_t>(total) + 1, 0.0);
  probability[0] = 1.0;
  for (const std::int64_t r : ranks.doubled) {
    for (std::int64_t s = total; s >= 0; --s) {
      const double without = probability[static_cast<std::size_t>(s)];
      const double with = s >= r ? probability[static_cast<std::size_t>(s - r)] : 0.0;
      probability[static_cast<std::size_t>(s)] = 0.5 * (without + with);
    }
  }
  const std::int64_t smaller = std::min(ranks.doubled_positive, total - ranks.doubled_positive);
  double tail = 0.0;
  for (std::int64_t s = 0; s <= smaller; ++s) tail += probability[static_cast<std::size_t>(s)];
  return std::min(1.0, 2.0 * tail);
}

double normal_p(const SignedRanks& ranks) {
  const auto n = static_cast<double>(ranks.doubled.size());
  const double mean = n * (n + 1.0) / 4.0;
  const double variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ranks.tie_term / 48.0;
  const double distance = std::abs(0.5 * static_cast<double>(ranks.doubled_positive) - mean);
  return std::min(1.0, 2.0 * normal_cdf(-std::max(0.0, distance - 0.5) / std::sqrt(variance)));
}

}  // namespace

std::optional<double> sign_test(std::span<const double> differences) {
  const auto above =
      static_cast<double>(std::count_if(differences.begin(), differences.end(), [](double d) { return d > 0.0; }));
  const auto below =
      static_cast<double>(std::count_if(differences.begin(), differences.end(), [](double d) { return d < 0.0; }));
  const double n = above + below;
  if (n == 0.0) return std::nullopt;
  // Each term from the one before, as logarithms: 2^-n underflows from n = 1075 on.
  double log_term = -n * std::log(2.0), tail = 0.0;
  for (double k = 0.0; k <= std::min(above, below); k += 1.0) {
    tail += std::exp(log_term);
    log_term += std::log(n - k) - std::log(k + 1.0);
  }
  return std::min(1.0, 2.0 * tail);
}

std::optional<double> wilcoxon_signed_rank(std::span<const double> differences) {
  constexpr std::size_t kExactUpTo = 50;
  const SignedRanks ranks = signed_ranks(differences);
  if (ranks.doubled.empty()) return std::nullopt;
  return ranks.doubled.size() <= kExactUpTo ? exact_p(ranks) : normal_p(ranks);
}

}  // namespace lmbits
