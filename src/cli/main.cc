#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <new>

#include "src/cli/commands.h"
#include "src/core/error.h"

namespace lmbits::cli {
namespace {

int report(const Error& e) {
  std::fprintf(stderr, "lmbits: %s\n", e.what());
  if (!e.hint().empty()) std::fprintf(stderr, "  hint: %s\n", e.hint().c_str());
  return static_cast<int>(e.kind());
}

int run(int argc, char** argv) {
  CLI::App app{"How many bits does a language model need to store your text?"};
  app.name("lmbits");
  app.require_subcommand(1);
  int exit_code = 0;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    return static_cast<int>(ErrorKind::kUsage);
  }
  return exit_code;
}

}  // namespace
}  // namespace lmbits::cli

int main(int argc, char** argv) {
  try {
    return lmbits::cli::run(argc, argv);
  } catch (const lmbits::Error& e) {
    return lmbits::cli::report(e);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "lmbits: out of memory\n");
    return static_cast<int>(lmbits::ErrorKind::kOutOfMemory);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "lmbits: %s\n  hint: this is a bug in lmbits; please report it\n", e.what());
    return 1;
  }
}
