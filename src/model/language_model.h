// A language model as the scoring engine sees it: ids in, bits out. No torch in sight.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/nll_rows.h"
#include "src/core/json.h"
#include "src/model/batch.h"
#include "src/model/predictor.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {

struct ModelInfo {
  std::string name;
  std::string fingerprint;  // 32 hex digits over code, weights and metadata
  std::int64_t context_length = 0;
  std::int64_t vocab_size = 0;  // ids that can be predicted
  std::optional<std::int32_t> bos_id, eos_id;
  std::string dtype;                    // of the arithmetic: "float32", "bfloat16", ...
  std::string device = "cpu";           // "cuda:0", "cuda:0,cuda:1"
  std::int64_t n_workers = 1;           // threads that it takes to keep the devices busy
  std::int64_t n_parameters = 0;        // 0: unknown
  std::int64_t bytes_per_position = 0;  // rough size of the activations, for bounding a batch; 0: negligible
  Json metadata;                        // as the bundle states it: parameters, training, licence ...
  std::vector<std::string> warnings;
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  const ModelInfo& info() const { return info_; }  // known without the weights, but for bytes_per_position and warnings
  const Tokenizer& tokenizer() const { return *tokenizer_; }

  // Brings the weights into memory and probes the model; once, before score. Throws Error(kModel) with one line that says
  // what is wrong.
  virtual void load() {}

  // Whether batches may hold branches, which then get the bits, to the last one, that they would get written out as
  // sequences of their own. After load; the first call computes, and is not for several threads at once.
  virtual bool takes_branches() const { return false; }

  // bits[i] = -log2 p(targets[i] | the ids up to and including rows[i] in its sequence), [N]. Safe to call from several
  // threads at once. NaN where the model gave NaN. Throws Error(kModel) when the model breaks its contract.
  void score(const Batch& batch, std::vector<double>& bits) const { score(batch, bits, nullptr); }

  // The same, and where it is asked for most_probable[i] [N]: 1 where no id is more probable than targets[i], else 0 (also
  // where the model gave NaN).
  virtual void score(const Batch& batch, std::vector<double>& bits, std::vector<std::uint8_t>* most_probable) const = 0;

  // Whole distributions, for coding; for the calling thread. After load(). nullopt: the fastest way of decoding that the
  // model offers. Throws Error(kUnsupported) where it does not offer `wanted`, Error(kModel) where its own step(ids,
  // state) is not what hidden(ids) gives.
  virtual std::unique_ptr<Predictor> predictor(std::optional<Decoding> wanted = std::nullopt) const = 0;

  // Does the model add bits up where it computes them? Then sum() is the way to them.
  virtual bool adds_up() const { return false; }

  // sums[G] of the bits of rows [begins[s], begins[s + 1]), begins [G+1], each segment within one sequence; fp64, in an order
  // that depends on the segment alone.
  virtual void sum(const Batch& batch, const std::vector<std::int64_t>& begins,
                   std::vector<kernels::NllSum>& sums) const;

  // What the devices are and went through: [{device, description, peak_bytes, back_offs, lost}]. Empty on a CPU.
  virtual Json devices() const { return Json::array(); }

 protected:
  ModelInfo info_;
  std::shared_ptr<Tokenizer> tokenizer_;  // the checkpoints of a family share one
};

}  // namespace lmbits
