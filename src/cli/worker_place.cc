#include "src/cli/worker_place.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>

#include "src/core/error.h"

namespace lmbits::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(
      ErrorKind::kConfig, what,
      "start the workers with torchrun --no-python, or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT as it does");
}

int number(const char* name, int lowest, int highest) {
  const std::string text = environment(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < lowest || value > highest)
    refuse(std::string(name) + " is \"" + text + "\", not a number from " + std::to_string(lowest) + " to " +
           std::to_string(highest));
  return value;
}

int number_or(const char* name, int lowest, int highest, int otherwise) {
  return environment(name).empty() ? otherwise : number(name, lowest, highest);
}

}  // namespace

std::optional<WorkerPlace> worker_place() {
  constexpr int kMost = 1 << 20;
  if (environment("WORLD_SIZE").empty()) return std::nullopt;
  WorkerPlace place;
  place.n_workers = number("WORLD_SIZE", 1, kMost);
  if (place.n_workers == 1) return std::nullopt;
  place.rank = number("RANK", 0, place.n_workers - 1);
  place.n_local = number_or("LOCAL_WORLD_SIZE", 1, place.n_workers, 1);
  place.local_rank = number_or("LOCAL_RANK", 0, place.n_workers - 1, 0);
  place.host = environment("MASTER_ADDR");
  if (place.host.empty()) refuse("WORLD_SIZE is set, but MASTER_ADDR is not");
  place.port = static_cast<std::uint16_t>(number("MASTER_PORT", 1, 65535));
  place.store_is_kept = environment("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.job = environment("TORCHELASTIC_RUN_ID") + "/" + environment("TORCHELASTIC_RESTART_COUNT");
  return place;
}

int threads_of_worker(int n_processors, const std::optional<WorkerPlace>& place) {
  return std::max(1, n_processors / (place ? place->n_local : 1));
}

}  // namespace lmbits::cli
