// lmbits corpus check: copies within and between corpora, and what of them stands in training texts.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/corpus_commands.h"
#include "src/cli/corpus_flags.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/duplicates.h"
#include "src/corpus/overlap.h"
#include "src/report/table.h"
#include "src/report/wording.h"

namespace lmbits::cli {
namespace {

struct CheckFlags {
  std::vector<std::string> corpora;
  CorpusFlags corpus;
  AgainstFlags against;
  double near = 0.8;
  std::int64_t n_shown = 10;
  int n_threads = available_threads();
  bool json = false, quiet = false;
};

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits corpus check web=web.jsonl novel=novel.txt --split paragraphs\n"
    "  lmbits corpus check novel.txt --against 'train/*.jsonl.zst'\n"
    "\n"
    "Copies are equal to the byte; near copies have equal word 5-grams for the most part (MinHash, docs/method.md).\n"
    "--against looks for every n-gram of the corpora in other texts, which may be many gigabytes: they stream by, "
    "memory\n"
    "is that of the corpora's n-grams. A text of the length of one n-gram or less says nothing.";

Cell share(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return std::monostate{};
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

// ---- Copies.

Table counts_table(const Duplicates& found, const std::vector<CorpusSpec>& specs) {
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "in", .title = "again in", .align = Align::kLeft},
                   {.key = "n_documents", .title = "documents"},
                   {.key = "n_equal", .title = "copies"},
                   {.key = "equal_bytes", .title = "of bytes %", .decimals = 2},
                   {.key = "n_near", .title = "near copies"},
                   {.key = "near_bytes", .title = "of bytes %", .decimals = 2}};
  for (std::size_t i = 0; i < specs.size(); ++i) {
    for (std::size_t j = 0; j < specs.size(); ++j) {
      const DuplicateCounts& counts = found.counts[i][j];
      const Duplicates::Corpus& corpus = found.corpora[i];
      table.rows.push_back(
          {{specs[i].name, i == j ? std::string("itself") : specs[j].name, corpus.n_documents, counts.n_equal,
            share(counts.n_equal_bytes, corpus.n_bytes), counts.n_near, share(counts.n_near_bytes, corpus.n_bytes)}});
    }
  }
  return table;
}

Table pairs_table(const Duplicates& found, const std::vector<CorpusSpec>& specs) {
  Table table;
  table.columns = {{.key = "corpus_a", .title = "corpus", .align = Align::kLeft},
                   {.key = "a", .title = "document", .align = Align::kLeft},
                   {.key = "corpus_b", .title = "corpus", .align = Align::kLeft},
                   {.key = "b", .title = "document", .align = Align::kLeft},
                   {.key = "similarity", .title = "similarity", .decimals = 3}};
  for (const DuplicatePair& pair : found.pairs)
    table.rows.push_back({{specs[pair.corpus_a].name, pair.a, specs[pair.corpus_b].name, pair.b, pair.similarity}});
  return table;
}

// ---- What stands elsewhere.

struct Against {
  std::string corpus;
  Overlap overlap;
};

Table totals_table(const std::vector<Against>& all, double threshold) {
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "n_documents", .title = "documents"},
                   {.key = "n_too_short", .title = "too short"},
                   {.key = "n_contaminated", .title = "contaminated"},
                   {.key = "bytes_found", .title = "bytes found %", .decimals = 3},
                   {.key = "ngrams_found", .title = "n-grams found %", .decimals = 3},
                   {.key = "longest_found", .title = "longest, bytes"}};
  for (const Against& one : all) {
    const OverlapTotals t = total(one.overlap.documents, threshold);
    table.rows.push_back({{one.corpus, t.n_documents, t.n_too_short, t.n_contaminated,
                           share(t.n_bytes_found, t.n_bytes), share(t.n_found, t.n_ngrams), t.longest_found}});
  }
  return table;
}

Table worst_table(const std::vector<Against>& all, std::int64_t n_shown) {
  Table table;
  table.columns = {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
                   {.key = "id", .title = "document", .align = Align::kLeft},
                   {.key = "n_bytes", .title = "bytes"},
                   {.key = "bytes_found", .title = "bytes found %", .decimals = 2},
                   {.key = "ngrams_found", .title = "n-grams found %", .decimals = 2},
                   {.key = "longest_found", .title = "longest, bytes"}};
  for (const Against& one : all) {
    std::vector<const DocumentOverlap*> worst;
    for (const DocumentOverlap& document : one.overlap.documents)
      if (document.n_found > 0) worst.push_back(&document);
    std::stable_sort(worst.begin(), worst.end(), [](const auto* a, const auto* b) { return a->share() > b->share(); });
    if (static_cast<std::int64_t>(worst.size()) > n_shown) worst.resize(static_cast<std::size_t>(n_shown));
    for (const DocumentOverlap* document : worst) {
      table.rows.push_back({{one.corpus, document->id, document->n_bytes, 100 * document->share(),
                             share(document->n_found, document->n_ngrams), document->longest_found()}});
    }
  }
  return table;
}

std::vector<Against> compare(const std::vector<CorpusSpec>& specs, const CheckFlags& flags, Progress& progress) {
  std::vector<CorpusSpec> train;
  for (const std::string& text : flags.against.against) train.push_back(training_spec(text, flags.corpus));
  const OverlapOptions options{parse_ngram(flags.against.ngram), flags.n_threads, parse_memory(flags.against.memory)};
  std::vector<Against> all;
  for (const CorpusSpec& spec : specs) {
    progress.begin({.label = spec.name + " against training text", .unit = "B", .total = std::nullopt});
    all.push_back({spec.name, measure_overlap(spec, train, options, progress)});
  }
  progress.end();
  return all;
}

// ---- Printing.

Json as_json(const Duplicates& found, const std::vector<CorpusSpec>& specs, const std::vector<Against>& against,
             const CheckFlags& flags) {
  const int rows = rows_of_a_band(flags.near);
  Json json = {{"schema", 1},
               {"near",
                {{"threshold", flags.near},
                 {"chance_to_compare_at_threshold", chance_to_compare(flags.near, rows)},
                 {"standard_error_at_threshold", std::sqrt(flags.near * (1 - flags.near) / kSignatureSize)}}},
               {"copies", to_json(counts_table(found, specs))},
               {"pairs", to_json(pairs_table(found, specs))},
               {"against", nullptr}};
  if (against.empty()) return json;
  json["against"] = {{"texts", flags.against.against},
                     {"ngram", to_string(parse_ngram(flags.against.ngram))},
                     {"threshold", flags.against.share},
                     {"n_train_bytes", against[0].overlap.n_train_bytes},
                     {"n_train_failed", against[0].overlap.n_train_failed},
                     {"n_passes", against[0].overlap.n_passes},
                     {"corpora", to_json(totals_table(against, flags.against.share))},
                     {"worst", to_json(worst_table(against, flags.n_shown))}};
  return json;
}

void print_text(const Duplicates& found, const std::vector<CorpusSpec>& specs, const std::vector<Against>& against,
                const CheckFlags& flags) {
  const TextStyle style = stdout_style();
  print(to_text(counts_table(found, specs), style));
  if (!found.pairs.empty()) print("\nThe most alike:\n" + to_text(pairs_table(found, specs), style));
  const int rows = rows_of_a_band(flags.near);
  print("\nnear copies: similarity of word 5-grams of " + format_fixed(flags.near, 2) + " or more, estimated to +-" +
        format_fixed(std::sqrt(flags.near * (1 - flags.near) / kSignatureSize), 3) +
        " (standard error);\nof pairs at " + format_fixed(flags.near, 2) + " itself " +
        percent_as_given(std::floor(1000 * chance_to_compare(flags.near, rows)) / 1000) +
        " are compared, of more similar ones more\n");
  if (against.empty()) return;
  print("\nagainst " + counted(against[0].overlap.n_train_bytes, "byte") + " of training text, n-grams of " +
        to_string(parse_ngram(flags.against.ngram)) + "\n" +
        to_text(totals_table(against, flags.against.share), style));
  const Table worst = worst_table(against, flags.n_shown);
  if (!worst.rows.empty()) print("\nThe most contaminated:\n" + to_text(worst, style));
  print("\ncontaminated: " + percent_as_given(flags.against.share) +
        " or more of its bytes lie in n-grams found there\n");
}

int run(const CheckFlags& flags) {
  stop_cleanly_on_signals();
  std::vector<CorpusSpec> specs;
  for (const std::string& text : flags.corpora) specs.push_back(with_sample_drawn(corpus_spec(text, flags.corpus)));
  const auto progress = make_progress(flags.quiet);
  progress->begin({.label = "copies", .unit = "B", .total = std::nullopt});
  const DuplicateOptions options{flags.near, flags.n_threads, flags.n_shown};
  const Duplicates found = find_duplicates(specs, options, *progress);
  progress->end();
  std::vector<Against> against;
  if (!flags.against.against.empty()) against = compare(specs, flags, *progress);
  if (stop_requested()) {
    std::fputs("stopped; nothing is kept: run it again\n", stderr);
    return kExitInterrupted;
  }
  if (flags.json) {
    print(as_json(found, specs, against, flags).dump(2) + "\n");
  } else {
    print_text(found, specs, against, flags);
  }
  std::int64_t n_failed = 0;
  for (const Duplicates::Corpus& corpus : found.corpora) n_failed += corpus.n_failed;
  if (n_failed > 0) std::fprintf(stderr, "lmbits: %s could not be read\n", counted(n_failed, "document").c_str());
  return n_failed > 0 ? kExitSomeFailed : 0;
}

}  // namespace

void add_corpus_check(const Command& corpus, int& exit_code) {
  const auto flags = std::make_shared<CheckFlags>();
  const Command command = corpus.add_subcommand("check", "Copies and near copies; contamination with training text");
  command.add_option("CORPUS", flags->corpora, "[NAME=]PATH of a corpus, as for eval; several allowed").required();
  add_corpus_flags(command, flags->corpus);
  add_against_flags(command, flags->against);
  command.add_option("--near", flags->near, "similarity from which documents are near copies")
      .in_range(0.1, 1.0)
      .capture_default_str();
  command.add_option("--show", flags->n_shown, "pairs and documents to list, at most")
      .in_range(0, 1000000)
      .capture_default_str();
  command.add_option("--threads", flags->n_threads, "threads").in_range(1, 1024).capture_default_str();
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.add_flag("--quiet", flags->quiet, "no progress");
  command.footer(kHelp);
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
