// Many models on many files of questions.
//
// Tokens of a continuation behind a context, as lm-evaluation-harness splits them (0.4, `_encode_pair`): white space at the
// context's end moves to the continuation; context + continuation is encoded as a whole; as many tokens as the context
// alone has are its, the others the continuation's. Before it stands BOS where the model has one (an empty context without
// BOS: EOS). What is longer than the model's context loses tokens at its beginning, BOS first.
//
// What continuations of a question have in common is fed once: a sequence holds the input of one of them, then of each other
// the part beyond what it shares with the first, as a branch (see Batch), as far as the model's context has room. So it is
// with models that take branches; with others only an input with which another begins is not fed again.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/core/progress.h"
#include "src/tasks/choice_score.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {

struct ChooseRequest {
  std::vector<std::string> models;     // "NAME=PATH" or "PATH": see ModelSpec
  std::vector<std::string> questions;  // files
  std::filesystem::path output;
  std::int64_t n_shots = 0;
  std::int64_t limit = 0;  // of each kind of a file only the first so many; 0: all
  int n_threads = 1;
  std::int64_t batch_positions = 2048;  // B * T of a forward pass to aim at
  double level = 0.95;                  // of the intervals
};

struct ModelBenchmarks {
  std::string model, file;
  std::vector<Benchmark> benchmarks;
};

// Positions that models were fed in this run, and what one sequence for each continuation would have been.
struct FedPositions {
  std::int64_t fed = 0, one_by_one = 0;
};

struct ChooseOutcome {
  std::vector<ModelBenchmarks> results;
  std::vector<std::pair<std::string, Error>> failed_models;
  std::int64_t n_failed_questions = 0;
  FedPositions positions;
  bool interrupted = false;

  // As EvalOutcome's.
  int exit_code() const {
    if (interrupted) return kExitInterrupted;
    if (results.empty() && !failed_models.empty()) return static_cast<int>(failed_models.front().second.kind());
    return !failed_models.empty() || n_failed_questions > 0 ? kExitSomeFailed : 0;
  }
};

// Writes into `output` (docs/formats.md): answers/MODEL__FILE.jsonl, a line a question as it is answered; and once all is
// answered results_MODEL.json and scores.jsonl. Answers that are there are not computed again. A question's bits depend
// neither on the file's order nor on threads, nor on what was answered before. A model that fails is noted, the others go
// on. Throws Error(kData, kConfig) for what is wrong with the request itself.
ChooseOutcome choose(const ChooseRequest& request, Progress& progress);

struct EncodedPair {
  std::vector<std::int32_t> ids;  // of context and continuation
  std::size_t n_context = 0;      // of them, the context's
};
EncodedPair encode_pair(const Tokenizer& tokenizer, const std::string& context, const std::string& continuation);

}  // namespace lmbits
