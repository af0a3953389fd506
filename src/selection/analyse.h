// What a data set looks like to the entropy law: its redundancy, and what else the law's authors hold responsible.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/core/progress.h"
#include "src/selection/cost_model.h"
#include "src/selection/sample.h"

namespace lmbits {

// Texts by the template (sample.h). Undefined where there is no sample.
struct SetStatistics {
  std::string name;
  std::int64_t n_samples = 0, n_failed = 0, n_bytes = 0;
  std::optional<double> ratio;  // R: all texts in the file's order, a newline behind each, as one zlib stream, level 9
  std::optional<double> ratio_alone;  // median of R({x})
  std::optional<double> model_ratio;  // 8 bytes / a model's bits, where one was asked; higher is more redundant, like R
  std::int64_t n_copies = 0;          // samples whose text stood earlier in the set
  std::int64_t n_same_form = 0;       // the same with letters' case, digits and white space ignored; copies included
  // Consistency, of samples with a prompt: how much of what the answer needs alone is saved by having read the prompt,
  // 1 - (C(prompt + answer) - C(prompt)) / C(answer) with zlib's sizes C; median.
  std::optional<double> answer_explained;
  std::int64_t n_contradictions = 0;  // samples whose prompt stood earlier with another answer
  // Quality, as far as bytes show it.
  std::optional<double> median_bytes;
  std::int64_t n_empty = 0;       // answers of white space alone
  std::int64_t n_repetitive = 0;  // samples that alone compress beyond kRepetitiveRatio: they repeat themselves
};

inline constexpr double kRepetitiveRatio = 4.0;

// Of a pool's file; memory is a few hundred bytes a sample. `spool`: a name for a compressed pool's copy, removed at once.
// Throws Error(kData) as Pool does.
SetStatistics analyse_set(const std::string& path, const std::filesystem::path& spool, const SampleTemplate& how,
                          int n_threads, Progress& progress);

// Which samples explain each other: saved[i][j] is the share of what text j needs alone that is saved behind text i,
// 1 - (C({i, j}) - C({i})) / C({j}), C being the model's sizes. The diagonal is a text behind itself.
std::vector<std::vector<double>> redundancy_matrix(const std::vector<std::string>& texts, const CostModel& model);

struct SampleMatrix {
  std::vector<std::string> names;  // a sample's id, else its place in the file
  std::vector<std::vector<double>> saved;
  std::int64_t n_records = 0;  // of the whole file
};
// The matrix of the first `n_samples` usable samples of a pool's file. Throws Error(kData) where there is none.
SampleMatrix matrix_of_first(const std::string& path, const std::filesystem::path& spool, const SampleTemplate& how,
                             std::int64_t n_samples, const CostModel& model);

}  // namespace lmbits
