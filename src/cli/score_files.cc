#include "src/cli/score_files.h"

#include "src/core/csv.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/report/table.h"

namespace lmbits::cli {

std::map<std::string, std::string> read_map(const std::string& file, const std::string& key, const std::string& value) {
  const CsvTable csv = parse_csv(read_file(file), file);
  const auto from = csv.find(key), to = csv.find(value);
  if (!from || !to)
    throw Error(ErrorKind::kData, file + " lacks the column \"" + (from ? value : key) + "\"",
                "its first line is " + key + "," + value);
  std::map<std::string, std::string> map;
  for (const CsvRow& row : csv.rows) {
    const auto [there, is_new] = map.emplace(row.cells[*from], row.cells[*to]);
    if (!is_new && there->second != row.cells[*to])
      throw Error(ErrorKind::kData,
                  file + ", line " + std::to_string(row.line) + ": " + key + " " + row.cells[*from] +
                      " is there twice, as " + there->second + " and " + row.cells[*to],
                  "keep one of them");
  }
  return map;
}

std::vector<Score> read_scores(const std::vector<std::string>& files, const ImportOptions& options) {
  std::vector<Score> scores;
  for (const std::string& file : files) {
    const ImportedScores imported = import_scores(read_file(file), file, options);
    scores.insert(scores.end(), imported.scores.begin(), imported.scores.end());
  }
  return scores;
}

std::string printable_lines(const std::string& text) {
  std::string safe;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    safe += printable(text.substr(begin, end - begin)) + "\n";
    begin = end + 1;
  }
  return safe;
}

}  // namespace lmbits::cli
