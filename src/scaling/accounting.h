// What counts as a parameter, and as a floating point operation of training.
#pragma once
#include <cstdint>

namespace lmbits {

// A decoder of n_layer blocks of width d_model.
struct Architecture {
  double n_layer = 0, d_model = 0, vocab = 0, n_ctx = 0;
  double d_ff = 0;         // 0: 4 d_model
  double d_attn = 0;       // heads x head size; 0: d_model
  bool tied = true;        // the head is the embedding
  bool positions = false;  // a learnt vector for each position
};

struct ParameterCounts {
  double non_embedding = 0;  // 2 d_model n_layer (2 d_attn + d_ff): Kaplan et al. 2020, eq. 2.1; no biases, no norms
  double embedding = 0;      // vocab d_model, and n_ctx d_model of learnt positions
  double head = 0;           // vocab d_model; 0 where tied: counted once, as embedding
  double total = 0;          // non_embedding + embedding + head
  double with_head = 0;      // non_embedding + vocab d_model: what multiplies, the look-up left out
};
ParameterCounts count_parameters(const Architecture& a);

// FLOP to train on one token: a forward pass and a backward pass of twice its cost.
struct FlopCounts {
  double six_n_non_embedding = 0;  // 6 N without embeddings (Kaplan et al. 2020, section 2.1)
  double six_n_with_head = 0;      // 6 (N + head)
  double six_n_total = 0;          // 6 N total (Hoffmann et al. 2022)
  double attention = 0;  // 6 n_layer n_ctx d_attn: the scores and their product with the values, causal mask not used
                         // to save work (Kaplan's 2 n_layer n_ctx d_attn, times 3)
};
FlopCounts count_flops(const Architecture& a);

}  // namespace lmbits
