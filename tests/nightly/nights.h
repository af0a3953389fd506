// Made runs of checkpoints, for tests of what a night makes of them.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "src/stats/normal.h"
#include "src/stats/random.h"
#include "src/store/run_directory.h"

namespace lmbits::testing {

inline double normal(Random& random) { return normal_quantile(std::max(random.uniform(), 1e-16)); }

// The texts of one corpus: what every model pays for each, before its own share.
struct Texts {
  std::string name;
  std::vector<std::int64_t> n_bytes;
  std::vector<double> bits;
};

inline Texts make_texts(const std::string& name, int n, Random& random) {
  Texts texts{name, {}, {}};
  for (int k = 0; k < n; ++k) {
    texts.n_bytes.push_back(500 + random.below(4000));
    texts.bits.push_back(static_cast<double>(texts.n_bytes.back()) * 1.8 * std::exp(0.25 * normal(random)));
  }
  return texts;
}

// A finished run. Relative to the texts it is worse by `worse`, with the scatter of late checkpoints: 0.8 % a document,
// heavier in the tails than normal.
inline Run make_night_run(const std::string& model, std::int64_t step, const Texts& texts, double worse,
                          Random& random) {
  Run run;
  run.manifest = {{"schema", 1},
                  {"identity",
                   {{"model", "of " + model},
                    {"tokenizer", "t"},
                    {"corpus", "of " + texts.name},
                    {"convention", {{"name", "default"}}},
                    {"dtype", "float32"}}},
                  {"model", {{"name", model}, {"metadata", {{"training", {{"step", step}}}}}}},
                  {"corpus", {{"name", texts.name}}},
                  {"convention", {{"name", "default"}}},
                  {"started", "2026-01-01T00:" + std::to_string(10 + step % 50) + ":00Z"}};
  for (std::size_t k = 0; k < texts.bits.size(); ++k) {
    DocumentRecord record;
    record.id = std::to_string(k);
    record.n_bytes = record.n_chars = record.n_tokens = record.n_scored = record.n_forward = texts.n_bytes[k];
    record.bits = texts.bits[k] * (1.0 + worse + 0.008 * normal(random) * std::exp(0.4 * normal(random)));
    run.records.push_back(record);
  }
  const Totals totals = total(run.records);
  run.summary = {{"n_documents", totals.n_documents},
                 {"n_failed", 0},
                 {"bits_per_byte", *totals.bits_per_byte()},
                 {"interval", nullptr}};
  return run;
}

}  // namespace lmbits::testing
