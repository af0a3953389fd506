#include "src/model/device_scorer.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "kernels/nll_row.h"
#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr std::int64_t kRowStep = 64;  // head rows come in such steps
constexpr std::int64_t kStateFloats = sizeof(kernels::NllRowState) / sizeof(float);
constexpr std::int64_t kSumWords = sizeof(kernels::NllSum) / sizeof(std::int64_t);

kernels::LogitType type_of(const at::Tensor& logits) {
  switch (logits.scalar_type()) {
    case at::kFloat:
      return kernels::LogitType::kFloat32;
    case at::kBFloat16:
      return kernels::LogitType::kBFloat16;
    case at::kHalf:
      return kernels::LogitType::kFloat16;
    default:
      throw Error(ErrorKind::kModel, std::string("the head returned logits of type ") + toString(logits.scalar_type()),
                  "float32, bfloat16 and float16 can be scored");
  }
}

template <typename T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

std::int64_t count_of(const auto& values) { return static_cast<std::int64_t>(values.size()); }

}  // namespace

// The forward pass of one shape. `replay` reads `ids` and writes `positions`.
struct DeviceScorer::Graph {
  std::int64_t n_seen = 0;
  at::Tensor ids, positions;
  std::unique_ptr<Replay> replay;  // before its tensors go, that is destroyed first
};

// One thread's place: a stream, the pinned memory of what is under way on it, and its graphs by shape.
struct DeviceScorer::Slot {
  std::size_t stream;
  at::Tensor words, targets, bits, states, sums, flags;
  std::map<std::vector<std::int64_t>, Graph> graphs;

  // `pinned` with room for n elements.
  static at::Tensor reserve(Device& device, at::Tensor& pinned, std::int64_t n, at::ScalarType type) {
    if (!pinned.defined() || pinned.numel() < n) pinned = device.pinned(n + n / 4, type);
    return pinned.slice(0, 0, n);
  }
};

// Some sequences of a batch: B, T and the rows, targets and segments in them.
struct DeviceScorer::Pass {
  std::int64_t n_sequences, n_positions;
  const std::int64_t* ids;  // of n_given sequences; the others are dummies
  std::int64_t n_given;
  const std::int64_t* rows;  // of the batch: first_position stands for 0
  std::int64_t first_position;
  const std::int32_t* targets;
  std::int64_t first_row, n_rows;
  std::int64_t first_segment;
  std::vector<std::int64_t> begins;
};

DeviceScorer::DeviceScorer(std::unique_ptr<Device> device, std::unique_ptr<ModelGraph> module, const HeadOptions& head,
                           bool graphs, std::int64_t head_bytes)
    : device_(std::move(device)), module_(std::move(module)), head_(head) {
  const std::int64_t n_cols = head_.vocab_size <= kWidestTile ? head_.vocab_size : kTileColumns;
  if (!graphs) no_graphs_ = "not asked for, or the model is large";
  if (module_->level() == 0) no_graphs_ = "the bundle is of level 0";
  sizes_ = {std::max(kFewestHeadRows, head_bytes / (4 * n_cols) / kRowStep * kRowStep), 0};
  for (std::size_t stream = 0; stream < kDeviceStreams; ++stream) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->stream = stream;
    free_.push_back(slots_.back().get());
  }
}

DeviceScorer::~DeviceScorer() = default;

DeviceScorer::Sizes DeviceScorer::sizes() const {
  const std::lock_guard lock(mutex_);
  return sizes_;
}

std::vector<BackOff> DeviceScorer::back_offs() const {
  const std::lock_guard lock(mutex_);
  return back_offs_;
}

void DeviceScorer::score(const Batch& batch, const DeviceScores& out) {
  LMBITS_CHECK(batch.branches.empty());  // takes_branches() says no
  for (const std::int32_t target : batch.targets) {
    if (target < 0 || target >= head_.vocab_size) {
      throw Error(ErrorKind::kModel,
                  "target " + std::to_string(target) + " lies outside the model's vocabulary of " +
                      std::to_string(head_.vocab_size),
                  "the tokenizer does not belong to the model");
    }
  }
  Slot* slot = nullptr;
  {
    std::unique_lock lock(mutex_);
    slot_is_free_.wait(lock, [&] { return !free_.empty(); });
    slot = free_.back();
    free_.pop_back();
  }
  const auto give_back = [&](Slot* taken) {
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(taken);
    }
    slot_is_free_.notify_one();
  };
  const std::unique_ptr<Slot, decltype(give_back)> lease(slot, give_back);

  while (true) {
    const Sizes tried = sizes();
    std::string out_of_memory;
    try {
      device_->run(slot->stream, [&] { score_parts(*slot, batch, out, tried); });
      return;
    } catch (const c10::OutOfMemoryError& e) {
      out_of_memory = e.what_without_backtrace();
    } catch (const Error& e) {
      if (const auto problem = device_->problem()) {
        throw Error(ErrorKind::kDevice, device_->name() + " is lost: " + *problem, "the same command resumes the run");
      }
      if (e.kind() != ErrorKind::kOutOfMemory) throw;
      out_of_memory = e.what();
    } catch (const std::logic_error&) {
      throw;
    } catch (const std::exception& e) {
      const auto problem = device_->problem();
      throw Error(ErrorKind::kDevice,
                  device_->name() + (problem ? " is lost: " + *problem : std::string(" failed: ") + e.what()),
                  "the same command resumes the run");
    }
    // Out here no tensor of the pass is alive any more. What is still being copied reads the slot's memory.
    device_->synchronize(slot->stream);
    const bool had_own = !slot->graphs.empty();
    slot->graphs.clear();
    const bool gave_up = give_up_graphs("memory ran out") || had_own;
    device_->release_cache();
    if (!gave_up) back_off(batch, tried, out_of_memory);
  }
}

Json DeviceScorer::graphs() const {
  const std::lock_guard lock(mutex_);
  return {{"captured", n_graphs_}, {"why_none", no_graphs_.empty() ? Json(nullptr) : Json(no_graphs_)}};
}

bool DeviceScorer::may_have_graphs() const {
  const std::lock_guard lock(mutex_);
  return no_graphs_.empty();
}

// Were they allowed until now, or did any live on? Idle slots lose theirs here, busy ones when their next pass begins.
bool DeviceScorer::give_up_graphs(const std::string& why) {
  const std::lock_guard lock(mutex_);
  bool had_any = no_graphs_.empty();
  for (Slot* idle : free_) {
    had_any = had_any || !idle->graphs.empty();
    idle->graphs.clear();
  }
  if (no_graphs_.empty()) no_graphs_ = why;
  return had_any;
}

// [B,T,D] of ids [B,T]; what a graph wrote is good until the slot's next pass.
at::Tensor DeviceScorer::forward(Slot& slot, const at::Tensor& ids) {
  if (!may_have_graphs()) {
    slot.graphs.clear();
    return module_->positions(ids);
  }
  const std::vector<std::int64_t> shape = ids.sizes().vec();
  const auto n_captured = std::count_if(slot.graphs.begin(), slot.graphs.end(),
                                        [](const auto& each) { return each.second.replay != nullptr; });
  if (!slot.graphs[shape].replay && n_captured >= kMostGraphs) return module_->positions(ids);
  Graph& graph = slot.graphs[shape];
  if (graph.replay) {
    graph.ids.copy_(ids);
    graph.replay->run();
    return graph.positions;
  }
  const at::Tensor positions = module_->positions(ids);
  const bool soon = ++graph.n_seen < kEagerPasses;
  if (soon || at::isnan(positions).any().item<bool>())
    return positions;  // NaN is nobody's equal: another batch proves it
  if (captured(slot, graph, ids, positions)) return positions;
  slot.graphs.clear();
  return positions;
}

// Captures with other ids, and proves the graph on these. Out of memory passes through.
bool DeviceScorer::captured(Slot& slot, Graph& graph, const at::Tensor& ids, const at::Tensor& expected) {
  std::string problem;
  try {
    graph.ids = at::zeros_like(ids);
    module_->positions(graph.ids);  // what is made once a thread and shape is made here
    device_->synchronize(slot.stream);
    graph.replay = device_->capture([&] { graph.positions = module_->positions(graph.ids); });
    graph.ids.copy_(ids);
    graph.replay->run();
    if (at::equal(graph.positions, expected)) {
      const std::lock_guard lock(mutex_);
      ++n_graphs_;
      return true;
    }
    problem = "a graph gave other numbers than the operators";
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const std::exception& e) {
    const auto* error = dynamic_cast<const Error*>(&e);
    if ((error != nullptr && error->kind() == ErrorKind::kOutOfMemory) || device_->problem()) throw;
    problem = std::string("the forward pass cannot be captured: ") + e.what();
  }
  give_up_graphs(problem.substr(0, problem.find('\n')));
  return false;
}

void DeviceScorer::back_off(const Batch& batch, Sizes tried, const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (sizes_.head_rows != tried.head_rows || sizes_.n_sequences != tried.n_sequences) return;  // another thread did
  const std::int64_t n_sequences =
      tried.n_sequences > 0 ? std::min(tried.n_sequences, batch.n_sequences) : batch.n_sequences;
  // More rows than a pass has are no rows to halve.
  const std::int64_t n_rows = std::min(tried.head_rows, n_sequences * batch.n_positions);
  if (n_rows > kFewestHeadRows) {
    sizes_.head_rows = std::max(kFewestHeadRows, n_rows / 2 / kRowStep * kRowStep);
    back_offs_.push_back({"head rows", tried.head_rows, sizes_.head_rows});
  } else if (n_sequences > 1) {
    sizes_.n_sequences = (n_sequences + 1) / 2;
    back_offs_.push_back({"sequences", n_sequences, sizes_.n_sequences});
  } else {
    throw Error(ErrorKind::kOutOfMemory,
                device_->name() + ": one sequence of " + std::to_string(batch.n_positions) + " ids and " +
                    std::to_string(kFewestHeadRows) + " rows of the head do not fit: " + why.substr(0, why.find('\n')),
                "use a shorter --window, --dtype bfloat16, or a device with more memory");
  }
}

void DeviceScorer::score_parts(Slot& slot, const Batch& batch, const DeviceScores& out, Sizes sizes) {
  const auto n = static_cast<std::size_t>(count_of(batch.rows));
  if (out.bits != nullptr) out.bits->resize(n);
  if (out.most_probable != nullptr) out.most_probable->resize(n);
  if (out.sums != nullptr) out.sums->resize(out.begins->size() - 1);
  const std::int64_t step = sizes.n_sequences > 0 ? std::min(sizes.n_sequences, batch.n_sequences) : batch.n_sequences;
  std::int64_t row = 0, segment = 0;
  for (std::int64_t first = 0; first < batch.n_sequences; first += step) {
    const std::int64_t given = std::min(step, batch.n_sequences - first);
    const std::int64_t end_position = (first + given) * batch.n_positions;
    const auto row_end = std::lower_bound(batch.rows.begin() + row, batch.rows.end(), end_position);
    Pass pass{step,
              batch.n_positions,
              batch.ids.data() + first * batch.n_positions,
              given,
              batch.rows.data() + row,
              first * batch.n_positions,
              batch.targets.data() + row,
              row,
              row_end - batch.rows.begin() - row,
              segment,
              {}};
    if (out.sums != nullptr) {
      const std::vector<std::int64_t>& begins = *out.begins;
      while (segment + 1 < count_of(begins) && begins[static_cast<std::size_t>(segment)] < row + pass.n_rows) {
        pass.begins.push_back(begins[static_cast<std::size_t>(segment++)] - row);
      }
    }
    pass.begins.push_back(pass.n_rows);
    if (pass.n_rows > 0) score_part(slot, pass, out, sizes.head_rows);
    row += pass.n_rows;
  }
}

void DeviceScorer::score_part(Slot& slot, const Pass& pass, const DeviceScores& out, std::int64_t head_rows) {
  const c10::InferenceMode inference;
  Device& device = *device_;
  const std::int64_t n_ids = pass.n_sequences * pass.n_positions, n = pass.n_rows, n_begins = count_of(pass.begins);

  const at::Tensor words = Slot::reserve(device, slot.words, n_ids + n + n_begins, at::kLong);
  std::int64_t* w = data<std::int64_t>(words);
  std::fill_n(std::copy_n(pass.ids, pass.n_given * pass.n_positions, w),
              (pass.n_sequences - pass.n_given) * pass.n_positions, 0);
  std::transform(pass.rows, pass.rows + n, w + n_ids, [&](std::int64_t r) { return r - pass.first_position; });
  std::copy(pass.begins.begin(), pass.begins.end(), w + n_ids + n);
  const at::Tensor targets_here = Slot::reserve(device, slot.targets, n, at::kInt);
  std::copy_n(pass.targets, n, data<std::int32_t>(targets_here));

  const at::Tensor there = device.to_device(words), targets = device.to_device(targets_here);
  const at::Tensor positions = forward(slot, there.slice(0, 0, n_ids).view({pass.n_sequences, pass.n_positions}));
  const at::Tensor chosen = positions.flatten(0, 1).index_select(0, there.slice(0, n_ids, n_ids + n));
  const auto on_device = at::TensorOptions().device(device.place());
  const at::Tensor states = at::empty({n, kStateFloats}, on_device.dtype(at::kFloat));
  device.nll_tile_init(data<kernels::NllRowState>(states), n);
  fold_head(chosen, targets, std::min(head_rows, n_ids), data<kernels::NllRowState>(states));

  const at::Tensor bits = at::empty({n}, on_device.dtype(at::kFloat));
  const at::Tensor sums = at::empty({std::max<std::int64_t>(n_begins - 1, 1), kSumWords}, on_device.dtype(at::kLong));
  const at::Tensor flags = at::zeros({1}, on_device.dtype(at::kInt));
  device.nll_merge_segsum(
      {data<kernels::NllRowState>(states), 1, n, data<std::int64_t>(there) + n_ids + n, n_begins - 1},
      data<float>(bits), data<kernels::NllSum>(sums), data<std::uint32_t>(flags));

  const at::Tensor bits_here = Slot::reserve(device, slot.bits, n, at::kFloat);
  const at::Tensor states_here = Slot::reserve(device, slot.states, n * kStateFloats, at::kFloat);
  const at::Tensor sums_here = Slot::reserve(device, slot.sums, sums.numel(), at::kLong);
  const at::Tensor flags_here = Slot::reserve(device, slot.flags, 1, at::kInt);
  if (out.bits != nullptr) device.to_host(bits, bits_here);
  if (out.most_probable != nullptr) device.to_host(states.flatten(), states_here);
  if (out.sums != nullptr) device.to_host(sums.flatten(), sums_here);
  device.to_host(flags, flags_here);
  device.synchronize(slot.stream);

  LMBITS_CHECK((*data<std::uint32_t>(flags_here) & kernels::kNllBadTarget) == 0);  // score() looked at them
  if (out.bits != nullptr) std::copy_n(data<float>(bits_here), n, out.bits->begin() + pass.first_row);
  if (out.most_probable != nullptr) {
    const auto* state = data<kernels::NllRowState>(states_here);
    for (std::int64_t i = 0; i < n; ++i) {  // max is the largest logit times this constant, rounded once: so is this
      (*out.most_probable)[static_cast<std::size_t>(pass.first_row + i)] =
          state[i].target * kernels::kLog2EFloat >= state[i].max;
    }
  }
  if (out.sums != nullptr) {
    std::copy_n(data<kernels::NllSum>(sums_here), n_begins - 1, out.sums->begin() + pass.first_segment);
  }
}

// chosen [N,D], or [N,V] where the model gives logits only.
void DeviceScorer::fold_head(const at::Tensor& chosen, const at::Tensor& targets, std::int64_t head_rows,
                             kernels::NllRowState* states) {
  const std::int64_t n = chosen.size(0), vocab = head_.vocab_size;
  if (module_->level() == 0) {
    fold_logits(chosen, n, data<std::int32_t>(targets), 0, states);
    return;
  }
  for (std::int64_t row = 0; row < n; row += head_rows) {
    const std::int64_t here = std::min(head_rows, n - row);
    at::Tensor h = chosen.slice(0, row, row + here);
    if (here < head_rows) h = at::constant_pad_nd(h, {0, 0, 0, head_rows - here}, 0);
    const std::int32_t* chunk_targets = data<std::int32_t>(targets) + row;
    if (module_->level() == 1) {
      const at::Tensor logits = module_->head(h);
      if (logits.dim() != 2 || logits.size(0) != head_rows) {
        throw Error(ErrorKind::kModel,
                    "head() returned " + c10::str(logits.sizes()) + " for " + std::to_string(head_rows) + " rows");
      }
      fold_logits(logits, here, chunk_targets, 0, states + row);
      continue;
    }
    const at::Tensor& weight = module_->head_weight();
    const std::int64_t tile = vocab <= kWidestTile ? vocab : kTileColumns;
    for (std::int64_t col = 0; col < vocab; col += tile) {
      const at::Tensor part = weight.slice(0, col, std::min(vocab, col + tile));
      fold_logits(device_->multiply(h.to(weight.scalar_type()), part), here, chunk_targets, col, states + row);
    }
  }
}

void DeviceScorer::fold_logits(const at::Tensor& given, std::int64_t n_rows, const std::int32_t* targets,
                               std::int64_t first_col, kernels::NllRowState* states) {
  const at::Tensor logits = given.stride(1) == 1 ? given : given.contiguous();
  const bool mapped = module_->level() == 2;  // a head's own logits are final
  const std::int64_t n_cols = mapped ? logits.size(1) : head_.vocab_size;
  if (logits.size(0) < n_rows || logits.size(1) < n_cols) {
    throw Error(ErrorKind::kModel, "the head returned " + c10::str(logits.sizes()) + " for " + std::to_string(n_rows) +
                                       " rows and a vocabulary of " + std::to_string(head_.vocab_size));
  }
  const std::optional<at::Tensor>& bias = module_->head_bias();
  kernels::NllRows tile{.logits = logits.data_ptr(),
                        .type = type_of(logits),
                        .bias = nullptr,
                        .targets = targets,
                        .n_rows = n_rows,
                        .n_cols = n_cols,
                        .stride = std::max(logits.stride(0), n_cols),
                        .first_col = first_col,
                        .scale = 1.0F,
                        .softcap = 0.0F};
  if (mapped && bias) tile.bias = data<float>(*bias) + first_col;
  if (mapped && head_.logit_scale) tile.scale = static_cast<float>(*head_.logit_scale);
  if (mapped && head_.softcap) tile.softcap = static_cast<float>(*head_.softcap);
  device_->nll_tile_update(tile, states);
}

DevicePool::DevicePool(std::vector<std::unique_ptr<DeviceScorer>> scorers) {
  for (auto& scorer : scorers) members_.push_back({std::move(scorer), 0, {}});
}

void DevicePool::score(const Batch& batch, const DeviceScores& out) {
  while (true) {
    Member* chosen = nullptr;
    {
      const std::lock_guard lock(mutex_);
      for (Member& member : members_) {
        if (member.lost.empty() && (chosen == nullptr || member.n_running < chosen->n_running)) chosen = &member;
      }
      if (chosen == nullptr) throw Error(ErrorKind::kDevice, members_.front().lost, "the same command resumes the run");
      ++chosen->n_running;
    }
    try {
      chosen->scorer->score(batch, out);
    } catch (const Error& e) {
      const std::lock_guard lock(mutex_);
      --chosen->n_running;
      if (e.kind() != ErrorKind::kDevice) throw;
      chosen->lost = e.what();
      continue;
    } catch (...) {
      const std::lock_guard lock(mutex_);
      --chosen->n_running;
      throw;
    }
    const std::lock_guard lock(mutex_);
    --chosen->n_running;
    return;
  }
}

std::int64_t DevicePool::n_workers() const { return count_of(members_) * static_cast<std::int64_t>(kDeviceStreams); }

Json DevicePool::describe() const {
  const std::lock_guard lock(mutex_);
  Json devices = Json::array();
  for (const Member& member : members_) {
    const Device& device = member.scorer->device();
    Json json = {{"device", device.name()},
                 {"description", device.description()},
                 {"peak_bytes", device.peak_bytes()},
                 {"graphs", member.scorer->graphs()},
                 {"back_offs", Json::array()}};
    for (const BackOff& b : member.scorer->back_offs()) {
      json["back_offs"].push_back({{"what", b.what}, {"from", b.from}, {"to", b.to}});
    }
    if (!member.lost.empty()) json["lost"] = member.lost;
    devices.push_back(json);
  }
  return devices;
}

}  // namespace lmbits
