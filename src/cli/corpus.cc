// lmbits corpus: what is in a corpus. Here `zipf`: how its types' frequencies fall with their rank.
#include <memory>
#include <unordered_map>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/corpus_commands.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/corpus/reader.h"
#include "src/report/fit_report.h"
#include "src/report/wording.h"
#include "src/scaling/zipf.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits::cli {
namespace {

struct ZipfFlags {
  std::vector<std::string> corpora;
  std::string types = "words", field = "text", patch = "32x64";
  std::int64_t rank_lo = 1, rank_hi = 0;
  double level = 0.95;
  bool json = false;
};

constexpr const char* kZipfHelp =
    "Example:\n"
    "  lmbits corpus zipf novel.txt\n"
    "  lmbits corpus zipf novel.txt --types tokenizer.model --rank-lo 10 --rank-hi 1000\n"
    "\n"
    "Types are words (what stands between white space, ASCII letters in lower case), bytes, or the pieces of a\n"
    "SentencePiece model. The exponent s of count ~ rank^-s depends on the ranks it is fitted to: from --rank-lo to\n"
    "--rank-hi (default: the last rank with a count of 10). By maximum likelihood; `slope` is that of a line through "
    "log\n"
    "count and log rank, the more usual and worse figure. `off by` is the worst ratio of a count and the fit: where it "
    "is\n"
    "large the frequencies follow no power of the rank.";

std::vector<std::int64_t> count_types(const CorpusSpec& spec, const std::string& types) {
  std::unique_ptr<Tokenizer> tokenizer;
  if (types == "bytes")
    tokenizer = make_byte_tokenizer(256, std::nullopt, std::nullopt);
  else if (types != "words")
    tokenizer = make_sentencepiece_tokenizer(read_file(types));
  std::unordered_map<std::string, std::int64_t> words;
  std::unordered_map<std::int32_t, std::int64_t> pieces;
  const auto reader = open_corpus(spec);
  while (const auto document = reader->next()) {
    if (!document->error.empty()) throw Error(ErrorKind::kData, document->id + ": " + document->error);
    if (tokenizer) {
      for (const std::int32_t id : tokenizer->encode(document->bytes).ids) ++pieces[id];
      continue;
    }
    std::string word;
    for (const char c : document->bytes + " ") {
      const bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
      if (!is_space)
        word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      else if (!word.empty())
        ++words[std::exchange(word, {})];
    }
  }
  std::vector<std::int64_t> counts;
  for (const auto& [word, n] : words) counts.push_back(n);
  for (const auto& [piece, n] : pieces) counts.push_back(n);
  return counts;
}

void run_zipf(const ZipfFlags& flags) {
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "n_tokens", .title = "tokens"},
                   {.key = "n_types", .title = "types"},
                   {.key = "exponent", .title = "s", .decimals = 3},
                   {.key = "interval",
                    .title = "[" + percent_as_given(flags.level) + "]",
                    .decimals = 3,
                    .interval = true,
                    .joined = true},
                   {.key = "slope", .title = "slope", .decimals = 3},
                   {.key = "rank_lo", .title = "from rank"},
                   {.key = "rank_hi", .title = "to rank"},
                   {.key = "share", .title = "of tokens %", .decimals = 1},
                   {.key = "off_by", .title = "off by", .decimals = 2}};
  for (const std::string& text : flags.corpora) {
    CorpusSpec spec = parse_corpus_spec(text);
    spec.field = flags.field;
    spec.patch = flags.patch;
    const auto fit = fit_zipf(count_types(spec, flags.types), flags.rank_lo, flags.rank_hi, flags.level);
    if (!fit)
      throw Error(ErrorKind::kData,
                  corpus_name(spec) + ": fewer than 3 ranks from " + std::to_string(flags.rank_lo) + " on to fit",
                  "widen --rank-lo and --rank-hi, or give more text");
    table.rows.push_back({{corpus_name(spec), fit->n_tokens, fit->n_types, fit->exponent, cell_of(fit->interval),
                           fit->least_squares, fit->rank_lo, fit->rank_hi, 100.0 * fit->share, fit->worst_ratio}});
  }
  if (flags.json) return print(to_json(table).dump(2) + "\n");
  print(to_text(table, stdout_style()) +
        "\nThe interval takes occurrences as independent, which words of a text are not: it is too short.\n");
}

void add_zipf(const Command& corpus) {
  const auto flags = std::make_shared<ZipfFlags>();
  const Command command = corpus.add_subcommand("zipf", "The exponent of rank and frequency, with its fit range");
  command.add_option("CORPUS", flags->corpora, "[NAME=]PATH of a text file, a folder or JSONL; also as .gz or .zst")
      .required();
  command.add_option("--types", flags->types, "words (default), bytes, or a SentencePiece .model");
  command.add_option("--rank-lo", flags->rank_lo, "First rank of the fit (default 1)").positive();
  command.add_option("--rank-hi", flags->rank_hi, "Last rank of the fit (default: the last with a count of 10)")
      .not_negative();
  command.add_option("--level", flags->level, "Confidence level of the interval (default 0.95)").in_range(0.5, 0.9999);
  command.add_option("--field", flags->field, "JSONL: the key that holds the text (default text)");
  command.add_option("--patch", flags->patch, "Pictures and video: the order of their pixels, as in lmbits eval");
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.footer(kZipfHelp);
  command.callback([flags] { run_zipf(*flags); });
}

}  // namespace

void add_corpus(const Command& app, int& exit_code) {
  const Command command =
      app.add_subcommand("corpus", "What is in a corpus: copies, contamination, sizes, a sample, Zipf");
  command.require_subcommand();
  add_corpus_check(command, exit_code);
  add_corpus_stats(command, exit_code);
  add_corpus_sample(command, exit_code);
  add_zipf(command);
  command.footer("Example:\n  lmbits corpus check novel.txt --against train.jsonl\n\nEach has a --help of its own.");
}

}  // namespace lmbits::cli
