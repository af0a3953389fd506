#include "src/model/step_graph.h"

#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/model/cpu_ops.h"

namespace lmbits {
namespace {

using c10::Symbol;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

enum class Depends {
  kConstant,  // on nothing that is fed
  kShape,     // on how much is fed
  kData,      // on the ids
};

constexpr std::string_view kAttention = "lmbits::causal_attention";

std::string_view kind_of(const Node* node) { return node->kind().toQualString(); }

// What is known of a tensor without looking into it; type_as asks that of its second.
bool reads_shape(const Node* node) {
  constexpr std::string_view kinds[] = {"aten::size",   "aten::dim",   "aten::len",    "aten::numel",
                                        "prim::device", "prim::dtype", "prim::layout", "aten::is_floating_point"};
  return std::ranges::find(kinds, kind_of(node)) != std::end(kinds);
}

// Operators on data that treat rows alike, bit for bit. Of ATen's, those that move numbers, or whose arithmetic IEEE 754
// fixes: how it splits work into vectors and rests does not show in them, as it does in exponentials.
bool treats_rows_alike(const Node* node) {
  constexpr std::string_view kinds[] = {"aten::embedding",
                                        "aten::view",
                                        "aten::reshape",
                                        "aten::transpose",
                                        "aten::permute",
                                        "aten::slice",
                                        "aten::chunk",
                                        "aten::split",
                                        "aten::unsqueeze",
                                        "aten::squeeze",
                                        "aten::flatten",
                                        "aten::select",
                                        "aten::contiguous",
                                        "aten::expand",
                                        "aten::to",
                                        "aten::add",
                                        "aten::sub",
                                        "aten::mul",
                                        "aten::index_select",
                                        "aten::repeat_interleave",
                                        "prim::ListConstruct",
                                        "prim::ListUnpack",
                                        "prim::TupleConstruct",
                                        "prim::TupleUnpack",
                                        "lmbits::linear",
                                        "lmbits::rms_norm",
                                        "lmbits::rotate_heads",
                                        "lmbits::causal_attention",
                                        "lmbits::cached_attention"};
  return std::ranges::find(kinds, kind_of(node)) != std::end(kinds);
}

using Dependence = std::unordered_map<const Value*, Depends>;

// nullopt where an operator on data may mix rows, or the graph branches.
std::optional<Dependence> dependence_of(const Graph& graph) {
  Dependence depends;
  for (const Value* input : graph.inputs()) depends[input] = Depends::kData;
  for (const Node* node : graph.nodes()) {
    if (!node->blocks().empty()) return std::nullopt;
    Depends most = Depends::kConstant;
    for (const Value* input : node->inputs()) most = std::max(most, depends.at(input));
    if (most == Depends::kData && reads_shape(node)) most = Depends::kShape;
    if (kind_of(node) == "aten::type_as" && depends.at(node->input(0)) != Depends::kData) most = Depends::kShape;
    if (most == Depends::kData && !treats_rows_alike(node)) return std::nullopt;
    for (const Value* output : node->outputs()) depends[output] = most;
  }
  return depends;
}

// Tensors that depend on the window's length, where operators on data use them: in the order of the graph.
std::vector<Value*> tables_of(const Graph& graph, const Dependence& depends) {
  std::vector<Value*> tables;
  for (const Node* node : graph.nodes()) {
    if (node->outputs().empty() || depends.at(node->outputs()[0]) != Depends::kData) continue;
    for (Value* input : const_cast<Node*>(node)->inputs()) {
      if (depends.at(input) == Depends::kShape && input->type()->kind() == c10::TypeKind::TensorType &&
          std::ranges::find(tables, input) == tables.end())
        tables.push_back(input);
    }
  }
  return tables;
}

// The tables of a window of n_positions.
std::vector<at::Tensor> evaluate_tables(const Graph& graph, std::int64_t n_positions) {
  const std::shared_ptr<Graph> copy = const_cast<Graph&>(graph).copy();
  const std::vector<Value*> tables = tables_of(*copy, *dependence_of(*copy));
  while (!copy->outputs().empty()) copy->eraseOutput(0);
  for (Value* table : tables) copy->registerOutput(table);
  torch::jit::EliminateDeadCode(copy);
  torch::jit::Stack stack = {at::zeros({1, n_positions}, at::kLong)};
  torch::jit::GraphExecutor(copy, "tables").run(stack);
  std::vector<at::Tensor> values;
  for (const c10::IValue& value : stack) values.push_back(value.toTensor().contiguous());
  return values;
}

// The dimension that is the position, where a table for fewer positions is the beginning of one for more.
std::optional<std::int64_t> position_dimension(const at::Tensor& table, const at::Tensor& shorter) {
  if (table.dim() != shorter.dim()) return std::nullopt;
  std::optional<std::int64_t> found;
  for (std::int64_t d = 0; d < table.dim(); ++d) {
    if (table.size(d) == shorter.size(d)) continue;
    if (found || table.size(d) != shorter.size(d) + 1) return std::nullopt;
    found = d;
  }
  if (!found || !at::equal(table.slice(*found, 0, shorter.size(*found)), shorter)) return std::nullopt;
  return found;
}

}  // namespace

bool is_row_wise(const Graph& graph) {
  const auto depends = dependence_of(graph);
  if (!depends || !tables_of(graph, *depends).empty()) return false;
  const auto nodes = graph.nodes();
  return std::none_of(nodes.begin(), nodes.end(), [](const Node* node) { return kind_of(node) == kAttention; });
}

std::optional<StepGraph> make_step_graph(const Graph& original, std::int64_t n_positions) {
  const c10::InferenceMode inference;
  if (n_positions < 2) return std::nullopt;
  StepGraph step{const_cast<Graph&>(original).copy(), 0};
  Graph& graph = *step.graph;
  const auto depends = dependence_of(graph);
  if (!depends) return std::nullopt;
  const std::vector<Value*> tables = tables_of(graph, *depends);
  // A table is looked up in the one for the longest window: computed for a few positions, its last digits could differ.
  const std::vector<at::Tensor> values = evaluate_tables(graph, n_positions);
  const std::vector<at::Tensor> shorter = evaluate_tables(graph, n_positions - 1);
  Value* const positions = graph.addInput("positions");
  Value* const slots = graph.addInput("slots");
  Value* const limits = graph.addInput("limits");
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const auto dimension = position_dimension(values[i], shorter[i]);
    if (!dimension) return std::nullopt;
    const torch::jit::WithInsertPoint here(tables[i]->node());
    Value* const rows = graph.insert(c10::aten::index_select,
                                     {graph.insertConstant(values[i]), graph.insertConstant(*dimension), positions});
    const std::vector<torch::jit::Use> uses(tables[i]->uses());
    for (const torch::jit::Use& use : uses) {
      const bool on_data = !use.user->outputs().empty() && depends->contains(use.user->outputs()[0]) &&
                           depends->at(use.user->outputs()[0]) == Depends::kData;
      if (on_data) use.user->replaceInput(use.offset, rows);
    }
  }
  std::vector<Node*> attentions;
  for (Node* node : graph.nodes()) {
    if (kind_of(node) == kAttention) attentions.push_back(node);
  }
  for (Node* node : attentions) {
    Value* const cache = graph.addInput("cache" + std::to_string(step.n_caches++));
    Node* const cached = graph.create(Symbol::fromQualString("lmbits::cached_attention"),
                                      {node->input(0), node->input(1), node->input(2), node->input(3), positions, slots,
                                       limits, cache, node->input(5), node->input(6)},
                                      1);
    cached->insertBefore(node);
    node->output()->replaceAllUsesWith(cached->output());
  }
  if (graph.outputs()[0]->node()->kind() == c10::prim::TupleConstruct) {  // hidden states first, as in narrow_to_rows
    graph.return_node()->replaceInput(0, graph.outputs()[0]->node()->input(0));
  }
  for (Node* node : attentions) node->destroy();
  torch::jit::EliminateDeadCode(step.graph);
  return step;
}

}  // namespace lmbits
