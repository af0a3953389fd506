#include "src/model/torch_module.h"

#include <ATen/ops/empty.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/method.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/serialization/import.h>

#include <sstream>
#include <vector>

#include "src/core/error.h"
#include "src/model/fuse.h"

namespace lmbits {

namespace {

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

// Calls f(name, owner, attribute, tensor) for each parameter of the module and its parts.
template <typename F>
void for_each_parameter(const torch::jit::Module& module, F f) {
  for (const auto& part : module.named_modules()) {
    for (const auto& parameter : part.value.named_parameters(/*recurse=*/false)) {
      f(part.name.empty() ? parameter.name : part.name + "." + parameter.name, part.value, parameter.name,
        parameter.value);
    }
  }
}

void set_weights(const torch::jit::Module& module, c10::ScalarType dtype, const WeightSource& weights) {
  std::map<const void*, at::Tensor> converted;  // tied weights stay one
  for_each_parameter(module, [&](const std::string& name, torch::jit::Module owner, const std::string& attribute,
                                 const at::Tensor& own) {
    const at::Tensor tensor = weights ? weights(name) : own;
    if (!tensor.is_floating_point()) return;
    at::Tensor& result = converted[tensor.const_data_ptr()];
    if (!result.defined() || result.sizes() != tensor.sizes()) result = tensor.to(dtype);
    owner.setattr(attribute, result);
  });
  for (at::Tensor buffer : module.buffers()) {
    if (buffer.is_floating_point() && buffer.scalar_type() != at::kFloat) buffer.set_data(buffer.to(dtype));
  }
}

// `source`: a path, or a stream. Every device constant that tracing left in its graphs is pointed at `device`: in the
// methods of modules, and in the functions and classes that these call.
template <typename Source>
torch::jit::Module load_archive(const std::string& path, Source&& source, at::Device device) {
  return guarded(path, "cannot load it", [&] {
    torch::jit::Module archive = torch::jit::load(source, device);
    for (torch::jit::Function* function : archive._ivalue()->compilation_unit()->get_functions()) {
      if (function->isGraphFunction())
        retarget_devices(torch::jit::toGraphFunction(*function).graph()->block(), device.str());
    }
    return archive;
  });
}

torch::jit::Module load_archive(const std::string& path, at::Device device) { return load_archive(path, path, device); }

torch::jit::Module load_frame(const std::string& path, const ArchiveFrame& frame, at::Device device) {
  std::istringstream bytes(frame.bytes);
  return load_archive(path, bytes, device);
}

}  // namespace

ArchiveFrame read_frame(const std::string& path) {
  return guarded(path, "cannot load it", [&] {
    ArchiveFrame frame;
    const torch::jit::Module archive = torch::jit::load(path, at::kCPU);
    for_each_parameter(archive, [&](const std::string& name, torch::jit::Module owner, const std::string& attribute,
                                    const at::Tensor& own) {
      frame.shapes[name] = own.sizes().vec();
      owner.setattr(attribute, at::empty({0}, own.options()));
    });
    std::ostringstream out;
    archive.save(out);
    frame.bytes = out.str();
    return frame;
  });
}

torch::jit::Module load_for_steps(const std::string& path, WeightDtype dtype) {
  torch::jit::Module archive = load_archive(path, at::kCPU);
  set_weights(archive, scalar_type(dtype), {});
  archive.eval();
  return archive;
}

TorchModule::TorchModule(const std::string& path, WeightDtype dtype, at::Device device)
    : TorchModule(path, load_archive(path, device), dtype, {}, device) {}

TorchModule::TorchModule(const std::string& path, const ArchiveFrame& frame, WeightDtype dtype,
                         const WeightSource& weights, at::Device device)
    : TorchModule(path, load_frame(path, frame, device), dtype, weights, device) {}

TorchModule::TorchModule(const std::string& path, torch::jit::Module archive, WeightDtype dtype,
                         const WeightSource& weights, at::Device device)
    : ModelGraph(path, device), module_(std::move(archive)) {
  guarded(path, "cannot load it", [&] {
    set_weights(module_, scalar_type(dtype), weights);
    module_.eval();
    const auto has = [&](const char* method) { return module_.find_method(method).has_value(); };
    if (!has("forward")) throw Error(ErrorKind::kModel, path + " has no method forward(ids)");
    if (has("hidden") && has("head")) level_ = 1;
    if (has("hidden") && has("head_weight")) {
      level_ = 2;
      head_weight_ = call("head_weight", {}).contiguous();
      if (device.is_cpu()) head_weight_ = head_weight_.to(at::kFloat);
      if (has("head_bias")) head_bias_ = call("head_bias", {}).to(at::kFloat).contiguous();
    }
    has_step_ = level_ > 0 && has("step");
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

int TorchModule::fuse_kernels(kernels::WeightFormat format) {
  if (level_ == 0 && format != kernels::WeightFormat::kFloat32) {
    throw Error(
        ErrorKind::kUnsupported,
        path_ + " is of level 0 (forward alone): which of its weights are the head, and not to be rounded, is unknown",
        "use --dtype float32 or bfloat16, or export it with hidden and head");
  }
  return guarded(path_, "cannot fuse its operators", [&] {
    std::vector<std::string> methods = {"forward"};
    if (level_ == 1) methods = {"hidden", "head"};
    if (level_ == 2) methods = {"hidden"};
    std::map<std::string, std::shared_ptr<torch::jit::Graph>> graphs;
    for (const std::string& method : methods) {
      const auto graph = torch::jit::toGraphFunction(module_.get_method(method).function()).graph()->copy();
      if (graph->inputs().size() != 2 || graph->inputs()[0]->hasUses()) return 0;  // freezing left attributes behind
      graph->eraseInput(0);
      graphs[method] = graph;
    }
    module_ = torch::jit::Module("empty");  // before the weights are packed: they would be held twice
    int n_fused = 0;
    for (const auto& [method, graph] : graphs) {
      const bool is_head = method == "head";
      const int n = fuse_cpu_kernels(graph, is_head ? kernels::WeightFormat::kFloat32 : format);
      if (!is_head || format == kernels::WeightFormat::kFloat32) n_fused += n;  // the head is never rounded
      if (is_head) {
        head_is_row_wise_ = is_row_wise(*graph);
      } else {
        whole_windows_ = graph->copy();
        add_inputs(graph);
        tables_ = ShapeTables::take_out_of(graph);
      }
      fused_[method] = torch::jit::GraphExecutor(graph, method);
    }
    return n_fused;
  });
}

at::Tensor TorchModule::call(const char* method, std::vector<c10::IValue> arguments) const {
  return guarded(path_, method, [&] {
    c10::IValue result;
    if (const auto fused = fused_.find(method); fused != fused_.end()) {
      fused->second.run(arguments);
      result = std::move(arguments.back());
    } else {
      result = module_.get_method(method)(std::move(arguments));
    }
    if (result.isTuple() && !result.toTupleRef().elements().empty()) result = result.toTupleRef().elements()[0];
    if (!result.isTensor()) throw Error(ErrorKind::kModel, path_ + ": " + method + " returned no tensor");
    return result.toTensor();
  });
}

std::optional<StepGraph> TorchModule::step_graph(std::int64_t n_positions) const {
  if (!whole_windows_) return std::nullopt;
  return guarded(path_, "cannot go a token at a time", [&] { return make_step_graph(*whole_windows_, n_positions); });
}

at::Tensor TorchModule::forward(const at::Tensor& ids) const { return call("forward", {ids}); }
at::Tensor TorchModule::hidden(const at::Tensor& ids) const { return call("hidden", {ids}); }
at::Tensor TorchModule::head(const at::Tensor& h) const { return call("head", {h}); }

at::Tensor TorchModule::rows(const at::Tensor& ids, const at::Tensor& rows, const at::Tensor& branches) const {
  const char* method = level_ == 0 ? "forward" : "hidden";
  if (fused_.contains(method)) {
    std::vector<c10::IValue> arguments = {ids, rows, branches.defined() ? branches : at::empty({0, 4}, at::kLong)};
    if (tables_) guarded(path_, method, [&] { return tables_->append(ids, arguments); });
    return call(method, std::move(arguments));
  }
  return ModelGraph::rows(ids, rows);
}

}  // namespace lmbits
