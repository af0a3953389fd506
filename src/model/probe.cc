#include "src/model/probe.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>

#include "src/core/error.h"

namespace lmbits {
namespace {

class Prober {
 public:
  Prober(const ModelGraph& module, const BundleMetadata& metadata, const std::string& where)
      : module_(module), metadata_(metadata), where_(where) {
    length_ = std::min<std::int64_t>(24, metadata.context_length);
    at::Tensor i =
        at::arange(2 * length_, at::TensorOptions().dtype(at::kLong).device(module.device())).reshape({2, length_});
    ids_ = (i * 7919 + 17).remainder(metadata.vocab_size);  // spread over the vocabulary
    ids_[1][0] = metadata.vocab_size - 1;                   // its last id included
  }

  ProbeResult run() {
    logits_of(at::zeros_like(ids_));  // its columns first: ids beyond the real vocabulary are out of range
    logits_ = logits_of(ids_);
    check_finite();
    check_no_state();
    check_causality();
    check_padding();
    return {logits_.size(2), module_.level() > 0 ? check_head() : 0};
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& hint = {}) const {
    throw Error(ErrorKind::kModel, where_ + ": " + what, hint);
  }

  // [B,T,V] in float, shape checked.
  at::Tensor logits_of(const at::Tensor& ids) const {
    const at::Tensor logits = module_.forward(ids);
    if (logits.dim() != 3 || logits.size(0) != ids.size(0) || logits.size(1) != ids.size(1)) {
      refuse("forward() returned " + c10::str(logits.sizes()) + " for ids " + c10::str(ids.sizes()),
             "forward(ids[B,T]) must return logits [B,T,V]");
    }
    if (logits.size(2) != metadata_.padded_vocab_size) {
      refuse("the metadata states a vocabulary of " + std::to_string(metadata_.padded_vocab_size) +
                 " columns, but forward() returned " + std::to_string(logits.size(2)),
             "set vocab_size and padded_vocab_size in lmbits.json to what the model has");
    }
    return logits.to(at::kFloat).slice(2, 0, metadata_.vocab_size);
  }

  void check_finite() {
    if (at::isnan(logits_).any().item<bool>())
      refuse("forward() gives NaN logits", "check the weights and their dtype");
    if (!at::isfinite(std::get<0>(logits_.max(2))).all().item<bool>()) refuse("forward() gives infinite logits");
    tolerance_ = 1e-3 + 2e-3 * logits_.nan_to_num(0.0, 0.0, 0.0).abs().max().item<double>() * rounding();
  }

  // How coarse the arithmetic is, against float32.
  double rounding() const { return module_.forward(ids_).scalar_type() == at::kFloat ? 0.1 : 10.0; }

  // Per row, the largest difference between two [T,V] logits.
  static at::Tensor row_difference(const at::Tensor& a, const at::Tensor& b) {
    return std::get<0>((a - b).nan_to_num(0.0).abs().max(1));
  }

  void check_no_state() const {
    logits_of(ids_.flip(1));  // something else in between
    const double difference = (logits_of(ids_) - logits_).nan_to_num(0.0).abs().max().item<double>();
    if (difference > tolerance_) {
      refuse("two calls with the same ids differ by " + std::to_string(difference) + ": it keeps state between calls",
             "export in eval mode, without caches or dropout");
    }
  }

  void check_causality() const {
    if (length_ < 4) return;
    const std::int64_t at = length_ / 2;
    at::Tensor changed = ids_.clone();
    changed[0][at] = (changed[0][at] + 1).remainder(metadata_.vocab_size);
    const at::Tensor difference = row_difference(logits_of(changed)[0], logits_[0]);
    if (difference.slice(0, 0, at).max().item<double>() > tolerance_) {
      refuse("a row of logits changes with a later id: the model is bidirectional, or its rows are shifted left by one",
             "row t may depend on ids[0..t] only, and predicts ids[t+1]");
    }
    if (difference[at].item<double>() <= tolerance_ * 1e-3 &&
        difference.slice(0, at + 1).max().item<double>() > tolerance_) {
      refuse("row t does not depend on ids[t]: the rows are shifted right by one",
             "row t must predict ids[t+1]; do not shift the labels inside the model");
    }
  }

  // Cut on the right: the rows that remain must not notice what followed them.
  void check_padding() const {
    if (length_ < 4) return;
    const std::int64_t keep = length_ - 3;
    const at::Tensor cut = logits_of(ids_.slice(0, 0, 1).slice(1, 0, keep).contiguous())[0];
    const double difference = row_difference(cut, logits_[0].slice(0, 0, keep)).max().item<double>();
    if (difference > tolerance_) {
      refuse("the same ids give other logits (by " + std::to_string(difference) +
                 ") when fewer ids follow them: it does not take right padding",
             "no left padding, no mask, no positions counted from the end");
    }
  }

  std::int64_t check_head() const {
    const at::Tensor hidden = module_.hidden(ids_);
    if (hidden.dim() != 3 || hidden.size(0) != 2 || hidden.size(1) != length_) {
      refuse("hidden() returned " + c10::str(hidden.sizes()) + " for ids " + c10::str(ids_.sizes()));
    }
    const at::Tensor rows = hidden.flatten(0, 1);
    if (module_.level() == 1) {
      expect_logits(module_.head(rows).to(at::kFloat), "head(hidden(ids))");
      return hidden.size(2);
    }
    const at::Tensor& weight = module_.head_weight();
    if (weight.dim() != 2 || weight.size(1) != hidden.size(2) || weight.size(0) < metadata_.vocab_size) {
      refuse("head_weight() is " + c10::str(weight.sizes()) + ", hidden() " + c10::str(hidden.sizes()));
    }
    at::Tensor logits = at::mm(rows.to(weight.scalar_type()), weight.t()).to(at::kFloat);
    if (module_.head_bias()) logits = logits + *module_.head_bias();
    if (metadata_.logit_scale) logits = logits * *metadata_.logit_scale;
    if (metadata_.logit_softcap) logits = (logits / *metadata_.logit_softcap).tanh() * *metadata_.logit_softcap;
    expect_logits(logits, "hidden(ids) times head_weight()");
    return hidden.size(2);
  }

  void expect_logits(const at::Tensor& rows, const char* what) const {
    const at::Tensor expected = logits_.flatten(0, 1);
    if (rows.dim() != 2 || rows.size(1) < metadata_.vocab_size)
      refuse(std::string(what) + " is " + c10::str(rows.sizes()));
    const double difference = row_difference(rows.slice(1, 0, metadata_.vocab_size), expected).max().item<double>();
    if (difference > tolerance_ * 4) {
      refuse(std::string(what) + " differs from forward(ids) by " + std::to_string(difference),
             "softcap and scale belong into lmbits.json where head_weight() is used");
    }
  }

  const ModelGraph& module_;
  const BundleMetadata& metadata_;
  const std::string& where_;
  std::int64_t length_ = 0;
  at::Tensor ids_;     // [2,T]
  at::Tensor logits_;  // [2,T,V]
  double tolerance_ = 0.0;
};

}  // namespace

ProbeResult probe(const ModelGraph& module, const BundleMetadata& metadata, const std::string& where) {
  const c10::InferenceMode inference;
  return Prober(module, metadata, where).run();
}

}  // namespace lmbits
