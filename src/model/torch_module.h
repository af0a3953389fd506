// A TorchScript archive as three functions on tensors. Included only where torch is at home: src/model/*.cc.
//
// Shapes: B batch, T time, D hidden, R rows, V columns of the logits (the padded vocabulary).
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "src/model/bundle.h"
#include "src/model/shape_tables.h"
#include "src/model/step_graph.h"

namespace lmbits {

// Weights that are not the archive's own: the tensor for a parameter of it, by the parameter's full name.
using WeightSource = std::function<at::Tensor(const std::string& parameter)>;

// The archive, loaded, with every device constant that tracing left in its graphs pointed at the CPU. Throws
// Error(kModel) when it does not load.
torch::jit::Module load_archive(const std::string& path, at::Device device = at::kCPU);

// kAuto: float32 on a CPU. The last two: float32, but for the weights of the linear maps between embedding and head, as our
// own kernels keep them (kernels/linear.h).
enum class WeightDtype { kAuto, kFloat32, kBFloat16, kFloat16, kBFloat16Body, kInt8Body };

// The first line of what torch threw: the rest is a backtrace nobody asked for. TorchScript puts the reason last.
std::string torch_reason(const std::exception& e);

// With its methods as they are and its weights in `dtype`: for `step`, which TorchModule does not keep.
torch::jit::Module load_for_steps(const std::string& path, WeightDtype dtype);

class TorchModule {
 public:
  // Loads, converts the weights and brings them to `device`, points every device constant that tracing left in the graph
  // there, and freezes. Throws Error(kModel) when the file does not load or offers no forward(ids).
  TorchModule(const std::string& path, WeightDtype dtype, at::Device device = at::kCPU);

  at::Device device() const { return device_; }

  // The same of an archive that is loaded already. With `weights`, those are put in, and `archive` is left without any:
  // it can be given again, with others. Buffers in float32 stay so whatever the dtype: tables of positions would lose.
  TorchModule(const std::string& path, torch::jit::Module archive, WeightDtype dtype, const WeightSource& weights = {},
              at::Device device = at::kCPU);

  // Puts our own kernels in the place of ATen's operators (src/model/fuse.h) in the methods that scoring calls, and drops
  // everything else that the archive holds: forward too, where there is hidden. Returns the number of operators put in.
  int fuse_kernels(kernels::WeightFormat format = kernels::WeightFormat::kFloat32);

  // Of hidden (forward where level() is 0) after fuse_kernels, for windows of up to n_positions; nullopt where the graph
  // does not go a token at a time.
  std::optional<StepGraph> step_graph(std::int64_t n_positions) const;

  // Does `head` compute a row of logits from that row alone, the same in any company? True without such a method.
  bool head_is_row_wise() const { return head_is_row_wise_; }

  // What the archive offers: 0 forward, 1 also hidden and head, 2 also head_weight.
  int level() const { return level_; }
  // Also step(ids, state), beside hidden?
  bool has_step() const { return has_step_; }

  at::Tensor forward(const at::Tensor& ids) const;  // int64 [B,T] -> logits [B,T,V]
  at::Tensor hidden(const at::Tensor& ids) const;   // int64 [B,T] -> [B,T,D]
  at::Tensor head(const at::Tensor& h) const;       // [R,D] -> logits [R,V]

  // hidden(ids), or forward(ids) where level() is 0, of a module without fused kernels: [B,T,...], or Error(kModel).
  at::Tensor positions(const at::Tensor& ids) const;

  // Rows [R] (int64) of hidden(ids), or of forward(ids) where level() is 0, flattened to [B * T, ...]. Once kernels are
  // fused it is the only way to them, and only then `branches` [K,4] (int64: sequence, begin, end, trunk of each: see
  // Batch) are heeded, by those operators that are known to need it.
  at::Tensor rows(const at::Tensor& ids, const at::Tensor& rows, const at::Tensor& branches = {}) const;

  const at::Tensor& head_weight() const { return head_weight_; }             // [V,D]; float32 on a CPU
  const std::optional<at::Tensor>& head_bias() const { return head_bias_; }  // [V]

 private:
  at::Tensor call(const char* method, std::vector<c10::IValue> inputs) const;

  std::string path_;
  at::Device device_;
  mutable torch::jit::Module module_;  // calling a method of a const Module is not const in torch's API
  // By method; once there are any, module_ is empty. hidden and forward take (ids, rows, branches) and tables_ here.
  mutable std::map<std::string, torch::jit::GraphExecutor> fused_;
  std::unique_ptr<ShapeTables> tables_;               // nullptr: none
  std::shared_ptr<torch::jit::Graph> whole_windows_;  // of hidden or forward, fused, before it was narrowed to rows
  bool head_is_row_wise_ = true;
  int level_ = 0;
  bool has_step_ = false;
  at::Tensor head_weight_;
  std::optional<at::Tensor> head_bias_;
};

}  // namespace lmbits
