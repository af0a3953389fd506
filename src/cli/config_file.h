// `--config FILE`: flags given by a file.
#pragma once
#include <CLI/CLI.hpp>
#include <iosfwd>
#include <string>
#include <vector>

namespace lmbits::cli {

// The long names of an app's flags as they are typed ("--corpus"), without those that make no sense in a file.
std::vector<std::string> flag_names(const CLI::App& app);

// TOML or INI, as far as flags need it: `key = value`, lists in brackets, [command] sections, comments. A key is a
// flag's long name. Keys outside of sections are for the command that was given; [eval] is for eval alone, and only
// checked when another one runs. What the command line says wins. Throws Error(kConfig) for a key or section that does
// not exist, naming the nearest that does, and for a key that is given at two places.
class ConfigFile final : public CLI::ConfigBase {
 public:
  explicit ConfigFile(const CLI::App& app) : app_(app) { comment('\0'); }
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

 private:
  const CLI::App& app_;
};

}  // namespace lmbits::cli
