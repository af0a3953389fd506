// lmbits corpus stats and sample: what a corpus is made of; a part of it as a file.
#include <cstdio>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/corpus_commands.h"
#include "src/cli/corpus_flags.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/atomic_file.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/statistics.h"
#include "src/corpus/utf8.h"
#include "src/report/table.h"
#include "src/report/wording.h"

namespace lmbits::cli {
namespace {

// ---- stats

struct StatsFlags {
  std::vector<std::string> corpora;
  CorpusFlags corpus;
  int n_threads = available_threads();
  bool json = false, quiet = false;
};

constexpr const char* kStatsHelp =
    "Example:\n"
    "  lmbits corpus stats web.jsonl.zst novel.txt --split paragraphs\n"
    "  lmbits corpus stats corpus.json\n"
    "\n"
    "Sizes are bytes of a document. invalid: documents that are not UTF-8. Words as for the n-grams of corpus check.\n"
    "Documents of a corpus.json with categories have a row a category.";

std::vector<TableColumn> stats_columns() {
  return {{.key = "corpus", .title = "corpus", .align = Align::kLeft},
          {.key = "category", .title = "category", .align = Align::kLeft},
          {.key = "n_documents", .title = "documents"},
          {.key = "n_failed", .title = "failed"},
          {.key = "n_empty", .title = "empty"},
          {.key = "n_invalid", .title = "invalid"},
          {.key = "n_bytes", .title = "bytes"},
          {.key = "n_chars", .title = "chars"},
          {.key = "n_words", .title = "words"},
          {.key = "size_min", .title = "size: min"},
          {.key = "size_25", .title = "25 %"},
          {.key = "size_50", .title = "50 %"},
          {.key = "size_75", .title = "75 %"},
          {.key = "size_99", .title = "99 %"},
          {.key = "size_max", .title = "max"}};
}

TableRow stats_row(const std::string& corpus, const std::string& category, const CorpusStatistics& s) {
  TableRow row{{corpus, category, s.n_documents, s.n_failed, s.n_empty, s.n_invalid, s.n_bytes, s.n_chars, s.n_words}};
  for (const double q : {0.0, 0.25, 0.5, 0.75, 0.99, 1.0}) {
    row.cells.push_back(s.sizes.empty() ? Cell{} : Cell{s.size_quantile(q)});
  }
  return row;
}

int run_stats(const StatsFlags& flags) {
  stop_cleanly_on_signals();
  Table table;
  table.columns = stats_columns();
  std::int64_t n_failed = 0;
  bool has_categories = false;
  const auto progress = make_progress(flags.quiet);
  for (const std::string& text : flags.corpora) {
    const CorpusSpec spec = corpus_spec(text, flags.corpus);
    progress->begin({.label = spec.name, .unit = "B", .total = std::nullopt});
    const CorpusSummary summary = corpus_summary(spec, flags.n_threads, *progress);
    progress->end();
    if (stop_requested()) {
      std::fputs("stopped; nothing is kept: run it again\n", stderr);
      return kExitInterrupted;
    }
    for (const auto& [category, statistics] : summary.categories)
      table.rows.push_back(stats_row(spec.name, category, statistics));
    has_categories = has_categories || !summary.categories.empty();
    table.rows.push_back(stats_row(spec.name, "", summary.all));
    n_failed += summary.all.n_failed;
    for (const std::string& failure : summary.failures)
      std::fprintf(stderr, "lmbits: %s: %s\n", spec.name.c_str(), printable(failure).c_str());
  }
  if (!has_categories) table.columns[1].audience = Audience::kMachines;
  print(flags.json ? to_json(table).dump(2) + "\n" : to_text(table, stdout_style()));
  return n_failed > 0 ? kExitSomeFailed : 0;
}

// ---- sample

struct SampleFlags {
  std::string path, output;
  CorpusFlags corpus;
};

constexpr const char* kSampleHelp =
    "Example:\n"
    "  lmbits corpus sample 'web/*.jsonl.zst' --sample \"3M chars\" --sample-seed 7 -o web-3M.jsonl\n"
    "\n"
    "The same documents that `lmbits eval --sample` scores, a line of JSONL each: id, text, and category where there "
    "is\n"
    "one. Which they are depends on the seed and the texts alone, not on file names or their order. A text that is "
    "not\n"
    "UTF-8 cannot be written as JSON: it is left out and named.";

int run_sample(const SampleFlags& flags) {
  stop_cleanly_on_signals();
  const CorpusSpec spec = with_sample_drawn(corpus_spec(flags.path, flags.corpus));
  const auto reader = open_corpus(spec);
  AtomicFile out(flags.output);
  std::int64_t n_documents = 0, n_bytes = 0, n_left_out = 0;
  while (const auto document = reader->next()) {
    std::string problem = document->error;
    if (problem.empty() && valid_utf8_prefix(document->bytes) != document->bytes.size()) problem = "not UTF-8";
    if (!problem.empty()) {
      ++n_left_out;
      std::fprintf(stderr, "lmbits: %s: left out: %s\n", printable(document->id).c_str(), printable(problem).c_str());
      continue;
    }
    Json line = {{"id", document->id}, {"text", document->bytes}};
    if (!document->category.empty()) line["category"] = document->category;
    out.append(line.dump() + "\n");
    ++n_documents;
    n_bytes += static_cast<std::int64_t>(document->bytes.size());
  }
  if (stop_requested()) {
    std::fputs("stopped; nothing was written: run it again\n", stderr);
    return kExitInterrupted;
  }
  out.commit();
  print(counted(n_documents, "document") + ", " + counted(n_bytes, "byte") + " in " + flags.output + "\n");
  return n_left_out > 0 ? kExitSomeFailed : 0;
}

}  // namespace

void add_corpus_stats(const Command& corpus, int& exit_code) {
  const auto flags = std::make_shared<StatsFlags>();
  const Command command = corpus.add_subcommand("stats", "Documents, bytes, characters, words, and how sizes spread");
  command.add_option("CORPUS", flags->corpora, "[NAME=]PATH of a corpus, as for eval; several allowed").required();
  add_corpus_flags(command, flags->corpus);
  command.add_option("--threads", flags->n_threads, "threads").in_range(1, 1024).capture_default_str();
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.add_flag("--quiet", flags->quiet, "no progress");
  command.footer(kStatsHelp);
  command.callback([flags, &exit_code] { exit_code = run_stats(*flags); });
}

void add_corpus_sample(const Command& corpus, int& exit_code) {
  const auto flags = std::make_shared<SampleFlags>();
  const Command command = corpus.add_subcommand("sample", "A random part of a corpus, by whole documents, as JSONL");
  command.add_option("CORPUS", flags->path, "PATH of a corpus, as for eval").required();
  command.add_option("-o,--output", flags->output, "the file to write").required();
  add_corpus_flags(command, flags->corpus);
  command.footer(kSampleHelp);
  command.callback([flags, &exit_code] { exit_code = run_sample(*flags); });
}

}  // namespace lmbits::cli
