#include "src/scoring/choose.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "src/conventions/headline.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/model/load.h"
#include "src/scoring/batcher.h"
#include "src/store/record_log.h"
#include "src/store/run_directory.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kShortestBatch = 16;           // see BatchPlan
constexpr std::int64_t kActivationBytes = 192 << 20;  // of each thread

struct QuestionFile {
  std::string path, stem, fingerprint;
  std::vector<Question> all;       // shots are drawn from these
  std::vector<std::size_t> asked;  // indices
};

// The model is fed `input`, and row `row` of it must predict `target`.
struct Row {
  std::int64_t row;
  std::int32_t target;
  std::size_t continuation;
};

// One sequence for continuations of a question: the input of one of them, then branches with what others have beyond the
// beginning they share with it.
struct Pass {
  std::size_t question;  // index into `asked`
  std::vector<std::int32_t> input;
  std::vector<Branch> branches;
  std::vector<Row> rows;  // ascending
};

// A continuation's tokens with what is fed before them.
struct Fed {
  std::vector<std::int32_t> input;
  std::vector<std::int32_t> targets;
  bool truncated = false;
};

Fed feed(const EncodedPair& pair, const ModelInfo& info) {
  if (pair.n_context >= pair.ids.size()) throw Error(ErrorKind::kData, "no token is the continuation's alone");
  const std::size_t n_targets = pair.ids.size() - pair.n_context;
  const auto room = static_cast<std::size_t>(info.context_length);
  if (n_targets > room)
    throw Error(ErrorKind::kData, "a continuation of " + std::to_string(n_targets) +
                                      " tokens is longer than the model's context of " + std::to_string(room));
  std::vector<std::int32_t> x;
  if (info.bos_id) x.push_back(*info.bos_id);
  if (!info.bos_id && pair.n_context == 0) {
    if (!info.eos_id) throw Error(ErrorKind::kData, "the context is empty, and the model has neither BOS nor EOS");
    x.push_back(*info.eos_id);
  }
  x.insert(x.end(), pair.ids.begin(), pair.ids.end());
  const std::size_t drop = x.size() > room + 1 ? x.size() - room - 1 : 0;
  return {{x.begin() + static_cast<std::ptrdiff_t>(drop), x.end() - 1},
          {x.end() - static_cast<std::ptrdiff_t>(n_targets), x.end()},
          drop > 0};
}

// Where a path through a pass, position by position, lies in its input.
std::size_t place(const Branch& path, std::size_t position) {
  const auto trunk = static_cast<std::size_t>(path.trunk);
  return position < trunk ? position : position - trunk + static_cast<std::size_t>(path.begin);
}

std::size_t length(const Branch& path) { return static_cast<std::size_t>(path.trunk + path.end - path.begin); }

// How many of the first ids of `input` are those along a path through the pass.
std::size_t n_shared(const Pass& pass, const Branch& path, const std::vector<std::int32_t>& input) {
  std::size_t n = 0;
  while (n < std::min(length(path), input.size()) && input[n] == pass.input[place(path, n)]) ++n;
  return n;
}

// Builds the passes for a question's continuations. What is there already is not fed again: an input that another begins
// with, and, where the model takes branches, the beginning of any.
class PassBuilder {
 public:
  // `room`: positions of a pass with branches; 0 where the model takes none.
  PassBuilder(std::size_t question, std::size_t room) : question_(question), room_(room) {}

  void add(const Fed& fed, std::size_t continuation) {
    if (!put_beside(fed.input)) {
      pass_ = passes_.size();
      passes_.push_back({question_, fed.input, {}, {}});
      path_ = {0, 0, std::ssize(fed.input), 0};
    }
    std::size_t row = fed.input.size() - fed.targets.size();
    for (const std::int32_t target : fed.targets)
      passes_[pass_].rows.push_back({static_cast<std::int64_t>(place(path_, row++)), target, continuation});
  }

  std::vector<Pass> finished() {
    for (Pass& pass : passes_)
      std::stable_sort(pass.rows.begin(), pass.rows.end(), [](const Row& a, const Row& b) { return a.row < b.row; });
    return std::move(passes_);
  }

 private:
  // Finds, or makes in the last pass, a path that begins with `input`; false where there is none.
  bool put_beside(const std::vector<std::int32_t>& input) {
    if (passes_.empty()) return false;
    pass_ = passes_.size() - 1;
    Pass& pass = passes_.back();
    const std::size_t straight =
        pass.branches.empty() ? pass.input.size() : static_cast<std::size_t>(pass.branches[0].begin);
    const Branch base{0, 0, static_cast<std::int64_t>(straight), 0};
    path_ = base;
    const std::size_t trunk = n_shared(pass, base, input);
    if (trunk == input.size()) return true;
    for (const Branch& branch : pass.branches) {
      path_ = branch;
      if (n_shared(pass, branch, input) == input.size()) return true;
    }
    if (trunk == 0 || pass.input.size() + input.size() - trunk > room_) return false;
    path_ = {0, std::ssize(pass.input), std::ssize(pass.input) + std::ssize(input) - static_cast<std::int64_t>(trunk),
             static_cast<std::int64_t>(trunk)};
    pass.input.insert(pass.input.end(), input.begin() + static_cast<std::ptrdiff_t>(trunk), input.end());
    pass.branches.push_back(path_);
    return true;
  }

  std::size_t question_, room_;
  std::vector<Pass> passes_;
  std::size_t pass_ = 0;  // of the last input, and its path through it
  Branch path_;
};

// Inputs in descending order: one that begins any other begins the one before it, or a branch of its pass.
std::vector<Pass> passes_of(std::size_t question, const std::vector<Fed>& fed, std::size_t room) {
  std::vector<std::size_t> order(fed.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return fed[a].input > fed[b].input; });
  PassBuilder builder(question, room);
  for (const std::size_t i : order) builder.add(fed[i], i);
  return builder.finished();
}

// One model on one file.
class Answering {
 public:
  Answering(const LanguageModel& model, const QuestionFile& file, const ChooseRequest& request, RecordLog& log,
            Progress& progress)
      : model_(model),
        file_(file),
        request_(request),
        log_(log),
        progress_(progress),
        answers_(file.asked.size()),
        n_waiting_(file.asked.size()),
        room_(model.takes_branches() ? static_cast<std::size_t>(model.info().context_length) : 0) {}

  FedPositions positions() const { return positions_; }

  // What was answered, as `file.asked`; short where stop_requested().
  std::vector<AnsweredQuestion> run() {
    std::unordered_map<std::string, const Json*> done;
    for (const Json& json : log_.done()) done.emplace(json["id"].get<std::string>(), &json);
    std::int64_t n_done = 0;
    std::vector<std::size_t> todo;
    for (std::size_t q = 0; q < answers_.size(); ++q) {
      const auto found = done.find(question(q).id);
      if (found == done.end()) {
        todo.push_back(q);
      } else {
        answers_[q] = answered_from_json(*found->second);
        ++n_done;
      }
    }
    progress_.begin({.label = model_.info().name + " on " + file_.stem,
                     .unit = "questions",
                     .total = std::ssize(answers_),
                     .already_done = n_done});
    ask(todo);
    log_.sync();
    progress_.end();
    return std::move(answers_);
  }

 private:
  const Question& question(std::size_t q) const { return file_.all[file_.asked[q]]; }

  void ask(const std::vector<std::size_t>& todo) {
    const ModelInfo& info = model_.info();
    const std::int64_t longest = std::max(info.context_length, kShortestBatch);
    std::int64_t positions = request_.batch_positions;
    if (info.bytes_per_position > 0) positions = std::min(positions, kActivationBytes / info.bytes_per_position);
    Batcher batcher(BatchPlan(longest, std::max<std::int64_t>(positions, 1), 0));
    std::vector<std::vector<WindowTask>> batches;
    for (const std::size_t q : todo) {
      for (Pass& pass : prepare(q)) {
        auto full = batcher.add({.input = pass.input,
                                 .targets = {},
                                 .blocks = {},
                                 .record = {},
                                 .index = std::ssize(passes_),
                                 .branches = pass.branches});
        passes_.push_back(std::move(pass));
        if (!full.empty()) batches.push_back(std::move(full));
      }
    }
    for (auto rest = batcher.flush(); !rest.empty(); rest = batcher.flush()) batches.push_back(std::move(rest));
    parallel_for(std::ssize(batches), request_.n_threads, [&](std::int64_t b) {
      if (!stop_requested()) score(batcher, batches[static_cast<std::size_t>(b)]);
    });
  }

  // Nothing where the question cannot be asked: that is its answer then.
  std::vector<Pass> prepare(std::size_t q) {
    AnsweredQuestion& answer = answers_[q];
    const Question& asked = question(q);
    answer.id = asked.id;
    answer.error = asked.error;
    std::vector<Fed> fed;
    if (answer.error.empty()) {
      try {
        const std::string context =
            context_with_shots(file_.all, file_.asked[q], static_cast<std::size_t>(request_.n_shots));
        for (const std::string& continuation : asked.continuations) {
          fed.push_back(feed(encode_pair(model_.tokenizer(), context, continuation), model_.info()));
          answer.continuations.push_back({0.0, std::ssize(continuation), std::ssize(fed.back().targets), true});
          answer.truncated = answer.truncated || fed.back().truncated;
        }
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kData) throw;
        answer.error = e.what();
      }
    }
    if (!answer.error.empty()) {
      finish(q);
      return {};
    }
    for (const Fed& f : fed) positions_.one_by_one += std::ssize(f.input);
    std::vector<Pass> passes = passes_of(q, fed, room_);
    for (const Pass& pass : passes) positions_.fed += std::ssize(pass.input);
    n_waiting_[q] = passes.size();
    return passes;
  }

  void score(const Batcher& batcher, const std::vector<WindowTask>& tasks) {
    prepare_torch_thread();
    Batch batch = batcher.pack(tasks);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      for (const Row& row : pass_of(tasks[i]).rows) {
        batch.rows.push_back(static_cast<std::int64_t>(i) * batch.n_positions + row.row);
        batch.targets.push_back(row.target);
      }
    }
    std::vector<double> bits;
    std::vector<std::uint8_t> most_probable;
    model_.score(batch, bits, &most_probable);
    const std::lock_guard lock(mutex_);
    std::size_t at = 0;
    for (const WindowTask& task : tasks) {
      const Pass& pass = pass_of(task);
      for (const Row& row : pass.rows) {
        ContinuationBits& continuation = answers_[pass.question].continuations[row.continuation];
        continuation.bits += bits[at];
        continuation.greedy = continuation.greedy && most_probable[at] != 0;
        ++at;
      }
      if (--n_waiting_[pass.question] == 0) finish(pass.question);
    }
  }

  const Pass& pass_of(const WindowTask& task) const { return passes_[static_cast<std::size_t>(task.index)]; }

  void finish(std::size_t q) {
    AnsweredQuestion& answer = answers_[q];
    const auto broken = [](const ContinuationBits& c) { return !std::isfinite(c.bits); };
    if (answer.error.empty() && std::any_of(answer.continuations.begin(), answer.continuations.end(), broken))
      answer.error = "the model gave no finite bits";
    log_.append(to_json(answer, question(q)));
    progress_.advance(1);
  }

  const LanguageModel& model_;
  const QuestionFile& file_;
  const ChooseRequest& request_;
  RecordLog& log_;
  Progress& progress_;
  std::vector<Pass> passes_;
  std::vector<AnsweredQuestion> answers_;  // as file_.asked
  std::vector<std::size_t> n_waiting_;     // passes that a question waits for
  std::size_t room_;                       // see PassBuilder
  FedPositions positions_;
  std::mutex mutex_;  // guards answers_, n_waiting_ and the log, while there are workers
};

// The first `limit` of each kind, in the file's order.
std::vector<std::size_t> questions_asked(const std::vector<Question>& all, std::int64_t limit) {
  std::map<std::string, std::int64_t> n_of_kind;
  std::vector<std::size_t> asked;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (++n_of_kind[all[i].kind] <= limit || limit == 0) asked.push_back(i);
  return asked;
}

std::vector<QuestionFile> read_question_files(const ChooseRequest& request) {
  std::vector<QuestionFile> files;
  std::set<std::string> stems;
  for (const std::string& path : request.questions) {
    const std::string text = read_file(path);
    QuestionFile file{
        path, fs::path(path).stem().string(), Fingerprint().add(text).hex(), parse_questions(text, path), {}};
    if (!stems.insert(file.stem).second)
      throw Error(ErrorKind::kConfig, "two files of questions are named " + file.stem,
                  "rename one of them: the name is the benchmark's");
    file.asked = questions_asked(file.all, request.limit);
    files.push_back(std::move(file));
  }
  return files;
}

class Choosing {
 public:
  Choosing(const ChooseRequest& request, Progress& progress)
      : request_(request), progress_(progress), files_(read_question_files(request)) {}

  ChooseOutcome run() {
    fs::create_directories(request_.output / "answers");
    const FolderLock lock(request_.output);
    std::vector<Score> scores;
    for (const std::string& spec : request_.models) {
      try {
        run_model(spec, scores);
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kModel && e.kind() != ErrorKind::kUnsupported) throw;
        progress_.end();
        outcome_.failed_models.emplace_back(spec, e);
      }
      if (outcome_.interrupted) return std::move(outcome_);
    }
    write_file_atomically(request_.output / "scores.jsonl", to_jsonl(scores));
    return std::move(outcome_);
  }

 private:
  void run_model(const std::string& spec, std::vector<Score>& scores) {
    const auto model = open_model(parse_model_spec(spec), {});
    const std::string name = model->info().name;
    if (!names_.insert(folder_name(name)).second)
      throw Error(ErrorKind::kConfig, "two models are named " + name + "; one is " + spec,
                  "name one of them: --model NAME=PATH");
    std::vector<Benchmark> all;
    for (const QuestionFile& file : files_) {
      std::vector<AnsweredQuestion> answered = answer(*model, file);
      if (stop_requested()) {
        outcome_.interrupted = true;
        return;
      }
      std::vector<Question> asked;
      for (const std::size_t i : file.asked) asked.push_back(file.all[i]);
      const auto benchmarks = score_questions(file.stem, asked, answered, request_.level);
      for (const Benchmark& benchmark : benchmarks) outcome_.n_failed_questions += benchmark.n_failed;
      all.insert(all.end(), benchmarks.begin(), benchmarks.end());
      outcome_.results.push_back({name, file.stem, benchmarks});
    }
    const fs::path path = request_.output / ("results_" + folder_name(name) + ".json");
    write_file_atomically(path, lm_eval_results(all, name, request_.n_shots, request_.level).dump(2) + "\n");
    const auto own = scores_of(all, name, path.string());
    scores.insert(scores.end(), own.begin(), own.end());
  }

  std::vector<AnsweredQuestion> answer(LanguageModel& model, const QuestionFile& file) {
    const Json identity = {{"model", model.info().fingerprint},
                           {"tokenizer", model.tokenizer().fingerprint()},
                           {"dtype", model.info().dtype},
                           {"questions", file.fingerprint},
                           {"shots", request_.n_shots}};
    const fs::path path =
        request_.output / "answers" / (folder_name(model.info().name) + "__" + folder_name(file.stem) + ".jsonl");
    std::unordered_map<std::string, bool> seen;
    RecordLog log(path, identity, [&](const Json& json) {  // failed ones are tried again
      return json.value("status", "") == "ok" && seen.emplace(json.value("id", ""), true).second;
    });
    model.load();
    Answering answering(model, file, request_, log, progress_);
    std::vector<AnsweredQuestion> answered = answering.run();
    outcome_.positions.fed += answering.positions().fed;
    outcome_.positions.one_by_one += answering.positions().one_by_one;
    return answered;
  }

  const ChooseRequest& request_;
  Progress& progress_;
  const std::vector<QuestionFile> files_;
  std::set<std::string> names_;
  ChooseOutcome outcome_;
};

}  // namespace

EncodedPair encode_pair(const Tokenizer& tokenizer, const std::string& context, const std::string& continuation) {
  const std::string_view kept = std::string_view(context).substr(0, length_like_python_rstrip(context));
  const std::size_t n_context = tokenizer.encode(kept).ids.size();
  return {tokenizer.encode(context + continuation).ids, n_context};
}

ChooseOutcome choose(const ChooseRequest& request, Progress& progress) {
  prepare_torch();
  return Choosing(request, progress).run();
}

}  // namespace lmbits
