// Files that several commands about scores read.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "src/report/compression_table.h"
#include "src/tasks/score_import.h"

namespace lmbits::cli {

// A CSV file with two named columns as a map. Throws Error(kData) where a column is missing or a key has two values.
std::map<std::string, std::string> read_map(const std::string& file, const std::string& key, const std::string& value);

// Scores of files of any format that `lmbits scores import` reads.
std::vector<Score> read_scores(const std::vector<std::string>& files, const ImportOptions& options);

// Printable text that keeps its newlines.
std::string printable_lines(const std::string& text);

}  // namespace lmbits::cli
