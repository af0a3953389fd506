#include "src/scoring/evaluate.h"

#include <algorithm>
#include <future>

#include "kernels/nll.h"
#include "src/coding/baselines.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/utc.h"
#include "src/scoring/sequence.h"
#include "src/scoring/summary.h"
#include "src/scoring/work_together.h"
#include "src/store/manifest.h"
#include "src/store/partial_runs.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 64 << 10;  // bytes of text compressed between two looks at whether to stop
constexpr const char* kDictionaryCodec = "zstd-22-dict";
constexpr std::int64_t kDeviceBatchPositions = 16384;                   // B * T to aim at on a GPU
constexpr std::int64_t kDeviceActivationBytes = std::int64_t{4} << 30;  // and what it may take; too much backs off

// A corpus, what identifies it, and what classical compressors need for it: computed once, beside the scoring.
class Corpus {
 public:
  Corpus(const CorpusSpec& corpus, const EvalRequest& request)
      : spec(with_sample_drawn(corpus)),
        fingerprint(corpus_fingerprint(corpus)),
        notes(corpus_notes(corpus)),
        n_bytes(corpus_size_bytes(spec)) {
    const std::vector<std::string>& names = request.baselines;
    if (!names.empty()) {
      for (const BaselineCodec& codec : select_codecs(names)) codecs.push_back(codec.name);
    }
    if (const auto found = request.dictionaries.find(spec.name); found != request.dictionaries.end()) {
      dictionary_ = read_file(found->second);
      dictionary = Fingerprint().add(dictionary_).hex();
      codecs.push_back(kDictionaryCodec);
    }
    const fs::path cache = request.output / ".baselines" / (fingerprint + ".json");
    // Of several workers the first computes what is needed once; another only if it comes to lead.
    const auto policy = request.worker && request.worker->rank > 0 ? std::launch::deferred : std::launch::async;
    baselines_ = std::async(policy, [this, names, cache] { return compute_baselines(names, cache); }).share();
    if (request.contamination.train.empty()) return;
    contamination_ =
        std::async(policy, [this, &request] {
          return find_contamination(spec, fingerprint, request.contamination, request.output / ".contamination");
        }).share();
  }

  const CorpusBaselines& baselines() const { return baselines_.get(); }
  // nullptr where nobody asked.
  const Contamination* contamination() const { return contamination_.valid() ? &contamination_.get() : nullptr; }

  const CorpusSpec spec;
  const std::string fingerprint;
  const CorpusNotes notes;
  const std::optional<std::int64_t> n_bytes;
  std::vector<std::string> codecs;  // the names of the baselines
  std::string dictionary;           // its hash; empty: none

 private:
  // Sizes that an earlier process computed with the same libraries are taken from `cache`.
  CorpusBaselines compute_baselines(const std::vector<std::string>& names, const fs::path& cache) const {
    CorpusBaselines result;
    result.dictionary = dictionary;
    std::vector<BaselineCodec> wanted;
    if (!names.empty()) wanted = select_codecs(names);
    if (!dictionary_.empty()) wanted.push_back(zstd_dictionary_codec(dictionary_));
    Json known = {{"versions", codec_versions()}, {"n_bytes", 0}, {"sizes", Json::object()}};
    if (fs::exists(cache)) {
      const Json cached = Json::parse(read_file(cache), nullptr, false);
      if (cached.is_object() && cached.contains("n_bytes") && cached.value("versions", Json()) == known["versions"])
        known = cached;
    }
    std::erase_if(wanted, [&](const BaselineCodec& codec) {
      if (!known["sizes"].contains(codec.name) || codec.name == kDictionaryCodec) return false;
      result.sizes[codec.name] = known["sizes"][codec.name];
      return true;
    });
    result.n_bytes = known["n_bytes"];
    if (wanted.empty()) return result;
    result.n_bytes = 0;
    WholeCorpusBaselines whole(wanted);
    const auto reader = open_corpus(spec);
    while (const std::optional<Document> document = reader->next()) {
      result.n_bytes += static_cast<std::int64_t>(document->bytes.size());
      for (std::size_t at = 0; at < document->bytes.size(); at += kPiece) {
        if (stop_requested()) return result;
        whole.add(std::string_view(document->bytes).substr(at, kPiece));
      }
    }
    for (const auto& [name, size] : whole.finish()) known["sizes"][name] = result.sizes[name] = size;
    known["n_bytes"] = result.n_bytes;
    try {
      fs::create_directories(cache.parent_path());
      write_file_atomically(cache, known.dump(2) + "\n");
    } catch (const std::exception&) {  // a full disk costs the next process some time, no more
    }
    return result;
  }

  std::string dictionary_;  // the text
  std::shared_future<CorpusBaselines> baselines_;
  std::shared_future<Contamination> contamination_;
};

class Evaluation {
 public:
  Evaluation(const EvalRequest& request, EvalObserver& observer) : request_(request), observer_(observer) {
    if (request.worker) team_.emplace(*request.worker);
    resolve_device(load_options());
    std::error_code failed;
    fs::create_directories(request.output, failed);
    if (failed) {
      throw Error(ErrorKind::kData, "cannot create " + request.output.string() + ": " + failed.message(),
                  "choose another folder with -o");
    }
    for (const CorpusSpec& spec : request.corpora) {
      for (const auto& other : corpora_) {
        if (other->spec.name == spec.name) {
          throw Error(ErrorKind::kConfig,
                      "two corpora are named " + spec.name + ": " + other->spec.path + " and " + spec.path,
                      "name one of them: --corpus NAME=PATH");
        }
      }
      corpora_.push_back(std::make_unique<Corpus>(spec, request));
    }
  }

  EvalOutcome run() {
    const LoadOptions options = load_options();
    if (!request_.weights.empty()) {
      evaluate_family(options);
      return outcome_;
    }
    for (const std::string& text : request_.models) {
      attempt(text, [&] {
        const ModelSpec spec = parse_model_spec(text);
        evaluate_model(*open_model(spec, options), spec.path);
      });
      if (outcome_.interrupted) break;
    }
    return outcome_;
  }

 private:
  LoadOptions load_options() const {
    LoadOptions options = {.dtype = request_.dtype,
                           .device = request_.device,
                           .graphs = request_.graphs,
                           .open_devices = request_.open_devices};
    // A worker has the GPU of its number on the node, not all of them.
    const bool any_gpu = request_.device == "cuda" || request_.device == "cuda:all" || request_.device == "auto";
    if (request_.worker && any_gpu && resolve_device(options) != "cpu")
      options.device = "cuda:" + std::to_string(request_.worker->local_rank);
    return options;
  }

  // Runs `evaluate` for the model of this name; a model that fails is recorded.
  template <typename Evaluate>
  void attempt(const std::string& name, Evaluate evaluate) {
    attempted_ = name;
    try {
      evaluate();
      forget_failure(name);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kUsage || (team_ && team_->store_lost())) throw;
      if (team_) {
        for (const auto& corpus : corpora_) team_->leave(work_name(*corpus));
      }
      ++outcome_.n_failed_models;
      note_failure(name, e);
      observer_.model_failed(name, e);
    }
  }

  // Each checkpoint that request_.weights names, in the graph of the one bundle.
  void evaluate_family(const LoadOptions& options) {
    if (request_.models.size() != 1) {
      throw Error(ErrorKind::kConfig, "--weights goes with one --model, not " + std::to_string(request_.models.size()),
                  "run the families one by one");
    }
    const std::vector<CheckpointFiles> checkpoints = find_checkpoints(request_.weights);
    const ModelSpec spec = parse_model_spec(request_.models[0]);
    const auto family = open_family(spec, options);
    for (const CheckpointFiles& checkpoint : checkpoints) {
      attempt(checkpoint.label, [&] { evaluate_model(*family->open(checkpoint), checkpoint.files[0].string()); });
      if (outcome_.interrupted) break;
    }
  }

  void evaluate_model(LanguageModel& model, const std::string& path) {
    const ModelInfo& info = model.info();
    const auto [known, is_new] = models_.emplace(info.name, info.fingerprint);
    if (!is_new && known->second != info.fingerprint) {
      throw Error(ErrorKind::kConfig, "two different models are named " + info.name + "; one is " + path,
                  "name one of them: --model NAME=PATH");
    }
    for (const auto& corpus : corpora_) {
      const std::string name = run_name(info.name, corpus->spec.name, request_.convention.name);
      try {
        evaluate_pair(model, *corpus, name);
      } catch (const Error& e) {
        if (e.kind() == ErrorKind::kModel || (team_ && team_->store_lost())) throw;  // it fails on every corpus
        ++outcome_.n_failed_runs;
        note_failure(name, e);
        observer_.run_failed(name, e);
      }
      if (outcome_.interrupted) return;
    }
  }

  void evaluate_pair(LanguageModel& model, const Corpus& corpus, const std::string& name) {
    const ModelInfo& info = model.info();
    const Convention convention = convention_for(model, request_.convention);
    const fs::path path = request_.output / name;
    const Json identity = {{"model", info.fingerprint},
                           {"tokenizer", model.tokenizer().fingerprint()},
                           {"corpus", corpus.fingerprint},
                           {"convention", to_json(convention)},
                           {"dtype", info.dtype}};
    if (request_.wants) return score_wanted(model, corpus, convention, path, identity);
    if (team_) return evaluate_together(model, corpus, convention, name, identity);
    if (finish_known(model, corpus, convention, name, identity)) return;
    model.load();
    if (!parts_of(path).empty()) {  // of several workers that were stopped
      RunWriter parts(path, manifest(model, corpus, identity));
      fold_parts(path, /*with_failed=*/false, parts);
    }
    RunWriter writer(path, manifest(model, corpus, identity));
    if (const std::optional<Json> profile = score_run(model, corpus, convention, name, writer, request_.score))
      complete(writer, model, convention, corpus, name, *profile, false);
  }

  // Where an earlier process has finished the run: true, and its summary is what is asked for now.
  bool finish_known(LanguageModel& model, const Corpus& corpus, const Convention& convention, const std::string& name,
                    const Json& identity) {
    const fs::path path = request_.output / name;
    const std::optional<Json> summary = finished_summary(path, identity);
    if (!summary) return false;
    if (is_up_to_date(*summary, corpus)) {
      finish(name, *summary, true);
    } else {         // the records stay
      model.load();  // for what it warns of
      RunWriter writer(path, manifest(model, corpus, identity));
      complete(writer, model, convention, corpus, name, summary->value("profile", Json(nullptr)), true);
    }
    return true;
  }

  // Its profile; nullopt when interrupted.
  std::optional<Json> score_run(const LanguageModel& model, const Corpus& corpus, const Convention& convention,
                                const std::string& name, RunWriter& writer, const ScoreOptions& options) {
    std::int64_t n_bytes_done = 0;
    for (const DocumentRecord& record : writer.done()) n_bytes_done += record.n_bytes;
    observer_.run_started(name, corpus.n_bytes, n_bytes_done);
    std::optional<TokenCache> tokens;
    if (!request_.token_cache.empty() && model.tokenizer().kind() != "bytes")  // bytes are their ids: nothing to spare
      tokens.emplace(request_.token_cache, model.tokenizer(), corpus.fingerprint);
    const ScoreOutcome scored =
        score(model, corpus, convention, request_.output / name, writer, options, tokens ? &*tokens : nullptr);
    if (scored.interrupted) {
      outcome_.interrupted = true;
      return std::nullopt;
    }
    Json profile = to_json(scored.profile);
    if (tokens && !tokens->problem().empty()) profile["token_cache_problem"] = tokens->problem();
    return profile;
  }

  // The name of a pair in the team's store: one that each worker knows, also where it could not open the model.
  std::string work_name(const Corpus& corpus) const { return attempted_ + "\n" + corpus.spec.name; }

  void evaluate_together(LanguageModel& model, const Corpus& corpus, const Convention& convention,
                         const std::string& name, const Json& identity) {
    const fs::path path = request_.output / name;
    bool told = false;  // the observer, of the end
    SharedRun run;
    run.work = work_name(corpus);
    run.path = path;
    run.manifest = manifest(model, corpus, identity);
    run.by_documents = convention.scope == Scope::kDocument;
    run.open = [&] { return open_corpus(corpus.spec); };
    run.finish_known = [&] { return told = finish_known(model, corpus, convention, name, identity); };
    run.score = [&](RunWriter& writer, std::function<std::unique_ptr<CorpusReader>()> open_some) {
      model.load();
      ScoreOptions options = request_.score;
      options.open = std::move(open_some);
      return score_run(model, corpus, convention, name, writer, options);
    };
    run.complete = [&](RunWriter& writer, const Json& profile) {
      model.load();  // for what it warns of
      complete(writer, model, convention, corpus, name, profile, false);
      return told = !outcome_.interrupted;
    };
    if (!score_together(*team_, run)) {
      outcome_.interrupted = true;
    } else if (!told) {
      finish(name, read_run(path).summary, false);
    }
  }

  // What became of the devices is noted in the manifest, however the scoring ends.
  ScoreOutcome score(const LanguageModel& model, const Corpus& corpus, const Convention& convention,
                     const fs::path& path, RunWriter& writer, ScoreOptions options, TokenCache* tokens) {
    if (model.adds_up()) {
      options.n_threads = std::max(options.n_threads, model.info().n_workers);
      options.batch_positions = std::max(options.batch_positions, kDeviceBatchPositions);
      options.activation_bytes = std::max(options.activation_bytes, kDeviceActivationBytes);
    }
    const auto progress = [&](const ScoreProgress& now) { observer_.run_progress(now); };
    try {
      ScoreOutcome outcome = score_corpus(model, corpus.spec, convention, options, path, writer, progress, tokens);
      if (model.adds_up()) amend_manifest(path, "devices", model.devices());
      return outcome;
    } catch (...) {
      try {
        if (model.adds_up()) amend_manifest(path, "devices", model.devices());
      } catch (const std::exception&) {  // the first failure is the one to tell; a full disk may be both
      }
      throw;
    }
  }

  void score_wanted(LanguageModel& model, const Corpus& corpus, const Convention& convention, const fs::path& path,
                    const Json& identity) {
    model.load();
    RunWriter writer(path, manifest(model, corpus, identity));
    ScoreOptions options = request_.score;
    options.wants = [&](const std::string& id) { return request_.wants(corpus.spec.name, id); };
    outcome_.interrupted = score(model, corpus, convention, path, writer, options, nullptr).interrupted;
  }

  // Writes the summary, unless an interrupt cut the baselines short: then the run stays unfinished.
  void complete(RunWriter& writer, const LanguageModel& model, const Convention& convention, const Corpus& corpus,
                const std::string& name, const Json& profile, bool resumed) {
    const CorpusBaselines& baselines = corpus.baselines();
    const Contamination* contamination = corpus.contamination();
    if (stop_requested()) {
      outcome_.interrupted = true;
      return;
    }
    const fs::path path = request_.output / name;
    if (fs::exists(path / "summary.json")) remove_file(path / "summary.json");  // an old or a damaged one
    Json summary = summarise(read_run(path), model.info(), convention, baselines,
                             {.level = request_.level,
                              .seed = request_.seed,
                              .contamination = contamination,
                              .contaminated_share = request_.contamination.share});
    summary["profile"] = profile;
    writer.finish(summary);
    finish(name, summary, resumed);
  }

  // Was this summary asked for with the same interval and at least these baselines?
  bool is_up_to_date(const Json& summary, const Corpus& corpus) const {
    const Json interval = summary.value("interval", Json(nullptr));
    if (interval.is_object() && (interval["level"] != request_.level || interval["seed"] != request_.seed))
      return false;
    if (!corpus.dictionary.empty() && summary.value("dictionary", "") != corpus.dictionary) return false;
    if (const Contamination* contamination = corpus.contamination()) {
      const Json known = summary.value("contamination", Json::object());
      if (known.value("identity", Json()) != contamination->identity ||
          known.value("threshold", Json()) != request_.contamination.share)
        return false;
    }
    return std::all_of(corpus.codecs.begin(), corpus.codecs.end(),
                       [&](const std::string& codec) { return summary["baselines"].contains(codec); });
  }

  // The summary of a run that is finished without failures; nullopt where there is work to do.
  static std::optional<Json> finished_summary(const fs::path& path, const Json& identity) {
    if (!fs::exists(path / "manifest.json")) return std::nullopt;
    Run run;
    try {
      run = read_run(path);
    } catch (const Error&) {  // a damaged summary is made again; RunWriter says what else is wrong
      return std::nullopt;
    }
    const Json& summary = run.summary;
    const auto counts = [&](const char* key, std::size_t n) { return summary.contains(key) && summary[key] == n; };
    const bool whole = summary.is_object() && counts("n_documents", run.records.size()) && counts("n_failed", 0) &&
                       summary.contains("interval") && summary.contains("warnings") && summary.contains("baselines");
    if (!whole || run.n_damaged_lines > 0 || run.manifest.value("identity", Json()) != identity) return std::nullopt;
    return summary;
  }

  void finish(const std::string& name, const Json& summary, bool resumed) {
    forget_failure(name);
    ++outcome_.n_runs;
    outcome_.n_failed_documents += summary.value("n_failed", std::int64_t{0});
    observer_.run_finished(name, summary, resumed);
  }

  Json manifest(const LanguageModel& model, const Corpus& corpus, const Json& identity) const {
    const ModelInfo& info = model.info();
    Json versions = describe_torch();
    versions["nll_kernel"] = kernels::nll_isa();
    versions["codecs"] = codec_versions();
    return {{"identity", identity},
            {"model", {{"name", info.name}, {"metadata", info.metadata}}},
            {"tokenizer", {{"kind", model.tokenizer().kind()}, {"vocab_size", model.tokenizer().vocab_size()}}},
            {"corpus",
             {{"name", corpus.spec.name},
              {"path", corpus.spec.path},
              {"field", corpus.spec.field},
              {"split", corpus.spec.split},
              {"patch", corpus.spec.patch},
              {"sample", corpus.notes.sample.empty() ? Json(nullptr) : Json(corpus.notes.sample)},
              {"sample_seed", corpus.notes.sample.empty() ? Json(nullptr) : Json(corpus.notes.sample_seed)},
              {"licence", corpus.notes.licence},
              {"description", corpus.notes.description},
              {"categories", corpus.notes.categories}}},
            {"convention", identity["convention"]},
            {"device", info.device},
            {"n_threads", request_.score.n_threads},
            {"batch_positions", request_.score.batch_positions},
            {"max_sequences", request_.score.max_sequences},
            {"seed", request_.seed},
            {"versions", versions},
            {"command", request_.command},
            {"started", utc_now()}};
  }

  // failures/NAME.json, gone again once NAME has succeeded.
  fs::path failure_path(const std::string& name) const {
    return request_.output / "failures" / (folder_name(name) + ".json");
  }

  void note_failure(const std::string& name, const Error& e) {
    if (!outcome_.first_failure) outcome_.first_failure = e.kind();
    const Json json = {{"name", name}, {"error", e.what()}, {"hint", e.hint()}, {"time", utc_now()}};
    try {
      fs::create_directories(request_.output / "failures");
      write_file_atomically(failure_path(name), json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    } catch (const std::exception&) {  // the observer is told in any case; a full disk may be the failure itself
    }
  }

  void forget_failure(const std::string& name) const {
    if (fs::exists(failure_path(name))) remove_file(failure_path(name));
  }

  const EvalRequest& request_;
  EvalObserver& observer_;
  std::vector<std::unique_ptr<Corpus>> corpora_;
  std::map<std::string, std::string> models_;  // name -> fingerprint
  EvalOutcome outcome_;
  std::optional<Team> team_;  // of several workers
  std::string attempted_;     // the model at work, as it was named
};

}  // namespace

EvalOutcome evaluate(const EvalRequest& request, EvalObserver& observer) { return Evaluation(request, observer).run(); }

}  // namespace lmbits
