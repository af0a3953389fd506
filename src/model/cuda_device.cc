#include <ATen/Context.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <charconv>
#include <mutex>

#include "src/core/error.h"
#include "src/model/device.h"

namespace lmbits {
namespace {

// While one thread captures, others may not ask whether a device still answers, nor free the allocator's cache (of all devices):
// both would break the capture off.
std::mutex& capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

class CudaReplay final : public Replay {
 public:
  // Capturing in this thread alone: another may be allocating for the other stream meanwhile.
  explicit CudaReplay(const std::function<void()>& work) {
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      try {
        graph_.capture_end();
      } catch (const std::exception&) {  // what went wrong first is what counts
      }
      cudaGetLastError();  // a capture that broke off leaves its mark
      throw;
    }
    graph_.capture_end();
  }
  void run() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(c10::DeviceIndex index) : index_(index) {
    const c10::cuda::CUDAGuard guard(index);
    for (std::size_t i = 0; i < kDeviceStreams; ++i) streams_.push_back(c10::cuda::getStreamFromPool(false, index));
    at::empty({1}, at::TensorOptions().device(place()));  // brings the allocator up
    c10::cuda::CUDACachingAllocator::resetPeakStats(index);
  }

  std::string name() const override { return "cuda:" + std::to_string(index_); }

  std::string description() const override {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, index_) != cudaSuccess) return name();
    int driver = 0;
    cudaDriverGetVersion(&driver);
    return std::string(properties.name) + ", compute capability " + std::to_string(properties.major) + "." +
           std::to_string(properties.minor) + ", " + std::to_string(properties.totalGlobalMem >> 20) +
           " MiB, driver for CUDA " + std::to_string(driver / 1000) + "." + std::to_string(driver % 1000 / 10);
  }

  at::Device place() const override { return {at::kCUDA, index_}; }

  void run(std::size_t stream, const std::function<void()>& work) override {
    const c10::cuda::CUDAStreamGuard guard(streams_.at(stream));
    work();
  }

  void synchronize(std::size_t stream) override { streams_.at(stream).synchronize(); }

  at::Tensor pinned(std::int64_t n_elements, at::ScalarType type) override {
    return at::empty({n_elements}, at::TensorOptions().dtype(type).pinned_memory(true));
  }
  at::Tensor to_device(const at::Tensor& pinned) override { return pinned.to(place(), /*non_blocking=*/true); }
  void to_host(const at::Tensor& from, const at::Tensor& pinned) override { pinned.copy_(from, /*non_blocking=*/true); }

  at::Tensor multiply(const at::Tensor& h, const at::Tensor& weight) override {
    if (h.scalar_type() == at::kFloat) return at::mm(h, weight.t());
    return at::mm(h, weight.t(), at::kFloat);
  }

  std::unique_ptr<Replay> capture(const std::function<void()>& work) override {
    const std::lock_guard lock(capture_mutex());
    return std::make_unique<CudaReplay>(work);
  }

  void nll_tile_init(kernels::NllRowState* state, std::int64_t n_rows) override {
    kernels::nll_tile_init(state, n_rows, stream());
  }
  void nll_tile_update(const kernels::NllRows& tile, kernels::NllRowState* state) override {
    kernels::nll_tile_update(tile, state, stream());
  }
  void nll_merge_segsum(const kernels::NllMerge& in, float* bits, kernels::NllSum* sums,
                        std::uint32_t* flags) override {
    kernels::nll_merge_segsum(in, bits, sums, flags, stream());
  }

  void release_cache() override {
    const std::lock_guard lock(capture_mutex());
    c10::cuda::CUDACachingAllocator::emptyCache();
  }

  std::int64_t peak_bytes() const override {
    return c10::cuda::CUDACachingAllocator::getDeviceStats(index_).allocated_bytes[0].peak;
  }

  // An asynchronous failure sticks: every later call returns it.
  std::optional<std::string> problem() const override {
    const std::lock_guard lock(capture_mutex());
    cudaSetDevice(index_);  // the guard's own checks would throw on a lost device
    const cudaError_t status = cudaDeviceSynchronize();
    if (status == cudaSuccess || status == cudaErrorMemoryAllocation) return std::nullopt;
    return cudaGetErrorString(status);
  }

 private:
  void* stream() const { return c10::cuda::getCurrentCUDAStream(index_).stream(); }

  c10::DeviceIndex index_;
  std::vector<c10::cuda::CUDAStream> streams_;
};

// The number of "cuda:N", -1 where it is none.
int index_of(const std::string& name) {
  if (name == "cuda") return 0;
  int index = -1;
  if (!name.starts_with("cuda:")) return -1;
  const char* last = name.data() + name.size();
  return std::from_chars(name.data() + 5, last, index).ptr == last ? index : -1;
}

}  // namespace

std::optional<std::string> why_no_cuda_device() {
  int n = 0;
  const cudaError_t status = cudaGetDeviceCount(&n);
  if (status != cudaSuccess) return cudaGetErrorString(status);
  if (n == 0) return "the driver sees no device";
  return std::nullopt;
}

std::vector<std::unique_ptr<Device>> open_cuda_devices(const std::string& wanted) {
  if (const auto why = why_no_cuda_device()) {
    throw Error(ErrorKind::kDevice, "--device " + wanted + ": there is no CUDA device: " + *why,
                "use --device cpu or auto; lmbits doctor shows what this machine offers");
  }
  const int n = c10::cuda::device_count();
  std::vector<std::string> names;
  if (wanted == "cuda:all") {
    for (int i = 0; i < n; ++i) names.push_back("cuda:" + std::to_string(i));
  } else {
    for (std::size_t at = 0; at <= wanted.size();) {
      const std::size_t end = std::min(wanted.find(',', at), wanted.size());
      names.push_back(wanted.substr(at, end - at));
      at = end + 1;
    }
  }
  // Sums in a narrower type would make bits depend on how cuBLAS splits a product; TF32 keeps 10 bits of a float.
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  std::vector<std::unique_ptr<Device>> devices;
  for (const std::string& name : names) {
    const int index = index_of(name);
    if (index < 0 || index >= n) {
      throw Error(
          ErrorKind::kDevice,
          "--device " + wanted + ": " + name + " is none of the " + std::to_string(n) + " CUDA devices of this machine",
          "they are cuda:0 to cuda:" + std::to_string(n - 1));
    }
    devices.push_back(std::make_unique<CudaDevice>(static_cast<c10::DeviceIndex>(index)));
  }
  return devices;
}

}  // namespace lmbits
