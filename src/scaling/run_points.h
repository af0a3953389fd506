// The runs on disk as points of a law: bits/byte against parameters and training steps; and from bits/byte to scores.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/scaling/fit.h"
#include "src/store/run_directory.h"

namespace lmbits {

struct RunPoint {
  std::string model, run, corpus, tokenizer;  // run: see training.h
  double n_total = 0.0, n_non_embedding = 0.0, steps = 0.0;
  std::optional<double> tokens, flops;  // of the training
  double bits_per_byte = 0.0;
};

struct RunPoints {
  std::vector<RunPoint> points;
  std::vector<std::string> left_out;  // runs, each with the reason
};

// Finished runs whose manifest gives the bundle's parameters and training step.
RunPoints run_points(const std::vector<Run>& runs);

// Of each model over its corpora: the mean of bits/byte. Only models that have every corpus.
std::vector<RunPoint> mean_over_corpora(const std::vector<RunPoint>& points);

// As points of the law `training`: N parameters (total, or without embeddings), S steps, loss in bits/byte.
std::vector<ScalingPoint> training_points(const std::vector<RunPoint>& points, bool non_embedding);

// As a CSV file that read_points takes: model, run, corpus, tokenizer, N, non_embedding, D, C, S, bits_per_byte.
std::string runs_csv(const std::vector<RunPoint>& points);

// model -> score. CSV with columns model and score (or value), or JSON lines with the keys model and value; several
// scores of a model (benchmarks, areas) are averaged. `benchmark` not empty: only those of that name.
// Throws Error(kData) for text that is neither, or has none.
std::map<std::string, double> read_scores(std::string_view text, const std::string& source,
                                          const std::string& benchmark);

enum class Downstream {
  kLinear,   // score = a + b x
  kSigmoid,  // score = chance + (ceiling - chance) / (1 + exp(-(a + b x)))
};

struct ScoreCurve {
  Downstream form = Downstream::kLinear;
  double a = 0.0, b = 0.0, chance = 0.0, ceiling = 1.0;
  double rmse = 0.0, r_squared = 0.0;
  double at(double bits_per_byte) const;
};
// Least squares of the scores. nullopt with fewer than 3 points or one x alone.
std::optional<ScoreCurve> fit_scores(const std::vector<double>& bits_per_byte, const std::vector<double>& scores,
                                     Downstream form, double chance, double ceiling);

// The two steps: a small family's law gives a big model's bits/byte, and the curve of the family's scores its score.
struct ScorePrediction {
  std::string model;
  double bits_per_byte = 0.0, score = 0.0;
  std::optional<Interval> of_bits_per_byte, of_score;
  std::optional<double> seen_bits_per_byte, seen_score;
  Fit law;
  ScoreCurve curve;
};

struct ScoreRequest {
  Downstream form = Downstream::kLinear;
  double chance = 0.0, ceiling = 1.0, level = 0.95;
  std::int64_t n_resamples = 1000;
  std::uint64_t seed = 1;
  bool non_embedding = false;
};

// Predicts `target` from `family` (which does not hold it). The interval is of what will be measured: in each of
// n_resamples both steps are fitted to values drawn from their own residuals, inflated by sqrt(n / (n - k)), and one
// residual of each step is added to what they predict. Throws Error(kData) where either step has too few points.
ScorePrediction predict_score(const std::vector<RunPoint>& family, const std::map<std::string, double>& scores,
                              const RunPoint& target, const ScoreRequest& request);

}  // namespace lmbits
