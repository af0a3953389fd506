// The flags of commands that rank runs.
#pragma once
#include <string>

#include "src/report/rank_report.h"

namespace lmbits::cli {

class Command;

struct RankFlags {
  std::string by = "bits_per_byte", method = "bca";
  RankRequest request;
};

void add_rank_flags(const Command& command, RankFlags& flags);

// What the flags ask for, on all threads there are.
RankRequest rank_request(const RankFlags& flags);

}  // namespace lmbits::cli
