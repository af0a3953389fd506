// Stands in for the toolkit's header, so that a .cu file compiles as C++ and its kernels run on the host: see simt.h.
#pragma once
#include "tests/simt/simt.h"

#define __global__
#define __device__
#define __launch_bounds__(...)
// All shared variables lie in one section of the program, which is poisoned before each block.
#define __shared__ static __attribute__((section("simt_shared")))

#define threadIdx (lmbits::simt::thread_index())
#define blockIdx (lmbits::simt::block_index())
#define blockDim (lmbits::simt::block_extent())
#define gridDim (lmbits::simt::grid_extent())

#define __syncthreads() lmbits::simt::block_barrier(__FILE__, __LINE__)
#define __shfl_sync(mask, value, lane) lmbits::simt::shuffle((mask), (value), [&](int) { return (lane); })
#define __shfl_xor_sync(mask, value, bits) lmbits::simt::shuffle((mask), (value), [&](int own) { return own ^ (bits); })

#define LMBITS_LAUNCH(kernel, n_blocks, n_threads, stream, ...) \
  (static_cast<void>(stream), lmbits::simt::launch((n_blocks), (n_threads), [&] { kernel(__VA_ARGS__); }))

using cudaStream_t = void*;
using cudaError_t = int;
inline constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <typename T>
T __ldg(const T* p) {
  return lmbits::simt::load(p);
}
template <typename T>
T __ldcs(const T* p) {
  return lmbits::simt::load(p);
}
template <typename T>
void __stcs(T* p, std::common_type_t<T> value) {
  lmbits::simt::store(p, value);
}
inline unsigned atomicOr(unsigned* p, unsigned value) {
  const unsigned before = lmbits::simt::load(p);
  lmbits::simt::store(p, before | value);
  return before;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  const auto both = (static_cast<unsigned long long>(high) << 32) | low;
  return static_cast<unsigned>(both >> (shift & 31U));
}
