#include "src/cli/scaling_flags.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>

#include "src/cli/command.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/scaling/run_points.h"

namespace lmbits::cli {

std::map<std::string, std::string> parse_pairs(const std::vector<std::string>& pairs, const std::string& flag) {
  std::map<std::string, std::string> all;
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    if (equals == 0 || equals >= pair.size() - 1)
      throw Error(ErrorKind::kUsage, flag + " " + pair + " is no NAME=VALUE", "write it as " + flag + " NAME=VALUE");
    if (!all.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second)
      throw Error(ErrorKind::kUsage, flag + " gives " + pair.substr(0, equals) + " twice");
  }
  return all;
}

double parse_number(const std::string& text, const std::string& flag) {
  std::string digits = text;
  double factor = 1.0, value = 0.0;
  const std::string suffixes = "KMBT";
  if (const auto at = digits.empty() ? std::string::npos : suffixes.find(digits.back()); at != std::string::npos) {
    constexpr double kFactors[] = {1e3, 1e6, 1e9, 1e12};
    factor = kFactors[at];
    digits.pop_back();
  }
  const auto [stop, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc() || stop != digits.data() + digits.size())
    throw Error(ErrorKind::kUsage, flag + " is \"" + text + "\", not a number", "write it as 7e10 or 70B");
  return factor * value;
}

void add_points_flags(const Command& command, PointsFlags& flags) {
  command
      .add_option("DATA", flags.file,
                  "CSV with columns N and D (or C) and loss, usual aliases are understood; or a folder of runs")
      .required();
  command.add_option("--corpus", flags.corpus, "Runs on disk: of this corpus (default: the mean over all)");
  command.add_option("--column", flags.columns, "N=NAME: which column holds N (D, C, U, H, S, loss, weight, run, set)");
  command.add_option("--scale", flags.scale, "N=1e6: what 1 in the file stands for");
  command.add_option("--exclude", flags.request.exclude, "COLUMN<VALUE (also <= > >= = !=): rows to leave out");
  command.add_option("--loss-unit", flags.unit, "nats/token (default), bits/token or bits/byte")
      .one_of({"nats/token", "bits/token", "bits/byte"});
  command.add_option("--bytes-per-token", flags.request.bytes_per_token, "Turns bits/byte into nats/token").positive();
}

namespace {

// The runs below a folder, as a CSV file would give them: of one corpus, or the means over all.
std::string csv_of_runs(const PointsFlags& flags) {
  const RunPoints read = run_points(read_runs(flags.file));
  std::vector<RunPoint> points = read.points;
  if (!flags.corpus.empty()) {
    std::erase_if(points, [&](const RunPoint& point) { return point.corpus != flags.corpus; });
  } else if (std::any_of(points.begin(), points.end(),
                         [&](const RunPoint& point) { return point.corpus != points.front().corpus; })) {
    points = mean_over_corpora(points);
  }
  if (points.empty())
    throw Error(ErrorKind::kData, "no run in " + flags.file + " has parameters and training steps",
                read.left_out.empty() ? "look at --corpus" : read.left_out.front());
  return runs_csv(points);
}

}  // namespace

Points read_points(const PointsFlags& flags) {
  PointsRequest request = flags.request;
  const bool is_folder = std::filesystem::is_directory(flags.file);
  if (!is_folder && !flags.corpus.empty())
    throw Error(ErrorKind::kUsage, "--corpus chooses among runs on disk, and " + flags.file + " is no folder",
                "leave rows of a file out with --exclude");
  for (const LossUnit unit : {LossUnit::kNatsPerToken, LossUnit::kBitsPerToken, LossUnit::kBitsPerByte}) {
    if (flags.unit == name_of(unit)) request.unit = unit;
  }
  request.columns = parse_pairs(flags.columns, "--column");
  for (const auto& [key, value] : parse_pairs(flags.scale, "--scale"))
    request.scale[key] = parse_number(value, "--scale");
  return lmbits::read_points(is_folder ? csv_of_runs(flags) : read_file(flags.file), flags.file, request);
}

void add_law_flags(const Command& command, LawFlags& flags) {
  command.add_option("LAW", flags.law, "A fit's file, a published law, or NAME=VALUE,...").required();
  command.add_option("--complexity", flags.complexity, "Gzip laws: the data's H").positive();
  command
      .add_option("--blend", flags.blend,
                  "Take this share of LAW and the rest of --with, parameter by parameter (default 1)")
      .in_range(0.0, 1.0);
  command.add_option("--with", flags.blend_with, "The law to blend with (default hoffmann2022)");
}

KnownLaw find_law(const LawFlags& flags) {
  KnownLaw law = lmbits::find_law(flags.law);
  if (flags.complexity > 0.0) law = at_complexity(law, flags.complexity);
  return flags.blend < 1.0 ? blended(lmbits::find_law(flags.blend_with), law, flags.blend) : law;
}

}  // namespace lmbits::cli
