#include "src/selection/select.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "src/core/error.h"
#include "src/core/stop.h"
#include "src/selection/top_k.h"

namespace lmbits {
namespace {

constexpr double kTaken = 1000000;        // the released code's mark
constexpr std::int64_t kFirstBatch = 16;  // of samples between two looks at the stop flag; then by time
constexpr std::int64_t kMaxBatch = 4096;
constexpr std::size_t kHeldBytes = std::size_t{1} << 26;  // of a block's texts; larger blocks are read again and again

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

class Selector {
 public:
  Selector(const SelectInput& input, const CostModel& model, const SelectOptions& options, SelectState& state,
           Progress& progress, const std::function<void(const SelectState&)>& saved)
      : input_(input),
        model_(model),
        options_(options),
        state_(state),
        progress_(progress),
        saved_(saved),
        rooms_(input.groups) {}

  SelectEnd run() {
    if (state_.n_scored < input_.n_records && !score_alone()) return SelectEnd::kStopped;
    if (!restore()) return SelectEnd::kStopped;
    progress_.begin({.label = "choose", .unit = unit_name(), .total = options_.budget, .already_done = used_});
    while (!is_full() || in_stage()) {
      if (state_.stage.top.empty() && !begin_stage()) return SelectEnd::kPoolUsedUp;
      if (state_.stage.members.empty()) {
        if (!score_rest(*chosen_, std::ssize(state_.stage.top), [&](std::int64_t i) { return top_text(i); }))
          return SelectEnd::kStopped;
        form_block();
        if (state_.stage.members.empty()) continue;  // all were passed over
      }
      if (!fill_from_block() || !end_stage()) return SelectEnd::kStopped;
    }
    return SelectEnd::kDone;
  }

 private:
  bool is_reference() const { return options_.algorithm == SelectAlgorithm::kZipReference; }
  std::string unit_name() const {
    return options_.unit == SelectOptions::Unit::kSamples ? "samples"
           : options_.unit == SelectOptions::Unit::kBytes ? "B"
                                                          : "tok";
  }
  bool is_full() const { return used_ >= options_.budget; }
  bool in_stage() const { return !state_.stage.top.empty(); }

  // ---- Scoring, a batch at a time.

  using TextOf = StoredSet::TextOf;

  // Calls work(begin, count) for [done, n) in batches; false where a stop was requested before the end.
  bool in_batches(std::int64_t done, std::int64_t n, const std::function<void(std::int64_t, std::int64_t)>& work) {
    while (done < n) {
      if (stop_requested()) return false;
      const auto began = std::chrono::steady_clock::now();
      const std::int64_t count = std::min(batch_, n - done);
      work(done, count);
      done += count;
      saved_(state_);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      if (took.count() >= options_.batch_seconds)
        batch_ = std::max<std::int64_t>(1, batch_ / 2);
      else if (count == batch_)
        batch_ = std::min(2 * batch_, kMaxBatch);
    }
    return true;
  }

  // Goes on with the stage's sizes until there are n, text(i) behind the set each.
  bool score_rest(StoredSet& set, std::int64_t n, const TextOf& text) {
    std::vector<StoredSize>& sizes = state_.stage.sizes;
    return in_batches(std::ssize(sizes), n, [&](std::int64_t begin, std::int64_t count) {
      const auto more = set.sizes_with(count, [&](std::int64_t i) { return text(begin + i); });
      sizes.insert(sizes.end(), more.begin(), more.end());
    });
  }

  bool score_alone() {
    const auto empty = empty_set();
    progress_.begin(
        {.label = "score alone", .unit = "samples", .total = input_.n_records, .already_done = state_.n_scored});
    return in_batches(state_.n_scored, input_.n_records, [&](std::int64_t begin, std::int64_t count) {
      score_batch(*empty, begin, count);
      state_.n_scored += count;
      progress_.advance(count);
    });
  }

  void score_batch(StoredSet& empty, std::int64_t begin, std::int64_t n) {
    std::vector<Candidate> batch(index(n));
    std::vector<std::string> errors(index(n));
    const auto sizes = empty.sizes_with(n, [&](std::int64_t i) {
      const auto k = index(i);
      try {
        std::string text = input_.text(begin + i);
        batch[k].record = begin + i;
        batch[k].n_bytes = std::ssize(text);
        batch[k].is_open = is_offered(options_, text);
        batch[k].is_blank = options_.algorithm == SelectAlgorithm::kZip && is_blank(text);
        if (input_.tokens) batch[k].n_tokens = input_.tokens(text);
        text += input_.close;
        return text;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kData) throw;
        errors[k] = error.what();
        return std::string();
      }
    });
    for (std::size_t k = 0; k < batch.size(); ++k) {
      if (!errors[k].empty()) {
        state_.failures.push_back({begin + static_cast<std::int64_t>(k), errors[k]});
        continue;
      }
      batch[k].alone = batch[k].score = stored_score(sizes[k].ratio());
      state_.candidates.push_back(batch[k]);
    }
  }

  double stored_score(double ratio) const {
    return is_reference() ? static_cast<double>(static_cast<float>(ratio)) : ratio;
  }

  // ---- The chosen set.

  std::unique_ptr<StoredSet> empty_set() const {
    auto set = model_.empty_set();
    if (!input_.open.empty()) set->append(input_.open);
    return set;
  }

  // What a set of no samples needs: zlib's header and checksum are no sample's.
  static double stored_bytes_of(StoredSet& set) {
    return set.sizes_with(1, [](std::int64_t) { return std::string(); })[0].stored_bytes;
  }

  // Stores the choices of the stages that are over; false where a stop was requested before the end.
  bool restore() {
    chosen_ = empty_set();
    for (const Choice& choice : state_.choices) count(candidate_of(choice.record));
    hold_block_texts();
    return append_chosen();
  }

  bool append_chosen() {
    for (; n_appended_ < state_.choices.size() && state_.choices[n_appended_].stage <= state_.n_stages; ++n_appended_) {
      if (stop_requested()) return false;
      chosen_->append(input_.text(state_.choices[n_appended_].record) + input_.separator);
    }
    return true;
  }

  bool end_stage() {
    ++state_.n_stages;
    state_.stage = {};
    saved_(state_);
    return append_chosen();
  }

  Candidate& candidate_of(std::int64_t record) {
    return *std::lower_bound(state_.candidates.begin(), state_.candidates.end(), record,
                             [](const Candidate& c, std::int64_t r) { return c.record < r; });
  }

  std::int64_t size_of(const Candidate& c) const {
    if (options_.unit == SelectOptions::Unit::kSamples) return 1;
    return options_.unit == SelectOptions::Unit::kBytes ? c.n_bytes : c.n_tokens;
  }

  void count(const Candidate& c) {
    used_ += size_of(c);
    for (GroupRoom& rooms : rooms_)
      if (const auto g = rooms.group_of[index(c.record)]; g >= 0) --rooms.room[index(g)];
  }

  void choose(std::size_t place, double ratio_in_block) {
    Candidate& c = member(place);
    state_.choices.push_back({c.record, c.n_bytes, c.n_tokens, state_.n_stages + 1, c.alone,
                              state_.stage.with_chosen[place], ratio_in_block});
    if (!is_reference()) c.is_open = false;
    const std::int64_t before = used_;
    count(c);
    progress_.advance(std::min(used_, options_.budget) - std::min(before, options_.budget));
  }

  // ---- A stage: the most promising, rescored.

  std::string text_of(std::int64_t candidate) const { return input_.text(state_.candidates[index(candidate)].record); }
  std::string top_text(std::int64_t i) const { return text_of(state_.stage.top[index(i)]) + input_.close; }

  // False where nothing is left that fits.
  bool begin_stage() {
    state_.stage.top = is_reference() ? lowest_reference_scores() : lowest_scores();
    return in_stage();
  }

  std::vector<std::int64_t> lowest_reference_scores() const {
    const auto& candidates = state_.candidates;
    if (options_.k1 > std::ssize(candidates) || options_.k2 > options_.k1) {
      throw Error(ErrorKind::kConfig,
                  "k1 is " + std::to_string(options_.k1) + ", k2 " + std::to_string(options_.k2) +
                      ", and the pool has " + std::to_string(candidates.size()) +
                      " samples: ZIP's released code stops where k1 > samples or k2 > k1",
                  "lower --k1 and --k2, or take the default algorithm, which cuts them to what is there");
    }
    std::vector<float> scores;
    for (const Candidate& c : candidates) scores.push_back(static_cast<float>(c.score));
    return torch_top_k(scores, options_.k1);
  }

  // Of the rescored ones. Without members, where nobody is left, the stage begins anew.
  void form_block() {
    SelectStage& stage = state_.stage;
    if (is_reference())
      take_reference_members(stage);
    else
      take_members(stage);
    stage.sizes.clear();
    if (stage.members.empty()) stage = {};
    hold_block_texts();
  }

  void take_reference_members(SelectStage& stage) {
    std::vector<float> ratios;
    for (std::size_t i = 0; i < stage.top.size(); ++i) {
      ratios.push_back(static_cast<float>(stage.sizes[i].ratio()));
      state_.candidates[index(stage.top[i])].score = static_cast<double>(ratios.back());
    }
    for (const std::int64_t i : torch_top_k(ratios, options_.k2)) {
      stage.members.push_back(stage.top[index(i)]);
      stage.with_chosen.push_back(static_cast<double>(ratios[index(i)]));
    }
    for (const std::int64_t m : stage.members) state_.candidates[index(m)].score = kTaken;
  }

  bool fits(const Candidate& c) const {
    if (!c.is_open || used_ + size_of(c) > options_.budget) return false;
    for (const GroupRoom& rooms : rooms_) {
      const auto g = rooms.group_of[index(c.record)];
      if (g >= 0 && rooms.room[index(g)] <= 0) return false;
    }
    return true;
  }

  bool is_lower(std::int64_t a, std::int64_t b) const {
    const double x = state_.candidates[index(a)].score, y = state_.candidates[index(b)].score;
    return x < y || (x == y && a < b);
  }

  std::vector<std::int64_t> lowest_scores() const {
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < std::ssize(state_.candidates); ++i)
      if (fits(state_.candidates[index(i)])) places.push_back(i);
    if (std::ssize(places) > options_.k1) {
      std::nth_element(places.begin(), places.begin() + options_.k1, places.end(),
                       [this](std::int64_t a, std::int64_t b) { return is_lower(a, b); });
      places.resize(index(options_.k1));
    }
    std::sort(places.begin(), places.end());  // in the pool's order, which is the file's
    return places;
  }

  // Stores the new scores, and takes out for good who adds too little.
  void take_members(SelectStage& stage) {
    const double before = options_.min_new > 0 ? stored_bytes_of(*chosen_) : 0.0;
    for (std::size_t i = 0; i < stage.top.size(); ++i) {
      Candidate& c = state_.candidates[index(stage.top[i])];
      c.score = stage.sizes[i].ratio();
      c.is_open = adds_enough(c, stage.sizes[i].stored_bytes - before);
      if (c.is_open) stage.members.push_back(stage.top[i]);
    }
    std::sort(stage.members.begin(), stage.members.end(),
              [this](std::int64_t a, std::int64_t b) { return is_lower(a, b); });
    stage.members.resize(std::min(stage.members.size(), index(options_.k2)));
    for (const std::int64_t m : stage.members) stage.with_chosen.push_back(state_.candidates[index(m)].score);
  }

  bool adds_enough(const Candidate& c, double new_bytes) {
    if (options_.min_new <= 0) return true;
    if (!of_nothing_) of_nothing_ = stored_bytes_of(*empty_set());
    const double alone = static_cast<double>(c.n_bytes + std::ssize(input_.open) + std::ssize(input_.close)) / c.alone;
    return new_bytes >= options_.min_new * (alone - *of_nothing_);
  }

  // ---- Its block: from an empty set, the one that compresses worst, k3 times.

  Candidate& member(std::size_t place) { return state_.candidates[index(state_.stage.members[place])]; }

  void hold_block_texts() {
    block_texts_.clear();
    std::size_t n_bytes = 0;
    for (std::size_t p = 0; p < state_.stage.members.size(); ++p) n_bytes += index(member(p).n_bytes);
    if (n_bytes > kHeldBytes) return;
    for (const std::int64_t m : state_.stage.members) block_texts_.push_back(text_of(m));
  }

  std::string block_text(std::size_t place) const {
    return block_texts_.empty() ? text_of(state_.stage.members[place]) : block_texts_[place];
  }

  // False where a stop was requested before the end.
  bool fill_from_block() {
    const auto added = empty_set();
    std::vector<bool> is_added(state_.stage.members.size());
    const auto add = [&](std::size_t place) {
      is_added[place] = true;
      added->append(block_text(place) + input_.separator);
    };
    std::int64_t n_added = 0;
    for (const std::size_t place : places_chosen()) add(place), ++n_added;
    for (; n_added < options_.k3; ++n_added) {
      std::vector<std::size_t> open;
      for (std::size_t p = 0; p < is_added.size(); ++p)
        if (!is_added[p] && (is_reference() || fits(member(p)))) open.push_back(p);
      if (open.empty() && !is_reference()) return true;
      const auto text = [&](std::int64_t i) { return block_text(open[index(i)]) + input_.close; };
      if (!score_rest(*added, std::ssize(open), text)) return false;
      const auto best = is_reference() ? best_of_reference(open) : best_of(*added, open, n_added > 0);
      state_.stage.sizes.clear();
      if (!best) return true;
      choose(best->place, best->ratio);
      add(best->place);
    }
    return true;
  }

  // Of the choices that this stage has made already.
  std::vector<std::size_t> places_chosen() {
    std::vector<std::size_t> places;
    for (const Choice& choice : state_.choices) {
      if (choice.stage <= state_.n_stages) continue;
      for (std::size_t p = 0; p < state_.stage.members.size(); ++p)
        if (member(p).record == choice.record) places.push_back(p);
    }
    return places;
  }

  struct Pick {
    std::size_t place;
    double ratio;
  };

  // torch.topk over the whole block, who was added with the mark.
  std::optional<Pick> best_of_reference(const std::vector<std::size_t>& open) const {
    std::vector<float> ratios(state_.stage.members.size(), static_cast<float>(kTaken));
    for (std::size_t i = 0; i < open.size(); ++i) ratios[open[i]] = static_cast<float>(state_.stage.sizes[i].ratio());
    const auto best = index(torch_top_k(ratios, 1)[0]);
    return Pick{best, static_cast<double>(ratios[best])};
  }

  std::optional<Pick> best_of(StoredSet& added, const std::vector<std::size_t>& open, bool has_added) {
    const auto& sizes = state_.stage.sizes;
    const bool checks = has_added && options_.min_new > 0;
    const double before = checks ? stored_bytes_of(added) : 0.0;
    std::optional<Pick> best;
    for (std::size_t i = 0; i < open.size(); ++i) {
      if (checks && !adds_enough(member(open[i]), sizes[i].stored_bytes - before)) continue;
      const auto& members = state_.stage.members;
      const bool is_first = !best || sizes[i].ratio() < best->ratio ||
                            (sizes[i].ratio() == best->ratio && members[open[i]] < members[best->place]);
      if (is_first) best = Pick{open[i], sizes[i].ratio()};
    }
    return best;
  }

  const SelectInput& input_;
  const CostModel& model_;
  const SelectOptions& options_;
  SelectState& state_;
  Progress& progress_;
  const std::function<void(const SelectState&)>& saved_;
  std::vector<GroupRoom> rooms_;  // what is left
  std::unique_ptr<StoredSet> chosen_;
  std::size_t n_appended_ = 0;            // of the choices, to chosen_
  std::vector<std::string> block_texts_;  // empty where they are too large to be held
  std::optional<double> of_nothing_;      // what a set of no samples needs
  std::int64_t used_ = 0;                 // of the budget
  std::int64_t batch_ = kFirstBatch;      // samples that are scored at a time
};

}  // namespace

bool is_blank(const std::string& text) { return text.find_first_not_of(" \t\r\n\v\f") == std::string::npos; }

bool is_offered(const SelectOptions& options, const std::string& text) {
  if (options.algorithm == SelectAlgorithm::kZipReference) return true;
  const std::int64_t n_bytes = std::ssize(text);
  return n_bytes >= options.min_bytes && (options.max_bytes == 0 || n_bytes <= options.max_bytes) && !is_blank(text);
}

SelectEnd select(const SelectInput& input, const CostModel& model, const SelectOptions& options, SelectState& state,
                 Progress& progress, const std::function<void(const SelectState&)>& saved) {
  return Selector(input, model, options, state, progress, saved).run();
}

}  // namespace lmbits
