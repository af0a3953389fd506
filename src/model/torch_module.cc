#include "src/model/torch_module.h"

#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/method.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/serialization/import.h>

#include <string_view>
#include <vector>

#include "src/core/error.h"

namespace lmbits {
namespace {

// The first line of what torch threw: the rest is a backtrace nobody asked for. TorchScript puts the reason last.
std::string reason(const std::exception& e) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&e);
  std::string_view text = torch_error ? torch_error->what_without_backtrace() : e.what();
  const auto last = text.rfind("RuntimeError: ");
  if (last != std::string_view::npos) text = text.substr(last + 14);
  return std::string(text.substr(0, std::min(text.find('\n'), std::size_t{300})));
}

// Runs `f` and turns what torch throws into one line; a failed allocation stays what it is.
template <typename F>
auto guarded(const std::string& path, const char* what, F f) {
  try {
    const c10::InferenceMode inference;
    return f();
  } catch (const c10::OutOfMemoryError& e) {
    throw Error(ErrorKind::kOutOfMemory, path + ": " + what + ": " + reason(e), "ask for a smaller --batch");
  } catch (const c10::Error& e) {
    throw Error(ErrorKind::kModel, path + ": " + what + ": " + reason(e));
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(ErrorKind::kModel, path + ": " + what + ": " + reason(e));
  }
}

// torch.jit.trace leaves device="cpu" (or "cuda:0") as constants in the graph; they must follow the weights.
void retarget_devices(torch::jit::Block* block, const std::string& device) {
  for (torch::jit::Node* node : block->nodes()) {
    if (node->kind() == c10::prim::Constant && node->hasAttribute(c10::attr::value) &&
        node->output()->type()->kind() == c10::TypeKind::DeviceObjType) {
      node->s_(c10::attr::value, device);
    }
    for (torch::jit::Block* inner : node->blocks()) retarget_devices(inner, device);
  }
}

c10::ScalarType scalar_type(WeightDtype dtype) {
  switch (dtype) {
    case WeightDtype::kBFloat16:
      return at::kBFloat16;
    case WeightDtype::kFloat16:
      return at::kHalf;
    default:
      return at::kFloat;
  }
}

}  // namespace

TorchModule::TorchModule(const std::string& path, WeightDtype dtype) : path_(path) {
  guarded(path, "cannot load it", [&] {
    module_ = torch::jit::load(path, at::kCPU);
    for (const torch::jit::Module& part : module_.modules()) {
      for (const torch::jit::Method& method : part.get_methods()) {
        retarget_devices(torch::jit::toGraphFunction(method.function()).graph()->block(), "cpu");
      }
    }
    module_.to(scalar_type(dtype));
    module_.eval();
    const auto has = [&](const char* method) { return module_.find_method(method).has_value(); };
    if (!has("forward")) throw Error(ErrorKind::kModel, path + " has no method forward(ids)");
    if (has("hidden") && has("head")) level_ = 1;
    if (has("hidden") && has("head_weight")) {
      level_ = 2;
      head_weight_ = call("head_weight", {}).to(at::kFloat).contiguous();
      if (has("head_bias")) head_bias_ = call("head_bias", {}).to(at::kFloat).contiguous();
    }
    std::vector<std::string> keep;
    for (const char* method : {"hidden", "head"}) {
      if (has(method)) keep.emplace_back(method);
    }
    // Freezing inlines a call's callee as its own optimised graph, which without optimisation still holds calls.
    const bool optimize = torch::jit::getGraphExecutorOptimize();
    torch::jit::setGraphExecutorOptimize(true);
    module_ = torch::jit::freeze_module(module_, keep);
    torch::jit::setGraphExecutorOptimize(optimize);
    return 0;
  });
}

at::Tensor TorchModule::call(const char* method, const at::Tensor& input) const {
  std::vector<c10::IValue> arguments;
  if (input.defined()) arguments.emplace_back(input);
  return guarded(path_, method, [&] {
    c10::IValue result = module_.get_method(method)(std::move(arguments));
    if (result.isTuple() && !result.toTupleRef().elements().empty()) result = result.toTupleRef().elements()[0];
    if (!result.isTensor()) throw Error(ErrorKind::kModel, path_ + ": " + method + " returned no tensor");
    return result.toTensor();
  });
}

at::Tensor TorchModule::forward(const at::Tensor& ids) const { return call("forward", ids); }
at::Tensor TorchModule::hidden(const at::Tensor& ids) const { return call("hidden", ids); }
at::Tensor TorchModule::head(const at::Tensor& h) const { return call("head", h); }

}  // namespace lmbits
