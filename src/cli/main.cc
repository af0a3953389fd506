#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/config_file.h"
#include "src/core/error.h"
#include "src/core/suggest.h"

namespace lmbits::cli {
namespace {

struct CommandGroup {
  const char* title;
  std::vector<void (*)(const Command&, int&)> commands;
};

const std::vector<CommandGroup>& command_groups() {
  static const std::vector<CommandGroup> groups = {
      {"Measure", {add_eval, add_choice, add_baseline}},
      {"Store", {add_compress, add_decompress}},
      {"Judge", {add_rank, add_compare, add_report}},
      {"Relate", {add_scores, add_correlate, add_reproduce}},
      {"Scaling laws", {add_scaling, add_pcfg, add_gzip_complexity}},
      {"Choose", {add_select}},
      {"Keep", {add_nightly, add_history, add_serve, add_merge}},
      {"Look", {add_inspect, add_tokenize, add_corpus, add_doctor}},
  };
  return groups;
}

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits eval --model small.pt --model large.pt --corpus novel.txt -o runs\n"
    "  lmbits rank runs\n"
    "\n"
    "Each command has a --help with an example. Every flag is also a key of the file given by --config.\n"
    "Exit codes: 0 done, 2 usage, 3 configuration, 4 data, 5 model, 6 device, 7 unsupported, 8 out of memory,\n"
    "9 regression found, 10 finished with failed documents or models, 130 interrupted.";

// CLI11's, less what it says of types and counts: the descriptions say it in words.
class Help final : public CLI::Formatter {
 public:
  Help() { column_width(28); }
  std::string make_description(const CLI::App* app) const override { return app->get_description() + "\n\n"; }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_positional() || option->get_type_size() == 0) return "";
    const std::string type = option->get_type_name();  // "TEXT:{table,csv}"
    return " " + type.substr(0, type.find(':'));
  }
};

// What the command line holds and no option took, and the command it was given to (null: none).
struct Leftover {
  std::string argument;
  const CLI::App* command = nullptr;
};

Leftover first_leftover(const CLI::App& app) {
  Leftover leftover;
  for (const CLI::App* at = &app; !at->get_subcommands().empty(); at = leftover.command)
    leftover.command = at->get_subcommands().front();
  const std::vector<std::string> arguments = app.remaining(/*recurse=*/true);
  // A flag first: a mistyped one leaves its value behind, too.
  for (const std::string& argument : arguments)
    if (argument.size() > 1 && argument[0] == '-' && argument != "--") return leftover.argument = argument, leftover;
  for (const std::string& argument : arguments)
    if (argument != "--") return leftover.argument = argument, leftover;
  return leftover;
}

// "scores import": a command with those it is part of.
std::string full_name(const CLI::App* command) {
  const CLI::App* parent = command->get_parent();
  return (parent != nullptr && parent->get_parent() != nullptr ? full_name(parent) + " " : "") + command->get_name();
}

std::string help_hint(const CLI::App* command) {
  return std::string("see lmbits ") + (command == nullptr ? "" : full_name(command) + " ") + "--help";
}

std::vector<std::string> subcommands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

// CLI11 writes out the largest double where a range has no upper end.
std::string readable(std::string what) {
  const std::size_t at = what.find(" not in range 0.000000 to 1797");
  if (at == std::string::npos) return what;
  what.resize(at);
  const bool is_negative = what[what.rfind(' ') + 1] == '-';
  return what + (is_negative ? " is below 0" : " is not above 0");
}

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const Leftover leftover = first_leftover(app);
  const std::string flag = leftover.argument.substr(0, leftover.argument.find('='));
  if (flag.starts_with("-")) {
    std::vector<std::string> known = flag_names(leftover.command == nullptr ? app : *leftover.command);
    known.insert(known.end(), {"--help", "--version", "--config"});
    const std::string near = nearest_name(flag, known);
    if (near == flag)
      return Error(ErrorKind::kUsage, flag + " stands before the command",
                   "put it after " + leftover.command->get_name());
    return Error(ErrorKind::kUsage, "unknown flag " + flag,
                 (near.empty() ? "" : "did you mean " + near + "? ") + help_hint(leftover.command));
  }
  const std::vector<std::string> commands = subcommands_of(leftover.command == nullptr ? app : *leftover.command);
  if (!leftover.argument.empty() && !commands.empty())
    return Error(ErrorKind::kUsage, "unknown command " + leftover.argument, suggestion(leftover.argument, commands));
  if (!leftover.argument.empty())
    return Error(ErrorKind::kUsage, "unexpected argument " + leftover.argument, help_hint(leftover.command));
  return Error(ErrorKind::kUsage, readable(error.what()), help_hint(leftover.command));
}

void add_commands(CLI::App& app, int& exit_code) {
  for (const CommandGroup& group : command_groups()) {
    for (const auto add : group.commands) {
      add(Command(app), exit_code);
      app.get_subcommands({}).back()->group(group.title);
    }
  }
}

int run(int argc, char** argv) {
  CLI::App app{"How many bits does a language model need to store your text?", "lmbits"};
  int exit_code = 0;
  app.formatter(std::make_shared<Help>());
  app.footer(kHelp);
  app.require_subcommand(1);
  app.fallthrough();  // so that --config may stand after the command
  app.set_version_flag("--version", std::string("lmbits ") + LMBITS_VERSION)->configurable(false);
  app.set_config("--config", "", "A TOML or INI file that gives flags of the command")->type_name("FILE");
  app.config_formatter(std::make_shared<ConfigFile>(app));
  add_commands(app, exit_code);
  if (argc == 1) {
    std::fputs(app.help().c_str(), stderr);
    return static_cast<int>(ErrorKind::kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    if (!first_leftover(app).argument.empty()) throw usage_error(app, e);  // a mistyped command, and --help
    std::fputs(app.help().c_str(), stdout);
  } catch (const CLI::CallForVersion& e) {
    std::printf("%s\n", e.what());
  } catch (const CLI::FileError& e) {
    throw Error(ErrorKind::kConfig, e.what(), "--config names a TOML or INI file");
  } catch (const CLI::ParseError& e) {
    throw usage_error(app, e);
  }
  return exit_code;
}

int report(const Error& e) {
  std::fprintf(stderr, "lmbits: %s\n", e.what());
  if (!e.hint().empty()) std::fprintf(stderr, "  hint: %s\n", e.hint().c_str());
  return static_cast<int>(e.kind());
}

}  // namespace
}  // namespace lmbits::cli

int main(int argc, char** argv) {
  using lmbits::Error;
  using lmbits::ErrorKind;
  try {
    signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error like a full disk, not the end
    return lmbits::cli::run(argc, argv);
  } catch (const Error& e) {
    return lmbits::cli::report(e);
  } catch (const std::bad_alloc&) {
    return lmbits::cli::report(Error(ErrorKind::kOutOfMemory, "out of memory", "free some, or ask for less at a time"));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "lmbits: %s\n  hint: this is a bug in lmbits; please report it\n", e.what());
    return 1;
  }
}
