// lmbits inspect: what is this bundle, run or tokenizer? Which text costs the bits?
#include <CLI/CLI.hpp>
#include <filesystem>

#include "src/cli/commands.h"
#include "src/cli/convention_flags.h"
#include "src/cli/eval_library.h"
#include "src/cli/stdout_style.h"
#include "src/cli/tokenizer_flags.h"
#include "src/coding/container.h"
#include "src/core/file.h"
#include "src/store/run_directory.h"

namespace lmbits::cli {
namespace {

struct InspectFlags {
  std::string what;
  std::string text, text_file;
  std::string dtype = "auto";
  TokenizerFlags tokenizer;
  ConventionOptions convention;
  bool json = false;
};

// From cheap to dear: 256-colour codes of a green-to-red background, one step for each two bits.
constexpr int kHeat[] = {22, 28, 64, 100, 136, 166, 160, 124};

std::string heat(double bits) {
  const auto step = static_cast<std::size_t>(std::clamp(bits / 2.0, 0.0, 7.0));
  return "\033[48;5;" + std::to_string(kHeat[step]) + ";38;5;231m";
}

std::string text_report(const std::vector<TokenCost>& costs) {
  const bool color = stdout_style().color;
  std::string out;
  double total = 0.0;
  std::size_t n_bytes = 0;
  for (const TokenCost& cost : costs) {
    total += cost.bits;
    n_bytes += cost.bytes.size();
    if (color) {
      out += heat(cost.bits);
      for (const char c : cost.bytes) out += c == '\n' ? std::string("\033[0m\n") + heat(cost.bits) : std::string(1, c);
      out += "\033[0m";
    } else {
      out += format_fixed(cost.bits, 3) + "\t" + Json(cost.bytes).dump(-1, ' ', false, Json::error_handler_t::replace) +
             "\n";
    }
  }
  if (color) {
    out += "\n";
    for (std::size_t i = 0; i < std::size(kHeat); ++i)
      out += heat(2.0 * static_cast<double>(i)) + " " + std::to_string(2 * i) + "+ \033[0m";
    out += " bits a token\n";
  }
  out += std::to_string(costs.size()) + " tokens scored, " + format_fixed(total, 2) + " bits";
  if (n_bytes > 0) out += ", " + format_fixed(total / static_cast<double>(n_bytes), 4) + " bits/byte";
  return out + "\n";
}

Json text_json(const std::vector<TokenCost>& costs) {
  Json json = Json::array();
  for (const TokenCost& cost : costs) json.push_back({{"id", cost.id}, {"text", cost.bytes}, {"bits", cost.bits}});
  return json;
}

int inspect_text(const InspectFlags& flags) {
  const std::string text = flags.text_file.empty() ? flags.text : read_file(flags.text_file);
  const std::vector<TokenCost> costs = eval_library().inspect_text(flags.what, text, flags.convention);
  print(flags.json ? text_json(costs).dump(1, ' ', false, Json::error_handler_t::replace) + "\n" : text_report(costs));
  return 0;
}

int inspect_run(const InspectFlags& flags) {
  const Run run = read_run(flags.what);
  Json json = {{"path", run.path.string()},       {"state", run.summary.is_null() ? "unfinished" : "finished"},
               {"n_records", run.records.size()}, {"n_damaged_lines", run.n_damaged_lines},
               {"summary", run.summary},          {"manifest", run.manifest}};
  print(json.dump(2) + "\n");
  return 0;
}

int inspect_model(const InspectFlags& flags) {
  const Json json = eval_library().inspect_model(flags.what, flags.dtype);
  if (!json["problem"].is_null()) {
    throw Error(static_cast<ErrorKind>(json["exit_code"].get<int>()), json["problem"], json["hint"]);
  }
  print(json.dump(2) + "\n");
  return 0;
}

int inspect_tokenizer(InspectFlags flags) {
  flags.tokenizer.path = flags.what;
  const auto tokenizer = open_tokenizer(flags.tokenizer);
  Json longest = Json::array();
  std::vector<std::pair<std::size_t, std::int32_t>> sizes;  // the longest first, then by id
  for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id) sizes.emplace_back(~tokenizer->piece(id).size(), id);
  const std::size_t n_shown = std::min<std::size_t>(5, sizes.size());
  std::partial_sort(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(n_shown), sizes.end());
  for (std::size_t i = 0; i < n_shown; ++i)
    longest.push_back({{"id", sizes[i].second}, {"piece", tokenizer->piece(sizes[i].second)}});
  const auto special = [&](std::optional<std::int32_t> id) {
    return id ? Json{{"id", *id}, {"piece", tokenizer->piece(*id)}} : Json(nullptr);
  };
  const Json json = {{"path", flags.what},
                     {"kind", tokenizer->kind()},
                     {"fingerprint", tokenizer->fingerprint()},
                     {"vocab_size", tokenizer->vocab_size()},
                     {"bos", special(tokenizer->bos_id())},
                     {"eos", special(tokenizer->eos_id())},
                     {"longest_pieces", longest}};
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  return 0;
}

int inspect_compressed(const InspectFlags& flags) {
  const std::string bytes = read_file(flags.what);
  const Container container = read_container(bytes, flags.what);
  print(Json{{"path", flags.what},
             {"n_bytes", container.n_bytes},
             {"n_compressed", std::ssize(bytes)},
             {"block_bytes", container.block_bytes},
             {"n_blocks", std::ssize(container.blocks)},
             {"fingerprint", container.fingerprint},
             {"info", container.info}}
            .dump(2, ' ', false, Json::error_handler_t::replace) +
        "\n");
  return 0;
}

int run(const InspectFlags& flags) {
  if (flags.what.ends_with(".lmb")) return inspect_compressed(flags);
  if (!flags.tokenizer.kind.empty() || is_tokenizer_file(flags.what)) return inspect_tokenizer(flags);
  if (!flags.text.empty() || !flags.text_file.empty()) return inspect_text(flags);
  if (std::filesystem::is_directory(flags.what)) return inspect_run(flags);
  return inspect_model(flags);
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command =
      app.add_subcommand("inspect", "what is this bundle, run or tokenizer? which text costs the bits?");
  command->footer(
      "Example:\n  lmbits inspect model.pt\n  lmbits inspect runs/model__novel__default\n"
      "  lmbits inspect model.pt --text \"It was the best of times\"");
  command
      ->add_option("what", flags->what,
                   "a model (as for eval), a run's folder, a tokenizer's file or a compressed file (.lmb)")
      ->required();
  add_tokenizer_flags(*command, flags->tokenizer);
  auto* text = command->add_option("--text", flags->text, "show the bits of each token of this text");
  command->add_option("--text-file", flags->text_file, "the same for a file")->excludes(text);
  command->add_option("--dtype", flags->dtype, "of the arithmetic")->capture_default_str();
  add_convention_flags(*command, flags->convention);
  command->add_flag("--json", flags->json, "print JSON");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
