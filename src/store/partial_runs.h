// Parts of a run that several workers write: RUN/part-RANK-PID, each a run of its own, folded into one when they are done.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/store/run_directory.h"

namespace lmbits {

// The folder of this process' part.
std::filesystem::path part_folder(const std::filesystem::path& run, int rank);

// The parts below `run`, sorted.
std::vector<std::filesystem::path> parts_of(const std::filesystem::path& run);

// A run's bits by document, 0 for a failed one.
std::unordered_map<std::string, double> known_bits(const Run& run);

struct Folded {
  std::int64_t n_records = 0;              // taken over
  std::int64_t n_known = 0;                // documents that `into` had already
  std::vector<std::string> disagreements;  // of those: ids whose bits differ; the first is kept
};

// Appends the records of `from` that are not `known` yet, failed ones only where asked for. Again changes nothing. Throws
// Error(kConfig) where `from` is not of the same model, tokenizer, corpus and convention as `manifest`.
void fold_run(const Run& from, bool with_failed, const Json& manifest, std::unordered_map<std::string, double>& known,
              RunWriter& into, Folded& folded);

// Folds all parts of `run`, which `into` writes, and removes those that nobody writes any more: a kill in between leaves
// records twice on disk, which the next fold sees.
Folded fold_parts(const std::filesystem::path& run, bool with_failed, RunWriter& into);

}  // namespace lmbits
