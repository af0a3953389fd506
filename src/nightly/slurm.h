// A night's checkpoints as jobs of SLURM: the scripts that are submitted.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace lmbits {

struct SlurmOptions {                // "slurm" in a night's configuration
  int workers = 1;                   // of each checkpoint
  int at_once = 0;                   // checkpoints at a time; 0: as many as SLURM starts
  std::vector<std::string> options;  // for sbatch: "--partition=gpu", "--gpus-per-task=1"
};

struct SlurmNight {
  std::filesystem::path program, config;  // absolute
  std::filesystem::path folder;           // for scripts and logs
  std::vector<std::string> models;        // as `lmbits nightly --score` takes them
  SlurmOptions options;
};

// One word for a shell, whatever it holds.
std::string shell_word(const std::string& text);

// An array, one job a checkpoint. Its workers share the checkpoint's documents; then one process, on the node where the
// script runs, does what workers that died have left, so that the job needs no worker in particular, and asks the
// questions. It is requeued when its node fails, and goes on from what is on disk.
std::string array_script(const SlurmNight& night);

// One job behind the array: takes the runs over, judges, writes the page.
std::string judge_script(const SlurmNight& night);

}  // namespace lmbits
