// A model on one GPU, or on several: batches in, bits and sums out.
//
//   pinned copies of ids, rows, targets -> hidden [B,T,D] -> scored rows [N,D] -> chunks of the head -> kernels -> home
//
// Of a small model, the forward pass of a shape that comes again is replayed as one graph. A graph proves itself before it is
// used: it must give what the operators gave, to the last bit, of ids that it was not captured with. Where one does not, or
// cannot be captured, or memory runs out, there are none from then on.
//
// A chunk of the head has as many rows whatever a batch holds (the last is filled up), and tiles of the vocabulary are cut by
// its size alone, so a row's bits do not depend on what it is computed with.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/model/batch.h"
#include "src/model/device.h"
#include "src/model/head_nll.h"
#include "src/model/model_graph.h"

namespace lmbits {

// What is asked of a batch. Each may be null.
struct DeviceScores {
  std::vector<double>* bits = nullptr;                 // [N]
  std::vector<std::uint8_t>* most_probable = nullptr;  // [N], as LanguageModel::score's
  const std::vector<std::int64_t>* begins = nullptr;   // [G+1] of segments: each within one sequence
  std::vector<kernels::NllSum>* sums = nullptr;        // [G]
};

// Memory runs out: graphs are given up; the chunk of the head is halved, down to kFewestHeadRows; then the sequences of a
// forward pass. What was being computed is computed again. A change stays, and is told.
struct BackOff {
  std::string what;  // "head rows", "sequences"
  std::int64_t from, to;
};

inline constexpr std::int64_t kFewestHeadRows = 64;
inline constexpr std::int64_t kWidestTile = 65536;     // columns; a larger vocabulary comes in tiles of
inline constexpr std::int64_t kTileColumns = 32768;    // this
inline constexpr std::int64_t kHeadBytes = 512 << 20;  // of logits alive at a time
inline constexpr std::int64_t kEagerPasses = 2;        // of a shape, before its graph
inline constexpr std::int64_t kMostGraphs = 24;        // of a stream; each keeps the activations of its shape

class DeviceScorer {
 public:
  DeviceScorer(std::unique_ptr<Device> device, std::unique_ptr<ModelGraph> module, const HeadOptions& head, bool graphs,
               std::int64_t head_bytes = kHeadBytes);
  ~DeviceScorer();

  // Up to kDeviceStreams threads at once; others wait. Throws Error(kOutOfMemory) when one sequence and the fewest rows do
  // not fit, Error(kDevice) when the device is lost, Error(kModel) for what the model gets wrong.
  void score(const Batch& batch, const DeviceScores& out);

  const Device& device() const { return *device_; }
  std::vector<BackOff> back_offs() const;
  Json graphs() const;  // {captured, why_none}: why_none is null while there may be more

 private:
  struct Slot;
  struct Graph;
  struct Pass;
  struct Sizes {
    std::int64_t head_rows;
    std::int64_t n_sequences;  // of a forward pass; 0: all of a batch
  };

  void score_parts(Slot& slot, const Batch& batch, const DeviceScores& out, Sizes sizes);
  void score_part(Slot& slot, const Pass& pass, const DeviceScores& out, std::int64_t head_rows);
  at::Tensor forward(Slot& slot, const at::Tensor& ids);
  bool captured(Slot& slot, Graph& graph, const at::Tensor& ids, const at::Tensor& expected);
  bool give_up_graphs(const std::string& why);
  bool may_have_graphs() const;
  void fold_head(const at::Tensor& chosen, const at::Tensor& targets, std::int64_t head_rows,
                 kernels::NllRowState* states);
  void fold_logits(const at::Tensor& logits, std::int64_t n_rows, const std::int32_t* targets, std::int64_t first_col,
                   kernels::NllRowState* states);
  void back_off(const Batch& batch, Sizes tried, const std::string& why);
  Sizes sizes() const;

  std::unique_ptr<Device> device_;
  std::unique_ptr<ModelGraph> module_;
  HeadOptions head_;
  std::vector<std::unique_ptr<Slot>> slots_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable slot_is_free_;
  std::vector<Slot*> free_;
  Sizes sizes_{};
  std::vector<BackOff> back_offs_;
  std::int64_t n_graphs_ = 0;
  std::string no_graphs_;  // why there are no more
};

// Several scorers of one model: a batch goes to the one with the least to do. One whose device is lost gets no more, and its
// batch goes to another.
class DevicePool {
 public:
  explicit DevicePool(std::vector<std::unique_ptr<DeviceScorer>> scorers);
  void score(const Batch& batch, const DeviceScores& out);

  std::int64_t n_workers() const;  // threads that keep all devices busy
  Json describe() const;           // [{device, description, peak_bytes, back_offs, lost}]

 private:
  struct Member {
    std::unique_ptr<DeviceScorer> scorer;
    int n_running = 0;
    std::string lost;  // why
  };
  mutable std::mutex mutex_;
  std::vector<Member> members_;
};

}  // namespace lmbits
