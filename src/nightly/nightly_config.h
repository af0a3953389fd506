// What a night does: the file that `lmbits nightly` is given.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "src/conventions/convention.h"
#include "src/corpus/reader.h"
#include "src/nightly/slurm.h"

namespace lmbits {

struct NightlyConfig {
  std::vector<std::string> watch;  // patterns of paths (*, ?, [...]) that checkpoints have
  std::string ready;               // a file that says a checkpoint is whole: "READY" beside it, "{}.done" with its
                                   // name; empty: it has not changed for `settle_s`
  double settle_s = 60.0;
  std::string name = "bundle";  // of a model: the bundle's own, its file's "stem", or its "folder"'s
  std::vector<CorpusSpec> corpora;
  std::vector<std::string> tasks;  // files of questions
  ConventionOptions convention;
  std::string baseline = "previous";  // of the same training run; "best" so far; or a model's name
  double alpha = 0.05;                // the chance of a false alarm a night, at most
  double max_regression = 0.0;        // relative increase of bits/byte that is no alarm
  std::string dtype = "auto", device = "cpu";
  int threads = 0;               // 0: as many as the machine has
  SlurmOptions slurm;            // of `nightly --slurm`
  std::filesystem::path output;  // runs, history, judgements, pages
};

// JSON with the keys above; relative paths are relative to the file's folder, so that a night does not depend on where it
// is started. Throws Error(kConfig) for a key that is unknown, naming the nearest, missing, or of the wrong kind.
NightlyConfig read_nightly_config(const std::filesystem::path& file);

}  // namespace lmbits
