#include "src/scoring/race_models.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/model/load.h"
#include "src/stats/random.h"
#include "src/store/run_directory.h"

namespace lmbits {
namespace {

struct Piece {
  std::size_t corpus;
  std::string id;
  std::int64_t n_bytes;
};

std::vector<Piece> pieces_of(const std::vector<CorpusSpec>& corpora) {
  std::vector<Piece> pieces;
  for (std::size_t c = 0; c < corpora.size(); ++c) {
    const auto reader = open_corpus(corpora[c]);
    while (const std::optional<Document> document = reader->next()) {
      if (!document->bytes.empty())
        pieces.push_back({c, document->id, static_cast<std::int64_t>(document->bytes.size())});
    }
  }
  return pieces;
}

void shuffle(std::vector<Piece>& pieces, std::uint64_t seed) {
  Random random(seed, 0);
  for (std::size_t k = pieces.size(); k > 1; --k) {
    std::swap(pieces[k - 1], pieces[random.below(static_cast<std::uint32_t>(k))]);
  }
}

std::vector<std::vector<double>> controls_of(const std::vector<Piece>& pieces) {
  std::vector<std::int64_t> n_bytes;
  std::vector<std::size_t> corpus;
  for (const Piece& piece : pieces) {
    n_bytes.push_back(piece.n_bytes);
    corpus.push_back(piece.corpus);
  }
  return race_controls(n_bytes, corpus);
}

// Listens to an evaluation: failures are the race's, times are summed.
class RaceObserver final : public EvalObserver {
 public:
  void run_started(const std::string&, std::optional<std::int64_t>, std::int64_t) override {}
  void run_progress(const ScoreProgress&) override {}
  void run_finished(const std::string&, const Json&, bool) override {}
  void run_failed(const std::string& name, const Error& error) override { fail(name, error); }
  void model_failed(const std::string& model, const Error& error) override { fail(model, error); }

 private:
  [[noreturn]] static void fail(const std::string& name, const Error& error) {
    throw Error(error.kind(), name + " cannot take part in the race: " + error.what(), error.hint());
  }
};

class ModelRace {
 public:
  ModelRace(const RaceRequest& request, const std::function<void(const RaceStatus&)>& status)
      : request_(request), status_(status), pieces_(pieces_of(request.eval.corpora)) {
    for (const std::string& spec : request.eval.models) {
      const LoadOptions load = {.dtype = request.eval.dtype, .device = request.eval.device};
      const auto model = open_model(parse_model_spec(spec), load);
      outcome_.models.push_back({.name = model->info().name, .n_parameters = model->info().n_parameters});
    }
    if (pieces_.size() < 2 || outcome_.models.size() < 2) {
      throw Error(ErrorKind::kConfig,
                  "a race needs two models and two pieces of text; these are " +
                      std::to_string(outcome_.models.size()) + " and " + std::to_string(pieces_.size()),
                  "cut long texts into pieces with --split 1024");
    }
    shuffle(pieces_, request.eval.seed);
  }

  RaceOutcome run() {
    Race race(outcome_.models.size(), static_cast<std::int64_t>(pieces_.size()), controls_of(pieces_), options());
    outcome_.n_pieces = static_cast<std::int64_t>(pieces_.size());
    tell(race);
    while (!race.finished()) {
      const auto from = static_cast<std::size_t>(race.n_scored()), to = static_cast<std::size_t>(race.next_look());
      if (!score(race, to)) {
        outcome_.interrupted = true;
        return outcome_;
      }
      race.advance(bits(race, from, to));
      tell(race);
    }
    report(race);
    return outcome_;
  }

 private:
  RaceOptions options() const {
    RaceOptions options = request_.race;
    if (options.goal != RaceGoal::kBaseline) return options;
    const auto found = std::find_if(outcome_.models.begin(), outcome_.models.end(),
                                    [&](const RacedModel& model) { return model.name == request_.baseline; });
    if (found == outcome_.models.end()) {
      throw Error(ErrorKind::kConfig, "the baseline " + request_.baseline + " is not among the models",
                  "name it with --model, too");
    }
    options.baseline = static_cast<std::size_t>(found - outcome_.models.begin());
    return options;
  }

  void tell(const Race& race) const {
    RaceStatus status{.n_pieces = static_cast<std::int64_t>(pieces_.size()), .n_scored = race.n_scored(), .active = {}};
    for (std::size_t m = 0; m < outcome_.models.size(); ++m) {
      if (race.is_active(m)) status.active.push_back(outcome_.models[m].name);
    }
    status_(status);
  }

  // The first `n` pieces, by every model that is still in the race; those that are there already are not scored again.
  bool score(const Race& race, std::size_t n) {
    std::vector<std::set<std::string>> wanted(request_.eval.corpora.size());
    for (std::size_t k = 0; k < n; ++k) wanted[pieces_[k].corpus].insert(pieces_[k].id);
    EvalRequest request = request_.eval;
    request.baselines.clear();
    request.models.clear();
    for (std::size_t m = 0; m < outcome_.models.size(); ++m) {
      if (race.is_active(m)) request.models.push_back(request_.eval.models[m]);
    }
    request.wants = [&](const std::string& corpus, const std::string& id) {
      for (std::size_t c = 0; c < request.corpora.size(); ++c) {
        if (request.corpora[c].name == corpus) return wanted[c].contains(id);
      }
      return false;
    };
    RaceObserver observer;
    return !evaluate(request, observer).interrupted;
  }

  // [model][piece]: of pieces from ... to - 1. A piece that failed under a model has no bits under any.
  std::vector<std::vector<double>> bits(const Race& race, std::size_t from, std::size_t to) {
    std::vector<std::vector<double>> all(outcome_.models.size());
    std::set<std::size_t> failed;
    for (std::size_t m = 0; m < outcome_.models.size(); ++m) {
      if (!race.is_active(m)) continue;
      RacedModel& model = outcome_.models[m];
      std::vector<std::unordered_map<std::string, DocumentRecord>> records;
      for (const CorpusSpec& corpus : request_.eval.corpora) records.push_back(records_of(model.name, corpus.name));
      for (std::size_t k = from; k < to; ++k) {
        const auto found = records[pieces_[k].corpus].find(pieces_[k].id);
        const bool scored = found != records[pieces_[k].corpus].end() && found->second.error.empty();
        all[m].push_back(scored ? found->second.bits : 0.0);
        if (!scored) failed.insert(k);
        if (!scored) continue;
        ++model.n_pieces;
        model.n_tokens += found->second.n_scored;
        n_bytes_[m] += static_cast<double>(found->second.n_bytes);
      }
    }
    for (const std::size_t k : failed) {
      outcome_.warnings.push_back(pieces_[k].id + " failed under a model and counts for none");
      for (auto& of_model : all) {
        if (!of_model.empty()) of_model[k - from] = 0.0;
      }
    }
    return all;
  }

  std::unordered_map<std::string, DocumentRecord> records_of(const std::string& model,
                                                             const std::string& corpus) const {
    std::unordered_map<std::string, DocumentRecord> records;
    const Run run = read_run(request_.eval.output / run_name(model, corpus, request_.eval.convention.name));
    for (const DocumentRecord& record : run.records) records.emplace(record.id, record);
    return records;
  }

  void report(const Race& race) {
    double all_bytes = 0.0;
    for (const Piece& piece : pieces_) all_bytes += static_cast<double>(piece.n_bytes);
    double tokens = 0.0, all_tokens = 0.0, compute = 0.0, all_compute = 0.0;
    bool is_known = true;
    const std::size_t n_models = outcome_.models.size();
    for (std::size_t m = 0; m < n_models; ++m) {
      RacedModel& model = outcome_.models[m];
      const double spent = static_cast<double>(model.n_tokens), whole = spent * all_bytes / n_bytes_[m];
      const double parameters = static_cast<double>(model.n_parameters);
      model.bits_per_byte = race.mean_bits(m) * static_cast<double>(pieces_.size()) / all_bytes;
      tokens += spent;
      all_tokens += whole;
      compute += spent * parameters;
      all_compute += whole * parameters;
      is_known = is_known && model.n_parameters > 0;
    }
    outcome_.token_share = tokens / all_tokens;
    if (is_known) outcome_.compute_share = compute / all_compute;
    outcome_.order = race.order();
    outcome_.before.assign(n_models, std::vector<char>(n_models));
    for (std::size_t i = 0; i < n_models; ++i) {
      for (std::size_t j = 0; j < n_models; ++j) outcome_.before[i][j] = race.is_before(i, j);
    }
  }

  const RaceRequest& request_;
  const std::function<void(const RaceStatus&)>& status_;
  std::vector<Piece> pieces_;              // in racing order
  std::map<std::size_t, double> n_bytes_;  // of each model's scored pieces
  RaceOutcome outcome_;
};

}  // namespace

RaceOutcome race_models(const RaceRequest& request, const std::function<void(const RaceStatus&)>& status) {
  return ModelRace(request, status).run();
}

}  // namespace lmbits
