// A command and its flags: what lmbits uses of CLI11, under CLI11's names, compiled once. CLI11 2.1 is header-only: each
// file that reads it compiles all of it again, for seconds.
#pragma once
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lmbits::cli {

// One option. A handle: copies mean the same option, which lives as long as the program's CLI::App.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}

  Flag required() const;
  Flag capture_default_str() const;            // --help shows the value that the variable has now
  Flag needs(const Flag& other) const;         // given without it is a usage error
  Flag excludes(const Flag& other) const;      // so is given beside it
  Flag group(const std::string& title) const;  // where --help lists it
  Flag delimiter(char separator) const;        // "a,b" are two values
  Flag allow_extra_args(bool several) const;   // does it take all values that follow? Lists do
  Flag one_of(const std::vector<std::string>& values) const;
  Flag positive() const;
  Flag not_negative() const;
  template <typename Number>
  Flag in_range(Number low, Number high) const {  // both ends included
    if constexpr (std::is_floating_point_v<Number>)
      return in_real_range(low, high);
    else
      return in_whole_range(low, high);
  }

 private:
  Flag in_real_range(double low, double high) const;
  Flag in_whole_range(long low, long high) const;

  CLI::Option* option_;
};

// One command. A handle, as Flag.
class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  Command add_subcommand(const std::string& name, const std::string& description) const;
  // `names`: "-o,--output", or "POOL,--pool" where it may stand without its name. `value` must outlive parsing. For the
  // types that command.cc lists; another one is a link error.
  template <typename Value>
  Flag add_option(const std::string& names, Value& value, const std::string& description) const;
  Flag add_flag(const std::string& names, bool& value, const std::string& description) const;

  void footer(const std::string& text) const;              // ends --help
  void callback(const std::function<void()>& work) const;  // runs once the command line is read
  void require_subcommand() const;                         // a usage error without one
  void fallthrough() const;                                // its flags may follow a subcommand's name
  Command get_subcommand(const std::string& name) const;
  Flag get_option(const std::string& name) const;
  bool parsed() const;                 // was it given?
  bool has_parsed_subcommand() const;  // was one of its own?

 private:
  CLI::App* app_;
};

}  // namespace lmbits::cli
