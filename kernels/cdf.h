// Integer weights of a next token, for an arithmetic coder: the same numbers in encoder and decoder, whatever the order
// in which they are summed.
//
//   w_v = 1 + rint(2^k e^(x_v - m)),   m = max_v x_v,   q(v) = w_v / sum_v w_v
//
// Every token keeps a weight of 1 (a logit of -inf too: it can be coded, at some 40 bits), so q(v) > 0; sums are of
// integers. k = cdf_precision(V) is as large as a total below 2^55 allows, 40 at most. The expected cost of q against
// p = softmax(x) is below V 2^-k log2(e) bits a token for the floor, 3e-6 at V = 131072 (k = 37), beside fp32 rounding of
// e^x (1e-7 relative).
//
// A weight depends on its own logit, the maximum and the instruction set only. Errors: a logit that is NaN or +inf, or no
// logit above -inf, gives a total of 0.
#pragma once
#include <cstdint>

#include "kernels/isa.h"

namespace lmbits::kernels {

// The largest vocabulary that the functions below take; k is 32 or more up to there.
inline constexpr std::int64_t kMaxCdfVocab = std::int64_t{1} << 22;

// k of a vocabulary of n ids, 1 <= n <= kMaxCdfVocab.
int cdf_precision(std::int64_t n);

struct CdfInterval {
  std::uint64_t low;    // sum of the weights before the target
  std::uint64_t width;  // the target's
  std::uint64_t total;  // of all
  double bits;          // -log2 p(target), from fp32 exponentials summed in double: what the interval approximates
};

// The target's share of `logits` [n]. 0 <= target < n <= kMaxCdfVocab. std::logic_error where the machine lacks isa.
CdfInterval cdf_interval(Isa isa, const float* logits, std::int64_t n, std::int64_t target);

// All weights [n]; returns their total.
std::uint64_t cdf_weights(Isa isa, const float* logits, std::int64_t n, std::uint64_t* weights);

struct CdfSymbol {
  std::int64_t symbol;
  std::uint64_t low, width;
};

// The symbol with low <= at < low + width, for 0 <= at < total.
CdfSymbol cdf_find(const std::uint64_t* weights, std::int64_t n, std::uint64_t at);

// The weights in plain double arithmetic: what the tests compare with (they may differ by rounding of e^x). Returns the
// total.
std::uint64_t cdf_weights_reference(const float* logits, std::int64_t n, std::uint64_t* weights);

}  // namespace lmbits::kernels
