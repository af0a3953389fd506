// lmbits reproduce: does this program get published numbers from published tables, and published claims from own runs?
#include <CLI/CLI.hpp>
#include <memory>

#include "src/cli/commands.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/suggest.h"
#include "src/report/reproduce_huang2024.h"

namespace lmbits::cli {
namespace {

struct ReproduceOptions {
  std::string format = "table";
  bool json = false;
  double level = 0.95;
};

constexpr const char* kReproduceHelp =
    "Example:\n"
    "  lmbits reproduce huang2024\n";

template <typename Report>
void print_as(const Report& report, const ReproduceOptions& options) {
  const std::string format = options.json ? "json" : options.format;
  print(format == "json" ? to_json(report).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
        : format == "csv" ? to_csv(report)
                          : to_text(report, stdout_style()));
}

void add_output(CLI::App& command, ReproduceOptions& options) {
  command.add_option("--level", options.level, "Confidence level of the intervals (default 0.95)")->check(CLI::Range(0.5, 0.9999));
  command.add_option("--format", options.format, "table (default), csv or json")->check(CLI::IsMember({"table", "csv", "json"}));
  command.add_flag("--json", options.json, "The same as --format json");
  command.footer(kReproduceHelp);
}

}  // namespace

void add_reproduce(CLI::App& app, int& /*exit_code*/) {
  CLI::App* command = app.add_subcommand("reproduce", "Get published numbers from published tables, and claims from own runs");
  command->require_subcommand(1);
  command->footer(kReproduceHelp);
  const auto options = std::make_shared<ReproduceOptions>();
  CLI::App* huang = command->add_subcommand("huang2024", "Every correlation of Huang et al. 2024 that its tables allow, printed and computed");
  add_output(*huang, *options);
  huang->callback([options] { print_as(reproduce_huang2024(options->level), *options); });
}

}  // namespace lmbits::cli
