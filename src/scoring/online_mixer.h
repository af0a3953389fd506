// Adapts a model's next-token logits to the text at hand: what has followed the last few ids before, mixed in in the
// logistic domain with weights that are learned as the text goes by. Encoder and decoder do the same arithmetic in the
// same order. Needs no gradient of the model; a token costs one pass over the vocabulary more.
//
//   z'_j = z_j + sum_n w_n f_n(j),   f_n(j) = max(0, ln(c_n(j) / (C_n + 1)) - ln p(j))
//
// over orders n, where p = softmax(z), c_n(j) counts how often j has followed the last n ids, and C_n = sum_j c_n(j). With
// w = 1 an order lifts p to what was counted, with w = 0 it is ignored; w_n depends on C_n and on whether one id has all
// of it. After each id w goes a step up the gradient of ln q: f_n(id) - sum_j q(j) f_n(j). (A cache model as in Kuhn and De
// Mori 1990, mixed as in Mahoney 2005.)
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace lmbits {

class OnlineMixer {
 public:
  // For a text of n_ids ids; both sides must give the same numbers.
  OnlineMixer(std::int64_t vocab_size, std::int64_t n_ids);

  // The adapted logits [V] of the next id, until the next call.
  std::span<const float> mix(std::span<const float> logits);

  // The id that came, after mix().
  void update(std::int32_t id);

 private:
  static constexpr std::size_t kOrders = 5;
  static constexpr std::size_t kFollowers = 6;  // that are remembered of a context
  static constexpr std::size_t kBuckets = 8;    // of how often it was seen

  struct Context {
    std::uint32_t tag = 0;
    std::uint32_t total = 0;
    std::array<std::int32_t, kFollowers> ids{};
    std::array<std::uint32_t, kFollowers> counts{};
  };
  struct Candidate {
    std::int32_t id;
    double lift;                           // z'_j - z_j
    double log_p;                          // of the model
    std::array<double, kOrders> features;  // f_n
  };

  Context& context_of(std::size_t order, std::uint64_t hash);
  Candidate& candidate(std::int32_t id, std::span<const float> logits, double log_total);
  void count(Context& context, std::int32_t id);

  std::size_t mask_;
  std::vector<Context> contexts_;  // [kOrders][mask_ + 1]
  std::array<Context*, kOrders> current_{};
  std::array<double*, kOrders> weights_now_{};
  std::array<std::array<double, 2 * kBuckets>, kOrders> weights_{};
  std::vector<Candidate> candidates_;
  std::vector<float> mixed_;
  std::vector<std::int32_t> history_;
  double log_normalizer_ = 0.0;  // ln sum_j p(j) e^lift(j)
  std::int64_t n_seen_ = 0;
};

}  // namespace lmbits
