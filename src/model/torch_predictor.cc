#include "src/model/torch_predictor.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/List.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <vector>

#include "src/core/error.h"

namespace lmbits {
namespace {

constexpr std::int64_t kBlockRows = 48;  // of logits made at a time

at::Tensor as_tensor(const std::vector<std::int64_t>& values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<std::int64_t*>(values.data()), shape, at::kLong);
}

}  // namespace

class TorchPredictor final : public Predictor {
 public:
  TorchPredictor(const TorchPredictors& shared, bool cached) : shared_(shared), cached_(cached) {}

  // Without kCached even where the module could: an encoder that was told to run windows must.
  Decoding decoding() const override { return cached_ ? Decoding::kCached : Decoding::kWindow; }

  void predict(const Batch& batch, const Use& use) override {
    const c10::InferenceMode inference;
    const auto n = static_cast<std::int64_t>(batch.rows.size());
    if (n == 0) return;
    const at::Tensor ids = as_tensor(batch.ids, {batch.n_sequences, batch.n_positions});
    if (cached_) {
      const at::Tensor rows = shared_.module_.rows(ids, as_tensor(batch.rows, {n}));
      shared_.logits(rows, [&](std::int64_t i, const float* row) { give(use, i, row); });
      return;
    }
    // All rows, and their logits in blocks counted from the window's start: the same shapes and places in every call.
    LMBITS_CHECK(batch.n_sequences == 1);
    const at::Tensor rows = shared_.module_.rows(ids, at::arange(batch.n_positions, at::kLong));
    for (std::int64_t i = 0; i < n;) {
      const std::int64_t begin = batch.rows[static_cast<std::size_t>(i)] / kBlockRows * kBlockRows;
      const std::int64_t end = std::min(begin + kBlockRows, batch.n_positions);
      shared_.logits(rows.slice(0, begin, end), [&](std::int64_t row, const float* values) {
        if (i < n && batch.rows[static_cast<std::size_t>(i)] == begin + row) give(use, i++, values);
      });
    }
  }

  void start(std::int64_t n_slots, std::int64_t n_positions) override {
    const c10::InferenceMode inference;
    limits_ = {n_slots, n_positions};
    caches_.clear();
    for (std::int64_t i = 0; i < shared_.n_caches_; ++i) caches_.push_back(at::empty({0}, at::kFloat));
  }

  void step(std::span<const Step> steps, const Use& use) override {
    const c10::InferenceMode inference;
    std::vector<std::int64_t> wanted;
    const at::Tensor rows = hidden(steps);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].wanted) wanted.push_back(static_cast<std::int64_t>(i));
    }
    const auto n = static_cast<std::int64_t>(wanted.size());
    shared_.logits(rows.index_select(0, as_tensor(wanted, {n})),
                   [&](std::int64_t i, const float* row) { give(use, wanted[static_cast<std::size_t>(i)], row); });
  }

  std::int64_t slot_bytes(std::int64_t n_positions) const override {
    return shared_.cache_bytes_per_position_ * n_positions;
  }

  // [R,D] of the steps.
  at::Tensor hidden(std::span<const Step> steps) {
    std::vector<std::int64_t> ids, positions, slots;
    for (const Step& step : steps) {
      ids.push_back(step.id);
      positions.push_back(step.position);
      slots.push_back(step.slot);
    }
    const auto n = static_cast<std::int64_t>(steps.size());
    torch::jit::Stack stack = {as_tensor(ids, {1, n}), as_tensor(positions, {n}), as_tensor(slots, {n}),
                               as_tensor(limits_, {2})};
    for (const at::Tensor& cache : caches_) stack.emplace_back(cache);
    shared_.step_->run(stack);
    return stack.back().toTensor().flatten(0, 1);
  }

  std::int64_t cache_bytes() const {
    std::int64_t n = 0;
    for (const at::Tensor& cache : caches_) n += cache.numel() * 4;
    return n;
  }

 private:
  void give(const Use& use, std::int64_t i, const float* row) const {
    use(static_cast<std::size_t>(i), std::span(row, static_cast<std::size_t>(shared_.vocab_size_)));
  }

  const TorchPredictors& shared_;
  bool cached_;
  std::vector<std::int64_t> limits_ = {0, 0};
  std::vector<at::Tensor> caches_;
};

// The bundle's own step, for all streams at once.
class StepPredictor final : public Predictor {
 public:
  explicit StepPredictor(const TorchPredictors& shared) : shared_(shared) {}

  Decoding decoding() const override { return Decoding::kStep; }
  void predict(const Batch&, const Use&) override { LMBITS_CHECK(false); }

  void start(std::int64_t n_slots, std::int64_t) override {
    ids_.resize(static_cast<std::size_t>(n_slots));
    position_ = 0;
  }

  void step(std::span<const Step> steps, const Use& use) override {
    const c10::InferenceMode inference;
    LMBITS_CHECK(steps.size() == ids_.size() && !steps.empty());
    LMBITS_CHECK(steps[0].position == 0 || steps[0].position == position_ + 1);
    position_ = steps[0].position;
    std::vector<std::int64_t> wanted;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      LMBITS_CHECK(steps[i].slot == static_cast<std::int64_t>(i) && steps[i].position == position_);
      ids_[i] = steps[i].id;
      if (steps[i].wanted) wanted.push_back(static_cast<std::int64_t>(i));
    }
    const at::Tensor rows = hidden().flatten(0, 1);
    const auto n = static_cast<std::int64_t>(wanted.size());
    shared_.logits(rows.index_select(0, as_tensor(wanted, {n})), [&](std::int64_t i, const float* row) {
      use(static_cast<std::size_t>(wanted[static_cast<std::size_t>(i)]),
          std::span(row, static_cast<std::size_t>(shared_.vocab_size_)));
    });
  }

  std::int64_t slot_bytes(std::int64_t) const override { return 0; }  // the bundle's affair: nothing here keeps it

  // [B,1,D] of ids_ at position_.
  at::Tensor hidden() {
    if (position_ == 0) state_ = c10::List<at::Tensor>();
    const auto result = shared_.steps_->get_method("step")(
        {as_tensor(ids_, {std::ssize(ids_), 1}).clone(), state_});  // a state may keep them
    const auto& parts = result.toTupleRef().elements();
    state_ = parts.at(1).toTensorList();
    return parts.at(0).toTensor();
  }

  std::vector<std::int64_t> ids_;
  std::int64_t position_ = 0;

 private:
  const TorchPredictors& shared_;
  c10::List<at::Tensor> state_;
};

TorchPredictors::TorchPredictors(const ModelGraph& module, const WeightHead* head, std::int64_t vocab_size,
                                 std::int64_t context_length, StepsLoader load_steps)
    : module_(module),
      head_(head),
      vocab_size_(vocab_size),
      context_length_(context_length),
      load_steps_(std::move(load_steps)) {
  if (head == nullptr && !module.head_is_row_wise()) return;
  const auto graph = module.step_graph(context_length);
  if (!graph) return;
  n_caches_ = graph->n_caches;
  step_.emplace(graph->graph, "step");
  if (!proves_itself(context_length)) step_.reset();
}

std::unique_ptr<Predictor> TorchPredictors::make(const std::string& where, std::optional<Decoding> wanted) const {
  const bool has_step = static_cast<bool>(load_steps_);
  const Decoding decoding = wanted     ? *wanted
                            : step_    ? Decoding::kCached
                            : has_step ? Decoding::kStep
                                       : Decoding::kWindow;
  if (decoding == Decoding::kCached && !step_)
    throw Error(
        ErrorKind::kUnsupported,
        where + " cannot be decoded behind kept keys and values on this machine: its rows depend on their company",
        "use --decoding step, window or auto");
  if (decoding == Decoding::kStep && !has_step)
    throw Error(ErrorKind::kUnsupported, where + " has no method step(ids, state): it is not of level 3",
                "use --decoding cached, window or auto");
  if (decoding != Decoding::kStep) return std::make_unique<TorchPredictor>(*this, decoding == Decoding::kCached);
  std::call_once(steps_once_, [&] {
    steps_ = load_steps_();
    prove_steps(where);
  });
  return std::make_unique<StepPredictor>(*this);
}

// use(i, logits) of hidden rows [R,D].
void TorchPredictors::logits(const at::Tensor& rows, const UseRow& use) const {
  if (head_ != nullptr) return head_->rows(rows, use);
  for (std::int64_t begin = 0; begin < rows.size(0); begin += kBlockRows) {
    const at::Tensor part = rows.slice(0, begin, std::min(begin + kBlockRows, rows.size(0)));
    const at::Tensor values = (module_.level() == 1 ? module_.head(part) : part).to(at::kFloat).contiguous();
    if (values.dim() != 2 || values.size(0) != part.size(0) || values.size(1) < vocab_size_) {
      throw Error(ErrorKind::kModel, "the head returned " + c10::str(values.sizes()) + " for " +
                                         std::to_string(part.size(0)) + " rows and a vocabulary of " +
                                         std::to_string(vocab_size_));
    }
    for (std::int64_t i = 0; i < values.size(0); ++i)
      use(begin + i, values.const_data_ptr<float>() + i * values.size(1));
  }
}

// Two made-up sequences, a step after the other against all at once.
void TorchPredictors::prove_steps(const std::string& where) const {
  const c10::InferenceMode inference;
  const std::int64_t length = std::min<std::int64_t>(24, context_length_);
  const at::Tensor ids = (at::arange(2 * length, at::kLong).reshape({2, length}) * 7919 + 17).remainder(vocab_size_);
  const at::Tensor whole = module_.rows(ids, at::arange(2 * length, at::kLong)).to(at::kDouble).view({2, length, -1});
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kModel, where + ": step(ids, state) " + what,
                "step(ids[B,1], state: List[Tensor]) must return hidden(ids)[:, t:t+1] and the next state");
  };
  try {
    StepPredictor steps(*this);
    steps.start(2, length);
    double error = 0.0;
    const bool coarse = steps_->parameters().size() > 0 && (*steps_->parameters().begin()).scalar_type() != at::kFloat;
    const double most = coarse ? 0.1 : 1e-3;
    for (; steps.position_ < length; ++steps.position_) {
      steps.ids_ = {ids[0][steps.position_].item<std::int64_t>(), ids[1][steps.position_].item<std::int64_t>()};
      const at::Tensor row = steps.hidden().to(at::kDouble),
                       expected = whole.slice(1, steps.position_, steps.position_ + 1);
      if (row.sizes() != expected.sizes()) return refuse("returned " + c10::str(row.sizes()) + " for ids [2, 1]");
      error = ((row - expected).norm() / expected.norm()).item<double>();
      if (!(error < most))
        refuse("differs from hidden(ids) by " + std::to_string(error) + " of its norm");  // or is NaN
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    refuse("failed: " + torch_reason(e));
  }
}

// Two made-up sequences: whole in one batch, padded, against piece by piece, the pieces in turn. Every bit counts.
bool TorchPredictors::proves_itself(std::int64_t context_length) {
  const c10::InferenceMode inference;
  const std::int64_t length = std::min<std::int64_t>(80, context_length);
  const std::int64_t padded = std::min<std::int64_t>(96, context_length);
  const at::Tensor ids = (at::arange(2 * padded, at::kLong).reshape({2, padded}) * 7919 + 17).remainder(vocab_size_);
  const at::Tensor whole = module_.rows(ids, at::arange(2 * padded, at::kLong));
  std::vector<float> expected;
  TorchPredictor predictor(*this, /*cached=*/true);
  logits(whole, [&](std::int64_t, const float* row) { expected.insert(expected.end(), row, row + vocab_size_); });
  try {
    predictor.start(2, context_length);
    std::int64_t at[2] = {0, 0}, piece = 1;
    for (; at[0] < length || at[1] < length; ++piece) {
      std::vector<Step> steps;
      for (std::int64_t s = 0; s < 2; ++s) {
        // Also single rows, where shapes have ones that an operator may take for others.
        const std::int64_t here = piece % 3 == 0 ? 1 - s : (piece * (s + 3)) % 11 + 1;
        const std::int64_t n = std::min(here, length - at[s]);
        for (std::int64_t i = 0; i < n; ++i, ++at[s])
          steps.push_back({s, at[s], ids[s][at[s]].item<std::int64_t>(), true});
      }
      if (steps.empty()) continue;
      bool equal = true;
      predictor.step(steps, [&](std::size_t i, std::span<const float> row) {
        const auto place = static_cast<std::ptrdiff_t>((steps[i].slot * padded + steps[i].position) * vocab_size_);
        equal = equal && std::equal(row.begin(), row.end(), expected.begin() + place);
      });
      if (!equal) return false;
    }
  } catch (const c10::Error&) {
    return false;
  }
  cache_bytes_per_position_ = predictor.cache_bytes() / (2 * context_length);
  return true;
}

}  // namespace lmbits
