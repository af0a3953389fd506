// From the bits of each continuation of each question to picks and metrics. docs/method.md has the formulas.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/json_fwd.h"
#include "src/tasks/question.h"
#include "src/tasks/scores.h"

namespace lmbits {

// What a model makes of one continuation.
struct ContinuationBits {
  double bits = 0.0;          // -log2 p(continuation | context)
  std::int64_t n_bytes = 0;   // of the choice as the file gives it
  std::int64_t n_tokens = 0;  // of the continuation: see encode_pair
  bool greedy = false;        // every token is the most probable one, given those before it
};

struct AnsweredQuestion {
  std::string id;
  std::vector<ContinuationBits> continuations;  // as in Question
  bool truncated = false;                       // the context's beginning did not fit
  std::string error;                            // not empty: not answered, and why
};

Json to_json(const AnsweredQuestion& answered, const Question& question);
// Throws Error(kData) naming the key that is missing or of another type.
AnsweredQuestion answered_from_json(const Json& json);

// Index of the fewest bits; of bits a byte; of bits a token. Of equal ones the first.
struct Picks {
  std::size_t bits = 0, per_byte = 0, per_token = 0;
};
Picks picks_of(const std::vector<ContinuationBits>& continuations);

struct ChoiceMetric {
  std::string name;  // acc, acc_norm, acc_per_token, margin_bits; exact_match; answer_bits
  double value = 0.0;
  std::optional<double> standard_error;  // sqrt(s^2 / n), s^2 with n - 1; none for one question
  std::optional<double> lo, hi;          // Wilson's for a share, Student's t for a mean
};

struct Benchmark {
  std::string name, area;     // FILE-kind; the area of its questions, empty where they differ
  std::int64_t n = 0;         // answered
  std::int64_t n_failed = 0;  // broken, or not answered: in no number below
  std::vector<ChoiceMetric> metrics;
};

// A benchmark for each kind of question, in the order in which the kinds first come. `answered[i]` belongs to
// `questions[i]`. `stem` names the file. A kind of which nothing was answered has no metrics.
std::vector<Benchmark> score_questions(const std::string& stem, const std::vector<Question>& questions,
                                       const std::vector<AnsweredQuestion>& answered, double level);

std::vector<Score> scores_of(const std::vector<Benchmark>& benchmarks, const std::string& model,
                             const std::string& source);

// The benchmarks as lm-eval (0.4) writes results_*.json; areas are in configs.BENCHMARK.metadata.area, intervals beside.
Json lm_eval_results(const std::vector<Benchmark>& benchmarks, const std::string& model, std::int64_t n_shots,
                     double level);

// [lo, hi] of k of n, Wilson 1927 (JASA 22, 209): never empty, never outside [0, 1], also at k = 0 and k = n.
std::pair<double, double> wilson_interval(double k, double n, double level);

}  // namespace lmbits
