// What scoring asks of a GPU, as far as it is not a tensor's own operator: the seam behind which tests put a device that
// runs out of memory, gets lost or copies late. Included only in src/model/*.cc and tests.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/nll_rows.h"

namespace lmbits {

// Work that a device does again as a whole, at the cost of starting it once: kernels, and where they read and write.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void run() = 0;  // enqueues
};

// All of it may be called by several threads at once. `run` makes a stream of the device current in the calling thread; the
// functions that say "enqueues" must be called inside, and put work on that stream.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string name() const = 0;         // "cuda:0"
  virtual std::string description() const = 0;  // of the hardware
  virtual at::Device place() const = 0;         // where tensors live

  virtual void run(std::size_t stream, const std::function<void()>& work) = 0;  // streams 0 .. kDeviceStreams - 1
  virtual void synchronize(std::size_t stream) = 0;  // until all that was enqueued on it is done

  // Host memory that is copied from and to while the host goes on. What is copied must stay until the next synchronize.
  virtual at::Tensor pinned(std::int64_t n_elements, at::ScalarType type) = 0;
  virtual at::Tensor to_device(const at::Tensor& pinned) = 0;                      // enqueues
  virtual void to_host(const at::Tensor& from, const at::Tensor& pinned) = 0;      // enqueues
  virtual at::Tensor multiply(const at::Tensor& h, const at::Tensor& weight) = 0;  // h w^T in fp32, enqueues

  // What `work` would enqueue, without doing it. Tensors that it makes live as long as the replay. Throws what `work` throws
  // and std::exception where it does what cannot be done again (waits for the device, say).
  virtual std::unique_ptr<Replay> capture(const std::function<void()>& work) = 0;

  // The kernels of the same names; enqueue.
  virtual void nll_tile_init(kernels::NllRowState* state, std::int64_t n_rows) = 0;
  virtual void nll_tile_update(const kernels::NllRows& tile, kernels::NllRowState* state) = 0;
  virtual void nll_merge_segsum(const kernels::NllMerge& in, float* bits, kernels::NllSum* sums,
                                std::uint32_t* flags) = 0;

  virtual void release_cache() = 0;                        // memory that no tensor uses
  virtual std::int64_t peak_bytes() const = 0;             // of tensors, since the device was opened
  virtual std::optional<std::string> problem() const = 0;  // why nothing more can be computed on it, once that is so
};

inline constexpr std::size_t kDeviceStreams = 2;  // one computes while the host fills the other's next batch

// The devices that --device names: "cuda" is the first, "cuda:N" one, "cuda:0,cuda:1" several, "cuda:all" all. Throws
// Error(kDevice) where there is none of that name, or none at all, and says why.
std::vector<std::unique_ptr<Device>> open_cuda_devices(const std::string& wanted);

// Why there is no CUDA device, or nullopt.
std::optional<std::string> why_no_cuda_device();

}  // namespace lmbits
