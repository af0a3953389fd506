// A block of threads a row, a chunk of columns a warp at a time, each logit read once in 16-byte loads.
//
// Which thread folds a column, and when, is a function of the column alone. Rows of an odd vocabulary begin anywhere in
// the 16-byte grid of memory, so a warp reads the aligned vectors that cover its chunk and shifts them into place with
// its neighbours' words: a row's bits then do not depend on where it stands in the matrix, hence not on its batch.
#include "kernels/launch.cuh"
#include "kernels/nll_row.h"
#include "kernels/nll_rows.h"

namespace lmbits::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kVectors = 4;  // 16-byte loads of a thread in flight

struct BFloat16 {
  std::uint16_t bits;
};
struct Float16 {
  std::uint16_t bits;
};

__device__ float load(const float* p) { return __ldg(p); }
__device__ float load(const BFloat16* p) { return from_float_bits(static_cast<std::uint32_t>(__ldg(&p->bits)) << 16); }
__device__ float load(const Float16* p) { return from_half_bits(__ldg(&p->bits)); }

// The logits of one 16-byte vector.
__device__ void unpack(const uint4& v, float (&y)[4], const float*) {
  y[0] = from_float_bits(v.x), y[1] = from_float_bits(v.y), y[2] = from_float_bits(v.z), y[3] = from_float_bits(v.w);
}
__device__ void unpack(const uint4& v, float (&y)[8], const BFloat16*) {
  const std::uint32_t words[4] = {v.x, v.y, v.z, v.w};
  LMBITS_UNROLL
  for (int k = 0; k < 4; ++k) {
    y[2 * k] = from_float_bits(words[k] << 16);
    y[2 * k + 1] = from_float_bits(words[k] & 0xffff0000U);
  }
}
__device__ void unpack(const uint4& v, float (&y)[8], const Float16*) {
  const std::uint32_t words[4] = {v.x, v.y, v.z, v.w};
  LMBITS_UNROLL
  for (int k = 0; k < 4; ++k) {
    y[2 * k] = from_half_bits(words[k] & 0xffffU);
    y[2 * k + 1] = from_half_bits(words[k] >> 16);
  }
}

// The 16 bytes that begin `bytes` (0 < bytes < 16, even) into low:high.
__device__ uint4 shifted(const uint4& low, const uint4& high, unsigned bytes) {
  std::uint32_t w[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  LMBITS_UNROLL
  for (int k = 0; k < 6; ++k) w[k] = (bytes & 8U) != 0 ? w[k + 2] : w[k];
  LMBITS_UNROLL
  for (int k = 0; k < 5; ++k) w[k] = (bytes & 4U) != 0 ? w[k + 1] : w[k];
  LMBITS_UNROLL
  for (int k = 0; k < 4; ++k) w[k] = (bytes & 2U) != 0 ? __funnelshift_r(w[k], w[k + 1], 16) : w[k];
  return make_uint4(w[0], w[1], w[2], w[3]);
}

__device__ uint4 from_next_lane(const uint4& mine, const uint4& following, int lane) {
  const uint4 offer = lane == 0 ? following : mine;  // lane 31 reads on where lane 0 has its next vector
  const int source = (lane + 1) % kWarp;
  return make_uint4(__shfl_sync(kAllLanes, offer.x, source), __shfl_sync(kAllLanes, offer.y, source),
                    __shfl_sync(kAllLanes, offer.z, source), __shfl_sync(kAllLanes, offer.w, source));
}

// A row in memory.
template <typename Logit>
struct Row {
  static constexpr int kPerVector = 16 / static_cast<int>(sizeof(Logit));
  static constexpr int kPerLane = kVectors * kPerVector;
  static constexpr int kChunk = kWarp * kPerLane;  // columns that a warp folds at a time

  const Logit* logits;
  std::int64_t n_cols;
  unsigned offset;  // of the first column in its 16 bytes of memory, in bytes

  // Can the chunk be read in whole vectors without leaving the row?
  __device__ bool is_inner(std::int64_t chunk) const {
    const std::int64_t end = (chunk + 1) * kChunk;
    if (offset == 0) return end <= n_cols;
    return chunk > 0 && end + kPerVector - static_cast<int>(offset / sizeof(Logit)) <= n_cols;
  }

  // The column of vector u of a lane's share of a chunk.
  __device__ std::int64_t column(std::int64_t chunk, int u, int lane) const {
    return chunk * kChunk + (u * kWarp + lane) * kPerVector;
  }

  __device__ void read_inner(std::int64_t chunk, int lane, uint4 (&v)[kVectors]) const {
    const uint4* aligned = reinterpret_cast<const uint4*>(reinterpret_cast<const char*>(logits) - offset) +
                           chunk * (kChunk / kPerVector) + lane;
    LMBITS_UNROLL
    for (int u = 0; u < kVectors; ++u) v[u] = __ldcs(aligned + u * kWarp);
    if (offset == 0) return;
    uint4 last = v[0];
    if (lane == kWarp - 1) last = __ldcs(aligned + (kVectors - 1) * kWarp + 1);
    LMBITS_UNROLL
    for (int u = 0; u < kVectors; ++u) {
      uint4 next = from_next_lane(v[u], v[u + 1 < kVectors ? u + 1 : u], lane);
      if (u + 1 == kVectors && lane == kWarp - 1) next = last;
      v[u] = shifted(v[u], next, offset);
    }
  }

  // The first or last chunk, column by column; what is no column is -inf.
  __device__ void read_edge(std::int64_t chunk, int lane, float (&y)[kPerLane]) const {
    LMBITS_UNROLL
    for (int u = 0; u < kVectors; ++u) {
      const std::int64_t first = column(chunk, u, lane);
      float part[kPerVector];
      if (offset == 0 && first + kPerVector <= n_cols) {
        unpack(__ldcs(reinterpret_cast<const uint4*>(logits + first)), part, logits);
      } else {
        LMBITS_UNROLL
        for (int k = 0; k < kPerVector; ++k) {
          part[k] = first + k < n_cols ? load(logits + first + k) : minus_infinity();
        }
      }
      LMBITS_UNROLL
      for (int k = 0; k < kPerVector; ++k) y[u * kPerVector + k] = part[k];
    }
  }
};

struct Map {
  LogitMap map;
  const float* bias;

  __device__ float operator()(float logit, std::int64_t column) const {
    return map_logit(logit, bias != nullptr ? __ldg(bias + column) : 0.0F, map);
  }

  // A lane's share of a chunk, a step at a time: branches around the loops, not in them. What is no column stays -inf.
  template <typename R>
  __device__ void apply(const R& row, std::int64_t chunk, int lane, float (&y)[R::kPerLane]) const {
    const auto column_of = [&](int k) { return row.column(chunk, k / R::kPerVector, lane) + k % R::kPerVector; };
    if (bias != nullptr) {
      LMBITS_UNROLL
      for (int k = 0; k < R::kPerLane; ++k) {
        const std::int64_t column = column_of(k);
        y[k] += __ldg(bias + (column < row.n_cols ? column : 0));
      }
    }
    LMBITS_UNROLL
    for (int k = 0; k < R::kPerLane; ++k) y[k] *= map.scale;
    if (map.softcap != 0.0F) {
      LMBITS_UNROLL
      for (int k = 0; k < R::kPerLane; ++k) {
        y[k] = column_of(k) < row.n_cols ? soft_capped(y[k], map.softcap) : minus_infinity();
      }
    }
  }
};

// All of a warp's chunks.
template <bool kMapped, bool kExtras, typename Logit>
__device__ void fold_chunks(const Row<Logit>& row, const Map& map, int warp, int lane, float target, RowSum& sum,
                            std::int32_t& n_above) {
  using R = Row<Logit>;
  const auto fold = [&](float(&y)[R::kPerLane], std::int64_t chunk) {
    if (kMapped) map.apply(row, chunk, lane, y);
    row_fold<kExtras>(sum, y);
    if (kExtras) {
      LMBITS_UNROLL
      for (int k = 0; k < R::kPerLane; ++k) n_above += y[k] > target ? 1 : 0;
    }
  };
  for (std::int64_t chunk = warp; chunk * R::kChunk < row.n_cols; chunk += kWarps) {
    float y[R::kPerLane];
    if (row.is_inner(chunk)) {
      uint4 v[kVectors];
      row.read_inner(chunk, lane, v);
      LMBITS_UNROLL
      for (int u = 0; u < kVectors; ++u) {
        float part[R::kPerVector];
        unpack(v[u], part, row.logits);
        LMBITS_UNROLL
        for (int k = 0; k < R::kPerVector; ++k) y[u * R::kPerVector + k] = part[k];
      }
    } else {
      row.read_edge(chunk, lane, y);
    }
    fold(y, chunk);
  }
}

template <bool kExtras>
__device__ void merge_lanes(RowSum& sum, std::int32_t& n_above) {
  LMBITS_UNROLL
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const RowSum other = {__shfl_xor_sync(kAllLanes, sum.max, distance), __shfl_xor_sync(kAllLanes, sum.sum, distance),
                          kExtras ? __shfl_xor_sync(kAllLanes, sum.moment, distance) : 0.0F};
    sum = row_merge<kExtras>(sum, other);
    if (kExtras) n_above += __shfl_xor_sync(kAllLanes, n_above, distance);
  }
}

__device__ void raise_flags(std::uint32_t* flags, std::uint32_t found) {
  if (flags != nullptr && found != 0) atomicOr(flags, found);
}

// Of a whole row.
__device__ void write_row(const NllRowsOut& out, std::int64_t i, const RowSum& sum, float target, bool has_target,
                          std::int32_t n_above) {
  const float bits = row_bits(sum, target);
  __stcs(out.bits + i, bits);
  if (out.lse != nullptr) __stcs(out.lse + i, row_lse(sum));
  if (out.rank != nullptr) __stcs(out.rank + i, bits == bits ? n_above : -1);
  if (out.entropy != nullptr) __stcs(out.entropy + i, row_entropy(sum));
  raise_flags(out.flags, (row_is_bad(sum) ? kNllNotFinite : 0U) | (has_target ? 0U : kNllBadTarget));
}

// Of a tile.
__device__ void update_state(NllRowState* state, const RowSum& sum, float target, bool has_target) {
  float4* p = reinterpret_cast<float4*>(state);
  const float4 before = __ldcs(p);
  const RowSum all = row_merge<false>({before.x, before.y, 0.0F}, sum);
  __stcs(p, make_float4(all.max, all.sum, has_target ? target : before.z, 0.0F));
}

// With `state`, a tile of rows; without, whole rows.
template <typename Logit, bool kMapped, bool kExtras>
__global__ void __launch_bounds__(kThreads, 2) nll_kernel(NllRows in, NllRowsOut out, NllRowState* state) {
  __shared__ RowSum warp_sums[kWarps];
  __shared__ std::int32_t warp_above[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const Map map{{in.scale, in.softcap}, in.bias};

  for (std::int64_t i = blockIdx.x; i < in.n_rows; i += gridDim.x) {
    const Logit* logits = static_cast<const Logit*>(in.logits) + i * in.stride;
    const Row<Logit> row{logits, in.n_cols, static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(logits) % 16)};
    float target = not_a_number();
    bool has_target = false;
    if (lane == 0 && (kExtras || warp == 0)) {
      const std::int64_t column = __ldg(in.targets + i) - in.first_col;
      has_target = column >= 0 && column < in.n_cols;
      if (has_target) target = load(logits + column);
      if (kMapped && has_target) target = map(target, column);
    }
    if (kExtras) target = __shfl_sync(kAllLanes, target, 0);

    RowSum sum = row_init();
    std::int32_t n_above = 0;
    fold_chunks<kMapped, kExtras>(row, map, warp, lane, target, sum, n_above);
    merge_lanes<kExtras>(sum, n_above);
    if (lane == 0) {
      warp_sums[warp] = sum;
      if (kExtras) warp_above[warp] = n_above;
    }
    __syncthreads();
    if (warp == 0) {
      sum = lane < kWarps ? warp_sums[lane] : row_init();
      if (kExtras) n_above = lane < kWarps ? warp_above[lane] : 0;
      merge_lanes<kExtras>(sum, n_above);
      if (lane == 0) {
        if (state != nullptr) {
          update_state(state + i, sum, target, has_target);
        } else {
          write_row(out, i, sum, target, has_target, n_above);
        }
      }
    }
    __syncthreads();  // the next row writes warp_sums
  }
}

__global__ void init_kernel(NllRowState* state, std::int64_t n_rows) {
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n_rows;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    __stcs(reinterpret_cast<float4*>(state + i), make_float4(minus_infinity(), 0.0F, not_a_number(), 0.0F));
  }
}

void check(const NllRows& in, std::size_t logit_bytes) {
  if (in.n_rows < 0 || in.n_cols < 1 || in.stride < in.n_cols) {
    throw std::logic_error("nll kernel: " + std::to_string(in.n_rows) + " rows of " + std::to_string(in.n_cols) +
                           " columns, " + std::to_string(in.stride) + " apart");
  }
  if (!(in.scale > 0.0F) || !(in.softcap >= 0.0F)) {
    throw std::logic_error("nll kernel: scale " + std::to_string(in.scale) + ", softcap " + std::to_string(in.softcap));
  }
  if (in.n_rows > 0 && (in.logits == nullptr || in.targets == nullptr))
    throw std::logic_error("nll kernel: null pointer");
  if (reinterpret_cast<std::uintptr_t>(in.logits) % logit_bytes != 0) {
    throw std::logic_error("nll kernel: logits are not aligned to one of " + std::to_string(logit_bytes) + " bytes");
  }
}

template <typename Logit>
void launch(const NllRows& in, const NllRowsOut& out, NllRowState* state, void* stream, std::int64_t n_blocks) {
  check(in, sizeof(Logit));
  if (in.n_rows == 0) return;  // a grid of no blocks is an error
  const bool mapped = in.bias != nullptr || in.scale != 1.0F || in.softcap != 0.0F;
  const bool extras = out.rank != nullptr || out.entropy != nullptr;
  const auto kernel = mapped ? (extras ? nll_kernel<Logit, true, true> : nll_kernel<Logit, true, false>)
                             : (extras ? nll_kernel<Logit, false, true> : nll_kernel<Logit, false, false>);
  LMBITS_LAUNCH(kernel, grid_for(in.n_rows, n_blocks), kThreads, stream, in, out, state);
  check_launch("nll kernel");
}

void launch(const NllRows& in, const NllRowsOut& out, NllRowState* state, void* stream, std::int64_t n_blocks) {
  switch (in.type) {
    case LogitType::kFloat32:
      return launch<float>(in, out, state, stream, n_blocks);
    case LogitType::kBFloat16:
      return launch<BFloat16>(in, out, state, stream, n_blocks);
    case LogitType::kFloat16:
      return launch<Float16>(in, out, state, stream, n_blocks);
  }
  throw std::logic_error("nll kernel: unknown type of logits");
}

}  // namespace

void nll_rows(const NllRows& in, const NllRowsOut& out, void* stream, std::int64_t n_blocks) {
  if (in.first_col != 0 || (out.bits == nullptr && in.n_rows > 0)) {
    throw std::logic_error("nll_rows: whole rows begin at column 0 and have bits");
  }
  launch(in, out, nullptr, stream, n_blocks);
}

void nll_tile_init(NllRowState* state, std::int64_t n_rows, void* stream) {
  if (n_rows <= 0) return;
  LMBITS_LAUNCH(init_kernel, grid_for((n_rows + kThreads - 1) / kThreads, 0), kThreads, stream, state, n_rows);
  check_launch("nll_tile_init");
}

void nll_tile_update(const NllRows& tile, NllRowState* state, void* stream, std::int64_t n_blocks) {
  if (state == nullptr && tile.n_rows > 0) throw std::logic_error("nll_tile_update: null pointer");
  launch(tile, {}, state, stream, n_blocks);
}

bool has_cuda_kernels() { return true; }

}  // namespace lmbits::kernels
