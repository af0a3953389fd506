#include "src/scaling/accounting.h"

namespace lmbits {

ParameterCounts count_parameters(const Architecture& a) {
  const double d_ff = a.d_ff > 0 ? a.d_ff : 4 * a.d_model, d_attn = a.d_attn > 0 ? a.d_attn : a.d_model;
  ParameterCounts n;
  n.non_embedding = 2 * a.d_model * a.n_layer * (2 * d_attn + d_ff);
  n.embedding = (a.vocab + (a.positions ? a.n_ctx : 0)) * a.d_model;
  n.head = a.tied ? 0 : a.vocab * a.d_model;
  n.total = n.non_embedding + n.embedding + n.head;
  n.with_head = n.non_embedding + a.vocab * a.d_model;
  return n;
}

FlopCounts count_flops(const Architecture& a) {
  const ParameterCounts n = count_parameters(a);
  const double d_attn = a.d_attn > 0 ? a.d_attn : a.d_model;
  return {6 * n.non_embedding, 6 * n.with_head, 6 * n.total, 6 * a.n_layer * a.n_ctx * d_attn};
}

}  // namespace lmbits
