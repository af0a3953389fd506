// Causal softmax attention of a batch of sequences (Vaswani et al. 2017, arXiv:1706.03762).
//
//   out[t] = sum_{s <= t} p_s v[s],   p = softmax_{s <= t}(scale * q[t] . k[s])
//
// Heads may share keys and values (grouped queries: Ainslie et al. 2023, arXiv:2305.13245): head h reads those of
// h / (n_heads / n_kv_heads).
// Shapes:  q, out [B, H, T, S]; k, v [B, H_kv, T, S]; the last dimension dense, any stride on the others; out may not
//          overlap the rest. fp32 throughout, the softmax's sum in double.
// first_query [B], or null: rows of sequence b before first_query[b] are of no interest and hold anything.
// A row of out depends on T not at all: it is bit-identical at every T that includes it, whatever comes after it.
// Errors:  NaN where a score up to t is NaN or +inf. A NaN in k or v may also reach up to kTileRows - 1 earlier rows.
#pragma once
#include <cstdint>

#include "kernels/isa.h"

namespace lmbits::kernels {

struct AttentionShape {
  std::int64_t n_sequences;  // B
  std::int64_t n_heads;      // H, a multiple of n_kv_heads
  std::int64_t n_kv_heads;   // H_kv
  std::int64_t n_positions;  // T
  std::int64_t head_size;    // S
  float scale;               // commonly 1 / sqrt(S)
};

// Rotary position embedding of q and k before their product (rows.h: rotate_heads), cos and sin [T, S / 2] dense; null: none.
struct Rotation {
  const float* cos = nullptr;
  const float* sin = nullptr;
};

// A tensor [B, H, T, S] in place: elements from one index to the next.
template <class T>
struct HeadsView {
  T* data;
  std::int64_t sequence_stride;
  std::int64_t head_stride;
  std::int64_t position_stride;

  T* at(std::int64_t sequence, std::int64_t head) const {
    return data + sequence * sequence_stride + head * head_stride;
  }
};

// Floats of scratch memory that causal_attention needs; grows with T * S, not with B or H.
std::int64_t attention_workspace(Isa isa, const AttentionShape& shape);

// std::logic_error where the machine lacks isa.
void causal_attention(Isa isa, const AttentionShape& shape, HeadsView<const float> q, HeadsView<const float> k,
                      HeadsView<const float> v, HeadsView<float> out, float* workspace,
                      const std::int64_t* first_query = nullptr, Rotation rotation = {});

// Keys and values of one sequence that are kept from call to call, as causal_attention packs them for itself. Of the
// shape, n_sequences is not looked at, and n_positions is the room. Floats it takes:
std::int64_t attention_cache_size(Isa isa, const AttentionShape& shape);

// Keeps k and v [H_kv, S] (`k_stride` and `v_stride` elements from one head to the next) of a position; those after it are forgotten.
void keep_position(Isa isa, const AttentionShape& shape, float* cache, std::int64_t position, const float* k,
                   std::int64_t k_stride, const float* v, std::int64_t v_stride);

// out [H, S] of the query q [H, S] at a position whose keys and values, and those of all before it, are kept: equal, to the
// last bit, to causal_attention's row. workspace: attention_workspace(isa, shape) floats.
void attend_kept(Isa isa, const AttentionShape& shape, const float* cache, std::int64_t position, const float* q,
                 std::int64_t q_stride, float* out, std::int64_t out_stride, float* workspace);

// causal_attention in double arithmetic, from the equation: what the tests compare with. out [B, H, T, S], dense.
void causal_attention_reference(const AttentionShape& shape, HeadsView<const float> q, HeadsView<const float> k,
                                HeadsView<const float> v, double* out);

}  // namespace lmbits::kernels
