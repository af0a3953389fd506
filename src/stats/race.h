// A race between models: which needs the fewest bits for a corpus of N pieces, decided from as few scored pieces as the
// data allow, and safe to look at after every one of them.
//
// Every model in the race scores the same pieces, in one random order. x_i is a piece's bits under model i. The claim
// "i before j" says that over the whole corpus sum x_i <= (1 + zone) sum x_j; it is made at the first look where, for
// y = x_i - (1 + zone) x_j,
//
//   mean_n(y) + c(n, a) sd_n(y) <= 0,   c(n, a) = q sqrt(2 (t rho^2 + 1) / (t^2 rho^2) ln(1 + sqrt(t rho^2 + 1) / (2 a)))
//
// with t = n N / (N - n): the one-sided Gaussian-mixture boundary (Waudby-Smith et al. 2021, arXiv:2103.06476, for means of
// any distribution, asymptotically) on the martingale (S_n - n mu) / (N - n) of sampling without replacement
// (Waudby-Smith & Ramdas 2020, arXiv:2006.04347). q is Student's quantile over the normal one, for an sd from n pieces;
// c = 0 at n = N, where nothing is uncertain. y is linear in the bits, so no ratio is estimated.
//
// The chance that any claim of a race is wrong is kept to 1 - level by shares w of it, a = (1 - level) w (weighted
// Bonferroni). Which claims can be wrong, and so which shares must add up to 1:
//   order, zone 0     a wrong order inverts a pair of models that are neighbours in the true order: K - 1 pairs
//   order, zone > 0   any pair
//   top k             a wrong choice inverts a pair of one that belongs and one that does not: k (K - k) pairs
//   baseline          the K - 1 pairs with the baseline
// Where it is not known which pairs these are, half of the budget goes to all alike and half to pairs (i, j) by
// 1 / (i - j)^2: checkpoints listed in the order of their training are close to those beside them, and a pair that is
// far apart is settled at any a. A list in another order costs time, never validity.
//
// The truth that is claimed is this corpus' order, not that of its domain.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lmbits {

enum class RaceGoal {
  kOrder,     // all models, best first
  kTop,       // which k are the best, in no order
  kBaseline,  // which are better than one of them, and which are not
};

struct RaceOptions {
  RaceGoal goal = RaceGoal::kOrder;
  std::size_t top = 1;          // k
  std::size_t baseline = 0;     // the model that the others are compared with
  double level = 0.95;          // that every claim is right
  double zone = 0.0;            // relative difference in bits that may be claimed either way: 0.001 for 0.1 %
  std::int64_t min_pieces = 0;  // before the first claim: the boundary is asymptotic; 0: see first_look
  double look_growth = 1.04;    // a look is at so many times the pieces of the one before,
  std::int64_t look_step = 4;   // and at so many more, at least
  double tuned_share = 0.05;    // rho makes the boundary tightest at n = tuned_share N
};

// c(n, a) above; 0 where n == n_pieces. 2 <= n <= n_pieces, 0 < a < 0.5.
double race_boundary(std::int64_t n, std::int64_t n_pieces, double a, double tuned_share);

// The pieces before the first claim where nobody says: 48, but 96 where a pair has on average more than 1 % of error to
// itself. Many models never use up what they share; two do, and heavy tails made 7.5 % of 5 for a pair after 48 pieces (bench).
std::int64_t first_look(double error_of_a_pair);

// What is known of pieces before any is scored, as `controls` of Race: an indicator of each category but the first, and the
// sizes where these vary by more than a tenth. A slope on nearly equal sizes is fitted to a few short pieces at the end of
// texts, and costs more than it explains.
std::vector<std::vector<double>> race_controls(const std::vector<std::int64_t>& n_bytes,
                                               const std::vector<std::size_t>& category);

class Race {
 public:
  // `controls` holds [control][piece] numbers that are known of all N pieces before any is scored (size, category as 0 and
  // 1), in racing order: bits are regressed on them, and their known means take out what the draw of pieces did to them.
  // n_models >= 2, n_pieces >= 2.
  Race(std::size_t n_models, std::int64_t n_pieces, std::vector<std::vector<double>> controls,
       const RaceOptions& options);

  std::int64_t n_scored() const { return n_; }  // pieces, by every model that is still in the race
  std::int64_t next_look() const;               // how many it wants to have been scored then
  bool is_active(std::size_t model) const { return active_[model]; }
  bool finished() const;

  // bits[model] holds, for each active model, its bits of the pieces n_scored() ... next_look() - 1; others are not read.
  void advance(const std::vector<std::vector<double>>& bits);

  // Was "i before j" claimed?
  bool is_before(std::size_t i, std::size_t j) const { return before_[i * n_models_ + j]; }
  // Estimated mean bits a piece, from the pieces that the model scored; for a model that left the race, at that time.
  double mean_bits(std::size_t model) const { return mean_[model]; }
  std::int64_t n_scored_by(std::size_t model) const { return n_of_[model]; }
  // Once finished. Order: best first. Top: the k, in the order of their estimates, then the others. Baseline: the better
  // ones, the baseline, the others.
  std::vector<std::size_t> order() const;
  // The share of (1 - level) that the claims of two models are tested at whose places in the list differ by `distance`.
  double share(std::size_t distance) const;

 private:
  double n_claims() const;
  struct Moments {
    std::vector<double> mean, covariance;  // [K], [K, K]; of active models, controls taken out
    std::vector<double> boundary;          // [K]: c(n, a) for pairs by the distance of their places
  };
  Moments moments() const;
  void take(const std::vector<std::vector<double>>& bits, std::int64_t n_new);
  bool claim(const Moments& now, std::size_t i, std::size_t j, double zone) const;
  void settle_pairs(const Moments& now);
  void settle_top(const Moments& now);

  std::size_t n_models_;
  std::int64_t n_pieces_;
  std::vector<std::vector<double>> controls_;  // centred on their means over the corpus
  RaceOptions options_;
  double near_share_ = 0.0;  // of a pair beside each other, from the half that goes by distance

  std::int64_t n_ = 0;
  std::vector<double> offset_;  // [K]: means of the first pieces, taken off so that sums of squares keep their digits
  std::vector<double> sum_, gram_;            // [K + C], [K + C, K + C] of bits and controls
  std::vector<char> active_, open_, before_;  // [K], [K, K], [K, K]
  std::vector<char> strictly_before_;         // [K, K]: claims with zone 0, by which a model drops out of the top
  std::vector<char> chosen_;                  // [K]: in the top
  std::vector<double> mean_;                  // [K]
  std::vector<std::int64_t> n_of_;            // [K]
};

// The share of all tokens that a race will take, before it: every pair of neighbours differs by `gap` in bits, relatively,
// and a piece's relative paired difference has the standard deviation `sd`. Solves c(n, a) sd = gap + zone for n,
// from the first look on.
double expected_race_share(std::int64_t n_pieces, double gap, double sd, double zone, double a, double tuned_share);

}  // namespace lmbits
