// Delétang et al. 2023, "Language Modeling is Compression" (arXiv:2309.10668), Table 1: published rates on enwik9 as
// lines to hold own runs against.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/report/compression_table.h"
#include "src/report/table.h"

namespace lmbits {

// A rate is compressed / raw bytes; adjusted: with 2 bytes a parameter added to the compressed size.
struct RateLine {
  std::string name;
  std::string text;  // "enwik9, chunks of 2048 bytes", or the corpus of an own run
  bool published = false;
  double rate = 0.0;
  std::optional<double> adjusted;  // as printed, or of an own run whose parameters and bytes are known
  std::optional<double> computed;  // published: rate + 2 parameters / 1e9 bytes, where the name says the parameters
};

struct ReferenceLines {
  std::vector<RateLine> lines;  // by rate
  std::vector<std::string> notes;
};

// `runs` may be empty: the published lines alone.
ReferenceLines reference_lines(const std::vector<Run>& runs);

std::string to_text(const ReferenceLines& report, const TextStyle& style);
Json to_json(const ReferenceLines& report);

}  // namespace lmbits
