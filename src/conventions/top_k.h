// What lmic's authors did to a prediction: only its K most probable tokens count, renormalised (arXiv:2309.10668; K = 100).
#pragma once
#include <cstdint>
#include <span>

namespace lmbits {

// -log2 q(target), where q(v) = p(v) / (sum of the K largest p) and p = softmax(logits [V], natural logarithms).
//
// The paper gives no rule for a target outside the K, whose q would be 0: it keeps p(target). So the bits are those of a
// code only where all targets are inside, and too few by up to -log2(sum of the K largest p) elsewhere. A target as
// probable as the K-th is inside. K >= V: all of it. Double arithmetic. NaN: any logit is, or target is outside [0, V).
double top_k_bits(std::span<const float> logits, std::int32_t target, std::int64_t k);

}  // namespace lmbits
