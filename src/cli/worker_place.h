// Is this process one of several workers? What torchrun, or a job script in its place, says in the environment.
#pragma once
#include <optional>

#include "src/scoring/team.h"

namespace lmbits::cli {

// From RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE,
// TORCHELASTIC_RUN_ID and TORCHELASTIC_RESTART_COUNT; nullopt where WORLD_SIZE is not set, or 1. Throws Error(kConfig)
// where they contradict each other.
std::optional<WorkerPlace> worker_place();

// Threads of one worker, so that those of a node share its processors.
int threads_of_worker(int n_processors, const std::optional<WorkerPlace>& place);

}  // namespace lmbits::cli
