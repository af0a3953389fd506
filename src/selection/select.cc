#include "src/selection/select.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "src/core/error.h"
#include "src/core/stop.h"
#include "src/selection/top_k.h"

namespace lmbits {
namespace {

constexpr double kTaken = 1000000;                        // the released code's mark
constexpr std::int64_t kMaxScoreBatch = 4096;             // of samples between two looks at the stop flag
constexpr double kBatchSeconds = 0.5;                     // a slow cost model gets smaller ones
constexpr std::size_t kHeldBytes = std::size_t{1} << 26;  // of a block's texts; larger blocks are read again and again

class Selector {
 public:
  Selector(const SelectInput& input, const CostModel& model, const SelectOptions& options, SelectState& state,
           Progress& progress)
      : input_(input), model_(model), options_(options), state_(state), progress_(progress), rooms_(input.groups) {}

  SelectEnd run(const std::function<void(const SelectState&)>& saved) {
    if (state_.n_scored < input_.n_records && !score_alone(saved)) return SelectEnd::kStopped;
    restore();
    progress_.begin({.label = "choose", .unit = unit_name(), .total = options_.budget, .already_done = used_});
    while (!is_full()) {
      if (stop_requested()) return SelectEnd::kStopped;
      const std::size_t n_before = state_.choices.size();
      if (options_.algorithm == SelectAlgorithm::kZipReference) {
        reference_stage();
      } else if (!stage()) {
        return SelectEnd::kPoolUsedUp;
      }
      append_since(n_before);
      saved(state_);
    }
    return SelectEnd::kDone;
  }

 private:
  std::string unit_name() const {
    return options_.unit == SelectOptions::Unit::kSamples ? "samples"
           : options_.unit == SelectOptions::Unit::kBytes ? "B"
                                                          : "tok";
  }
  bool is_full() const { return used_ >= options_.budget; }

  // ---- Stage 1.

  bool score_alone(const std::function<void(const SelectState&)>& saved) {
    const auto empty = empty_set();
    progress_.begin(
        {.label = "score alone", .unit = "samples", .total = input_.n_records, .already_done = state_.n_scored});
    std::int64_t batch = 64;
    while (state_.n_scored < input_.n_records) {
      if (stop_requested()) return false;
      const auto began = std::chrono::steady_clock::now();
      const std::int64_t n = std::min(batch, input_.n_records - state_.n_scored);
      score_batch(*empty, state_.n_scored, n);
      state_.n_scored += n;
      progress_.advance(n);
      saved(state_);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      batch = took.count() < kBatchSeconds ? std::min(2 * batch, kMaxScoreBatch) : std::max<std::int64_t>(1, batch / 2);
    }
    return true;
  }

  void score_batch(StoredSet& empty, std::int64_t begin, std::int64_t n) {
    std::vector<Candidate> batch(static_cast<std::size_t>(n));
    std::vector<std::string> errors(static_cast<std::size_t>(n));
    const auto sizes = empty.sizes_with(n, [&](std::int64_t i) {
      const auto k = static_cast<std::size_t>(i);
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
    return options_.algorithm == SelectAlgorithm::kZipReference ? static_cast<double>(static_cast<float>(ratio))
                                                                : ratio;
  }

  // ---- The chosen set.

  std::unique_ptr<StoredSet> empty_set() const {
    auto set = model_.empty_set();
    if (!input_.open.empty()) set->append(input_.open);
    return set;
  }

  void restore() {
    chosen_ = empty_set();
    for (const Choice& choice : state_.choices) {
      chosen_->append(input_.text(choice.record) + input_.separator);
      count(candidate_of(choice.record));
    }
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
      if (const auto g = rooms.group_of[static_cast<std::size_t>(c.record)]; g >= 0)
        --rooms.room[static_cast<std::size_t>(g)];
  }

  void append_since(std::size_t n_before) {
    for (std::size_t i = n_before; i < state_.choices.size(); ++i)
      chosen_->append(input_.text(state_.choices[i].record) + input_.separator);
    ++state_.n_stages;
  }

  void choose(Candidate& c, double ratio_in_block) {
    state_.choices.push_back(
        {c.record, c.n_bytes, c.n_tokens, state_.n_stages + 1, c.alone, ratio_with_chosen_of(c), ratio_in_block});
    const std::int64_t before = used_;
    count(c);
    progress_.advance(std::min(used_, options_.budget) - std::min(before, options_.budget));
  }

  // The samples of this stage's block, by place in the block.
  struct Block {
    std::vector<std::size_t> members;  // in state_.candidates
    std::vector<double> with_chosen;   // their ratio
    std::vector<std::string> texts;    // empty where they are too large to be held
  };

  double ratio_with_chosen_of(const Candidate& c) const {
    const auto place = static_cast<std::size_t>(&c - state_.candidates.data());
    const auto found = std::find(block_.members.begin(), block_.members.end(), place);
    return block_.with_chosen[static_cast<std::size_t>(found - block_.members.begin())];
  }

  std::string text_of(std::size_t candidate) const { return input_.text(state_.candidates[candidate].record); }

  std::vector<StoredSize> sizes_with(StoredSet& set, const std::vector<std::size_t>& candidates) const {
    return set.sizes_with(std::ssize(candidates), [&](std::int64_t i) {
      return text_of(candidates[static_cast<std::size_t>(i)]) + input_.close;
    });
  }

  void set_block(std::vector<std::size_t> members, std::vector<double> with_chosen) {
    std::size_t n_bytes = 0;
    for (const std::size_t m : members) n_bytes += static_cast<std::size_t>(state_.candidates[m].n_bytes);
    block_ = {std::move(members), std::move(with_chosen), {}};
    if (n_bytes > kHeldBytes) return;
    for (const std::size_t m : block_.members) block_.texts.push_back(text_of(m));
  }

  std::string block_text(std::size_t place) const {
    return block_.texts.empty() ? text_of(block_.members[place]) : block_.texts[place];
  }

  std::vector<StoredSize> block_sizes(StoredSet& added, const std::vector<std::size_t>& places) const {
    return added.sizes_with(std::ssize(places), [&](std::int64_t i) {
      return block_text(places[static_cast<std::size_t>(i)]) + input_.close;
    });
  }

  // ---- A stage as released.

  void reference_stage() {
    auto& candidates = state_.candidates;
    const auto [k1, k2, k3] = std::tuple(options_.k1, options_.k2, options_.k3);
    if (k1 > std::ssize(candidates) || k2 > k1) {
      throw Error(ErrorKind::kConfig,
                  "k1 is " + std::to_string(k1) + ", k2 " + std::to_string(k2) + ", and the pool has " +
                      std::to_string(candidates.size()) +
                      " samples: ZIP's released code stops where k1 > samples or k2 > k1",
                  "lower --k1 and --k2, or take the default algorithm, which cuts them to what is there");
    }
    std::vector<float> scores;
    for (const Candidate& c : candidates) scores.push_back(static_cast<float>(c.score));
    std::vector<std::size_t> top;
    for (const std::int64_t i : torch_top_k(scores, k1)) top.push_back(static_cast<std::size_t>(i));
    std::vector<float> ratios;
    for (const StoredSize& size : sizes_with(*chosen_, top)) ratios.push_back(static_cast<float>(size.ratio()));
    for (std::size_t i = 0; i < top.size(); ++i) candidates[top[i]].score = static_cast<double>(ratios[i]);
    std::vector<std::size_t> members;
    std::vector<double> with_chosen;
    for (const std::int64_t i : torch_top_k(ratios, k2)) {
      members.push_back(top[static_cast<std::size_t>(i)]);
      with_chosen.push_back(static_cast<double>(ratios[static_cast<std::size_t>(i)]));
    }
    for (const std::size_t m : members) candidates[m].score = kTaken;
    set_block(std::move(members), std::move(with_chosen));
    reference_block(k3);
  }

  void reference_block(std::int64_t k3) {
    const auto added = empty_set();
    std::vector<bool> is_added(block_.members.size());
    for (std::int64_t n = 0; n < k3; ++n) {
      std::vector<std::size_t> open;
      for (std::size_t p = 0; p < is_added.size(); ++p)
        if (!is_added[p]) open.push_back(p);
      std::vector<float> ratios(block_.members.size(), static_cast<float>(kTaken));
      const std::vector<StoredSize> sizes = block_sizes(*added, open);
      for (std::size_t i = 0; i < open.size(); ++i) ratios[open[i]] = static_cast<float>(sizes[i].ratio());
      const auto best = static_cast<std::size_t>(torch_top_k(ratios, 1)[0]);
      is_added[best] = true;
      added->append(block_text(best) + input_.separator);
      choose(state_.candidates[block_.members[best]], static_cast<double>(ratios[best]));
    }
  }

  // ---- A stage, mended.

  bool fits(const Candidate& c) const {
    if (!c.is_open || used_ + size_of(c) > options_.budget) return false;
    for (const GroupRoom& rooms : rooms_) {
      const auto g = rooms.group_of[static_cast<std::size_t>(c.record)];
      if (g >= 0 && rooms.room[static_cast<std::size_t>(g)] <= 0) return false;
    }
    return true;
  }

  // False where nothing is left that fits.
  bool stage() {
    while (true) {
      std::vector<std::size_t> top = lowest_scores(options_.k1);
      if (top.empty()) return false;
      rescore(top);
      if (top.empty()) continue;  // all were passed over
      std::vector<double> with_chosen;
      sort_by_score(top);
      top.resize(std::min(top.size(), static_cast<std::size_t>(options_.k2)));
      for (const std::size_t m : top) with_chosen.push_back(state_.candidates[m].score);
      set_block(std::move(top), std::move(with_chosen));
      fill_from_block();
      return true;
    }
  }

  bool is_lower(std::size_t a, std::size_t b) const {
    const double x = state_.candidates[a].score, y = state_.candidates[b].score;
    return x < y || (x == y && a < b);
  }
  void sort_by_score(std::vector<std::size_t>& places) const {
    std::sort(places.begin(), places.end(), [this](std::size_t a, std::size_t b) { return is_lower(a, b); });
  }

  std::vector<std::size_t> lowest_scores(std::int64_t k) const {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < state_.candidates.size(); ++i)
      if (fits(state_.candidates[i])) places.push_back(i);
    if (std::ssize(places) > k) {
      std::nth_element(places.begin(), places.begin() + k, places.end(),
                       [this](std::size_t a, std::size_t b) { return is_lower(a, b); });
      places.resize(static_cast<std::size_t>(k));
    }
    std::sort(places.begin(), places.end());  // in the pool's order, which is the file's
    return places;
  }

  // Stores new scores; takes those out of `top`, for good, that add too little.
  void rescore(std::vector<std::size_t>& top) {
    const std::vector<StoredSize> sizes = sizes_with(*chosen_, top);
    const double before = options_.min_new > 0 ? chosen_size() : 0.0;
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < top.size(); ++i) {
      Candidate& c = state_.candidates[top[i]];
      c.score = sizes[i].ratio();
      c.is_open = adds_enough(c, sizes[i].stored_bytes - before);
      if (c.is_open) kept.push_back(top[i]);
    }
    top = std::move(kept);
  }

  double chosen_size() const {
    return chosen_->sizes_with(1, [](std::int64_t) { return std::string(); })[0].stored_bytes;
  }

  bool adds_enough(const Candidate& c, double new_bytes) const {
    const double alone = static_cast<double>(c.n_bytes + std::ssize(input_.open) + std::ssize(input_.close)) / c.alone;
    return options_.min_new <= 0 || new_bytes >= options_.min_new * alone;
  }

  void fill_from_block() {
    const auto added = empty_set();
    std::vector<std::size_t> open;
    for (std::size_t p = 0; p < block_.members.size(); ++p) open.push_back(p);
    for (std::int64_t n = 0; n < options_.k3; ++n) {
      std::erase_if(open, [this](std::size_t p) { return !fits(state_.candidates[block_.members[p]]); });
      if (open.empty()) return;
      const std::optional<Pick> best = best_in_block(*added, open, n > 0);
      if (!best) return;
      Candidate& c = state_.candidates[block_.members[best->place]];
      added->append(block_text(best->place) + input_.separator);
      choose(c, best->ratio);
      c.is_open = false;
    }
  }

  struct Pick {
    std::size_t place;
    double ratio;
  };

  std::optional<Pick> best_in_block(StoredSet& added, const std::vector<std::size_t>& open, bool has_added) const {
    const std::vector<StoredSize> sizes = block_sizes(added, open);
    const bool checks = has_added && options_.min_new > 0;
    const double before =
        checks ? added.sizes_with(1, [](std::int64_t) { return std::string(); })[0].stored_bytes : 0.0;
    std::optional<Pick> best;
    for (std::size_t i = 0; i < open.size(); ++i) {
      const Candidate& c = state_.candidates[block_.members[open[i]]];
      if (checks && !adds_enough(c, sizes[i].stored_bytes - before)) continue;
      const bool is_first = !best || sizes[i].ratio() < best->ratio ||
                            (sizes[i].ratio() == best->ratio && block_.members[open[i]] < block_.members[best->place]);
      if (is_first) best = Pick{open[i], sizes[i].ratio()};
    }
    return best;
  }

  const SelectInput& input_;
  const CostModel& model_;
  const SelectOptions& options_;
  SelectState& state_;
  Progress& progress_;
  std::vector<GroupRoom> rooms_;  // what is left
  std::unique_ptr<StoredSet> chosen_;
  Block block_;
  std::int64_t used_ = 0;  // of the budget
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
  return Selector(input, model, options, state, progress).run(saved);
}

}  // namespace lmbits
