#include "src/nightly/slurm.h"

namespace lmbits {
namespace {

// A folder in a line for sbatch, which takes spaces and apostrophes between double quotes, and %% for a %.
std::string in_directive(const std::filesystem::path& folder) {
  std::string path;
  for (const char c : folder.string()) path += c == '%' ? std::string("%%") : std::string(1, c);
  return path;
}

std::string head(const SlurmNight& night, const std::string& name, const std::string& log) {
  return "#!/bin/bash\n#SBATCH --job-name=" + name + "\n#SBATCH --output=\"" + in_directive(night.folder) + "/" + log +
         "\"\n#SBATCH --requeue\n#SBATCH --open-mode=append\n";
}

std::string options_of(const SlurmOptions& slurm) {
  std::string lines;
  for (const std::string& option : slurm.options) lines += "#SBATCH " + option + "\n";
  return lines;
}

}  // namespace

std::string shell_word(const std::string& text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

std::string array_script(const SlurmNight& night) {
  const SlurmOptions& slurm = night.options;
  std::string script = head(night, "lmbits-score", "%a.log");
  script += "#SBATCH --array=0-" + std::to_string(night.models.size() - 1) +
            (slurm.at_once > 0 ? "%" + std::to_string(slurm.at_once) : "") +
            "\n#SBATCH --ntasks=" + std::to_string(slurm.workers) + "\n" + options_of(slurm);
  script += "set -u\nmodels=(\n";
  for (const std::string& model : night.models) script += "  " + shell_word(model) + "\n";
  script += ")\nscore=(" + shell_word(night.program.string()) + " nightly " + shell_word(night.config.string()) +
            " --quiet --score \"${models[SLURM_ARRAY_TASK_ID]}\")\n";
  if (slurm.workers > 1) {
    script +=
        "export MASTER_ADDR=$(hostname)  # this script runs where worker 0 does\n"
        "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 12000)) WORLD_SIZE=" +
        std::to_string(slurm.workers) +
        "\n"
        "export TORCHELASTIC_RUN_ID=$SLURM_JOB_ID TORCHELASTIC_RESTART_COUNT=${SLURM_RESTART_COUNT:-0}\n"
        "# A worker that dies is no end: the others do its documents.\n"
        "srun --kill-on-bad-exit=0 bash -c 'export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID\n"
        "  export LOCAL_WORLD_SIZE=${SLURM_STEP_TASKS_PER_NODE%%[!0-9]*}; exec \"$@\"' worker \"${score[@]}\"\n"
        "unset WORLD_SIZE\n";
  }
  return script + "exec \"${score[@]}\"  # what is left, if anything\n";
}

std::string judge_script(const SlurmNight& night) {
  return head(night, "lmbits-judge", "judge.log") + "#SBATCH --ntasks=1\n" + options_of(night.options) + "exec " +
         shell_word(night.program.string()) + " nightly " + shell_word(night.config.string()) + " --quiet\n";
}

}  // namespace lmbits
