#include "src/model/fuse.h"

#include <ATen/Functions.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/remove_mutation.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "kernels/isa.h"
#include "src/model/cpu_ops.h"

namespace lmbits {
namespace {

using c10::IValue;
using c10::Symbol;
using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

bool is(const Value* value, const char* kind) { return value->node()->kind() == Symbol::fromQualString(kind); }

// A constant of the graph, where it is one.
std::optional<IValue> constant(const Value* value) { return torch::jit::toIValue(value); }

bool is_none(const Value* value) { return value->mustBeNone(); }

bool is_number(const Value* value, double expected) {
  const auto number = constant(value);
  return number && (number->isInt() || number->isDouble()) && number->toScalar().toDouble() == expected;
}

// A float32 weight of the graph, undefined where it is none.
at::Tensor weight(const Value* value, std::int64_t dim) {
  const auto tensor = constant(value);
  const bool fits =
      tensor && tensor->isTensor() && tensor->toTensor().dim() == dim && tensor->toTensor().scalar_type() == at::kFloat;
  return fits ? tensor->toTensor() : at::Tensor();
}

// The only node that uses the value; null where there are more or none.
Node* only_user(const Value* value) { return value->uses().size() == 1 ? value->uses()[0].user : nullptr; }

// x W^T, with a bias that is a constant or none.
bool is_linear(const Value* value) {
  if (!is(value, "aten::linear") || !weight(value->node()->input(1), 2).defined()) return false;
  const Value* bias = value->node()->input(2);
  return is_none(bias) || weight(bias, 1).defined();
}

// The value itself, where a copy into dense memory hands it on.
Value* origin(Value* value) {
  while (is(value, "aten::contiguous")) value = value->node()->input(0);
  return value;
}

struct RmsNorm {
  Value* x;
  at::Tensor gain;
  double eps;
};

std::optional<RmsNorm> match_rms_norm(const Value* value) {
  if (!is(value, "aten::rms_norm")) return std::nullopt;
  const Node* node = value->node();
  const auto shape = constant(node->input(1)), eps = constant(node->input(3));
  const at::Tensor gain = weight(node->input(2), 1);
  if (!gain.defined() || !eps || !eps->isDouble() || !shape || !shape->isIntList() ||
      shape->toIntVector() != gain.sizes().vec()) {
    return std::nullopt;
  }
  return RmsNorm{node->input(0), gain, eps->toDouble()};
}

// The table [V,D] that `value` looks rows up in; undefined where it is no such thing.
at::Tensor embedding_table(const Value* value) {
  return is(value, "aten::embedding") ? weight(value->node()->input(0), 2) : at::Tensor();
}

// A map of embeddings is a row of V: looked up rather than computed, where the rows take little memory.
constexpr std::int64_t kTableBytes = 8 << 20;

bool fits_a_table(const kernels::Linear& map, const at::Tensor& table) {
  return table.defined() && table.size(1) == map.n_in && table.size(0) * map.n_out * 4 <= kTableBytes;
}

// The first or second half of `whole` along its last dimension: chunk(whole, 2, -1)[index].
bool is_half(const Value* value, std::size_t index, Value*& whole) {
  if (!is(value, "prim::ListUnpack") || value->offset() != index || value->node()->outputs().size() != 2) return false;
  const Node* chunk = value->node()->input()->node();
  if (chunk->kind() != c10::aten::chunk || !is_number(chunk->input(1), 2) || !is_number(chunk->input(2), -1))
    return false;
  if (whole != nullptr && whole != chunk->input(0)) return false;
  whole = chunk->input(0);
  return true;
}

bool is_product(const Value* value, const Value* a, const Value* b) {
  return is(value, "aten::mul") && ((value->node()->input(0) == a && value->node()->input(1) == b) ||
                                    (value->node()->input(0) == b && value->node()->input(1) == a));
}

class Fuser {
 public:
  Fuser(Graph& graph, kernels::WeightFormat format) : graph_(graph), format_(format) {}

  int run() {
    for (Node* node : nodes(c10::aten::dropout)) drop_dropout(node);
    for (Node* node : nodes(c10::aten::silu)) join_gate(node);
    for (Node* node : nodes(c10::aten::linear)) fuse_linear(node);
    std::vector<Node*> found;
    attentions(graph_.block(), found);
    for (Node* node : found) fuse_attention(node);
    for (Node* node : nodes(c10::aten::cat)) fuse_rotation(node);
    for (Node* node : nodes(c10::aten::rms_norm)) fuse_rms_norm(node);
    for (Node* node : nodes(Symbol::fromQualString("lmbits::causal_attention"))) rotate_in_attention(node);
    return format_ == kernels::WeightFormat::kFloat32 ? n_fused_ : n_linear_;
  }

 private:
  std::vector<Node*> nodes(Symbol kind) const {
    std::vector<Node*> found;
    for (Node* node : graph_.nodes()) {
      if (node->kind() == kind) found.push_back(node);
    }
    return found;
  }

  // Also those inside the branches of an if.
  static void attentions(Block* block, std::vector<Node*>& found) {
    for (Node* node : block->nodes()) {
      if (node->kind() == c10::aten::scaled_dot_product_attention) found.push_back(node);
      for (Block* inner : node->blocks()) attentions(inner, found);
    }
  }

  // An operator before `old`, whose uses become its.
  void replace(Node* old, const char* kind, const std::vector<Value*>& inputs) {
    Node* node = graph_.create(Symbol::fromQualString(kind), inputs, 1);
    node->insertBefore(old);
    old->output()->replaceAllUsesWith(node->output());
    ++n_fused_;
  }

  Value* insert_constant(Node* before, const IValue& value) {
    const torch::jit::WithInsertPoint here(before);
    return graph_.insertConstant(value);
  }

  static void drop_dropout(Node* node) {
    const auto training = constant(node->input(2));
    if (training && training->isBool() && !training->toBool()) node->output()->replaceAllUsesWith(node->input(0));
  }

  // silu(linear(x, W)) * linear(x, V) becomes the halves of linear(x, [W; V]), as match_gate has them.
  void join_gate(Node* silu) {
    const Node* gate = silu->input(0)->node();
    Node* product = only_user(silu->output());
    if (product == nullptr || product->kind() != c10::aten::mul || !is_linear(silu->input(0))) return;
    Value* other = product->input(0) == silu->output() ? product->input(1) : product->input(0);
    if (!is_linear(other) || only_user(other) != product || only_user(silu->input(0)) != silu) return;
    const Node* value = other->node();
    const at::Tensor w = weight(gate->input(1), 2), v = weight(value->input(1), 2);
    if (gate->input(0) != value->input(0) || w.sizes() != v.sizes() || !is_none(gate->input(2)) ||
        !is_none(value->input(2))) {
      return;
    }
    const torch::jit::WithInsertPoint here(product);
    Value* both = graph_.insert(c10::aten::linear, {gate->input(0), at::cat({w, v})});
    Value* halves = graph_.insert(c10::aten::chunk, {both, 2, -1});
    halves->setType(c10::ListType::ofTensors());
    Node* unpack = graph_.insertNode(graph_.createListUnpack(halves, 2));
    Value* activated = graph_.insert(c10::aten::silu, {unpack->outputs()[0]});
    product->output()->replaceAllUsesWith(graph_.insert(c10::aten::mul, {activated, unpack->outputs()[1]}));
    torch::jit::EliminateDeadCode(graph_.block());
  }

  // silu(first half) * second half of the product, where that is all that becomes of it.
  static Node* match_gate(const Node* linear) {
    Node* chunk = only_user(linear->output());
    if (chunk == nullptr || chunk->kind() != c10::aten::chunk) return nullptr;
    const Node* unpack = only_user(chunk->output());
    Value* whole = nullptr;
    if (unpack == nullptr || !is_half(unpack->outputs()[0], 0, whole) || whole != linear->output()) return nullptr;
    Node* silu = only_user(unpack->outputs()[0]);
    Node* product = only_user(unpack->outputs()[1]);
    if (silu == nullptr || product == nullptr || silu->kind() != c10::aten::silu ||
        only_user(silu->output()) != product)
      return nullptr;
    return is_product(product->output(), silu->output(), unpack->outputs()[1]) ? product : nullptr;
  }

  // The other term of residual + value, where that is all that becomes of it.
  static Node* match_residual(const Value* value, Value*& residual) {
    Node* sum = only_user(value);
    if (sum == nullptr || sum->kind() != c10::aten::add || sum->inputs().size() != 3 || !is_number(sum->input(2), 1))
      return nullptr;
    residual = sum->input(0) == value ? sum->input(1) : sum->input(0);
    return residual != value && residual->type()->kind() == c10::TypeKind::TensorType ? sum : nullptr;
  }

  void fuse_linear(Node* node) {
    if (!is_linear(node->output())) return;
    at::Tensor w = weight(node->input(1), 2);
    kernels::Linear map{.n_in = w.size(1), .n_out = w.size(0), .format = format_};
    Node* last = node;
    const bool has_bias = !is_none(node->input(2));
    if (Node* product = match_gate(node); product != nullptr && map.n_out % 2 == 0 && !has_bias) {
      map.gated = true;
      map.n_out /= 2;
      last = product;
    }
    Value* residual = nullptr;
    if (Node* sum = match_residual(last->output(), residual); sum != nullptr) last = sum;
    Value* x = origin(node->input(0));
    at::Tensor gain;
    IValue eps;
    if (const auto norm = match_rms_norm(x); norm && norm->gain.size(0) == map.n_in) {
      x = norm->x;
      gain = norm->gain;
      eps = norm->eps;
      map.norm_eps = static_cast<float>(norm->eps);
    }
    const auto put = [&](const IValue& value) { return insert_constant(last, value); };
    const at::Tensor packed = pack_weight(map, w, gain);
    ++n_linear_;
    if (const at::Tensor table = embedding_table(x); residual == nullptr && !has_bias && fits_a_table(map, table)) {
      const Node* lookup = x->node();
      replace(last, "aten::embedding",
              {put(apply_linear(map, packed, table)), lookup->input(1), put(-1), put(false), put(false)});
    } else {
      replace(last, "lmbits::linear",
              {x, put(packed), residual != nullptr ? residual : put(IValue()), put(map.n_in), put(map.n_out),
               put(map.gated), put(eps), node->input(2)});
    }
    torch::jit::EliminateDeadCode(graph_.block());  // the old weight goes before the next is packed
  }

  void fuse_attention(Node* node) {  // (q, k, v, mask, dropout, is_causal, scale, enable_gqa)
    const auto causal = constant(node->input(5));
    const bool fits =
        is_none(node->input(3)) && is_number(node->input(4), 0.0) && causal && causal->isBool() && causal->toBool();
    if (!fits) return;
    replace(node, "lmbits::causal_attention",
            {node->input(0), node->input(1), node->input(2), node->input(6), insert_constant(node, IValue()),
             insert_constant(node, IValue()), insert_constant(node, IValue()), insert_constant(node, IValue())});
  }

  void fuse_rotation(Node* node) {
    Node* list = node->input(0)->node();
    if (list->kind() != c10::prim::ListConstruct || list->inputs().size() < 2 || !is_number(node->input(1), -1)) return;
    const Value *difference = list->input(0), *sum = list->input(1);
    if (!is(difference, "aten::sub") || !is(sum, "aten::add") || difference->node()->inputs().size() != 3 ||
        sum->node()->inputs().size() != 3 || !is_number(difference->node()->input(2), 1) ||
        !is_number(sum->node()->input(2), 1)) {
      return;
    }
    const Value *a_cos = difference->node()->input(0), *b_sin = difference->node()->input(1);
    if (!is(a_cos, "aten::mul") || !is(b_sin, "aten::mul")) return;
    Value *a = a_cos->node()->input(0), *cos = a_cos->node()->input(1);
    Value *b = b_sin->node()->input(0), *sin = b_sin->node()->input(1);
    Value* x = nullptr;
    const Value *p = sum->node()->input(0), *q = sum->node()->input(1);
    const bool matches =
        is_half(a, 0, x) && is_half(b, 1, x) &&
        ((is_product(p, b, cos) && is_product(q, a, sin)) || (is_product(p, a, sin) && is_product(q, b, cos)));
    if (!matches) return;
    if (list->inputs().size() == 2) {
      replace(node, "lmbits::rotate_heads", {x, cos, sin, insert_constant(node, IValue())});
      return;
    }
    // A part of the head that is not turned follows, in the same list: cat(cat(a, b), c) has become cat(a, b, c).
    Node* rotation = graph_.create(Symbol::fromQualString("lmbits::rotate_heads"),
                                   {x, cos, sin, insert_constant(node, IValue())}, 1);
    rotation->insertBefore(node);
    std::vector<Value*> parts = {rotation->output()};
    parts.insert(parts.end(), list->inputs().begin() + 2, list->inputs().end());
    Node* joined = graph_.createList(c10::TensorType::get(), parts)->insertBefore(node);
    node->replaceInput(0, joined->output());
    ++n_fused_;
  }

  // `value` as heads of what is rotated to give it, where that is heads of transpose(rotate_heads(x), 1, 2): choosing heads
  // and rotating them commute.
  Value* before_rotation(Value* value, Node* user, Node*& rotation) {
    Node* node = value->node();
    if (node->kind() == c10::aten::transpose && is_number(node->input(1), 1) && is_number(node->input(2), 2) &&
        is(node->input(0), "lmbits::rotate_heads")) {
      rotation = node->input(0)->node();
      return insert_copy(node, rotation->input(0), user)->output();
    }
    const bool chooses_heads = node->kind() == c10::prim::ListUnpack ||
                               (node->kind() == c10::aten::chunk && is_number(node->input(2), 1)) ||
                               (node->kind() == c10::aten::slice && is_number(node->input(1), 1));
    Value* from = chooses_heads ? before_rotation(node->input(0), user, rotation) : nullptr;
    return from == nullptr ? nullptr : insert_copy(node, from, user)->outputs()[value->offset()];
  }

  Node* insert_copy(Node* node, Value* first_input, Node* before) {
    Node* copy = graph_.createClone(node, [](Value* value) { return value; });
    copy->replaceInput(0, first_input);
    return copy->insertBefore(before);
  }

  void rotate_in_attention(Node* attention) {
    Node *of_q = nullptr, *of_k = nullptr;
    Value* q = before_rotation(attention->input(0), attention, of_q);
    Value* k = before_rotation(attention->input(1), attention, of_k);
    if (q == nullptr || k == nullptr || of_q->input(1) != of_k->input(1) || of_q->input(2) != of_k->input(2)) return;
    attention->replaceInput(0, q);
    attention->replaceInput(1, k);
    attention->replaceInput(5, of_q->input(1));
    attention->replaceInput(6, of_q->input(2));
  }

  void fuse_rms_norm(Node* node) {
    const auto norm = match_rms_norm(node->output());
    if (!norm) return;
    replace(node, "lmbits::rms_norm", {norm->x, node->input(2), node->input(3)});
  }

  Graph& graph_;
  kernels::WeightFormat format_;
  int n_fused_ = 0, n_linear_ = 0;
};

// Operators that treat every row of their first inputs alike; how many of those there are.
std::size_t n_row_inputs(const Node* node) {
  for (const char* kind : {"lmbits::rms_norm", "aten::gelu", "aten::relu", "aten::silu", "aten::contiguous"}) {
    if (node->kind() == Symbol::fromQualString(kind)) return 1;
  }
  if (node->kind() == c10::aten::layer_norm) {
    const auto shape = constant(node->input(1));  // of what is normalised: a row
    return shape && shape->isIntList() && shape->toIntVector().size() == 1 ? 1 : 0;
  }
  if (node->kind() != Symbol::fromQualString("lmbits::linear")) return 0;
  return is_none(node->input(2)) ? 1 : 3;  // x, packed, residual
}

// The attention that `value` is, as rows [B,T,D]: reshape(transpose(attention, 1, 2)), used for nothing else.
Node* match_attention_rows(Value* value) {
  if (!is(value, "aten::reshape") || value->uses().size() != 1) return nullptr;
  const Node* transpose = value->node()->input(0)->node();
  if (transpose->kind() != c10::aten::transpose || !is_number(transpose->input(1), 1) ||
      !is_number(transpose->input(2), 2) || transpose->output()->uses().size() != 1) {
    return nullptr;
  }
  Node* attention = transpose->input(0)->node();
  const bool matches = attention->kind() == Symbol::fromQualString("lmbits::causal_attention") &&
                       attention->output()->uses().size() == 1;
  return matches ? attention : nullptr;
}

void heed_branches(Block* block, Value* branches) {
  for (Node* node : block->nodes()) {
    if (node->kind() == Symbol::fromQualString("lmbits::causal_attention")) node->replaceInput(7, branches);
    if (node->kind() == Symbol::fromQualString("lmbits::rotate_heads")) node->replaceInput(3, branches);
    for (Block* inner : node->blocks()) heed_branches(inner, branches);
  }
}

}  // namespace

bool writes_in_place(Block* block) {
  return std::any_of(block->nodes().begin(), block->nodes().end(), [](Node* node) {
    const auto* schema = node->maybeSchema();
    if (schema != nullptr && schema->is_mutable()) return true;
    return std::any_of(node->blocks().begin(), node->blocks().end(), writes_in_place);
  });
}

int fuse_cpu_kernels(const std::shared_ptr<Graph>& graph, kernels::WeightFormat format) {
  if (kernels::best_isa() == kernels::Isa::kScalar) return 0;
  torch::jit::RemoveTensorMutation(graph);  // x += y, where nothing else sees x
  if (writes_in_place(graph->block())) return 0;
  register_cpu_ops();
  const int n_fused = Fuser(*graph, format).run();
  torch::jit::EliminateDeadCode(graph);
  return n_fused;
}

void add_inputs(const std::shared_ptr<Graph>& graph) {
  register_cpu_ops();
  if (const Value* output = graph->outputs()[0]; is(output, "prim::TupleConstruct")) {
    graph->return_node()->replaceInput(
        0, output->node()->input(0));  // hidden states first, as TorchModule::call takes them
  }
  Value *rows = graph->addInput("rows"), *branches = graph->addInput("branches");
  heed_branches(graph->block(), branches);
  std::unordered_map<Value*, Value*> selected;
  const auto select = [&](Value* whole, Node* before) {
    Value*& part = selected[whole];
    if (part == nullptr) {
      if (Node* attention = match_attention_rows(whole); attention != nullptr) attention->replaceInput(4, rows);
      Node* node = graph->create(Symbol::fromQualString("lmbits::select_rows"), {whole, rows, graph->inputs()[0]}, 1);
      node->insertBefore(before);
      part = node->output();
    }
    return part;
  };
  // From the end: a row-wise operator is narrowed once all that use it are.
  std::unordered_set<const Node*> narrowed = {graph->return_node()};
  for (Node* node : graph->nodes().reverse()) {
    const bool all_users = std::all_of(node->outputs().begin(), node->outputs().end(), [&](const Value* output) {
      return std::all_of(output->uses().begin(), output->uses().end(),
                         [&](const auto& use) { return narrowed.contains(use.user); });
    });
    if (all_users && n_row_inputs(node) > 0) narrowed.insert(node);
  }
  std::vector<Node*> in_order;
  for (Node* node : graph->nodes()) {
    if (narrowed.contains(node)) in_order.push_back(node);
  }
  in_order.push_back(graph->return_node());
  for (Node* node : in_order) {
    const std::size_t n_inputs = node == graph->return_node() ? 1 : n_row_inputs(node);
    for (std::size_t i = 0; i < n_inputs; ++i) {
      Value* input = node->input(i);
      const bool weight_input = node != graph->return_node() && i == 1;
      if (!weight_input && !narrowed.contains(input->node())) node->replaceInput(i, select(input, node));
    }
  }
}

}  // namespace lmbits
