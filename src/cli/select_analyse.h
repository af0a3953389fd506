// `lmbits select analyse`, a command below `lmbits select`; and its part of `lmbits report`.
#pragma once
#include <cstdint>
#include <string>

#include "src/report/run_report.h"

namespace lmbits::cli {

class Command;

void add_select_analyse(const Command& select);

struct SampleSectionRequest {
  std::string path;  // a data set, as select's POOL
  std::string field = "text";
  std::int64_t n_shown = 40;
};
// How redundant a data set is, with the heat map of its first samples. Throws Error as Pool does.
ReportSection samples_section(const SampleSectionRequest& request);

}  // namespace lmbits::cli
