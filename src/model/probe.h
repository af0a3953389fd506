// A loaded model proves that it keeps the bundle's contract (docs/formats.md), on a few dozen made-up ids.
#pragma once
#include <cstdint>
#include <string>

#include "src/model/bundle.h"
#include "src/model/model_graph.h"

namespace lmbits {

struct ProbeResult {
  std::int64_t n_columns;        // V of the logits
  std::int64_t hidden_size = 0;  // D; 0 below level 1
};

// Throws Error(kModel) with one line that says what is wrong: columns against the stated vocabulary, logits that are
// not finite, a row that depends on later ids, that does not depend on its own id (shifted by one) or on what lies
// right of it, a second call that differs from the first (state), hidden and head against forward, head_weight against
// head. `where` names the model.
ProbeResult probe(const ModelGraph& module, const BundleMetadata& metadata, const std::string& where);

}  // namespace lmbits
