// lmbits compress and decompress: does a model really store the file? A lossless round trip, byte for byte.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/coding/baselines.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/corpus/media.h"
#include "src/report/table.h"
#include "src/report/wording.h"

namespace lmbits::cli {
namespace {

constexpr const char* kCompressHelp =
    "Example:\n"
    "  lmbits compress novel.txt -o novel.txt.lmb --model models/demo/l-sp-3300.pt --verify\n"
    "  lmbits decompress novel.txt.lmb -o novel.txt --model models/demo/l-sp-3300.pt\n"
    "\n"
    "Any file comes back byte for byte; the model is needed for that, and not in the file. --block 0 codes the file "
    "as\n"
    "one stream, with eval's windows: smallest, but nothing of it decodes in parallel. The table sets what was "
    "written\n"
    "beside the sum of -log2 p that eval reports, and beside what the model's own file would add.";

constexpr const char* kDecompressHelp =
    "Example:\n"
    "  lmbits decompress novel.txt.lmb -o novel.txt --model models/demo/l-sp-3300.pt\n"
    "\n"
    "Nothing is written under the output's name before all of it is decoded and proved. The model must be the one "
    "that\n"
    "the file was compressed with; lmbits inspect novel.txt.lmb says which that was.";

struct CompressFlags {
  CompressRequest request;
  std::vector<std::string> baselines;
  std::string decoding = "auto";
  bool force = false, json = false, quiet = false;
};

struct DecompressFlags {
  DecompressRequest request;
  bool force = false, json = false, quiet = false;
};

void refuse_to_overwrite(const std::string& path, bool force) {
  if (!force && std::filesystem::exists(path))
    throw Error(ErrorKind::kConfig, path + " is there already", "choose another name with -o, or give --force");
}

struct Line {
  std::string key, title;
  double bytes;
};

std::vector<Line> lines_of(const CompressOutcome& outcome, const CompressFlags& flags) {
  const CodingCost& cost = outcome.cost;
  std::vector<Line> lines = {{"original", "original", static_cast<double>(outcome.n_bytes)},
                             {"model", "-log2 p, as eval sums it", cost.model_bits / 8}};
  if (flags.request.mix) lines.push_back({"mixed", "-log2 p, mixed with what came before", cost.ideal_bits / 8});
  lines.push_back({"integers", "-log2 q, q of integers", cost.coded_bits / 8});
  if (cost.n_escaped > 0) lines.push_back({"escaped", "bytes the tokenizer cannot carry", cost.escaped_bits / 8});
  lines.push_back({"streams", "coded streams", (cost.stream_bits + cost.piece_bits) / 8});
  lines.push_back({"file", "the file: streams, table, header", static_cast<double>(outcome.n_compressed)});
  if (outcome.n_model_bytes > 0)
    lines.push_back(
        {"adjusted", "the file and the model", static_cast<double>(outcome.n_compressed + outcome.n_model_bytes)});
  if (flags.baselines.empty()) return lines;
  const std::string bytes = read_file(flags.request.input);
  const std::vector<BaselineCodec> codecs = select_codecs(flags.baselines);
  std::vector<std::int64_t> sizes(codecs.size());
  parallel_for(std::ssize(codecs), flags.request.n_threads, [&](std::int64_t i) {
    sizes[static_cast<std::size_t>(i)] = compressed_size(codecs[static_cast<std::size_t>(i)], bytes);
  });
  for (std::size_t i = 0; i < codecs.size(); ++i)
    lines.push_back({codecs[i].name, codecs[i].name, static_cast<double>(sizes[i])});
  return lines;
}

std::optional<double> over(double a, double b) { return b > 0 ? std::optional(a / b) : std::nullopt; }

Table table_of(const CompressOutcome& outcome, const std::vector<Line>& lines) {
  Table table;
  table.columns = {{.key = "what", .title = outcome.model, .align = Align::kLeft},
                   {.key = "bytes", .title = "bytes ↓", .decimals = 1},
                   {.key = "bits_per_byte", .title = "bits/byte ↓"},
                   {.key = "ratio", .title = "ratio ↑", .decimals = 3}};
  const auto n = static_cast<double>(outcome.n_bytes);
  for (const Line& line : lines) {
    table.rows.push_back({{line.title, line.bytes, cell_of(over(8 * line.bytes, n)), cell_of(over(n, line.bytes))},
                          line.key == "file" ? Emphasis::kStrong : Emphasis::kNone});
  }
  return table;
}

// What coding added to the model's bits, and how fast it went.
std::string notes_of(const CompressOutcome& outcome, const CompressRequest& request) {
  const CodingCost& cost = outcome.cost;
  char line[200];
  const auto per_id = [&](double bits) { return cost.n_ids > 0 ? bits / static_cast<double>(cost.n_ids) : 0.0; };
  std::snprintf(line, sizeof line, "q costs %.1e bits a token more than p; ends of %s streams %.1f bits each",
                per_id(cost.coded_bits - cost.ideal_bits), with_thousands(outcome.n_blocks).c_str(),
                outcome.n_blocks == 0
                    ? 0.0
                    : (cost.stream_bits - cost.coded_bits - cost.escaped_bits) / static_cast<double>(outcome.n_blocks));
  std::string notes = line;
  if (request.mix) {
    std::snprintf(line, sizeof line, "\nmixing gained %.1f bits, %.4f a token", cost.model_bits - cost.ideal_bits,
                  per_id(cost.model_bits - cost.ideal_bits));
    notes += line;
  }
  std::snprintf(
      line, sizeof line, "\n%s bytes/s; decoding %s",
      with_thousands(static_cast<std::int64_t>(static_cast<double>(outcome.n_bytes) / std::max(outcome.seconds, 1e-9)))
          .c_str(),
      outcome.decoding == Decoding::kCached ? "goes a token at a time, behind kept keys and values"
      : outcome.decoding == Decoding::kStep ? "goes a token at a time, by the bundle's step"
                                            : "runs the window again for every token");
  notes += line;
  if (!outcome.patch.empty()) notes += "; samples in the order of patches of " + outcome.patch;
  if (!outcome.unarranged.empty()) notes += "; coded as it is: " + printable(outcome.unarranged);
  if (request.self_check) notes += "; every block was decoded once";
  if (request.verify) {
    std::snprintf(line, sizeof line, "; verified, %s bytes/s",
                  with_thousands(static_cast<std::int64_t>(static_cast<double>(outcome.n_bytes) /
                                                           std::max(outcome.verify_seconds, 1e-9)))
                      .c_str());
    notes += line;
  }
  return notes + "\n";
}

Json json_of(const CompressOutcome& outcome) {
  const CodingCost& cost = outcome.cost;
  return {{"model", outcome.model},
          {"n_bytes", outcome.n_bytes},
          {"n_compressed", outcome.n_compressed},
          {"n_container_bytes", outcome.n_container_bytes},
          {"n_model_bytes", outcome.n_model_bytes},
          {"n_blocks", outcome.n_blocks},
          {"n_tokens", cost.n_ids},
          {"n_escaped_bytes", cost.n_escaped},
          {"model_bits", cost.model_bits},
          {"ideal_bits", cost.ideal_bits},
          {"coded_bits", cost.coded_bits},
          {"escaped_bits", cost.escaped_bits},
          {"piece_bits", cost.piece_bits},
          {"stream_bits", cost.stream_bits},
          {"fingerprint", outcome.fingerprint},
          {"decoding", decoding_name(outcome.decoding)},
          {"patch", outcome.patch.empty() ? Json(nullptr) : Json(outcome.patch)},
          {"unarranged", outcome.unarranged.empty() ? Json(nullptr) : Json(outcome.unarranged)},
          {"seconds", outcome.seconds},
          {"verify_seconds", outcome.verify_seconds}};
}

int stopped() {
  std::fputs("stopped; nothing was written: run it again\n", stderr);
  return kExitInterrupted;
}

int run_compress(CompressFlags& flags) {
  stop_cleanly_on_signals();
  flags.request.decoding = decoding_of(flags.decoding);
  if (flags.request.patch == "none") flags.request.patch.clear();
  if (!flags.request.patch.empty()) parse_patch(flags.request.patch);
  refuse_to_overwrite(flags.request.output, flags.force);
  if (!flags.baselines.empty()) select_codecs(flags.baselines);  // a wrong name is told before the work, not after
  const auto progress = make_progress(flags.quiet);
  const CompressOutcome outcome = eval_library().compress(flags.request, *progress);
  if (outcome.interrupted) return stopped();
  if (flags.json) {
    print(json_of(outcome).dump(2) + "\n");
  } else if (!flags.quiet) {
    print(to_text(table_of(outcome, lines_of(outcome, flags)), stdout_style()));
    print(notes_of(outcome, flags.request));
  }
  return 0;
}

int run_decompress(DecompressFlags flags) {
  stop_cleanly_on_signals();
  DecompressRequest& request = flags.request;
  if (request.output.empty() && request.input.ends_with(".lmb"))
    request.output = request.input.substr(0, request.input.size() - 4);
  if (request.output.empty()) throw Error(ErrorKind::kUsage, "no output is named", "give one with -o FILE");
  refuse_to_overwrite(request.output, flags.force);
  const auto progress = make_progress(flags.quiet);
  const CompressOutcome outcome = eval_library().decompress(request, *progress);
  if (outcome.interrupted) return stopped();
  if (flags.json) {
    print(Json{{"n_bytes", outcome.n_bytes},
               {"n_compressed", outcome.n_compressed},
               {"n_blocks", outcome.n_blocks},
               {"fingerprint", outcome.fingerprint},
               {"decoding", decoding_name(outcome.decoding)},
               {"seconds", outcome.seconds}}
              .dump(2) +
          "\n");
  } else if (!flags.quiet) {
    std::fprintf(stderr, "%s: %s bytes, proved by their fingerprint\n", request.output.c_str(),
                 with_thousands(outcome.n_bytes).c_str());
  }
  return 0;
}

void add_shared_flags(const Command& command, std::string& dtype, int& n_threads) {
  command.add_option("--dtype", dtype, kDtypeHelp).capture_default_str();
  command.add_option("--threads", n_threads, "groups of blocks coded at a time; the file does not depend on it")
      .in_range(1, 1024)
      .capture_default_str();
}

}  // namespace

void add_compress(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<CompressFlags>();
  CompressRequest& request = flags->request;
  request.n_threads = available_threads();
  const Command command = app.add_subcommand("compress", "Does a model really store the file? lossless, for any file");
  command.footer(kCompressHelp);
  command.add_option("file", request.input, "the file to compress").required();
  command.add_option("-o,--output", request.output, "the compressed file").required();
  command.add_option("--model", request.model, "as for eval").required();
  command
      .add_option("--block", request.block_bytes,
                  "bytes of the file in each block; blocks are independent, and decoded in parallel; 0: one stream")
      .in_range(std::int64_t{0}, std::int64_t{1} << 40)
      .capture_default_str();
  command.add_option("--window", request.window, "ids per forward pass (default: the model's context)");
  command.add_option("--stride", request.stride, "ids from one window to the next (default: half the window)");
  command
      .add_option("--patch", request.patch,
                  "pictures (.pgm, .ppm), sound (.wav) and video (.y4m) are coded with their samples in the order in "
                  "which eval reads them: patches of rows x columns, and x frames; none: the file as it is")
      .capture_default_str();
  command.add_flag("--mix", request.mix, "adapt to the file on the fly: mix in what followed the last ids before");
  command
      .add_option("--decoding", flags->decoding,
                  "how the file is to be decoded: cached (behind kept keys and values), step (a bundle's own step(ids, "
                  "state)), window (the window again for every token), auto: the first of these that the model offers")
      .one_of({"auto", "cached", "step", "window"})
      .capture_default_str();
  command.add_flag("--self-check", request.self_check, "decode every block as soon as it is coded");
  command.add_flag("--verify", request.verify, "decode the finished file, before it gets its name, and compare");
  command.add_option("--baselines", flags->baselines, "compressors set beside it (names as in lmbits baseline)")
      .delimiter(',');
  add_shared_flags(command, request.dtype, request.n_threads);
  command.add_flag("--force", flags->force, "replace an output that is there");
  command.add_flag("--json", flags->json, "print the numbers as JSON");
  command.add_flag("--quiet", flags->quiet, "no progress, no table");
  command.callback([flags, &exit_code] { exit_code = run_compress(*flags); });
}

void add_decompress(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<DecompressFlags>();
  DecompressRequest& request = flags->request;
  request.n_threads = available_threads();
  const Command command =
      app.add_subcommand("decompress", "The file that lmbits compress stored, proved byte for byte");
  command.footer(kDecompressHelp);
  command.add_option("file", request.input, "the compressed file").required();
  command.add_option("-o,--output", request.output, "the file to write (default: without .lmb)");
  command.add_option("--model", request.model, "the model it was compressed with").required();
  add_shared_flags(command, request.dtype, request.n_threads);
  command.add_flag("--force", flags->force, "replace an output that is there");
  command.add_flag("--json", flags->json, "print the numbers as JSON");
  command.add_flag("--quiet", flags->quiet, "no progress, no notes");
  command.callback([flags, &exit_code] { exit_code = run_decompress(*flags); });
}

}  // namespace lmbits::cli
