#include "src/cli/join_flags.h"

#include <filesystem>

#include "src/cli/command.h"
#include "src/cli/score_files.h"
#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/file.h"

namespace lmbits::cli {
namespace {

std::map<std::string, std::string> parse_areas(const std::vector<std::string>& areas) {
  std::map<std::string, std::string> map;
  for (const std::string& area : areas) {
    const std::size_t equals = area.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == area.size())
      throw Error(ErrorKind::kUsage, "--area " + area + " is not AREA=CORPUS", "write it as --area knowledge=cc");
    map[area.substr(0, equals)] = area.substr(equals + 1);
  }
  return map;
}

}  // namespace

void add_join_flags(const Command& command, JoinFlags& flags) {
  command.add_option("--scores", flags.scores,
                     "Scores, of any format that `lmbits scores import` reads; may be repeated");
  command.add_option("--area", flags.areas, "AREA=CORPUS: the corpus that goes with an area's scores; may be repeated");
  command.add_option("--metric", flags.metric, "The benchmarks' metric (default acc_norm, acc, exact_match ...)");
  command.add_option("--names", flags.names_file,
                     "CSV file with the columns score_name, model: other names for models");
  command.add_option("--families", flags.families_file,
                     "CSV file with the columns model, family: what is resampled as a whole");
  command.add_option("--leave-out", flags.leave_out, "Leave these models out");
  command.add_option("--convention", flags.convention, "Only runs of this convention");
  command.add_flag("--percent", flags.percent, "CSV scores are percents");
}

JoinInput read_join(const JoinFlags& flags) {
  JoinInput input;
  if (std::filesystem::is_directory(flags.compression)) {
    input.runs = read_runs(flags.compression);
    input.table = compression_of_runs(input.runs, flags.convention);
  } else {
    input.table = compression_of_csv(parse_csv(read_file(flags.compression), flags.compression));
  }
  if (!flags.families_file.empty()) set_families(input.table, read_map(flags.families_file, "model", "family"));
  input.request.metric = flags.metric;
  input.request.leave_out = flags.leave_out;
  input.request.corpus_of_area = parse_areas(flags.areas);
  if (!flags.names_file.empty()) input.request.names = read_map(flags.names_file, "score_name", "model");
  ImportOptions import;
  import.percent = flags.percent;
  input.scores = read_scores(flags.scores, import);
  if (!flags.scores.empty() && input.scores.empty())
    throw Error(ErrorKind::kData, flags.scores[0] + " holds no score", "see lmbits scores import --help");
  return input;
}

}  // namespace lmbits::cli
