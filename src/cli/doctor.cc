// lmbits doctor: what does this machine offer, and what is missing?
#include <fstream>
#include <thread>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/eval_library.h"
#include "src/cli/stdout_style.h"
#include "src/coding/baselines.h"
#include "src/core/json.h"

namespace lmbits::cli {
namespace {

// "model name" of /proc/cpuinfo; empty where there is none.
std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return {};
}

double memory_gib() {
  std::ifstream info("/proc/meminfo");
  std::string key;
  double kib = 0;
  info >> key >> kib;
  return kib / (1 << 20);
}

Json examine() {
  Json json = {{"lmbits", LMBITS_VERSION},
               {"cpu", cpu_name()},
               {"cores", std::thread::hardware_concurrency()},
               {"memory_gib", std::round(10 * memory_gib()) / 10},
               {"codecs", codec_versions()}};
  try {
    json["evaluator"] = eval_library().describe();
  } catch (const Error& e) {
    json["evaluator"] = {{"problem", e.what()}, {"hint", e.hint()}};
  }
  return json;
}

void print_lines(const Json& json, const std::string& indent, std::string& text) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      text += indent + key + "\n";
      print_lines(value, indent + "  ", text);
    } else {
      text += indent + key + std::string(key.size() < 16 ? 16 - key.size() : 1, ' ') +
              (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
    }
  }
}

}  // namespace

void add_doctor(const Command& app, int& exit_code) {
  auto as_json = std::make_shared<bool>(false);
  const Command command = app.add_subcommand("doctor", "What does this machine offer: devices, libraries, versions?");
  command.footer("Example:\n  lmbits doctor --json");
  command.add_flag("--json", *as_json, "print JSON");
  command.callback([as_json, &exit_code] {
    const Json json = examine();
    std::string text;
    print_lines(json, "", text);
    print(*as_json ? json.dump(2) + "\n" : text);
    if (json["evaluator"].contains("problem")) exit_code = static_cast<int>(ErrorKind::kUnsupported);
  });
}

}  // namespace lmbits::cli
