// The flags by which a command takes corpora.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "src/corpus/ngrams.h"
#include "src/corpus/reader.h"

namespace lmbits::cli {

class Command;

struct CorpusFlags {
  std::string field = "text", split = "none", patch = "32x64", sample;
  std::uint64_t sample_seed = 1;
};

// --field, --split, --patch, --sample, --sample-seed.
void add_corpus_flags(const Command& command, CorpusFlags& flags);

// What an argument of --corpus says, with the flags; the sample is of the corpora alone, not of texts to compare with.
CorpusSpec corpus_spec(const std::string& text, const CorpusFlags& flags);
CorpusSpec training_spec(const std::string& text, const CorpusFlags& flags);

// --against, --ngram, --contaminated, --memory.
struct AgainstFlags {
  std::vector<std::string> against;
  std::string ngram = "50b", memory = "1G";
  double share = 0.2;
};
void add_against_flags(const Command& command, AgainstFlags& flags);

// "512M", "1G", bytes: powers of 1024. Error(kConfig) for anything else.
std::int64_t parse_memory(const std::string& text);

}  // namespace lmbits::cli
