#include "src/scoring/work_together.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/core/stop.h"
#include "src/scoring/hand_out.h"
#include "src/store/partial_runs.h"

namespace lmbits {
namespace {

constexpr std::chrono::milliseconds kShortestPause{5}, kLongestPause{100};

// Longer from time to time: many workers wait at one store.
class Pause {
 public:
  void operator()() {
    std::this_thread::sleep_for(next_);
    next_ = std::min(2 * next_, kLongestPause);
  }

 private:
  std::chrono::milliseconds next_ = kShortestPause;
};

class Together {
 public:
  Together(Team& team, const SharedRun& run) : team_(team), run_(run), store_(team.store()) {}

  bool work() {
    int round = 0;
    Pause pause;
    while (!stop_requested()) {
      if (store_.get(run_.work + "/ended")) return true;
      if (const auto plan = store_.get(key("plan", round))) {
        if (!follow(round, plan_from_bytes(*plan))) return false;
        ++round;
        pause = {};
      } else if (team_.leads(run_.work)) {
        if (store_.get(run_.work + "/ended")) return true;  // the one who led ended it since we asked, and left
        return lead();
      } else {
        pause();
      }
    }
    return false;
  }

 private:
  std::string key(const char* what, int round) const { return run_.work + "/" + what + "/" + std::to_string(round); }
  std::string finished_key(int round, int rank) const { return key("finished", round) + "/" + std::to_string(rank); }

  bool follow(int round, WorkPlan plan) {
    std::optional<RunWriter> part;
    part.emplace(part_folder(run_.path, team_.rank()), run_.manifest);
    const std::optional<Json> profile = take_blocks(round, std::move(plan), *part);
    part.reset();  // what it wrote is on the disk before anybody is told
    if (!profile) return false;
    store_.set(finished_key(round, team_.rank()), profile->dump());
    return true;
  }

  // The profile; nullopt when interrupted.
  std::optional<Json> take_blocks(int round, WorkPlan plan, RunWriter& writer) {
    const auto next_block = [this, round] { return store_.add(key("next", round), 1) - 1; };
    return run_.score(writer, [&] { return hand_out(run_.open, std::move(plan), next_block); });
  }

  bool lead() {
    if (run_.finish_known()) return end();
    RunWriter whole(run_.path, run_.manifest);
    int round = 0;  // behind those of a leader that is gone
    while (store_.get(key("plan", round))) ++round;
    if (round > 0 && !wait_for_others(round - 1)) return false;
    for (;; ++round) {
      fold_parts(run_.path, /*with_failed=*/round > 0, whole);
      if (!run_.by_documents) {
        const std::optional<Json> profile = run_.score(whole, {});
        if (!profile) return false;
        add_profile(*profile);
        break;
      }
      std::optional<WorkPlan> plan = plan_rest();
      if (!plan) break;
      store_.set(key("plan", round), to_bytes(*plan));
      const std::optional<Json> profile = take_blocks(round, std::move(*plan), whole);
      if (!profile) return false;
      add_profile(*profile);
      if (!wait_for_others(round)) return false;
    }
    return run_.complete(whole, profile_) && end();
  }

  bool end() {
    store_.set(run_.work + "/ended", "1");
    return true;
  }

  // What has no record yet; nullopt: nothing.
  std::optional<WorkPlan> plan_rest() {
    if (ids_.empty()) {
      const auto reader = run_.open();
      while (const std::optional<Document> document = reader->next()) {
        ids_.push_back(document->id);
        n_bytes_.push_back(static_cast<std::int64_t>(document->bytes.size()));
        if (stop_requested()) break;
      }
    }
    const std::unordered_map<std::string, double> known = known_bits(read_run(run_.path));
    std::vector<bool> todo;
    for (const std::string& id : ids_) todo.push_back(!known.contains(id));
    const auto first = std::find(todo.begin(), todo.end(), true);
    if (first == todo.end()) return std::nullopt;
    require_progress(std::count(first, todo.end(), true), ids_[static_cast<std::size_t>(first - todo.begin())]);
    return plan_work(n_bytes_, todo, team_.size());
  }

  // A round may leave no record behind where whoever had its documents died. Everybody can do so once.
  void require_progress(std::int64_t n_todo, const std::string& example) {
    n_idle_rounds_ = n_todo_ && n_todo >= *n_todo_ ? n_idle_rounds_ + 1 : 0;
    n_todo_ = n_todo;
    if (n_idle_rounds_ <= team_.size()) return;
    throw Error(ErrorKind::kData,
                std::to_string(n_idle_rounds_) + " rounds of work left no record of " + std::to_string(n_todo) +
                    " documents, " + example + " for one",
                "do all workers see the same output folder? The same command with one process goes on");
  }

  // Until everybody has finished the round, failed at it, or is gone. False when interrupted.
  bool wait_for_others(int round) {
    for (int other = 0; other < team_.size(); ++other) {
      if (other == team_.rank()) continue;
      for (Pause pause; !stop_requested(); pause()) {
        if (const auto profile = store_.get(finished_key(round, other))) {
          add_profile(Json::parse(*profile));
          break;
        }
        if (!team_.takes_part(other, run_.work)) break;
      }
    }
    return !stop_requested();
  }

  void add_profile(const Json& profile) {
    for (const auto& [name, value] : profile.items()) {
      if (!profile_.contains(name)) {
        profile_[name] = value;
      } else if (name == "wall_s") {
        profile_[name] = std::max(profile_[name].get<double>(), value.get<double>());
      } else if (value.is_number_integer()) {
        profile_[name] = profile_[name].get<std::int64_t>() + value.get<std::int64_t>();
      } else if (value.is_number()) {
        profile_[name] = profile_[name].get<double>() + value.get<double>();
      }
    }
    profile_["n_workers"] = profile_.value("n_workers", 0) + 1;
  }

  Team& team_;
  const SharedRun& run_;
  SharedStore& store_;
  std::vector<std::string> ids_;  // of the corpus, once listed
  std::vector<std::int64_t> n_bytes_;
  std::optional<std::int64_t> n_todo_;  // before the last round
  int n_idle_rounds_ = 0;               // after which there was as much to do as before, in a row
  Json profile_ = Json::object();
};

}  // namespace

bool score_together(Team& team, const SharedRun& run) {
  try {
    return Together(team, run).work();
  } catch (...) {
    if (!team.store_lost()) team.leave(run.work);
    throw;
  }
}

}  // namespace lmbits
