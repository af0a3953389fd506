// Every kernel's body over one class `S` of vector operations: included by the file of each instruction set.
#pragma once
#include "kernels/attention_kept_simd.h"
#include "kernels/attention_simd.h"
#include "kernels/cdf_simd.h"
#include "kernels/dispatch.h"
#include "kernels/head_simd.h"
#include "kernels/linear_simd.h"
#include "kernels/nll_simd.h"
#include "kernels/rows_simd.h"

namespace lmbits::kernels {
namespace {

template <class S>
constexpr Bodies all_bodies() {
  return {
      nll_block<S>, S::kLanes,          linear_panels<S>, pack_linear_weight<S>, linear_rows<S>,   attention_scratch<S>,
      attend<S>,    attention_cache<S>, keep<S>,          attend_one<S>,         rms_norm_rows<S>, S::kTileRows,
      head_rows<S>, rotate<S>,          row_max<S>,       cdf_block<S>};
}

}  // namespace
}  // namespace lmbits::kernels
