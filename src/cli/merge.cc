// lmbits merge: partial runs of one work, from several folders, into one.
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/score_files.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/store/partial_runs.h"

namespace lmbits::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits merge node1/runs node2/runs -o runs\n"
    "  lmbits merge runs -o runs                what workers left that were killed\n"
    "\n"
    "Runs of the same name (MODEL__CORPUS__CONVENTION) below the folders, and the parts in them, become one: each "
    "document\n"
    "once, whoever scored it. They must be of the same model, tokenizer, corpus and convention. Merging again changes\n"
    "nothing, and the sources stay (but for parts in -o itself). A run whose source had its summary keeps it where "
    "nothing\n"
    "was added; the others get theirs from the `lmbits eval` they come from, with -o: it computes only what is "
    "missing.";

struct MergeFlags {
  std::vector<std::string> sources;
  std::string output;
  bool json = false;
};

struct Merged {
  std::size_t n_sources = 0;
  Folded folded;
  std::size_t n_documents = 0;
  bool finished = false;
};

// The runs that are to be one: those of a name, each followed by its parts.
std::map<std::string, std::vector<Run>> runs_by_name(const std::vector<std::string>& sources) {
  std::map<std::string, std::vector<Run>> runs;
  for (const std::string& source : sources) {
    std::error_code none;
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(source, none))
      if (entry.is_directory() && entry.path().filename().string().find("__") != std::string::npos)
        folders.push_back(entry.path());
    if (folders.empty())
      throw Error(ErrorKind::kData, source + " holds no runs", "name folders that `lmbits eval -o` wrote to");
    for (const fs::path& folder : folders) {
      std::vector<Run>& same = runs[folder.filename().string()];
      if (fs::exists(folder / "manifest.json")) same.push_back(read_run(folder));
      for (const fs::path& part : parts_of(folder))
        if (fs::exists(part / "manifest.json")) same.push_back(read_run(part));
    }
  }
  std::erase_if(runs, [](const auto& named) { return named.second.empty(); });
  return runs;
}

Merged merge(const std::string& name, const std::vector<Run>& sources, const fs::path& output) {
  Merged merged;
  const fs::path path = output / name;
  Json summary;  // of a source that was finished
  {
    RunWriter into(path, sources[0].manifest);
    const Run before = read_run(path);
    std::unordered_map<std::string, double> known = known_bits(before);
    for (const Run& source : sources) {
      if (!source.summary.is_null()) summary = source.summary;
      if (fs::exists(path) && fs::equivalent(source.path, path)) continue;
      fold_run(source, /*with_failed=*/false, before.manifest, known, into, merged.folded);
      ++merged.n_sources;
    }
    fold_parts(path, /*with_failed=*/false, into);
    merged.n_documents = read_run(path).records.size();
    if (!summary.is_null() && !fs::exists(path / "summary.json") && summary["n_documents"] == merged.n_documents)
      into.finish(summary);
  }
  merged.finished = fs::exists(path / "summary.json");
  return merged;
}

int run(const MergeFlags& flags) {
  Json all = Json::array();
  std::string text;
  for (const auto& [name, sources] : runs_by_name(flags.sources)) {
    const Merged merged = merge(name, sources, flags.output);
    const Folded& folded = merged.folded;
    all.push_back({{"run", name},
                   {"n_documents", merged.n_documents},
                   {"n_added", folded.n_records},
                   {"n_known", folded.n_known},
                   {"disagreements", folded.disagreements},
                   {"finished", merged.finished}});
    text += name + ": " + std::to_string(merged.n_documents) + " documents, " + std::to_string(folded.n_records) +
            " of them new" + (merged.finished ? "" : "; no summary yet: lmbits eval ... -o " + flags.output) + "\n";
    if (!folded.disagreements.empty())
      text += "  ! " + std::to_string(folded.disagreements.size()) + " documents have other bits elsewhere, " +
              folded.disagreements[0] + " for one: the first were kept\n";
  }
  print(flags.json ? all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : printable_lines(text));
  return 0;
}

}  // namespace

void add_merge(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<MergeFlags>();
  const Command command = app.add_subcommand("merge", "Fold partial runs, of several workers or nodes, into one");
  command.footer(kHelp);
  command.add_option("DIR", flags->sources, "Folders of runs").required();
  command.add_option("-o,--output", flags->output, "Folder of the merged runs").required();
  command.add_flag("--json", flags->json, "Print what was merged as JSON");
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
