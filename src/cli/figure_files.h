// Figures as files: SVG, and what librsvg's program makes of it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "src/report/run_figures.h"

namespace lmbits::cli {

class Command;

// Writes each figure below `folder` (created where it is not there) in each of the formats "svg", "png" (twice the size
// in pixels, light) and "pdf". Returns the paths. Throws Error(kUnsupported) where rsvg-convert is needed and not
// installed, Error(kData) where a file cannot be written.
std::vector<std::filesystem::path> write_figures(const std::vector<Figure>& figures,
                                                 const std::filesystem::path& folder,
                                                 const std::vector<std::string>& formats);

// --figures and --figure-format, the same for every command that draws.
void add_figure_flags(const Command& command, std::string& folder, std::vector<std::string>& formats);

}  // namespace lmbits::cli
