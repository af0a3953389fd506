// The measured demo family: tests/data/scaling/README.md.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "src/core/csv.h"
#include "src/core/file.h"
#include "src/scaling/run_points.h"

namespace lmbits {

inline std::string demo_file(const std::string& name) {
  return read_file(std::filesystem::path(std::getenv("LMBITS_SOURCE_DIR")) / "tests/data/scaling" / name);
}

inline std::vector<RunPoint> demo_family() {
  const CsvTable table = parse_csv(demo_file("demo_family.csv"), "demo_family.csv");
  std::vector<RunPoint> points;
  for (const CsvRow& row : table.rows) {
    const auto text = [&](const char* column) { return row.cells[*table.find(column)]; };
    const auto number = [&](const char* column) { return std::stod(text(column)); };
    points.push_back({text("model"), text("run"), text("corpus"), text("tokenizer"), number("N"),
                      number("non_embedding"), number("S"), number("D"), number("C"), number("bits_per_byte")});
  }
  return points;
}

inline std::map<std::string, double> demo_scores() { return read_scores(demo_file("demo_scores.csv"), "scores", ""); }

}  // namespace lmbits
