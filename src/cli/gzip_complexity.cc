// lmbits gzip-complexity: how far gzip shrinks pieces of a corpus, the H of data-dependent scaling laws.
#include "src/scaling/gzip_complexity.h"

#include <charconv>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/corpus_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/corpus/reader.h"
#include "src/report/table.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits::cli {
namespace {

struct ComplexityFlags {
  std::vector<std::string> corpora;
  std::string ids;
  CorpusFlags reading;
  std::size_t piece_ids = 256, piece_bytes = 0, max_pieces = 1000;
  bool json = false;
};

constexpr const char* kComplexityHelp =
    "Example:\n"
    "  lmbits gzip-complexity novel.txt --ids bytes\n"
    "  lmbits gzip-complexity novel.txt --ids tokenizer.model\n"
    "  lmbits gzip-complexity novel.txt code.jsonl --chunk 1024\n"
    "  lmbits gzip-complexity h42.jsonl --ids decimal\n"
    "\n"
    "H = size of a piece as a gzip file (level 9, header and trailer counted) / size of the piece. As published\n"
    "(Pandey 2024): pieces of 256 token ids as 4-byte big-endian integers, median over 1,000 of them; the ids come "
    "from\n"
    "bytes, from a SentencePiece model's file, from decimal numbers in the text (what lmbits pcfg writes), or from an\n"
    "int32be file. With --chunk N the pieces are N bytes of the text itself: another unit, whose H compares with "
    "nothing\n"
    "but the same N. Pieces do not cross documents, and what is left behind the last whole piece is not counted.";

std::vector<std::int32_t> decimal_ids(const Document& document) {
  std::vector<std::int32_t> ids;
  const char *at = document.bytes.data(), *const end = at + document.bytes.size();
  while (at != end) {
    if (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') {
      ++at;
      continue;
    }
    std::int32_t id = 0;
    const auto [stop, failure] = std::from_chars(at, end, id);
    if (failure != std::errc())
      throw Error(ErrorKind::kData,
                  document.id + " holds \"" + std::string(at, std::min(at + 12, end)) + "\" where an id should be",
                  "--ids decimal takes numbers with spaces between them");
    ids.push_back(id);
    at = stop;
  }
  return ids;
}

std::vector<std::int32_t> int32be_ids(const Document& document) {
  if (document.bytes.size() % 4 != 0)
    throw Error(ErrorKind::kData,
                document.id + " has " + std::to_string(document.bytes.size()) + " bytes, no multiple of 4",
                "--ids int32be takes 4 bytes an id");
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < document.bytes.size(); i += 4) {
    std::uint32_t id = 0;
    for (std::size_t k = 0; k < 4; ++k) id = id << 8 | static_cast<unsigned char>(document.bytes[i + k]);
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

GzipComplexity measure(const CorpusSpec& spec, const ComplexityFlags& flags) {
  const bool of_text = flags.piece_bytes > 0;
  ComplexityMeter meter = of_text ? ComplexityMeter::of_text(flags.piece_bytes, flags.max_pieces)
                                  : ComplexityMeter::of_ids(flags.piece_ids, flags.max_pieces);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!of_text && flags.ids == "bytes")
    tokenizer = make_byte_tokenizer(256, std::nullopt, std::nullopt);
  else if (!of_text && flags.ids != "decimal" && flags.ids != "int32be")
    tokenizer = make_sentencepiece_tokenizer(read_file(flags.ids));
  const auto reader = open_corpus(spec);
  while (const auto document = reader->next()) {
    if (meter.full()) break;
    if (!document->error.empty()) throw Error(ErrorKind::kData, document->id + ": " + document->error);
    if (of_text)
      meter.add(document->bytes);
    else if (tokenizer)
      meter.add(tokenizer->encode(document->bytes).ids);
    else
      meter.add(flags.ids == "decimal" ? decimal_ids(*document) : int32be_ids(*document));
  }
  return meter.result();
}

void run_complexity(const ComplexityFlags& flags) {
  if (flags.ids.empty() == (flags.piece_bytes == 0))
    throw Error(ErrorKind::kUsage, flags.ids.empty() ? "H has no unit yet" : "--ids and --chunk are two units",
                "give --ids (256 token ids, as published) or --chunk N (bytes of text)");
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "unit", .title = "unit", .align = Align::kLeft},
                   {.key = "pieces", .title = "pieces"},
                   {.key = "median", .title = "H (median)"},
                   {.key = "mean", .title = "H (mean)"},
                   {.key = "left", .title = "left out"}};
  for (const std::string& text : flags.corpora) {
    const CorpusSpec spec = corpus_spec(text, flags.reading);
    const GzipComplexity h = measure(spec, flags);
    table.rows.push_back(
        {{corpus_name(spec), h.unit, std::ssize(h.values), cell_of(h.median()), cell_of(h.mean()), h.n_left}});
  }
  print(flags.json ? to_json(table).dump(2) + "\n" : to_text(table, stdout_style()));
}

}  // namespace

void add_gzip_complexity(const Command& app, int& /*exit_code*/) {
  const auto flags = std::make_shared<ComplexityFlags>();
  const Command command =
      app.add_subcommand("gzip-complexity", "How far gzip shrinks pieces of a corpus: H of data-dependent laws");
  command.add_option("CORPUS", flags->corpora, "[NAME=]PATH of a text file, a folder or JSONL; also as .gz or .zst")
      .required();
  command.add_option("--ids", flags->ids, "bytes, a SentencePiece .model, decimal or int32be: pieces are 256 ids");
  command.add_option("--chunk", flags->piece_bytes, "Pieces are so many bytes of the text instead")
      .in_range(1, 1 << 30);
  command.add_option("--length", flags->piece_ids, "Ids a piece (default 256; another length is another unit)")
      .in_range(1, 1 << 28);
  command.add_option("--pieces", flags->max_pieces, "At most so many (default 1000; 0: all)").not_negative();
  add_corpus_flags(command, flags->reading);
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.footer(kComplexityHelp);
  command.callback([flags] { run_complexity(*flags); });
}

}  // namespace lmbits::cli
