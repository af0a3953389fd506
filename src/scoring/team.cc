#include "src/scoring/team.h"

#include <condition_variable>
#include <mutex>

#include "src/core/error.h"

namespace lmbits {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kStorePatienceS = 120.0;
constexpr std::chrono::milliseconds kPause{20};

std::string of(const std::string& what, int rank) { return what + "/" + std::to_string(rank); }

// Notes where an answer fails to come, and passes it on.
template <typename Operation>
auto noting(std::atomic<bool>& lost, Operation operation) -> decltype(operation()) {
  try {
    return operation();
  } catch (const Error&) {
    lost = true;
    throw;
  }
}

class NotedStore final : public SharedStore {
 public:
  NotedStore(std::unique_ptr<SharedStore> store, std::atomic<bool>& lost) : store_(std::move(store)), lost_(lost) {}
  std::int64_t add(const std::string& key, std::int64_t n) override {
    return noting(lost_, [&] { return store_->add(key, n); });
  }
  void set(const std::string& key, const std::string& value) override {
    noting(lost_, [&] {
      store_->set(key, value);
      return 0;
    });
  }
  std::optional<std::string> get(const std::string& key) override {
    return noting(lost_, [&] { return store_->get(key); });
  }
  std::string compare_set(const std::string& key, const std::string& expected, const std::string& desired) override {
    return noting(lost_, [&] { return store_->compare_set(key, expected, desired); });
  }

 private:
  std::unique_ptr<SharedStore> store_;
  std::atomic<bool>& lost_;
};

}  // namespace

Team::Team(const WorkerPlace& place, const TeamOptions& options) : place_(place), options_(options) {
  store_ = std::make_unique<NotedStore>(connect_store({.host = place.host,
                                                       .port = place.port,
                                                       .serve = place.rank == 0 && !place.store_is_kept,
                                                       .prefix = "lmbits/" + place.job},
                                                      kStorePatienceS),
                                        lost_);
  store_->add(of("beat", place.rank), 1);
  heart_ = std::jthread([this](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    const std::chrono::duration<double> every(options_.heartbeat_s);
    while (!wake.wait_for(lock, stop, every, [&] { return stop.stop_requested(); })) {
      try {
        store_->add(of("beat", place_.rank), 1);
      } catch (const Error&) {  // whoever asks the store next is told
        return;
      }
    }
  });
}

Team::~Team() {
  try {
    store_->set(of("left", place_.rank), "1");
    if (place_.rank == 0 && !place_.store_is_kept) {
      for (int other = 1; other < size(); ++other) {
        while (!is_gone(other)) std::this_thread::sleep_for(kPause);
      }
    }
  } catch (const Error&) {  // the store has gone already
  }
  heart_.request_stop();
  heart_.join();
}

bool Team::is_gone(int rank) {
  if (rank == place_.rank) return false;
  if (store_->get(of("left", rank))) return true;
  const std::string count = store_->get(of("beat", rank)).value_or("");
  const Clock::time_point now = Clock::now();
  const auto [sign, is_new] = signs_.try_emplace(rank, Sign{count, now});
  if (sign->second.count != count) sign->second = {count, now};
  const std::chrono::duration<double> silent = now - sign->second.since;
  return silent.count() > (count.empty() ? options_.start_s : options_.dead_s);
}

bool Team::leads(const std::string& work) {
  const std::string me = std::to_string(place_.rank);
  const std::string key = work + "/leader";
  const std::string leader = store_->compare_set(key, "", me);
  if (leader == me) return true;
  if (takes_part(std::stoi(leader), work)) return false;
  return store_->compare_set(key, leader, me) == me;
}

void Team::leave(const std::string& work) { store_->set(of(work + "/left", place_.rank), "1"); }

bool Team::takes_part(int rank, const std::string& work) {
  return !store_->get(of(work + "/left", rank)) && !is_gone(rank);
}

}  // namespace lmbits
