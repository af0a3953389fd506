// A block of threads a segment: each thread merges the parts of its rows and adds them up, then a fixed tree.
#include "kernels/launch.cuh"
#include "kernels/nll_row.h"
#include "kernels/nll_rows.h"

namespace lmbits::kernels {
namespace {

constexpr int kThreads = 128;

// The sums of rows that one thread has seen. No first bad row is the largest number, so that the smaller one counts.
struct Sum {
  double bits;
  double bits_squared;
  std::int64_t first_bad;
};

constexpr std::int64_t kNoBad = INT64_MAX;

__device__ float merged_bits(const NllMerge& in, std::int64_t row, std::uint32_t& found) {
  RowSum sum = row_init();
  float target = not_a_number();
  for (std::int64_t part = 0; part < in.n_parts; ++part) {
    const float4 s = __ldcs(reinterpret_cast<const float4*>(in.states + part * in.n_rows + row));
    sum = row_merge<false>(sum, {s.x, s.y, 0.0F});
    if (s.z == s.z) target = s.z;
  }
  // An unseen target and a NaN one look alike; the NaN one is in the sum, too.
  const bool bad = row_is_bad(sum);
  if (bad) found |= kNllNotFinite;
  if (target != target && !bad) found |= kNllBadTarget;
  return row_bits(sum, target);
}

__global__ void __launch_bounds__(kThreads) merge_kernel(NllMerge in, float* bits, NllSum* sums, std::uint32_t* flags) {
  __shared__ Sum shared[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  for (std::int64_t segment = blockIdx.x; segment < in.n_segments; segment += gridDim.x) {
    const std::int64_t begin = __ldg(in.begins + segment), end = __ldg(in.begins + segment + 1);
    Sum sum{0.0, 0.0, kNoBad};
    std::uint32_t found = 0;
    for (std::int64_t row = begin + thread; row < end; row += kThreads) {
      float b;
      if (in.states != nullptr) {
        b = merged_bits(in, row, found);
        if (bits != nullptr) __stcs(bits + row, b);
      } else {
        b = __ldcs(bits + row);
      }
      if (b - b != 0.0F && sum.first_bad == kNoBad) sum.first_bad = row - begin;
      sum.bits += b;
      sum.bits_squared += static_cast<double>(b) * b;
    }
    if (flags != nullptr && found != 0) atomicOr(flags, found);
    shared[thread] = sum;
    for (int half = kThreads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (thread < half) {
        Sum& mine = shared[thread];
        const Sum& other = shared[thread + half];
        mine.bits += other.bits;
        mine.bits_squared += other.bits_squared;
        if (other.first_bad < mine.first_bad) mine.first_bad = other.first_bad;
      }
    }
    if (thread == 0) {
      NllSum* out = sums + segment;
      __stcs(&out->bits, shared[0].bits);
      __stcs(&out->bits_squared, shared[0].bits_squared);
      __stcs(&out->n_rows, end - begin);
      __stcs(&out->first_bad, shared[0].first_bad == kNoBad ? -1 : shared[0].first_bad);
    }
    __syncthreads();  // the next segment writes `shared`
  }
}

}  // namespace

void nll_merge_segsum(const NllMerge& in, float* bits, NllSum* sums, std::uint32_t* flags, void* stream,
                      std::int64_t n_blocks) {
  const bool readable = in.states != nullptr ? in.n_parts >= 1 : bits != nullptr || in.n_rows == 0;
  if (in.n_rows < 0 || in.n_segments < 0 || !readable) {
    throw std::logic_error("nll_merge_segsum: " + std::to_string(in.n_rows) + " rows, " +
                           std::to_string(in.n_segments) + " segments, " + std::to_string(in.n_parts) + " parts");
  }
  if (in.n_segments == 0) return;
  if (in.begins == nullptr || sums == nullptr) throw std::logic_error("nll_merge_segsum: null pointer");
  LMBITS_LAUNCH(merge_kernel, grid_for(in.n_segments, n_blocks), kThreads, stream, in, bits, sums, flags);
  check_launch("nll_merge_segsum");
}

}  // namespace lmbits::kernels
