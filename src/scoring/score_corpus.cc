#include "src/scoring/score_corpus.h"

#include <exception>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/model/load.h"
#include "src/scoring/batch_scorer.h"
#include "src/scoring/batcher.h"
#include "src/scoring/record_builder.h"
#include "src/scoring/stopwatch.h"
#include "src/scoring/window_producer.h"
#include "src/scoring/work_queue.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kShortestBatch = 16;  // see BatchPlan

// Passes on the documents that are wanted.
class WantedReader final : public CorpusReader {
 public:
  WantedReader(std::unique_ptr<CorpusReader> all, const std::function<bool(const std::string&)>& wants)
      : all_(std::move(all)), wants_(wants) {}
  std::optional<Document> next() override {
    std::optional<Document> document = all_->next();
    while (document && wants_ && !wants_(document->id)) document = all_->next();
    return document;
  }

 private:
  std::unique_ptr<CorpusReader> all_;
  const std::function<bool(const std::string&)>& wants_;
};

// The calling thread runs the producer and batches. Workers: forward passes, folding, appending.
class Scorer {
 public:
  Scorer(const LanguageModel& model, const Convention& convention, const ScoreOptions& options,
         const fs::path& run_path, RunWriter& writer, const std::function<void(const ScoreProgress&)>& progress,
         TokenCache* tokens)
      : model_(model),
        tokens_(tokens),
        convention_(convention),
        options_(options),
        run_path_(run_path),
        writer_(writer),
        report_(progress),
        batcher_(plan_batches()),
        queue_(static_cast<std::size_t>(8 * options.n_threads)) {
    for (const DocumentRecord& record : writer.done()) {
      done_.insert(record.id);
      progress_.n_bytes += record.n_bytes;
    }
    progress_.n_documents = static_cast<std::int64_t>(done_.size());
  }

  ScoreOutcome run(const CorpusSpec& corpus) {
    ScoreOutcome outcome;
    {
      const Stopwatch wall(profile_.wall_s);
      std::vector<std::thread> workers;
      for (std::int64_t i = 0; i < options_.n_threads; ++i) workers.emplace_back([this] { work(); });
      try {
        produce(corpus);
      } catch (...) {
        fail(std::current_exception());
      }
      keep_tokens();
      queue_.close();
      for (std::thread& worker : workers) worker.join();
    }
    if (failure_) std::rethrow_exception(failure_);
    outcome.interrupted = stop_requested();
    outcome.profile = profile_;
    return outcome;
  }

 private:
  BatchPlan plan_batches() const {
    const ModelInfo& info = model_.info();
    // Also with a lead inserted: it takes the place of the last id, which is a target only.
    const std::int64_t longest = std::max(convention_.window, std::min(kShortestBatch, info.context_length));
    std::int64_t positions = options_.max_sequences > 0 ? options_.max_sequences * longest : options_.batch_positions;
    if (info.bytes_per_position > 0) {
      positions = std::min(positions, options_.activation_bytes / info.bytes_per_position);
    }
    if (convention_.top_k > 0) return {longest, longest, 1};  // see BatchScorer
    return {longest, std::max(positions, longest), options_.max_sequences};
  }

  // ---- producer

  void produce(const CorpusSpec& corpus) {
    WantedReader reader(options_.open ? options_.open() : open_corpus(corpus), options_.wants);
    const ProducerSinks sinks = {.submit = [this](WindowTask task) { return submit(std::move(task)); },
                                 .append = [this](const DocumentRecord& record) { append(record); },
                                 .restore = [this](RecordBuilder& builder) { restore_checkpoint(builder); },
                                 .restored =
                                     [this](std::int64_t n_bytes) {
                                       const std::lock_guard lock(mutex_);
                                       progress_.n_bytes += n_bytes;
                                     }};
    const Encoder encode = [this](std::string_view text) {
      return tokens_ != nullptr ? tokens_->encode(text) : model_.tokenizer().encode(text);
    };
    produce_windows(reader, encode, convention_, done_, sinks, profile_);
    while (!stop_requested()) {
      std::vector<WindowTask> rest = batcher_.flush();
      if (rest.empty() || !queue_.push(std::move(rest))) return;
    }
    queue_.abandon();
  }

  // Also of a run that was stopped or failed: what was encoded is right.
  void keep_tokens() {
    if (tokens_ == nullptr) return;
    const Stopwatch time(profile_.tokenize_s);
    tokens_->commit();
    profile_.n_texts_cached = tokens_->n_found();
    profile_.n_texts_encoded = tokens_->n_encoded();
  }

  // False once there is no point in going on.
  bool submit(WindowTask task) {
    std::vector<WindowTask> full;
    {
      const Stopwatch time(profile_.windows_s);
      full = batcher_.add(std::move(task));
    }
    return !stop_requested() && (full.empty() || queue_.push(std::move(full)));
  }

  // ---- workers

  void work() {
    try {
      prepare_torch_thread();
      const BatchScorer score_batch(model_, convention_);
      std::vector<double> bits;
      std::vector<kernels::NllSum> sums;
      while (std::optional<std::vector<WindowTask>> tasks = queue_.pop()) {
        if (stop_requested()) continue;
        double seconds = 0.0;
        std::int64_t positions = 0;
        {
          const Stopwatch time(seconds);
          const Batch batch = batcher_.pack(*tasks);
          positions = batch.n_sequences * batch.n_positions;
          if (adds_up_) {
            model_.sum(batch, segments_of(*tasks), sums);
          } else {
            score_batch(batch, bits);
          }
        }
        const std::lock_guard lock(mutex_);
        profile_.model_s += seconds;
        profile_.n_positions += positions;
        if (adds_up_) {
          auto next = sums.cbegin();
          fold(*tasks, [&next](const WindowTask& task) { return fold_sums(task, next); });
        } else {
          auto next = bits.cbegin();
          fold(*tasks, [&next](const WindowTask& task) { return fold_bits(task, next); });
        }
      }
    } catch (...) {
      fail(std::current_exception());
    }
  }

  // Where runs of targets of one block begin, of all tasks, and the end.
  static std::vector<std::int64_t> segments_of(const std::vector<WindowTask>& tasks) {
    std::vector<std::int64_t> begins;
    std::int64_t row = 0;
    for (const WindowTask& task : tasks) {
      for (std::size_t i = 0; i < task.blocks.size(); ++i, ++row) {
        if (i == 0 || task.blocks[i] != task.blocks[i - 1]) begins.push_back(row);
      }
    }
    begins.push_back(row);
    return begins;
  }

  static bool fold_bits(const WindowTask& task, std::vector<double>::const_iterator& next) {
    const std::vector<double> own(next, next + static_cast<std::int64_t>(task.targets.size()));
    next += static_cast<std::int64_t>(task.targets.size());
    return task.record->fold(task.index, own, task.blocks, static_cast<std::int64_t>(task.input.size()));
  }

  static bool fold_sums(const WindowTask& task, std::vector<kernels::NllSum>::const_iterator& next) {
    std::vector<RecordBuilder::BlockSum> own;
    for (std::size_t i = 0; i < task.blocks.size(); ++i) {
      if (i > 0 && task.blocks[i] == task.blocks[i - 1]) continue;
      own.push_back({task.blocks[i], next->bits, next->bits_squared, next->n_rows, next->first_bad});
      ++next;
    }
    return task.record->fold(task.index, own, static_cast<std::int64_t>(task.input.size()));
  }

  // fold_window(task) adds what the model gave for a task to its record: is that whole now?
  template <typename FoldWindow>
  void fold(const std::vector<WindowTask>& tasks, FoldWindow fold_window) {
    {
      const Stopwatch time(profile_.records_s);
      for (const WindowTask& task : tasks) {
        const auto n = static_cast<std::int64_t>(task.targets.size());
        const auto n_forward = static_cast<std::int64_t>(task.input.size());
        const std::int64_t before = task.record->next_window();
        const bool whole = fold_window(task);
        profile_.n_scored += n;
        profile_.n_forward += n_forward;
        progress_.n_scored += n;
        progress_.n_bytes += task.n_bytes;
        progress_.n_bytes_now += task.n_bytes;
        if (whole) {
          append_locked(task.record->record());
        } else {
          leave_checkpoint(*task.record, before);
        }
      }
    }
    report_(progress_);
  }

  void append(const DocumentRecord& record) {
    const std::lock_guard lock(mutex_);
    const Stopwatch time(profile_.records_s);
    append_locked(record);
  }

  void append_locked(const DocumentRecord& record) {
    writer_.append(record);
    ++progress_.n_documents;
    if (!record.error.empty()) ++progress_.n_failed;
    if (record.n_bytes > options_.checkpoint_bytes) fs::remove(checkpoint_path(record));
  }

  // ---- checkpoints of long documents

  fs::path checkpoint_path(const DocumentRecord& record) const {
    if (record.n_bytes <= options_.checkpoint_bytes || convention_.scope != Scope::kDocument) return {};
    return run_path_ / ("checkpoint-" + Fingerprint().add(record.id).hex() + ".json");
  }

  void leave_checkpoint(const RecordBuilder& builder, std::int64_t before) const {
    const std::int64_t every = options_.checkpoint_windows;
    if (builder.next_window() / every == before / every) return;
    const fs::path path = checkpoint_path(builder.record());
    if (path.empty()) return;
    const std::string text = builder.checkpoint().dump();
    write_file_atomically(path, crc32c_hex(text) + " " + text);
  }

  // A checkpoint that is torn, flipped or of another document is not believed: the document begins afresh.
  void restore_checkpoint(RecordBuilder& builder) const {
    const fs::path path = checkpoint_path(builder.record());
    if (path.empty() || !fs::exists(path)) return;
    const std::string text = read_file(path);
    if (text.size() > 9 && crc32c_hex(std::string_view(text).substr(9)) == text.substr(0, 8)) {
      builder.restore(Json::parse(std::string_view(text).substr(9)));
    }
  }

  void fail(std::exception_ptr failure) {
    {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = failure;
    }
    queue_.abandon();
  }

  const LanguageModel& model_;
  TokenCache* tokens_;  // nullptr: none
  const Convention& convention_;
  const bool adds_up_ = model_.adds_up() && convention_.top_k == 0;
  const ScoreOptions& options_;
  const fs::path run_path_;
  RunWriter& writer_;
  const std::function<void(const ScoreProgress&)>& report_;
  Batcher batcher_;
  WorkQueue<std::vector<WindowTask>> queue_;
  std::unordered_set<std::string> done_;

  std::mutex mutex_;  // guards what follows, the writer and the builders
  std::exception_ptr failure_;
  ScoreProgress progress_;
  Profile profile_;
};

}  // namespace

Json to_json(const Profile& p) {
  return {{"wall_s", p.wall_s},
          {"read_s", p.read_s},
          {"tokenize_s", p.tokenize_s},
          {"windows_s", p.windows_s},
          {"model_s", p.model_s},
          {"records_s", p.records_s},
          {"baseline_s", p.baseline_s},
          {"n_positions", p.n_positions},
          {"n_forward", p.n_forward},
          {"n_scored", p.n_scored},
          {"n_texts_cached", p.n_texts_cached},
          {"n_texts_encoded", p.n_texts_encoded}};
}

ScoreOutcome score_corpus(const LanguageModel& model, const CorpusSpec& corpus, const Convention& convention,
                          const ScoreOptions& options, const fs::path& run_path, RunWriter& writer,
                          const std::function<void(const ScoreProgress&)>& progress, TokenCache* tokens) {
  LMBITS_CHECK(options.n_threads >= 1);
  return Scorer(model, convention, options, run_path, writer, progress, tokens).run(corpus);
}

}  // namespace lmbits
