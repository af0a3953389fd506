#include "src/scoring/online_mixer.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/nll.h"
#include "src/core/units.h"

namespace lmbits {
namespace {

constexpr std::array<std::size_t, 5> kLengths = {1, 2, 3, 4, 6};  // ids of each order's context
constexpr double kFirstWeight = 0.3;
constexpr double kRate = 0.02, kLeastRate = 0.002;
constexpr double kMaxWeight = 1.5;
constexpr std::uint32_t kMaxCount = 255;

std::uint64_t mix_in(std::uint64_t h, std::uint64_t value) {
  h = (h ^ value) * 0x9E3779B97F4A7C15U;
  return h ^ h >> 32;
}

}  // namespace

OnlineMixer::OnlineMixer(std::int64_t vocab_size, std::int64_t n_ids)
    : mask_(std::bit_ceil(static_cast<std::size_t>(std::clamp<std::int64_t>(n_ids, 16, 1 << 18))) - 1),
      contexts_(kOrders * (mask_ + 1)),
      mixed_(static_cast<std::size_t>(vocab_size)) {
  static_assert(kLengths.size() == kOrders);
  for (auto& of_order : weights_) of_order.fill(kFirstWeight);
}

OnlineMixer::Context& OnlineMixer::context_of(std::size_t order, std::uint64_t hash) {
  Context& context = contexts_[order * (mask_ + 1) + (hash & mask_)];
  const auto tag = static_cast<std::uint32_t>(hash >> 32) | 1U;
  if (context.tag != tag) context = {.tag = tag};
  return context;
}

OnlineMixer::Candidate& OnlineMixer::candidate(std::int32_t id, std::span<const float> logits, double log_total) {
  for (Candidate& known : candidates_) {
    if (known.id == id) return known;
  }
  return candidates_.emplace_back(Candidate{id, 0.0, double{logits[static_cast<std::size_t>(id)]} - log_total, {}});
}

std::span<const float> OnlineMixer::mix(std::span<const float> logits) {
  kernels::NllState state;
  const std::int32_t first = 0;
  const auto n = static_cast<std::int64_t>(logits.size());
  kernels::nll_init(&state, 1);
  kernels::nll_update(logits.data(), &first, &state, {.n_rows = 1, .n_cols = n, .stride = n, .first_col = 0});
  const double log_total = std::log(state.sum) + double{state.max};

  candidates_.clear();
  for (std::size_t order = 0; order < kOrders; ++order) {
    current_[order] = nullptr;
    if (history_.size() < kLengths[order]) continue;
    std::uint64_t hash = order + 1;
    for (std::size_t i = 1; i <= kLengths[order]; ++i)
      hash = mix_in(hash, static_cast<std::uint64_t>(history_[history_.size() - i]) + 1);
    const Context& context = *(current_[order] = &context_of(order, hash));
    if (context.total == 0) continue;
    const bool certain = context.counts[0] == context.total;
    const auto bucket = std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(context.total)), kBuckets) - 1;
    weights_now_[order] = &weights_[order][2 * bucket + (certain ? 1 : 0)];
    for (std::size_t f = 0; f < kFollowers && context.counts[f] > 0; ++f) {
      Candidate& c = candidate(context.ids[f], logits, log_total);
      const double share = std::log(static_cast<double>(context.counts[f]) / (context.total + 1.0));
      c.features[order] = std::max(0.0, share - c.log_p);
      c.lift += *weights_now_[order] * c.features[order];
    }
  }
  std::copy(logits.begin(), logits.end(), mixed_.begin());
  double normalizer = 1.0;
  for (const Candidate& c : candidates_) {
    mixed_[static_cast<std::size_t>(c.id)] += static_cast<float>(c.lift);
    normalizer += std::exp(c.log_p) * std::expm1(c.lift);
  }
  log_normalizer_ = std::log(normalizer);
  return mixed_;
}

void OnlineMixer::update(std::int32_t id) {
  const double rate = std::max(kLeastRate, kRate / (1.0 + static_cast<double>(n_seen_++) / 2000.0));
  std::array<double, kOrders> gradient{};
  for (const Candidate& c : candidates_) {
    const double q = std::exp(c.log_p + c.lift - log_normalizer_);
    for (std::size_t order = 0; order < kOrders; ++order)
      gradient[order] += ((c.id == id ? 1.0 : 0.0) - q) * c.features[order];
  }
  for (std::size_t order = 0; order < kOrders; ++order) {
    if (current_[order] == nullptr) continue;
    if (current_[order]->total > 0) {
      double& weight = *weights_now_[order];
      weight = std::clamp(weight + rate * gradient[order], 0.0, kMaxWeight);
    }
    count(*current_[order], id);
  }
  history_.push_back(id);
}

// Followers stay in the order of their counts; where there is no place, the last one goes.
void OnlineMixer::count(Context& context, std::int32_t id) {
  std::size_t at = 0;
  while (at < kFollowers && context.counts[at] > 0 && context.ids[at] != id) ++at;
  if (at == kFollowers) {
    --at;
    context.total -= context.counts[at];
    context.counts[at] = 0;
  }
  context.ids[at] = id;
  ++context.counts[at];
  ++context.total;
  for (; at > 0 && context.counts[at] > context.counts[at - 1]; --at) {
    std::swap(context.counts[at], context.counts[at - 1]);
    std::swap(context.ids[at], context.ids[at - 1]);
  }
  if (context.counts[0] <= kMaxCount) return;
  context.total = 0;
  for (std::uint32_t& n : context.counts) context.total += n /= 2;
}

}  // namespace lmbits
