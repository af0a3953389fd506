#include "src/cli/command.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>

namespace lmbits::cli {

Flag Flag::required() const { return Flag(option_->required()); }
Flag Flag::capture_default_str() const { return Flag(option_->capture_default_str()); }
Flag Flag::needs(const Flag& other) const { return Flag(option_->needs(other.option_)); }
Flag Flag::excludes(const Flag& other) const { return Flag(option_->excludes(other.option_)); }
Flag Flag::group(const std::string& title) const { return Flag(option_->group(title)); }
Flag Flag::delimiter(char separator) const { return Flag(option_->delimiter(separator)); }
Flag Flag::allow_extra_args(bool several) const { return Flag(option_->allow_extra_args(several)); }
Flag Flag::one_of(const std::vector<std::string>& values) const { return Flag(option_->check(CLI::IsMember(values))); }
Flag Flag::positive() const { return Flag(option_->check(CLI::PositiveNumber)); }
Flag Flag::not_negative() const { return Flag(option_->check(CLI::NonNegativeNumber)); }
Flag Flag::in_real_range(double low, double high) const { return Flag(option_->check(CLI::Range(low, high))); }
Flag Flag::in_whole_range(long low, long high) const { return Flag(option_->check(CLI::Range(low, high))); }

Command Command::add_subcommand(const std::string& name, const std::string& description) const {
  return Command(*app_->add_subcommand(name, description));
}

template <typename Value>
Flag Command::add_option(const std::string& names, Value& value, const std::string& description) const {
  return Flag(app_->add_option(names, value, description));
}
template Flag Command::add_option(const std::string&, std::string&, const std::string&) const;
template Flag Command::add_option(const std::string&, int&, const std::string&) const;
template Flag Command::add_option(const std::string&, unsigned&, const std::string&) const;
template Flag Command::add_option(const std::string&, long&, const std::string&) const;
template Flag Command::add_option(const std::string&, unsigned long&, const std::string&) const;
template Flag Command::add_option(const std::string&, double&, const std::string&) const;
template Flag Command::add_option(const std::string&, std::optional<long>&, const std::string&) const;
template Flag Command::add_option(const std::string&, std::optional<double>&, const std::string&) const;
template Flag Command::add_option(const std::string&, std::filesystem::path&, const std::string&) const;
template Flag Command::add_option(const std::string&, std::vector<std::string>&, const std::string&) const;
template Flag Command::add_option(const std::string&, std::vector<double>&, const std::string&) const;

Flag Command::add_flag(const std::string& names, bool& value, const std::string& description) const {
  return Flag(app_->add_flag(names, value, description));
}

void Command::footer(const std::string& text) const { app_->footer(text); }
void Command::callback(const std::function<void()>& work) const { app_->callback(work); }
void Command::require_subcommand() const { app_->require_subcommand(1); }
void Command::fallthrough() const { app_->fallthrough(); }
Command Command::get_subcommand(const std::string& name) const { return Command(*app_->get_subcommand(name)); }
Flag Command::get_option(const std::string& name) const { return Flag(app_->get_option(name)); }
bool Command::parsed() const { return app_->parsed(); }
bool Command::has_parsed_subcommand() const { return !app_->get_subcommands().empty(); }

}  // namespace lmbits::cli
