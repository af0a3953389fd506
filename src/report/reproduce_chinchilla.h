// `lmbits reproduce chinchilla`: does this software get the published numbers of scaling laws?
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/table.h"

namespace lmbits {

// One published number beside ours.
struct ReproducedNumber {
  std::string section, name;
  double published = 0.0, ours = 0.0;
  double tolerance = 0.0;  // absolute: by how much they may differ
  std::string why;         // what the tolerance is
  bool ok() const { return published - tolerance <= ours && ours <= published + tolerance; }
};

struct ChinchillaReproduction {
  std::vector<ReproducedNumber> numbers;
  std::vector<std::string> notes;    // what is shown beside them and not checked
  std::vector<std::string> skipped;  // sections whose data are not at hand
  bool ok() const;                   // all are within their tolerance
};

struct ChinchillaRequest {
  std::optional<std::string> points_csv = {};  // N, D, C, loss, in_published_fit, of Hoffmann et al.'s figure 4
  std::optional<std::string> data_constrained_csv = {};  // N, D, unique_tokens, loss, of Muennighoff et al.
  std::int64_t n_resamples = 4000;
  std::uint64_t seed = 1;
  int n_threads = 1;
  bool complexity = true;  // H of the published grammars: the slow part without data
};

// Besiroglu et al. 2024's fit of Hoffmann et al. 2022's points, the closed forms of all laws, Pearce & Song 2024's
// frontiers, Muennighoff et al. 2023's fit, the landmarks around GPT-3, and Pandey 2024's complexities.
ChinchillaReproduction reproduce_chinchilla(const ChinchillaRequest& request);

std::string to_text(const ChinchillaReproduction& reproduction, const TextStyle& style);
Json to_json(const ChinchillaReproduction& reproduction);

}  // namespace lmbits
