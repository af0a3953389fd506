#include "src/scoring/evaluate.h"

#include <algorithm>
#include <ctime>
#include <future>

#include "kernels/nll.h"
#include "src/coding/baselines.h"
#include "src/core/file.h"
#include "src/core/stop.h"
#include "src/model/load.h"
#include "src/scoring/summary.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 64 << 10;  // bytes of text compressed between two looks at whether to stop
constexpr const char* kDictionaryCodec = "zstd-22-dict";

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// A corpus, what identifies it, and what classical compressors need for it: computed once, beside the scoring.
class Corpus {
 public:
  Corpus(const CorpusSpec& corpus, const EvalRequest& request)
      : spec(corpus), fingerprint(corpus_fingerprint(corpus)), n_bytes(corpus_size_bytes(corpus)) {
    std::string dictionary;
    const std::vector<std::string>& names = request.baselines;
    if (!names.empty()) {
      for (const BaselineCodec& codec : select_codecs(names)) codecs.push_back(codec.name);
    }
    if (const auto found = request.dictionaries.find(spec.name); found != request.dictionaries.end()) {
      dictionary = read_file(found->second);
      codecs.push_back(kDictionaryCodec);
    }
    const fs::path cache = request.output / ".baselines" / (fingerprint + ".json");
    baselines_ = std::async(std::launch::async, [spec = spec, names, dictionary, cache] {
                   return compute_baselines(spec, names, dictionary, cache);
                 }).share();
  }

  const std::map<std::string, std::int64_t>& baselines() const { return baselines_.get(); }

  const CorpusSpec spec;
  const std::string fingerprint;
  const std::optional<std::int64_t> n_bytes;
  std::vector<std::string> codecs;  // the names of the baselines

 private:
  // Sizes that an earlier process computed with the same libraries are taken from `cache`.
  static std::map<std::string, std::int64_t> compute_baselines(const CorpusSpec& spec,
                                                               const std::vector<std::string>& names,
                                                               const std::string& dictionary, const fs::path& cache) {
    std::map<std::string, std::int64_t> sizes;
    std::vector<BaselineCodec> codecs;
    if (!names.empty()) codecs = select_codecs(names);
    if (!dictionary.empty()) codecs.push_back(zstd_dictionary_codec(dictionary));
    Json known = {{"versions", codec_versions()}, {"sizes", Json::object()}};
    if (fs::exists(cache)) {
      const Json cached = Json::parse(read_file(cache), nullptr, false);
      if (cached.is_object() && cached.value("versions", Json()) == known["versions"]) known = cached;
    }
    std::erase_if(codecs, [&](const BaselineCodec& codec) {
      if (!known["sizes"].contains(codec.name) || codec.name == kDictionaryCodec) return false;
      sizes[codec.name] = known["sizes"][codec.name];
      return true;
    });
    if (codecs.empty()) return sizes;
    WholeCorpusBaselines whole(codecs);
    const auto reader = open_corpus(spec);
    while (const std::optional<Document> document = reader->next()) {
      for (std::size_t at = 0; at < document->bytes.size(); at += kPiece) {
        if (stop_requested()) return sizes;
        whole.add(std::string_view(document->bytes).substr(at, kPiece));
      }
    }
    for (const auto& [name, size] : whole.finish()) known["sizes"][name] = sizes[name] = size;
    try {
      fs::create_directories(cache.parent_path());
      write_file_atomically(cache, known.dump(2) + "\n");
    } catch (const std::exception&) {  // a full disk costs the next process some time, no more
    }
    return sizes;
  }

  std::shared_future<std::map<std::string, std::int64_t>> baselines_;
};

class Evaluation {
 public:
  Evaluation(const EvalRequest& request, EvalObserver& observer) : request_(request), observer_(observer) {
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
    for (const std::string& spec : request_.models) {
      try {
        evaluate_model(parse_model_spec(spec));
        forget_failure(spec);
      } catch (const Error& e) {
        if (e.kind() == ErrorKind::kUsage) throw;
        ++outcome_.n_failed_models;
        note_failure(spec, e);
        observer_.model_failed(spec, e);
      }
      if (outcome_.interrupted) break;
    }
    return outcome_;
  }

 private:
  void evaluate_model(const ModelSpec& spec) {
    const auto model = open_model(spec, {.dtype = request_.dtype, .device = request_.device});
    const ModelInfo& info = model->info();
    const auto [known, is_new] = models_.emplace(info.name, info.fingerprint);
    if (!is_new && known->second != info.fingerprint) {
      throw Error(ErrorKind::kConfig, "two different models are named " + info.name + "; one is " + spec.path,
                  "name one of them: --model NAME=PATH");
    }
    for (const auto& corpus : corpora_) {
      const std::string name = run_name(info.name, corpus->spec.name, request_.convention.name);
      try {
        evaluate_pair(*model, *corpus, name);
      } catch (const Error& e) {
        if (e.kind() == ErrorKind::kModel) throw;  // it fails on every corpus
        ++outcome_.n_failed_runs;
        note_failure(name, e);
        observer_.run_failed(name, e);
      }
      if (outcome_.interrupted) return;
    }
  }

  void evaluate_pair(LanguageModel& model, const Corpus& corpus, const std::string& name) {
    const ModelInfo& info = model.info();
    const Convention convention =
        resolve_convention(request_.convention, info.context_length, info.bos_id, info.eos_id);
    const fs::path path = request_.output / name;
    const Json identity = {{"model", info.fingerprint},
                           {"tokenizer", model.tokenizer().fingerprint()},
                           {"corpus", corpus.fingerprint},
                           {"convention", to_json(convention)},
                           {"dtype", info.dtype}};
    if (request_.wants) return score_wanted(model, corpus, convention, path, identity);
    if (const std::optional<Json> summary = finished_summary(path, identity)) {
      if (is_up_to_date(*summary, corpus)) {
        finish(name, *summary, true);
      } else {         // the records stay
        model.load();  // for what it warns of
        RunWriter writer(path, manifest(model, corpus, identity));
        complete(writer, model, convention, corpus, name, summary->value("profile", Json(nullptr)), true);
      }
      return;
    }
    model.load();
    RunWriter writer(path, manifest(model, corpus, identity));
    std::int64_t n_bytes_done = 0;
    for (const DocumentRecord& record : writer.done()) n_bytes_done += record.n_bytes;
    observer_.run_started(name, corpus.n_bytes, n_bytes_done);
    const ScoreOutcome scored = score_corpus(model, corpus.spec, convention, request_.score, path, writer,
                                             [&](const ScoreProgress& progress) { observer_.run_progress(progress); });
    if (scored.interrupted) {
      outcome_.interrupted = true;
      return;
    }
    complete(writer, model, convention, corpus, name, profile_json(scored.profile), false);
  }

  void score_wanted(LanguageModel& model, const Corpus& corpus, const Convention& convention, const fs::path& path,
                    const Json& identity) {
    model.load();
    RunWriter writer(path, manifest(model, corpus, identity));
    ScoreOptions options = request_.score;
    options.wants = [&](const std::string& id) { return request_.wants(corpus.spec.name, id); };
    outcome_.interrupted =
        score_corpus(model, corpus.spec, convention, options, path, writer, [&](const ScoreProgress& now) {
          observer_.run_progress(now);
        }).interrupted;
  }

  // Writes the summary, unless an interrupt cut the baselines short: then the run stays unfinished.
  void complete(RunWriter& writer, const LanguageModel& model, const Convention& convention, const Corpus& corpus,
                const std::string& name, const Json& profile, bool resumed) {
    const std::map<std::string, std::int64_t>& baselines = corpus.baselines();
    if (stop_requested()) {
      outcome_.interrupted = true;
      return;
    }
    const fs::path path = request_.output / name;
    if (fs::exists(path / "summary.json")) remove_file(path / "summary.json");  // an old or a damaged one
    Json summary = summarise(read_run(path), model.info(), convention, baselines,
                             {.level = request_.level, .seed = request_.seed});
    summary["profile"] = profile;
    writer.finish(summary);
    finish(name, summary, resumed);
  }

  // Was this summary asked for with the same interval and at least these baselines?
  bool is_up_to_date(const Json& summary, const Corpus& corpus) const {
    const Json interval = summary.value("interval", Json(nullptr));
    if (interval.is_object() && (interval["level"] != request_.level || interval["seed"] != request_.seed))
      return false;
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
              {"split", corpus.spec.split}}},
            {"convention", identity["convention"]},
            {"device", "cpu"},
            {"n_threads", request_.score.n_threads},
            {"batch_positions", request_.score.batch_positions},
            {"max_sequences", request_.score.max_sequences},
            {"seed", request_.seed},
            {"versions", versions},
            {"command", request_.command},
            {"started", utc_now()}};
  }

  static Json profile_json(const Profile& p) {
    return {{"wall_s", p.wall_s},         {"read_s", p.read_s},           {"tokenize_s", p.tokenize_s},
            {"windows_s", p.windows_s},   {"model_s", p.model_s},         {"records_s", p.records_s},
            {"baseline_s", p.baseline_s}, {"n_positions", p.n_positions}, {"n_forward", p.n_forward},
            {"n_scored", p.n_scored}};
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
};

}  // namespace

EvalOutcome evaluate(const EvalRequest& request, EvalObserver& observer) { return Evaluation(request, observer).run(); }

}  // namespace lmbits
