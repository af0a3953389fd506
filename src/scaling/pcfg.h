// Corpora of a set complexity: sentences of random probabilistic context-free grammars, as Pandey 2024
// (arXiv:2405.16684) draws them.
//
// A grammar has nonterminals and terminals 1, 2, ...; each nonterminal has 1 to `max_options` right sides, each of 1 to
// `max_length` symbols, all uniform, symbols uniform over all of them; right sides have integer weights 1 to 100. The
// start symbol is any nonterminal. Sentences follow each other, 0 between them; a document is the next so many ids.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/stats/random.h"

namespace lmbits {

struct PcfgSetting {
  std::string name;  // "3-20-2-2"
  std::uint32_t nonterminals = 0, terminals = 0, max_options = 0, max_length = 0;
  double published_h = 0.0;  // 0: not published
};

// The six published settings with their H. Throws Error(kUsage) for text that is neither a preset's name nor NT-T-OPTIONS-LENGTH.
const std::vector<PcfgSetting>& pcfg_presets();
PcfgSetting parse_pcfg_setting(const std::string& text);

// Expected nonterminals on a right side, (max_length + 1) / 2 nonterminals / (nonterminals + terminals): from 1 on the
// grammars of a setting do not end, on average.
double expected_branching(const PcfgSetting& setting);

class Grammar {
 public:
  Grammar(const PcfgSetting& setting, std::uint64_t seed);

  // The spectral radius of the matrix of expected nonterminals of each kind on each one's right side, over what a start
  // symbol can reach: below 1 sentences end with probability 1 and have a finite mean length (Harris 1963, theorem
  // II.7.1), which `mean_length` is; infinite otherwise.
  double branching() const { return branching_; }
  double mean_length() const { return mean_length_; }
  std::uint32_t n_terminals() const { return setting_.terminals; }
  const PcfgSetting& setting() const { return setting_; }

 private:
  friend class PcfgStream;
  void measure();

  PcfgSetting setting_;
  // A nonterminal's right sides are [first_[n], first_[n + 1]) of the alias table; those of an option are symbols
  // [begin, end), terminals positive, nonterminal n as -1 - n, last symbol first (a stack takes them in that order).
  struct Option {
    std::uint32_t begin, end;
    std::uint64_t threshold;  // alias method (Walker 1977, doi:10.1145/355744.355749): below it this one, else `alias`
    std::uint32_t alias;
    double probability;
  };
  std::vector<std::uint32_t> first_;
  std::vector<Option> options_;
  std::vector<std::int32_t> symbols_;
  double branching_ = 0.0, mean_length_ = 0.0;
};

// The ids of a corpus, sentence after sentence, in constant memory. Where a grammar is supercritical a symbol deeper than
// `max_depth` is dropped, so what comes out depends on it.
class PcfgStream {
 public:
  PcfgStream(const Grammar& grammar, std::uint64_t seed, std::uint32_t max_depth = 200);
  void fill(std::span<std::int32_t> ids);

 private:
  struct Pending {
    std::int32_t symbol;
    std::uint32_t depth;
  };
  const Grammar* grammar_;
  Random random_;
  std::uint32_t max_depth_;
  std::vector<Pending> stack_;
  bool begun_ = false;
};

}  // namespace lmbits
