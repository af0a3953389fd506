// How well models compress corpora: the side of a correlation that this program measures, from runs or from a CSV file.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/core/csv.h"
#include "src/stats/bootstrap.h"
#include "src/store/run_directory.h"

namespace lmbits {

enum class CompressionMetric { kBitsPerByte, kBitsPerChar, kBitsPerToken, kRatio };

// One model on one corpus. What the source does not say is undefined.
struct Compression {
  std::string model, corpus;
  std::optional<double> bits_per_byte, bits_per_char, bits_per_token, ratio;
  std::optional<Interval> interval;  // of bits_per_byte, over documents
  std::optional<double> gzip_ratio;  // of the same text as one stream by gzip -9

  std::optional<double> value(CompressionMetric metric) const;
};

// What is known of a model besides its bits.
struct ModelFacts {
  std::string family;                // a training run, or whoever made it: models of one family are not independent
  std::optional<double> parameters;  // total; nominal ("7b") where only the name tells
  std::optional<double> training_tokens;
};

struct CompressionTable {
  std::vector<Compression> rows;
  std::map<std::string, ModelFacts> models;
  std::vector<std::string> corpora;  // in the order they were found
  std::string family_kind;           // "training runs", "families" ...: what ModelFacts::family is
  std::vector<std::string> notes;    // what was left out, and what was taken from names

  const Compression* find(const std::string& model, const std::string& corpus) const;
};

// Finished runs of one convention: `convention`, which may be empty where there is only one. A model whose name ends in
// its training step ("m-sp-3000") is of the training run before it ("m-sp"); others of the family in their names.
// Throws Error as check_names does, Error(kUsage) where the convention must be named.
CompressionTable compression_of_runs(const std::vector<Run>& runs, const std::string& convention);

// Long: model, corpus, and bits_per_byte (bpb), bits_per_char (bpc), bits_per_token or ratio. Wide: model, and a column
// "bpc_CORPUS" (bpb_, bits_per_..., ratio_) a corpus, or metric, version, model and a column CORPUS (OpenCompass); averages
// are left out. Both: maybe family, parameters. Throws Error(kData) for a file without such columns, and for a model that
// is there twice.
CompressionTable compression_of_csv(const CsvTable& csv);

// Overwrites the models' families: model -> family.
void set_families(CompressionTable& table, const std::map<std::string, std::string>& families);

std::string metric_key(CompressionMetric metric);    // "bits_per_byte"
std::string metric_words(CompressionMetric metric);  // "bits/byte"

// "Llama-2-7b" -> "llama": the letters that it begins with.
std::string family_in_name(const std::string& model);
// "Llama-2-7b" -> 7e9, "pythia-160m" -> 1.6e8; null for "Mixtral-8x7b", whose experts share weights.
std::optional<double> parameters_in_name(const std::string& model);

}  // namespace lmbits
