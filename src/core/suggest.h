// "Did you mean": the known name nearest to what was typed.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

// The smallest number of single-character insertions, deletions, replacements and swaps of neighbours that turns `a`
// into `b` (the "optimal string alignment" form of the Damerau-Levenshtein distance; Damerau 1964, doi 10.1145/363958.363994).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of `known`, the first of several equally near; empty where none is near: further than a third of the
// longer name's length (at least one edit is always allowed) and not continuing what was typed.
std::string nearest_name(std::string_view given, const std::vector<std::string>& known);

// "did you mean NAME?", or "known: A, B, C" where none is near.
std::string suggestion(std::string_view given, const std::vector<std::string>& known);

}  // namespace lmbits
