#include "src/model/shape_tables.h"

#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "src/model/fuse.h"

namespace lmbits {
namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

constexpr std::int64_t kKeptBytes = 16 << 20;  // a mask [T,T] for each of many shapes must not pile up

bool reads_the_shape(const Node* node, const Value* ids) {
  const auto kind = node->kind();
  return (kind == c10::aten::size || kind == c10::aten::dim || kind == c10::prim::device || kind == c10::prim::dtype) &&
         node->input(0) == ids;
}

// The nodes whose outputs depend on nothing but constants and the shape of ids.
std::unordered_set<const Node*> find_shape_nodes(const Graph& graph) {
  std::unordered_set<const Node*> found;
  const auto is_known = [&](const Value* value) {
    return value->node()->kind() == c10::prim::Constant || found.contains(value->node());
  };
  for (const Node* node : graph.nodes()) {
    if (node->kind() == c10::prim::Constant || node->inputs().empty() || !node->blocks().empty() ||
        node->hasSideEffects() || node->isNondeterministic()) {
      continue;
    }
    const auto inputs = node->inputs();
    const bool on_shape = reads_the_shape(node, graph.inputs()[0]);
    if (std::all_of(inputs.begin() + (on_shape ? 1 : 0), inputs.end(), is_known)) found.insert(node);
  }
  return found;
}

// Their tensors that other nodes take.
std::vector<Value*> find_tables(Graph& graph) {
  const std::unordered_set<const Node*> shape_nodes = find_shape_nodes(graph);
  std::vector<Value*> tables;
  for (Node* node : graph.nodes()) {
    if (!shape_nodes.contains(node)) continue;
    for (Value* output : node->outputs()) {
      const auto& uses = output->uses();
      if (output->type()->isSubtypeOf(*c10::TensorType::get()) &&
          std::any_of(uses.begin(), uses.end(), [&](const auto& use) { return !shape_nodes.contains(use.user); })) {
        tables.push_back(output);
      }
    }
  }
  return tables;
}

// (ids) -> tables, values of `graph`.
std::shared_ptr<Graph> graph_of(const std::vector<Value*>& tables, Graph& graph) {
  const std::shared_ptr<Graph> result = graph.copy();
  std::unordered_map<const Value*, Value*> copies;
  auto copy = result->nodes().begin();
  for (Node* node : graph.nodes()) {
    for (std::size_t i = 0; i < node->outputs().size(); ++i) copies[node->outputs()[i]] = (*copy)->outputs()[i];
    ++copy;
  }
  while (!result->outputs().empty()) result->eraseOutput(0);
  for (const Value* table : tables) result->registerOutput(copies.at(table));
  torch::jit::EliminateDeadCode(result);
  while (result->inputs().size() > 1) result->eraseInput(result->inputs().size() - 1);
  return result;
}

}  // namespace

std::unique_ptr<ShapeTables> ShapeTables::take_out_of(const std::shared_ptr<Graph>& graph) {
  if (writes_in_place(graph->block())) return nullptr;
  const std::vector<Value*> tables = find_tables(*graph);
  if (tables.empty()) return nullptr;
  std::unique_ptr<ShapeTables> result(new ShapeTables(graph_of(tables, *graph)));
  for (Value* table : tables) {
    Value* input = graph->addInput("table");
    input->setType(c10::TensorType::get());
    table->replaceAllUsesWith(input);
  }
  torch::jit::EliminateDeadCode(graph);
  return result;
}

void ShapeTables::append(const at::Tensor& ids, std::vector<c10::IValue>& arguments) {
  const std::lock_guard lock(mutex_);
  auto found = by_shape_.find(ids.sizes().vec());
  if (found == by_shape_.end()) {
    torch::jit::Stack stack = {ids};
    tables_.run(stack);
    std::int64_t n_bytes = 0;
    for (const c10::IValue& table : stack) n_bytes += static_cast<std::int64_t>(table.toTensor().nbytes());
    if (n_bytes_ + n_bytes > kKeptBytes) {
      by_shape_.clear();
      n_bytes_ = 0;
    }
    n_bytes_ += n_bytes;
    found = by_shape_.emplace(ids.sizes().vec(), std::move(stack)).first;
  }
  arguments.insert(arguments.end(), found->second.begin(), found->second.end());
}

}  // namespace lmbits
