#include "src/scoring/score_corpus.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "src/coding/baselines.h"
#include "src/conventions/headline.h"
#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/stop.h"
#include "src/corpus/utf8.h"
#include "src/model/load.h"
#include "src/scoring/batcher.h"
#include "src/scoring/record_builder.h"
#include "src/scoring/sequence.h"
#include "src/scoring/work_queue.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kWindowsPerRecord = 16;  // of a stream
constexpr std::int64_t kChunksPerRecord = 64;   // of byte chunks
constexpr std::int64_t kShortestBatch = 16;     // see BatchPlan
constexpr std::size_t kLongestCharacter = 4;    // bytes of UTF-8

class Stopwatch {
 public:
  explicit Stopwatch(double& total_s) : total_s_(total_s), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { total_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& total_s_;
  std::chrono::steady_clock::time_point start_;
};

// Producer (the calling thread): read, encode, cut windows, batch. Workers: forward passes, folding, appending.
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
        queue_(static_cast<std::size_t>(2 * options.n_threads)),
        document_baselines_(select_codecs({"gzip-9"})) {
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
    const std::int64_t window = convention_.window + (convention_.window_lead == Lead::kInserted ? 1 : 0);
    const std::int64_t longest = std::max(window, std::min(kShortestBatch, info.context_length));
    std::int64_t positions = options_.max_sequences > 0 ? options_.max_sequences * longest : options_.batch_positions;
    if (info.bytes_per_position > 0) {
      positions = std::min(positions, options_.activation_bytes / info.bytes_per_position);
    }
    return {longest, std::max(positions, longest), options_.max_sequences};
  }

  // ---- producer

  void produce(const CorpusSpec& corpus) {
    const auto reader = open_corpus(corpus);
    switch (convention_.scope) {
      case Scope::kDocument:
        produce_documents(*reader);
        break;
      case Scope::kStream:
        produce_stream(*reader);
        break;
      case Scope::kByteChunks:
        produce_chunks(*reader);
        break;
    }
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

  std::optional<Document> read(CorpusReader& reader) {
    if (stop_requested()) return std::nullopt;
    const Stopwatch time(profile_.read_s);
    return reader.next();
  }

  Tokens encode(std::string_view text) {
    const Stopwatch time(profile_.tokenize_s);
    return tokens_ != nullptr ? tokens_->encode(text) : model_.tokenizer().encode(text);
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

  void produce_documents(CorpusReader& reader) {
    while (const std::optional<Document> document = read(reader)) {
      if (done_.contains(document->id)) continue;
      DocumentRecord record;
      record.id = document->id;
      record.error = document->error;
      record.category = document->category;
      Sequence sequence;
      if (record.error.empty()) sequence = encode_document(*document, record);
      const std::int64_t n = static_cast<std::int64_t>(sequence.ids.size());
      const std::int64_t windows = record.error.empty() ? n_windows(convention_, n) : 0;
      if (windows == 0) {
        append(record);
      } else if (!submit_windows(sequence, record, windows)) {
        return;
      }
    }
  }

  Sequence encode_document(const Document& document, DocumentRecord& record) {
    Sequence sequence;
    try {
      const Tokens tokens = encode(document.bytes);
      record.n_bytes = static_cast<std::int64_t>(document.bytes.size());
      record.n_chars = count_code_points(document.bytes);
      record.n_words = count_words_like_python_split(document.bytes);
      record.n_tokens = static_cast<std::int64_t>(tokens.ids.size());
      record.lossless = tokens.lossless;
      const std::int64_t block = block_bytes_for(record.n_bytes);
      if (record.n_bytes > block) {
        record.block_bytes = block;
        record.block_bits.assign(static_cast<std::size_t>((record.n_bytes + block - 1) / block), 0.0);
      }
      if (convention_.prepend_lead) sequence.add_lead(convention_);
      sequence.add(tokens);
      const Stopwatch time(profile_.baseline_s);
      record.baselines = document_baselines_.sizes(document.bytes);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kData) throw;
      record.error = e.what();
    }
    return sequence;
  }

  bool submit_windows(const Sequence& sequence, const DocumentRecord& record, std::int64_t windows) {
    auto builder = std::make_shared<RecordBuilder>(record, windows);
    restore_checkpoint(*builder);
    WindowCutter cutter(sequence, convention_, record.block_bytes, static_cast<std::int64_t>(record.block_bits.size()));
    const std::int64_t first = builder->next_window();
    for (std::int64_t k = first; k < windows; ++k) {
      if (!submit(cutter.cut(k, builder, k))) return false;
    }
    return true;
  }

  // Whole windows of a stream, a record for every kWindowsPerRecord; the bytes between two records' first scored tokens
  // belong to the first of them, so that they sum to the corpus.
  void produce_stream(CorpusReader& reader) {
    Sequence sequence;
    std::string text;
    std::vector<std::int64_t> document_ends;
    bool lossless = true;
    while (const std::optional<Document> document = read(reader)) {
      if (!document->error.empty())
        throw Error(ErrorKind::kData, document->id + ": " + document->error,
                    "a stream convention cannot leave a document out: mend or remove it");
      if (convention_.tokenize_joined && !document_ends.empty()) text += convention_.joiner;
      text += document->bytes;
      document_ends.push_back(static_cast<std::int64_t>(text.size()));
      if (convention_.tokenize_joined) continue;
      const Tokens tokens = encode(document->bytes);
      lossless = lossless && tokens.lossless;
      if (convention_.lead_each_document) sequence.add_lead(convention_);
      sequence.add(tokens);
    }
    if (stop_requested()) return;
    if (convention_.tokenize_joined) {
      const Tokens tokens = encode(text);
      lossless = tokens.lossless;
      if (convention_.prepend_lead) sequence.add_lead(convention_);
      sequence.add(tokens);
    }
    submit_stream(sequence, text, document_ends, lossless);
  }

  void submit_stream(const Sequence& sequence, const std::string& text, const std::vector<std::int64_t>& document_ends,
                     bool lossless) {
    const auto n_ids = static_cast<std::int64_t>(sequence.ids.size());
    require_windows(convention_, n_ids);
    const std::int64_t windows = n_windows(convention_, n_ids);
    WindowCutter cutter(sequence, convention_, 0, 1);
    WindowCutter ends(sequence, convention_, 0, 1);  // runs ahead, for where a record ends
    CharacterCounter characters(text);
    std::int64_t first_byte = 0, first_id = 0;
    for (std::int64_t first = 0; first < windows; first += kWindowsPerRecord) {
      const std::int64_t last = std::min(windows, first + kWindowsPerRecord);
      const std::int64_t end_id = last < windows ? window_at(convention_, n_ids, last).score_begin : n_ids;
      const std::int64_t end_byte = last < windows ? ends.byte_at(end_id) : static_cast<std::int64_t>(text.size());
      DocumentRecord record;
      record.id = numbered("windows", first);
      record.lossless = lossless;
      const std::int64_t joiners = joiner_bytes(document_ends, first_byte, end_byte);
      record.n_bytes = end_byte - first_byte - joiners;
      record.n_chars = characters.count_until(static_cast<std::size_t>(end_byte)) - joiners;
      record.n_tokens = sequence.count_tokens(first_id, end_id);
      first_byte = end_byte;
      first_id = end_id;
      if (done_.contains(record.id)) continue;
      auto builder = std::make_shared<RecordBuilder>(record, last - first);
      for (std::int64_t k = first; k < last; ++k) {
        if (!submit(cutter.cut(k, builder, k - first))) return;
      }
    }
  }

  // Bytes of text[begin, end) that stand between documents: no source has them.
  std::int64_t joiner_bytes(const std::vector<std::int64_t>& document_ends, std::int64_t begin,
                            std::int64_t end) const {
    const auto length = static_cast<std::int64_t>(convention_.joiner.size());
    std::int64_t n = 0;
    auto at = std::lower_bound(document_ends.begin(), document_ends.end(), begin - length);
    for (; at != document_ends.end() && *at < end && std::next(at) != document_ends.end(); ++at) {
      n += std::max<std::int64_t>(0, std::min(end, *at + length) - std::max(begin, *at));
    }
    return n;
  }

  void produce_chunks(CorpusReader& reader) {
    std::string pending;
    std::size_t counted = 0;  // bytes at the start of `pending` that end a character of the record before
    std::int64_t first_chunk = 0;
    const auto group = static_cast<std::size_t>(convention_.window * kChunksPerRecord);
    const auto take = [&](std::size_t n_bytes) {
      CharacterCounter characters(pending, counted);
      const std::int64_t n_chars = characters.count_until(n_bytes);
      const bool more = submit_chunks(std::string_view(pending).substr(0, n_bytes), n_chars, first_chunk);
      counted = characters.at() - n_bytes;
      pending.erase(0, n_bytes);
      first_chunk += kChunksPerRecord;
      return more;
    };
    while (const std::optional<Document> document = read(reader)) {
      if (!document->error.empty())
        throw Error(ErrorKind::kData, document->id + ": " + document->error,
                    "byte chunks cannot leave a document out: mend or remove it");
      pending += document->bytes;
      while (pending.size() >= group + kLongestCharacter) {  // so that the last character of the group is there
        if (!take(group)) return;
      }
    }
    while (!pending.empty() && !stop_requested()) {
      if (!take(std::min(group, pending.size()))) return;
    }
  }

  bool submit_chunks(std::string_view text, std::int64_t n_chars, std::int64_t first_chunk) {
    DocumentRecord record;
    record.id = numbered("chunks", first_chunk);
    if (done_.contains(record.id)) return true;
    record.n_bytes = static_cast<std::int64_t>(text.size());
    record.n_chars = n_chars;
    std::vector<Sequence> sequences;
    std::int64_t windows = 0;
    for (std::size_t at = 0; at < text.size(); at += static_cast<std::size_t>(convention_.window)) {
      const Tokens tokens = encode(text.substr(at, static_cast<std::size_t>(convention_.window)));
      Sequence& sequence = sequences.emplace_back();
      if (convention_.prepend_lead) sequence.add_lead(convention_);
      sequence.add(tokens);
      record.n_tokens += static_cast<std::int64_t>(tokens.ids.size());
      record.lossless = record.lossless && tokens.lossless;
      windows += n_windows(convention_, static_cast<std::int64_t>(sequence.ids.size()));
    }
    if (windows == 0) {
      append(record);
      return true;
    }
    auto builder = std::make_shared<RecordBuilder>(record, windows);
    std::int64_t index = 0;
    for (const Sequence& sequence : sequences) {
      WindowCutter cutter(sequence, convention_, 0, 1);
      const std::int64_t n = n_windows(convention_, static_cast<std::int64_t>(sequence.ids.size()));
      for (std::int64_t k = 0; k < n; ++k) {
        if (!submit(cutter.cut(k, builder, index++))) return false;
      }
    }
    return true;
  }

  static std::string numbered(const char* what, std::int64_t first) {
    const std::string digits = std::to_string(first);
    return std::string(what) + "-" + std::string(digits.size() < 9 ? 9 - digits.size() : 0, '0') + digits;
  }

  // ---- workers

  void work() {
    try {
      prepare_torch_thread();
      std::vector<double> bits;
      while (std::optional<std::vector<WindowTask>> tasks = queue_.pop()) {
        if (stop_requested()) continue;
        double seconds = 0.0;
        std::int64_t positions = 0;
        {
          const Stopwatch time(seconds);
          const Batch batch = batcher_.pack(*tasks);
          positions = batch.n_sequences * batch.n_positions;
          model_.score(batch, bits);
        }
        const std::lock_guard lock(mutex_);
        profile_.model_s += seconds;
        profile_.n_positions += positions;
        fold(*tasks, bits);
      }
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fold(const std::vector<WindowTask>& tasks, const std::vector<double>& bits) {
    {
      const Stopwatch time(profile_.records_s);
      auto at = bits.begin();
      for (const WindowTask& task : tasks) {
        const auto n = static_cast<std::int64_t>(task.targets.size());
        const std::vector<double> own(at, at + n);
        at += n;
        const auto n_forward = static_cast<std::int64_t>(task.input.size());
        const std::int64_t before = task.record->next_window();
        const bool whole = task.record->fold(task.index, own, task.blocks, n_forward);
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
  const ScoreOptions& options_;
  const fs::path run_path_;
  RunWriter& writer_;
  const std::function<void(const ScoreProgress&)>& report_;
  Batcher batcher_;
  WorkQueue<std::vector<WindowTask>> queue_;
  DocumentBaselines document_baselines_;
  std::unordered_set<std::string> done_;

  std::mutex mutex_;  // guards what follows, the writer and the builders
  std::exception_ptr failure_;
  ScoreProgress progress_;
  Profile profile_;
};

}  // namespace

ScoreOutcome score_corpus(const LanguageModel& model, const CorpusSpec& corpus, const Convention& convention,
                          const ScoreOptions& options, const fs::path& run_path, RunWriter& writer,
                          const std::function<void(const ScoreProgress&)>& progress, TokenCache* tokens) {
  LMBITS_CHECK(options.n_threads >= 1);
  return Scorer(model, convention, options, run_path, writer, progress, tokens).run(corpus);
}

}  // namespace lmbits
