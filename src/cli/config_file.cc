#include "src/cli/config_file.h"

#include <algorithm>
#include <istream>
#include <set>
#include <sstream>
#include <utility>

#include "src/core/error.h"
#include "src/core/suggest.h"

namespace lmbits::cli {
namespace {

// CLI11 cuts a line at the first comment character even within quotes, so comments are taken out here, and it is told
// of a character that does not occur.
std::string without_comments(std::istream& input) {
  std::string text, line;
  while (std::getline(input, line)) {
    char quote = '\0';
    std::size_t end = 0;
    for (; end < line.size() && (quote != '\0' || line[end] != '#'); ++end) {
      if (quote != '\0' ? line[end] == quote : line[end] == '"' || line[end] == '\'')
        quote = quote != '\0' ? '\0' : line[end];
    }
    text += line.substr(0, end) + "\n";
  }
  return text;
}

// "eval", "scores", "scores.import": what a section may be called.
std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
    for (const std::string& part : command_names(*command)) names.push_back(command->get_name() + "." + part);
  }
  return names;
}

// The command that is run: the innermost that was given; null before any.
const CLI::App* chosen_command(const CLI::App& app) {
  const CLI::App* chosen = nullptr;
  for (const CLI::App* at = &app; !at->get_subcommands().empty(); at = chosen) chosen = at->get_subcommands().front();
  return chosen;
}

// {"scores", "import"}
std::vector<std::string> path_of(const CLI::App& command) {
  if (command.get_parent() == nullptr) return {};
  std::vector<std::string> path = path_of(*command.get_parent());
  path.push_back(command.get_name());
  return path;
}

[[noreturn]] void refuse(const std::string& file, const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::kConfig, file + ": " + what, hint);
}

}  // namespace

std::vector<std::string> flag_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_configurable()) continue;
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<CLI::ConfigItem> ConfigFile::from_config(std::istream& input) const {
  const auto file = app_.get_config_ptr()->as<std::string>();
  const CLI::App* chosen = chosen_command(app_);
  const std::vector<std::string> commands = command_names(app_);
  std::istringstream text(without_comments(input));
  std::vector<CLI::ConfigItem> chosen_items;
  std::set<std::pair<std::string, std::string>> seen;
  for (CLI::ConfigItem& item : ConfigBase::from_config(text)) {
    const bool is_section_mark = item.name == "++" || item.name == "--";
    const std::string section = CLI::detail::join(item.parents, ".");
    if (!item.parents.empty() && std::ranges::find(commands, section) == commands.end())
      refuse(file, "unknown section [" + section + "]", suggestion(section, commands));
    if (is_section_mark || (item.parents.empty() && chosen == nullptr)) continue;
    const CLI::App* command = item.parents.empty() ? chosen : &app_;
    for (const std::string& name : item.parents) command = command->get_subcommand(name);
    const std::vector<std::string> known = flag_names(*command);
    if (std::ranges::find(known, "--" + item.name) == known.end())
      refuse(file, "unknown key \"" + item.name + "\" for " + command->get_name(), suggestion("--" + item.name, known));
    if (!seen.emplace(CLI::detail::join(path_of(*command), "."), item.name).second)
      refuse(file, "the key \"" + item.name + "\" is given twice",
             "several values are a list: " + item.name + " = [\"a\", \"b\"]");
    if (command != chosen) continue;
    item.parents = path_of(*command);
    chosen_items.push_back(std::move(item));
  }
  return chosen_items;
}

}  // namespace lmbits::cli
