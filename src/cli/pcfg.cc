// lmbits pcfg: corpora of a set complexity, from random probabilistic grammars.
#include "src/scaling/pcfg.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/report/fit_report.h"
#include "src/report/wording.h"
#include "src/scaling/gzip_complexity.h"

namespace lmbits::cli {
namespace {

struct PcfgFlags {
  std::string setting, output, format = "jsonl";
  std::int64_t n_documents = 1000, n_grammars = 12;
  std::size_t length = 256;
  std::uint64_t seed = 1;
  std::uint32_t max_depth = 200;
  bool force = false, complexity = false, json = false, quiet = false;
};

constexpr const char* kPcfgHelp =
    "Example:\n"
    "  lmbits pcfg 30-400-10-8 --documents 10000 -o h42.jsonl\n"
    "  lmbits pcfg 3-20-2-2 --format int32be > h11.bin\n"
    "  lmbits pcfg 30-400-10-8 --complexity\n"
    "\n"
    "SETTING is NONTERMINALS-TERMINALS-OPTIONS-LENGTH: each nonterminal has up to OPTIONS right sides of up to LENGTH\n"
    "symbols. Pandey 2024's, with their gzip complexity H: 3-20-2-2 (.11), 10-150-5-3 (.22), 20-300-10-5 (.35),\n"
    "30-400-10-8 (.42), 50-500-20-15 (.51), 100-2000-100-30 (.61). Terminals are ids from 1 on, 0 stands between\n"
    "sentences. The same SETTING and --seed give the same ids everywhere. Formats: jsonl ({\"id\", \"text\"}, ids in\n"
    "decimal with spaces), text (a document a line), int32be (ids as 4 bytes, big-endian). A grammar whose sentences "
    "do\n"
    "not end (branching of 1 or more) is refused; --force cuts what is deeper than --max-depth, and then the data "
    "depend\n"
    "on that. --complexity measures H over --grammars seeds instead of writing.";

void check_branching(const Grammar& grammar, std::uint64_t seed, bool force) {
  if (grammar.branching() < 1.0 || force) return;
  const double expected = expected_branching(grammar.setting());
  throw Error(ErrorKind::kConfig,
              "the grammar of " + grammar.setting().name + " with seed " + std::to_string(seed) +
                  " has a branching factor of " + significant(grammar.branching(), 4) +
                  " (expected of its setting: " + significant(expected, 4) + "): its sentences need not end",
              expected < 1.0 ? "take another --seed, or --force"
                             : "take more terminals or shorter right sides, or --force to cut at --max-depth");
}

void put_document(std::ostream& out, const std::string& format, std::int64_t index,
                  const std::vector<std::int32_t>& ids) {
  if (format == "int32be") {
    const std::string bytes = int32_big_endian(ids);
    out.write(bytes.data(), std::ssize(bytes));
    return;
  }
  std::string text;
  for (const std::int32_t id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
  if (format == "jsonl")
    out << R"({"id":"pcfg-)" << index << R"(","text":")" << text << "\"}\n";
  else
    out << text << '\n';
}

int write_corpus(const PcfgFlags& flags, const PcfgSetting& setting) {
  stop_cleanly_on_signals();
  const Grammar grammar(setting, flags.seed);
  check_branching(grammar, flags.seed, flags.force);
  std::ofstream file;
  if (!flags.output.empty()) {
    file.open(flags.output, std::ios::binary | std::ios::trunc);
    if (!file) throw Error(ErrorKind::kData, "cannot write " + flags.output, "check the folder and its permissions");
  }
  std::ostream& out = flags.output.empty() ? std::cout : file;
  PcfgStream stream(grammar, flags.seed, flags.max_depth);
  std::vector<std::int32_t> ids(flags.length);
  const auto progress = make_progress(flags.quiet || flags.output.empty());
  progress->begin({.label = setting.name, .unit = "documents", .total = flags.n_documents});
  for (std::int64_t d = 0; d < flags.n_documents; ++d) {
    if (stop_requested()) {
      progress->end();
      std::fprintf(stderr, "stopped; %s has the first %s of %s documents. The same command again writes all\n",
                   flags.output.empty() ? "standard output" : flags.output.c_str(), with_thousands(d).c_str(),
                   with_thousands(flags.n_documents).c_str());
      return kExitInterrupted;
    }
    stream.fill(ids);
    put_document(out, flags.format, d, ids);
    if ((d + 1) % 1000 == 0) progress->advance(1000);
  }
  progress->end();
  out.flush();
  if (!out)
    throw Error(ErrorKind::kData, "cannot write all of " + (flags.output.empty() ? "standard output" : flags.output),
                "check the disk's free space");
  if (!flags.output.empty() && !flags.quiet)
    std::fprintf(stderr, "lmbits: %s, branching %.3f, mean sentence of %s ids\n", setting.name.c_str(),
                 grammar.branching(), significant(grammar.mean_length(), 3).c_str());
  return 0;
}

struct Measured {
  std::uint64_t seed;
  double branching, mean_length;
  std::optional<double> median, mean;  // nullopt: refused
};

// Seeds from --seed on until as many grammars as were asked for could be measured; the refused ones are listed, too.
std::vector<Measured> measure(const PcfgFlags& flags, const PcfgSetting& setting) {
  constexpr std::uint64_t kMaxRefused = 50;  // in a row: the setting's sentences need not end
  std::vector<Measured> all;
  std::uint64_t seed = flags.seed, n_refused = 0;
  for (std::int64_t n_measured = 0; n_measured < flags.n_grammars && n_refused < kMaxRefused; ++seed) {
    const Grammar grammar(setting, seed);
    Measured measured{seed, grammar.branching(), grammar.mean_length(), {}, {}};
    if (grammar.branching() < 1.0 || flags.force) {
      ComplexityMeter meter = ComplexityMeter::of_ids(flags.length, static_cast<std::size_t>(flags.n_documents));
      PcfgStream stream(grammar, seed, flags.max_depth);
      std::vector<std::int32_t> ids(flags.length);
      while (!meter.full()) {
        stream.fill(ids);
        meter.add(ids);
      }
      measured.median = meter.result().median();
      measured.mean = meter.result().mean();
      ++n_measured;
      n_refused = 0;
    } else {
      ++n_refused;
    }
    all.push_back(measured);
  }
  return all;
}

void print_complexity(const PcfgFlags& flags, const PcfgSetting& setting) {
  const std::vector<Measured> all = measure(flags, setting);
  Table table;
  table.columns = {{.key = "seed", .title = "seed"},
                   {.key = "branching", .title = "branching", .decimals = 3},
                   {.key = "length", .title = "ids/sentence", .decimals = 1},
                   {.key = "median", .title = "H (median)", .decimals = 4},
                   {.key = "mean", .title = "H (mean)", .decimals = 4}};
  double sum = 0.0, lo = 1e9, hi = 0.0, n = 0.0;
  std::int64_t n_refused = 0;
  for (const Measured& m : all) {
    table.rows.push_back(
        {{static_cast<std::int64_t>(m.seed), m.branching, m.mean_length, cell_of(m.median), cell_of(m.mean)}});
    if (!m.median) {
      ++n_refused;
      continue;
    }
    sum += *m.median;
    n += 1.0;
    lo = std::min(lo, *m.median);
    hi = std::max(hi, *m.median);
  }
  if (flags.json)
    return print(Json{{"setting", setting.name},
                      {"expected_branching", expected_branching(setting)},
                      {"unit", std::to_string(flags.length) + " ids, int32 big-endian, gzip-9"},
                      {"grammars", to_json(table)},
                      {"n_refused", n_refused},
                      {"mean_of_medians", n > 0.0 ? Json(sum / n) : Json(nullptr)}}
                     .dump(2) +
                 "\n");
  std::string text = setting.name + ": expected branching " + significant(expected_branching(setting), 3) + "; H of " +
                     std::to_string(flags.n_documents) + " documents each (" + std::to_string(flags.length) +
                     " ids, int32 big-endian, gzip-9)\n\n" + to_text(table, stdout_style());
  if (n > 0.0)
    text += "\nmedian H: mean " + format_fixed(sum / n, 4) + ", from " + format_fixed(lo, 4) + " to " +
            format_fixed(hi, 4) + " over " + format_fixed(n, 0) + " grammars" +
            (setting.published_h > 0.0 ? "; published " + format_fixed(setting.published_h, 2) : "") + "\n";
  if (n_refused > 0)
    text += counted(n_refused, "grammar") + " refused: branching of 1 or more (--force measures them, too)\n";
  print(text);
}

}  // namespace

void add_pcfg(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<PcfgFlags>();
  const Command command = app.add_subcommand("pcfg", "Corpora of a set complexity, from probabilistic grammars");
  command.add_option("SETTING", flags->setting, "NONTERMINALS-TERMINALS-OPTIONS-LENGTH, such as 30-400-10-8")
      .required();
  command.add_option("--documents", flags->n_documents, "How many (default 1000)").positive();
  command.add_option("--length", flags->length, "Ids a document (default 256)").in_range(1, 100000000);
  command.add_option("--seed", flags->seed, "Seed of the grammar and its sentences (default 1)");
  command.add_option("--format", flags->format, "jsonl (default), text or int32be")
      .one_of({"jsonl", "text", "int32be"});
  command.add_option("-o,--output", flags->output, "File to write (default: standard output)");
  command.add_flag("--force", flags->force, "Also grammars whose sentences need not end");
  command.add_option("--max-depth", flags->max_depth, "With --force: deeper symbols are dropped (default 200)")
      .in_range(1, 1000000);
  command.add_flag("--complexity", flags->complexity, "Measure H over several grammars, write no corpus");
  command.add_option("--grammars", flags->n_grammars, "How many to measure, with seeds from --seed on (default 12)")
      .in_range(1, 10000);
  command.add_flag("--json", flags->json, "With --complexity: JSON instead of text");
  command.add_flag("--quiet", flags->quiet, "No progress");
  command.footer(kPcfgHelp);
  command.callback([flags, &exit_code] {
    const PcfgSetting setting = parse_pcfg_setting(flags->setting);
    if (flags->complexity) return print_complexity(*flags, setting);
    exit_code = write_corpus(*flags, setting);
  });
}

}  // namespace lmbits::cli
