// A model as three functions on tensors, whatever computes them: TorchScript (torch_module.h), or machine code that was made of
// it ahead of time (package.h). Included only where torch is at home: src/model/*.cc.
//
// Shapes: B batch, T time, D hidden, R rows, V columns of the logits (the padded vocabulary).
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <functional>
#include <optional>
#include <string>

#include "kernels/linear.h"
#include "src/core/error.h"
#include "src/model/step_graph.h"

namespace lmbits {

// Weights that are not the file's own: the tensor for a parameter of it, by the parameter's full name.
using WeightSource = std::function<at::Tensor(const std::string& parameter)>;

// The first line of what torch threw: the rest is a backtrace nobody asked for. TorchScript puts the reason last.
std::string torch_reason(const std::exception& e);

// Runs `f` and turns what torch throws into one line; a failed allocation stays what it is.
template <typename F>
auto guarded(const std::string& path, const char* what, F f) {
  try {
    const c10::InferenceMode inference;
    return f();
  } catch (const c10::OutOfMemoryError& e) {
    throw Error(ErrorKind::kOutOfMemory, path + ": " + what + ": " + torch_reason(e), "ask for a smaller --batch");
  } catch (const c10::Error& e) {
    throw Error(ErrorKind::kModel, path + ": " + what + ": " + torch_reason(e));
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(ErrorKind::kModel, path + ": " + what + ": " + torch_reason(e));
  }
}

class ModelGraph {
 public:
  virtual ~ModelGraph() = default;

  at::Device device() const { return device_; }

  // What it offers: 0 forward, 1 also hidden and head, 2 also head_weight.
  int level() const { return level_; }
  // Also step(ids, state), beside hidden?
  virtual bool has_step() const { return false; }

  virtual at::Tensor forward(const at::Tensor& ids) const = 0;  // int64 [B,T] -> logits [B,T,V]
  virtual at::Tensor hidden(const at::Tensor& ids) const = 0;   // int64 [B,T] -> [B,T,D]
  virtual at::Tensor head(const at::Tensor& h) const = 0;       // [R,D] -> logits [R,V]

  // hidden(ids), or forward(ids) where level() is 0, of a graph without fused kernels: [B,T,...], or Error(kModel).
  at::Tensor positions(const at::Tensor& ids) const;

  // Rows [R] (int64) of hidden(ids), or of forward(ids) where level() is 0, flattened to [B * T, ...]. Once kernels are
  // fused it is the only way to them, and only then `branches` [K,4] (int64: sequence, begin, end, trunk of each: see
  // Batch) are heeded, by those operators that are known to need it.
  virtual at::Tensor rows(const at::Tensor& ids, const at::Tensor& rows, const at::Tensor& branches = {}) const;

  // Puts our own kernels in the place of operators, where the graph can be rewritten, with weights kept in `format` (fuse.h).
  // How many; 0: none.
  virtual int fuse_kernels(kernels::WeightFormat /*format*/) { return 0; }

  // Of hidden (forward where level() is 0) after fuse_kernels, for windows of up to n_positions; nullopt where the graph
  // does not go a token at a time.
  virtual std::optional<StepGraph> step_graph(std::int64_t /*n_positions*/) const { return std::nullopt; }

  // Does `head` compute a row of logits from that row alone, the same in any company? True without such a method.
  virtual bool head_is_row_wise() const { return false; }

  const at::Tensor& head_weight() const { return head_weight_; }             // [V,D]; float32 on a CPU
  const std::optional<at::Tensor>& head_bias() const { return head_bias_; }  // [V]

 protected:
  ModelGraph(std::string path, at::Device device) : path_(std::move(path)), device_(device) {}

  std::string path_;  // in errors
  at::Device device_;
  int level_ = 0;
  at::Tensor head_weight_;
  std::optional<at::Tensor> head_bias_;
};

}  // namespace lmbits
