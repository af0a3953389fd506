// The flags that the commands of `lmbits scaling` share, and the subcommands themselves, one file each.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "src/scaling/known_law.h"
#include "src/scaling/points.h"

namespace lmbits::cli {

class Command;

// How to read trained models from a file, or from the runs below a folder.
struct PointsFlags {
  std::string file, unit, corpus;
  std::vector<std::string> columns, scale;
  PointsRequest request;
};
void add_points_flags(const Command& command, PointsFlags& flags);
Points read_points(const PointsFlags& flags);  // throws as lmbits::read_points does

// A law, taken at the data's H and blended with another where asked to.
struct LawFlags {
  std::string law, blend_with = "hoffmann2022";
  double complexity = 0.0, blend = 1.0;
};
void add_law_flags(const Command& command, LawFlags& flags);
KnownLaw find_law(const LawFlags& flags);

// "KEY=VALUE" of a flag, as a map. Throws Error(kUsage) naming the flag.
std::map<std::string, std::string> parse_pairs(const std::vector<std::string>& pairs, const std::string& flag);
// A number with a decimal point, an exponent or K, M, B, T behind it. Throws Error(kUsage) naming the flag.
double parse_number(const std::string& text, const std::string& flag);

void add_scaling_fit(const Command& scaling);
void add_scaling_predict(const Command& scaling);
void add_scaling_plan(const Command& scaling);
void add_scaling_isoflop(const Command& scaling);
void add_scaling_envelope(const Command& scaling);
void add_scaling_reconcile(const Command& scaling);
void add_scaling_runs(const Command& scaling);

}  // namespace lmbits::cli
