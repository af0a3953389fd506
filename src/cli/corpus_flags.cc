#include "src/cli/corpus_flags.h"

#include <charconv>

#include "src/cli/command.h"
#include "src/core/error.h"

namespace lmbits::cli {

void add_corpus_flags(const Command& command, CorpusFlags& flags) {
  command.add_option("--field", flags.field, "JSONL: the key that holds the text; a.b.c for one inside of others")
      .capture_default_str();
  command.add_option("--split", flags.split, "cut texts into documents: none, paragraphs, lines, or a number of BYTES")
      .capture_default_str();
  command
      .add_option("--patch", flags.patch,
                  "pictures (.pgm, .ppm) and video (.y4m): rows x columns, and x frames, of the patches in whose order "
                  "pixels are read")
      .capture_default_str();
  command.add_option("--sample", flags.sample,
                     "a random part, by whole documents: \"3M chars\", \"500 docs\", \"20 MB\" (default all)");
  command.add_option("--sample-seed", flags.sample_seed, "of the sample").capture_default_str();
}

CorpusSpec training_spec(const std::string& text, const CorpusFlags& flags) {
  CorpusSpec spec = parse_corpus_spec(text);
  spec.field = flags.field;
  spec.patch = flags.patch;
  return spec;
}

CorpusSpec corpus_spec(const std::string& text, const CorpusFlags& flags) {
  CorpusSpec spec = training_spec(text, flags);
  spec.split = flags.split;
  spec.sample = flags.sample;
  spec.sample_seed = flags.sample_seed;
  return spec;
}

void add_against_flags(const Command& command, AgainstFlags& flags) {
  command.add_option("--against", flags.against,
                     "training text, as a corpus: what of the corpora stands in it? several allowed");
  command.add_option("--ngram", flags.ngram, "what is looked for there: 50b (bytes), 13w (words)")
      .capture_default_str();
  command
      .add_option("--contaminated", flags.share,
                  "a document is contaminated from this share of its bytes on that stand there")
      .in_range(0.0, 1.0)
      .capture_default_str();
  command.add_option("--memory", flags.memory, "for the corpora's n-grams; more take several passes over the texts")
      .capture_default_str();
}

std::int64_t parse_memory(const std::string& text) {
  std::int64_t n = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, status] = std::from_chars(text.data(), end, n);
  const std::string unit(parsed, static_cast<std::size_t>(end - parsed));
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (status != std::errc() || shift < 0 || n < 1 || n > (std::int64_t{1} << 20))
    throw Error(ErrorKind::kConfig, "memory is \"" + text + "\"", "for example 512M or 4G");
  return n << shift;
}

}  // namespace lmbits::cli
