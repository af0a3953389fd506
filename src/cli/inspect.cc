// lmbits inspect: what is this bundle, run or tokenizer? Which text costs the bits?
#include <filesystem>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/convention_flags.h"
#include "src/cli/eval_library.h"
#include "src/cli/stdout_style.h"
#include "src/cli/tokenizer_flags.h"
#include "src/coding/container.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/report/table.h"
#include "src/report/token_map.h"
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

// A string in quotes that is safe to print: JSON's escapes, and no byte that acts on a terminal.
std::string quoted(const Json& text) { return printable(text.dump(-1, ' ', false, Json::error_handler_t::replace)); }

// `text` is what was scored: bits/byte divides by its bytes, as eval does, also where a convention scores only some.
std::string text_report(const std::vector<TokenCost>& costs, const std::string& text) {
  ScoredText scored;
  std::string lines;
  double total = 0.0;
  std::size_t n_scored_bytes = 0;
  for (const TokenCost& cost : costs) {
    total += cost.bits;
    n_scored_bytes += cost.bytes.size();
    scored.tokens.push_back({cost.bytes, cost.bits});
    lines += format_fixed(cost.bits, 3) + "\t" + quoted(Json(cost.bytes)) + "\n";
  }
  std::string out = stdout_style().color ? heat_text(scored) : lines;
  out += std::to_string(costs.size()) + " tokens scored, " + format_fixed(total, 2) + " bits";
  if (!text.empty()) out += ", " + format_fixed(total / static_cast<double>(text.size()), 4) + " bits/byte";
  if (n_scored_bytes < text.size())
    out += " (" + std::to_string(n_scored_bytes) + " of " + std::to_string(text.size()) + " bytes scored)";
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
  print(flags.json ? text_json(costs).dump(1, ' ', false, Json::error_handler_t::replace) + "\n"
                   : text_report(costs, text));
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

// What becomes of texts that tokenizers treat differently.
struct Probe {
  const char *name, *text;
};
constexpr Probe kProbes[] = {{"plain text", "It was the best of times"},
                             {"white space", "  two,\n\n\t three "},
                             {"capitals and accents", "\xC3\x89T\xC3\x89"},
                             {"decomposed accents", "e\xCC\x81t\x65\xCC\x81"},
                             {"any script", "\xE4\xBD\xA0\xE5\xA5\xBD \xD9\x85 \xF0\x9F\x98\x80"},
                             {"bytes that are no UTF-8", "a\xFF\xC3 b"}};

std::string probe(const Tokenizer& tokenizer, std::string_view text) {
  try {
    return tokenizer.encode(text).lossless ? "kept" : "changed: lossy";
  } catch (const Error&) {
    return "refused: the document fails";
  }
}

Json special_token(const Tokenizer& tokenizer, std::optional<std::int32_t> id) {
  return id ? Json{{"id", *id}, {"piece", tokenizer.piece(*id)}} : Json(nullptr);
}

Json tokenizer_facts(const std::string& path, const Tokenizer& tokenizer) {
  Json longest = Json::array(), probes = Json::object();
  std::vector<std::pair<std::size_t, std::int32_t>> sizes;  // the longest first, then by id
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) sizes.emplace_back(~tokenizer.piece(id).size(), id);
  const std::size_t n_shown = std::min<std::size_t>(5, sizes.size());
  std::partial_sort(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(n_shown), sizes.end());
  for (std::size_t i = 0; i < n_shown; ++i)
    longest.push_back({{"id", sizes[i].second}, {"piece", tokenizer.piece(sizes[i].second)}});
  for (const auto& [name, text] : kProbes) probes[name] = probe(tokenizer, text);
  return {{"path", path},
          {"kind", tokenizer.kind()},
          {"fingerprint", tokenizer.fingerprint()},
          {"vocab_size", tokenizer.vocab_size()},
          {"bos", special_token(tokenizer, tokenizer.bos_id())},
          {"eos", special_token(tokenizer, tokenizer.eos_id())},
          {"longest_pieces", longest},
          {"texts", probes}};
}

// A line on a terminal: the beginning of a long piece, and how long it is.
std::string shown_piece(const std::string& piece) {
  constexpr std::size_t kShown = 40;
  if (piece.size() <= kShown) return quoted(Json(piece));
  std::size_t n = kShown;
  while (n > 0 && (static_cast<unsigned char>(piece[n]) & 0xC0) == 0x80) --n;  // whole characters
  return quoted(Json(piece.substr(0, n))) + "... (" + std::to_string(piece.size()) + " bytes)";
}

std::string tokenizer_text(const Json& facts) {
  std::string out;
  const auto put = [&](std::string name, const std::string& value) {
    name.resize(std::max<std::size_t>(26, name.size() + 2), ' ');
    out += name + value + "\n";
  };
  const auto token = [](const Json& one) {
    return one.is_null() ? std::string("none") : one["id"].dump() + " " + shown_piece(one["piece"]);
  };
  put("kind", facts["kind"]);
  put("fingerprint", facts["fingerprint"]);
  put("vocabulary", facts["vocab_size"].dump() + " ids");
  put("BOS", token(facts["bos"]));
  put("EOS", token(facts["eos"]));
  for (const Json& one : facts["longest_pieces"]) put("longest piece", token(one));
  for (const auto& [name, what] : facts["texts"].items()) put(name, what);
  return out;
}

int inspect_tokenizer(TokenizerFlags flags, const std::string& path, bool as_json) {
  flags.path = path;
  const Json facts = tokenizer_facts(path, *open_tokenizer(flags));
  print(as_json ? facts.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : tokenizer_text(facts));
  return 0;
}

int inspect_compressed(const InspectFlags& flags) {
  const std::string bytes = read_file(flags.what);
  const Container container = read_container(bytes, flags.what);
  print(Json{{"path", flags.what},
             {"version", container.version},
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
  if (flags.what.empty()) throw Error(ErrorKind::kUsage, "inspect what? a model, a run's folder or a tokenizer's file");
  if (!flags.tokenizer.kind.empty() || is_tokenizer_file(flags.what))
    return inspect_tokenizer(flags.tokenizer, flags.what, flags.json);
  if (!flags.text.empty() || !flags.text_file.empty()) return inspect_text(flags);
  if (std::filesystem::is_directory(flags.what)) return inspect_run(flags);
  return inspect_model(flags);
}

}  // namespace

void add_inspect(const Command& app, int& exit_code) {
  auto flags = std::make_shared<InspectFlags>();
  const Command command =
      app.add_subcommand("inspect", "What is this bundle, run or tokenizer? which text costs the bits?");
  command.footer(
      "Example:\n  lmbits inspect model.pt\n  lmbits inspect runs/model__novel__default\n"
      "  lmbits inspect model.pt --text \"It was the best of times\"\n  lmbits inspect tokenizer tokenizer.json\n\n"
      "Of a text: a line a token, its bits and its bytes. On a terminal with colours: the text, on a background for "
      "the\n"
      "bits; tokens that share a character are one there. U+FFFD stands for bytes that are no character alone and for\n"
      "what would act on the terminal. bits/byte is eval's: bits of the scored tokens over all bytes of the text.");
  command.add_option("what", flags->what,
                     "a model (as for eval), a run's folder, a tokenizer's file or a compressed file (.lmb)");
  add_tokenizer_flags(command, flags->tokenizer);
  const Flag text = command.add_option("--text", flags->text, "show the bits of each token of this text");
  command.add_option("--text-file", flags->text_file, "the same for a file").excludes(text);
  command.add_option("--dtype", flags->dtype, kDtypeHelp).capture_default_str();
  add_convention_flags(command, flags->convention);
  command.add_flag("--json", flags->json, "print JSON");
  const Command tokenizer =
      command.add_subcommand("tokenizer", "What is this tokenizer, and which texts does it keep?");
  tokenizer.footer("Example:\n  lmbits inspect tokenizer gpt2.tiktoken --pattern gpt2");
  tokenizer.add_option("TOKENIZER", flags->what, "tokenizer.json, a .tiktoken, .model or .gguf file, or bytes")
      .required();
  add_tokenizer_flags(tokenizer, flags->tokenizer);
  tokenizer.add_flag("--json", flags->json, "print JSON");
  command.callback([flags, tokenizer, &exit_code] {
    exit_code = tokenizer.parsed() ? inspect_tokenizer(flags->tokenizer, flags->what, flags->json) : run(*flags);
  });
}

}  // namespace lmbits::cli
