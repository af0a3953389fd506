// Scores one corpus with one model under one convention, and appends the records to a run.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "src/conventions/convention.h"
#include "src/core/json_fwd.h"
#include "src/corpus/reader.h"
#include "src/model/language_model.h"
#include "src/store/run_directory.h"
#include "src/tokenizer/token_cache.h"

namespace lmbits {

struct ScoreOptions {
  std::int64_t n_threads = 1;
  std::int64_t batch_positions = 1024;        // B * T of a forward pass to aim at: a small model's stay in the cache
  std::int64_t max_sequences = 0;             // upper bound of B; 0: none
  std::int64_t activation_bytes = 192 << 20;  // of each thread; bounds B whatever is asked for
  std::int64_t checkpoint_bytes = 1 << 20;    // documents larger than this leave checkpoints,
  std::int64_t checkpoint_windows = 256;      // one every so many windows
  std::function<bool(const std::string& id)> wants = {};  // which documents are scored; empty: all
  std::function<std::unique_ptr<CorpusReader>()> open =
      {};  // what is read in the place of the corpus; empty: all of it
};

// Where the time went, in seconds; model time is summed over the threads.
struct Profile {
  double wall_s = 0.0;
  double read_s = 0.0;           // reading, decompressing, splitting
  double tokenize_s = 0.0;       // with the check that decoding gives the text back
  double windows_s = 0.0;        // windows, batches
  double model_s = 0.0;          // forward passes, head and NLL
  double records_s = 0.0;        // folding, writing
  double baseline_s = 0.0;       // compressed sizes of single documents
  std::int64_t n_positions = 0;  // computed, padding and dummy sequences included
  std::int64_t n_forward = 0;    // of them, ids of the corpus
  std::int64_t n_scored = 0;
  std::int64_t n_texts_cached = 0, n_texts_encoded = 0;  // where their tokens came from
};

Json to_json(const Profile& profile);

struct ScoreProgress {
  std::int64_t n_documents = 0;  // recorded, in this process and before
  std::int64_t n_failed = 0;
  std::int64_t n_bytes = 0;      // of source text scored, in this process and before
  std::int64_t n_scored = 0;     // tokens, in this process
  std::int64_t n_bytes_now = 0;  // source bytes scored in this process
};

struct ScoreOutcome {
  bool interrupted = false;  // stop_requested(): the run can be resumed
  Profile profile;
};

// Documents already in `writer.done()` are passed over. Tokens come from `tokens` and go there, where it is given; no
// bit depends on it. `progress` is called from any thread, one call at a time.
//
// Memory: O(batch + largest document), plus a record for each document; stream conventions hold the corpus. A document
// that cannot be scored becomes a failed record and the run goes on; an Error of the model or the disk is thrown.
ScoreOutcome score_corpus(const LanguageModel& model, const CorpusSpec& corpus, const Convention& convention,
                          const ScoreOptions& options, const std::filesystem::path& run_path, RunWriter& writer,
                          const std::function<void(const ScoreProgress&)>& progress, TokenCache* tokens = nullptr);

}  // namespace lmbits
