// lmbits reproduce chinchilla: the published numbers of scaling laws.
#include "src/report/reproduce_chinchilla.h"

#include <filesystem>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"

namespace lmbits::cli {
namespace {

struct ChinchillaFlags {
  std::string data;
  bool json = false;
};

constexpr const char* kChinchillaHelp =
    "Example:\n"
    "  lmbits reproduce chinchilla\n"
    "  lmbits reproduce chinchilla --data DIR\n"
    "\n"
    "Each number stands beside the published one with the difference that rounding or resampling allows; the exit code "
    "is\n"
    "4 where one is further off and nothing explains it. From --data it reads chinchilla_runs.csv (N, D, C, loss,\n"
    "in_published_fit) and muennighoff2023_data_constrained.csv (N, D, unique_tokens, loss), and leaves out what is "
    "not\n"
    "there: those points are not this program's to carry.";

std::optional<std::string> data_file(const ChinchillaFlags& flags, const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(flags.data) / name;
  if (flags.data.empty() || !std::filesystem::exists(path)) return std::nullopt;
  return read_file(path);
}

int run_chinchilla(const ChinchillaFlags& flags) {
  ChinchillaRequest request;
  request.points_csv = data_file(flags, "chinchilla_runs.csv");
  request.data_constrained_csv = data_file(flags, "muennighoff2023_data_constrained.csv");
  request.n_threads = available_threads();
  const ChinchillaReproduction result = reproduce_chinchilla(request);
  print(flags.json ? to_json(result).dump(2) + "\n" : to_text(result, stdout_style()));
  return result.ok() ? 0 : static_cast<int>(ErrorKind::kData);
}

}  // namespace

void add_reproduce_chinchilla(const Command& reproduce, int& exit_code) {
  const auto flags = std::make_shared<ChinchillaFlags>();
  const Command command = reproduce.add_subcommand(
      "chinchilla", "Scaling laws: Kaplan, Hoffmann, Besiroglu, Muennighoff, Pearce & Song, Pandey");
  command.add_option("--data", flags->data, "Folder with the published data");
  command.add_flag("--json", flags->json, "JSON instead of text");
  command.footer(kChinchillaHelp);
  command.callback([flags, &exit_code] { exit_code = run_chinchilla(*flags); });
}

}  // namespace lmbits::cli
