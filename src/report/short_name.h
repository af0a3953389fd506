// Names that are too long for their place.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace lmbits {

// "checkpoint-12000" -> "check…-12000": names of checkpoints differ at their ends. `width` is in terminal cells
// (display_width of table.h), at least 2.
std::string shortened(std::string_view text, std::size_t width);

}  // namespace lmbits
