// Many models on many corpora: a run folder for each pair.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/conventions/convention.h"
#include "src/core/error.h"
#include "src/core/json_fwd.h"
#include "src/corpus/reader.h"
#include "src/model/load.h"
#include "src/scoring/contamination.h"
#include "src/scoring/score_corpus.h"
#include "src/scoring/team.h"

namespace lmbits {

struct EvalRequest {
  std::vector<std::string> models;   // "NAME=PATH" or "PATH": see ModelSpec
  std::vector<std::string> weights;  // patterns of safetensors checkpoints (find_checkpoints) that one model stands for
  std::vector<CorpusSpec> corpora;
  ConventionOptions convention;
  std::string dtype = "auto";
  std::string device = "cpu";           // see LoadOptions
  bool graphs = true;                   // see LoadOptions
  DeviceOpener open_devices = nullptr;  // see LoadOptions
  ScoreOptions score;
  std::filesystem::path output;                     // one folder below it for each pair
  std::vector<std::string> baselines;               // codec names for the whole corpora; empty: none
  std::map<std::string, std::string> dictionaries;  // corpus name -> text that the zstd-22-dict baseline has seen
  std::filesystem::path token_cache = {};           // folder of tokens that are kept; empty: none
  ContaminationOptions contamination = {};
  double level = 0.95;     // of the intervals
  std::uint64_t seed = 1;  // of the bootstrap
  std::string command;     // as typed, for the manifest
  // Where it is given, only documents for which it says so are scored (corpus name, id), and runs stay without a summary:
  // a later call completes them.
  std::function<bool(const std::string& corpus, const std::string& id)> wants;
  std::optional<WorkerPlace> worker =
      {};  // one of several processes that share the work; each is given the same request
};

// What happens, as it happens. Calls come one at a time, from any thread.
class EvalObserver {
 public:
  virtual ~EvalObserver() = default;
  // `name` is the run's folder; `n_bytes` of source text where it is known, `n_bytes_done` of them by an earlier process.
  virtual void run_started(const std::string& name, std::optional<std::int64_t> n_bytes, std::int64_t n_bytes_done) = 0;
  virtual void run_progress(const ScoreProgress& progress) = 0;
  // `resumed`: finished by an earlier process, nothing was computed.
  virtual void run_finished(const std::string& name, const Json& summary, bool resumed) = 0;
  virtual void run_failed(const std::string& name, const Error& error) = 0;
  virtual void model_failed(const std::string& model, const Error& error) = 0;
};

struct EvalOutcome {
  std::int64_t n_runs = 0;  // finished, now or before
  std::int64_t n_failed_documents = 0;
  std::int64_t n_failed_models = 0;
  std::int64_t n_failed_runs = 0;
  std::optional<ErrorKind> first_failure;
  bool interrupted = false;

  // 0, 10 where documents, runs or models failed beside others that did not, the first failure's kind where nothing
  // succeeded, 130 when interrupted.
  int exit_code() const {
    if (interrupted) return kExitInterrupted;
    if (n_runs == 0 && first_failure) return static_cast<int>(*first_failure);
    return n_failed_models + n_failed_runs + n_failed_documents > 0 ? kExitSomeFailed : 0;
  }
};

// Runs that are finished are not computed again, unfinished ones resume. A model, a run or a document that fails is
// recorded (failures/NAME.json in `output`, failed records in the run) and the rest goes on. Throws Error(kConfig, kData)
// for what is wrong with the request itself: an unreadable corpus, two models of one name.
EvalOutcome evaluate(const EvalRequest& request, EvalObserver& observer);

}  // namespace lmbits
