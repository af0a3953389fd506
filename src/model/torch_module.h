// A TorchScript archive as a ModelGraph. Included only where torch is at home: src/model/*.cc.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/model/bundle.h"
#include "src/model/model_graph.h"
#include "src/model/shape_tables.h"

namespace lmbits {

// An archive without its weights, as bytes that load like one: each checkpoint of a run gets a module of its own, which goes with
// all that was made of it. (A frozen module leaves its graph, and so its weights, with the archive that it was made of.)
struct ArchiveFrame {
  std::string bytes;
  std::map<std::string, std::vector<std::int64_t>> shapes;  // of the parameters
};

// Throws Error(kModel) when it does not load.
ArchiveFrame read_frame(const std::string& path);

// kAuto: float32 on a CPU. The last two: float32, but for the weights of the linear maps between embedding and head, as our
// own kernels keep them (kernels/linear.h).
enum class WeightDtype { kAuto, kFloat32, kBFloat16, kFloat16, kBFloat16Body, kInt8Body };

// With its methods as they are and its weights in `dtype`: for `step`, which TorchModule does not keep.
torch::jit::Module load_for_steps(const std::string& path, WeightDtype dtype);

class TorchModule final : public ModelGraph {
 public:
  // Loads, converts the weights and brings them to `device`, points every device constant that tracing left in the graph
  // there, and freezes. Throws Error(kModel) when the file does not load or offers no forward(ids).
  TorchModule(const std::string& path, WeightDtype dtype, at::Device device = at::kCPU);

  // The same with other weights; `path` is where they come from, in errors. Buffers in float32 stay so whatever the dtype:
  // tables of positions would lose.
  TorchModule(const std::string& path, const ArchiveFrame& frame, WeightDtype dtype, const WeightSource& weights,
              at::Device device = at::kCPU);

  // Puts our own kernels in the place of ATen's operators (src/model/fuse.h) in the methods that scoring calls, and drops
  // everything else that the archive holds: forward too, where there is hidden. `head` stays float32 whatever the format.
  // Returns the number of operators put in, or of linear maps rounded. Throws Error(kUnsupported) for a rounded format at
  // level 0, where `forward` does not say what of it is the head.
  int fuse_kernels(kernels::WeightFormat format) override;
  std::optional<StepGraph> step_graph(std::int64_t n_positions) const override;
  bool head_is_row_wise() const override { return head_is_row_wise_; }
  bool has_step() const override { return has_step_; }

  at::Tensor forward(const at::Tensor& ids) const override;
  at::Tensor hidden(const at::Tensor& ids) const override;
  at::Tensor head(const at::Tensor& h) const override;
  at::Tensor rows(const at::Tensor& ids, const at::Tensor& rows, const at::Tensor& branches = {}) const override;

 private:
  TorchModule(const std::string& path, torch::jit::Module archive, WeightDtype dtype, const WeightSource& weights,
              at::Device device);
  at::Tensor call(const char* method, std::vector<c10::IValue> inputs) const;

  mutable torch::jit::Module module_;  // calling a method of a const Module is not const in torch's API
  // By method; once there are any, module_ is empty. hidden and forward take (ids, rows, branches) and tables_ here.
  mutable std::map<std::string, torch::jit::GraphExecutor> fused_;
  std::unique_ptr<ShapeTables> tables_;               // nullptr: none
  std::shared_ptr<torch::jit::Graph> whole_windows_;  // of hidden or forward, fused, before it was narrowed to rows
  bool head_is_row_wise_ = true;
  bool has_step_ = false;
};

}  // namespace lmbits
