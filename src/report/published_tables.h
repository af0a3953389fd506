// Tables of papers, carried in the program: configs/published, which says where each is from.
#pragma once
#include <string>

#include "src/core/csv.h"

namespace lmbits {

// By the file's name without ".csv". std::logic_error where there is none.
CsvTable published_table(const std::string& name);

}  // namespace lmbits
