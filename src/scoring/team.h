// The workers of a job: who they are, who is still there, who leads.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "src/model/shared_store.h"

namespace lmbits {

// Where a process stands among those that work on one command together: what torchrun tells it.
struct WorkerPlace {
  int rank = 0, n_workers = 1;
  int local_rank = 0, n_local = 1;  // on this node
  std::string host;                 // of the store
  std::uint16_t port = 0;
  bool store_is_kept = false;  // by torchrun's agent; else worker 0 keeps it
  std::string job;             // distinguishes this start of the job from others that the store may have seen
};

struct TeamOptions {
  double heartbeat_s = 0.5;
  double dead_s = 10.0;    // without a heartbeat for so long, by our own clock: dead
  double start_s = 120.0;  // until the first one
};

// A worker that is taken for dead while it lives costs work that is done twice, never a wrong number.
class Team {
 public:
  explicit Team(const WorkerPlace& place, const TeamOptions& options = {});
  ~Team();  // says goodbye; who keeps the store waits for the others to do so
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.n_workers; }
  SharedStore& store() { return *store_; }
  bool store_lost() const { return lost_; }  // its last answer was none

  bool is_gone(int rank);  // said goodbye, or is dead

  // For one piece of work, named `work`: one of those who take part leads it. When that one goes, another does.
  bool leads(const std::string& work);
  void leave(const std::string& work);  // it failed here; the others go on
  bool takes_part(int rank, const std::string& work);

 private:
  struct Sign {
    std::string count;
    std::chrono::steady_clock::time_point since;
  };

  WorkerPlace place_;
  TeamOptions options_;
  std::unique_ptr<SharedStore> store_;
  std::map<int, Sign> signs_;
  std::atomic<bool> lost_ = false;
  std::jthread heart_;
};

}  // namespace lmbits
