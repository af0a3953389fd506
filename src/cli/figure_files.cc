#include "src/cli/figure_files.h"

#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <set>

#include "src/cli/command.h"
#include "src/core/error.h"
#include "src/core/file.h"

extern char** environ;

namespace lmbits::cli {
namespace {

void convert(const std::string& format, const std::filesystem::path& svg, const std::filesystem::path& to) {
  std::vector<std::string> words = {"rsvg-convert", "--format=" + format, "--zoom=2", "--output=" + to.string(),
                                    "--",           svg.string()};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, words[0].c_str(), nullptr, nullptr, arguments.data(), environ);
  int status = 0;
  while (failed == 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const bool missing = failed != 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127);
  if (missing)
    throw Error(ErrorKind::kUnsupported, "rsvg-convert is not installed: no " + to.string(),
                "install librsvg2-bin, or take the SVG files");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    throw Error(ErrorKind::kData, "rsvg-convert could not turn " + svg.string() + " into " + to.string(),
                "its message is above");
}

// The figure's name, with a number where an earlier one has it.
std::string unused_stem(const std::string& name, std::set<std::string>& used) {
  std::string stem = name;
  for (int i = 2; !used.insert(stem).second; ++i) stem = name + "-" + std::to_string(i);
  return stem;
}

}  // namespace

std::vector<std::filesystem::path> write_figures(const std::vector<Figure>& figures,
                                                 const std::filesystem::path& folder,
                                                 const std::vector<std::string>& formats) {
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure)
    throw Error(ErrorKind::kData, "cannot create " + folder.string() + ": " + failure.message(),
                "choose another folder");
  std::vector<std::filesystem::path> written;
  std::set<std::string> used;
  for (const Figure& figure : figures) {
    const std::string stem = unused_stem(figure.name, used);
    const std::filesystem::path svg = folder / (stem + ".svg");
    write_file_atomically(svg, figure.drawing.svg(Look::kAdaptive));
    written.push_back(svg);
    for (const std::string& format : formats) {
      if (format == "svg") continue;
      written.push_back(folder / (stem + "." + format));
      convert(format, svg, written.back());
    }
  }
  return written;
}

void add_figure_flags(const Command& command, std::string& folder, std::vector<std::string>& formats) {
  const Flag figures = command.add_option("--figures", folder, "A folder for the figures as files");
  command.add_option("--figure-format", formats, "svg (default, always written), png, pdf; several allowed")
      .one_of({"svg", "png", "pdf"})
      .needs(figures);
}

}  // namespace lmbits::cli
