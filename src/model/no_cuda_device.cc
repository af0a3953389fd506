// Stands in for cuda_device.cc in a build without CUDA.
#include "src/core/error.h"
#include "src/model/device.h"

namespace lmbits {

std::optional<std::string> why_no_cuda_device() { return "this build is for CPUs alone"; }

std::vector<std::unique_ptr<Device>> open_cuda_devices(const std::string& wanted) {
  throw Error(ErrorKind::kDevice, "--device " + wanted + ": there is no CUDA device: " + *why_no_cuda_device(),
              "use --device cpu or auto, or build with cmake --preset cuda");
}

}  // namespace lmbits
