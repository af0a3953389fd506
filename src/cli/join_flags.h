// The flags of commands that join compression with scores.
#pragma once
#include <string>
#include <vector>

#include "src/report/correlate_report.h"

namespace lmbits::cli {

class Command;

struct JoinFlags {
  std::string compression;  // a folder of runs, or a CSV file; may stay empty where the command allows
  std::vector<std::string> scores, areas, leave_out;
  std::string metric, names_file, families_file, convention;
  bool percent = false;
};

// What the flags name, read.
struct JoinInput {
  std::vector<Run> runs;
  CompressionTable table;
  std::vector<Score> scores;
  JoinRequest request;  // without `by`
};

void add_join_flags(const Command& command, JoinFlags& flags);
JoinInput read_join(const JoinFlags& flags);

}  // namespace lmbits::cli
