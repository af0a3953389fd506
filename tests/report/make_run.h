// Runs for tests, as read_run would give them.
#pragma once
#include <string>
#include <vector>

#include "src/store/run_directory.h"

namespace lmbits {

using ScoredRun = Run;  // in the body of a test, Run is GoogleTest's Test::Run

inline ScoredRun make_run(const std::string& model, const std::string& corpus, const std::vector<double>& bits,
                          const std::string& convention = "default") {
  ScoredRun run;
  run.path = model + "__" + corpus + "__" + convention;
  run.manifest = {{"model", {{"name", model}}},
                  {"corpus", {{"name", corpus}}},
                  {"convention", {{"name", convention}}},
                  {"identity", {{"model", "hash of " + model}, {"corpus", "hash of " + corpus}}}};
  double n_bytes = 0.0;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    DocumentRecord record;
    record.id = "doc" + std::to_string(i);
    record.n_bytes = 1000 + static_cast<std::int64_t>(i * 37 % 11) * 100;
    record.n_chars = record.n_bytes - 10;
    record.bits = bits[i];
    n_bytes += static_cast<double>(record.n_bytes);
    run.records.push_back(record);
  }
  run.summary = {{"baselines",
                  {{"gzip-9", {{"bytes", n_bytes / 4}, {"bits_per_byte", 2.0}}},
                   {"gzip-9/doc", {{"bytes", n_bytes / 2}, {"bits_per_byte", 4.0}}}}}};
  return run;
}

// n documents that cost about `level` bits a byte.
inline std::vector<double> some_bits(std::size_t n, double level) {
  std::vector<double> bits;
  for (std::size_t i = 0; i < n; ++i)
    bits.push_back(level * (900.0 + static_cast<double>(i * 37 % 11) * 110.0 + static_cast<double>(i * i % 7) * 20.0));
  return bits;
}

inline void fail_document(ScoredRun& run, std::size_t i) {
  run.records[i].error = "NaN logits";
  run.records[i].bits = 0.0;
}

inline std::vector<ScoredRun> two_models_two_corpora() {
  return {make_run("good", "novel", some_bits(40, 1.0)), make_run("bad", "novel", some_bits(40, 3.0)),
          make_run("good", "code", some_bits(20, 0.5)), make_run("bad", "code", some_bits(20, 0.9))};
}

}  // namespace lmbits
