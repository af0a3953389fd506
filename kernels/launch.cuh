// How the .cu files launch a kernel. tests/simt has a cuda_runtime.h of its own, which runs them on the host.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#if !defined(LMBITS_LAUNCH)
#define LMBITS_LAUNCH(kernel, n_blocks, n_threads, stream, ...) \
  kernel<<<(n_blocks), (n_threads), 0, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)
#endif

namespace lmbits::kernels {
namespace {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffU;
constexpr std::int64_t kMostBlocks = 1 << 16;  // kernels walk on with the grid's stride

inline unsigned grid_for(std::int64_t n, std::int64_t n_blocks) {
  return static_cast<unsigned>(std::min(n, n_blocks > 0 ? n_blocks : kMostBlocks));
}

inline void check_launch(const char* kernel) {
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) throw std::runtime_error(std::string(kernel) + ": " + cudaGetErrorString(status));
}

}  // namespace
}  // namespace lmbits::kernels
