#include "src/scaling/pcfg.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "src/core/error.h"
#include "src/core/suggest.h"

namespace lmbits {

const std::vector<PcfgSetting>& pcfg_presets() {
  static const std::vector<PcfgSetting> all = {
      {"3-20-2-2", 3, 20, 2, 2, 0.11},         {"10-150-5-3", 10, 150, 5, 3, 0.22},
      {"20-300-10-5", 20, 300, 10, 5, 0.35},   {"30-400-10-8", 30, 400, 10, 8, 0.42},
      {"50-500-20-15", 50, 500, 20, 15, 0.51}, {"100-2000-100-30", 100, 2000, 100, 30, 0.61}};
  return all;
}

PcfgSetting parse_pcfg_setting(const std::string& text) {
  std::vector<std::string> names;
  for (const PcfgSetting& preset : pcfg_presets()) {
    if (preset.name == text) return preset;
    names.push_back(preset.name);
  }
  PcfgSetting setting;
  setting.name = text;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  std::uint32_t* const fields[] = {&setting.nonterminals, &setting.terminals, &setting.max_options,
                                   &setting.max_length};
  for (std::uint32_t* field : fields) {
    const auto [stop, failure] = std::from_chars(at, end, *field);
    const bool last = field == &setting.max_length;
    if (failure != std::errc() || *field == 0 || *field > 1000000 || (last ? stop != end : stop == end || *stop != '-'))
      throw Error(ErrorKind::kUsage, "\"" + text + "\" is no grammar setting",
                  "write NONTERMINALS-TERMINALS-OPTIONS-LENGTH; " + suggestion(text, names));
    at = last ? stop : stop + 1;
  }
  return setting;
}

double expected_branching(const PcfgSetting& s) {
  return 0.5 * (s.max_length + 1.0) * s.nonterminals / (static_cast<double>(s.nonterminals) + s.terminals);
}

Grammar::Grammar(const PcfgSetting& setting, std::uint64_t seed) : setting_(setting) {
  Random random(seed, 0);
  const std::uint32_t n_symbols = setting.nonterminals + setting.terminals;
  first_.push_back(0);
  for (std::uint32_t n = 0; n < setting.nonterminals; ++n) {
    const std::uint32_t n_options = 1 + random.below(setting.max_options);
    std::vector<double> weights;
    for (std::uint32_t o = 0; o < n_options; ++o) {
      const auto begin = static_cast<std::uint32_t>(symbols_.size());
      const std::uint32_t length = 1 + random.below(setting.max_length);
      for (std::uint32_t s = 0; s < length; ++s) {
        const std::uint32_t symbol = random.below(n_symbols);
        symbols_.push_back(symbol < setting.nonterminals
                               ? -1 - static_cast<std::int32_t>(symbol)
                               : static_cast<std::int32_t>(symbol - setting.nonterminals + 1));
      }
      weights.push_back(1.0 + random.below(100));
      options_.push_back({begin, static_cast<std::uint32_t>(symbols_.size()), 0, 0, 0.0});
    }
    // Walker's table: options with less than the mean share take the rest of their slot from one with more.
    double total = 0.0;
    for (const double w : weights) total += w;
    std::vector<double> share;
    std::vector<std::uint32_t> small, large;
    for (std::uint32_t o = 0; o < n_options; ++o) {
      options_[first_.back() + o].probability = weights[o] / total;
      share.push_back(weights[o] / total * n_options);
      (share[o] < 1.0 ? small : large).push_back(o);
    }
    for (std::uint32_t o = 0; o < n_options; ++o)
      options_[first_.back() + o].threshold = std::numeric_limits<std::uint64_t>::max();
    while (!small.empty() && !large.empty()) {
      const std::uint32_t less = small.back(), more = large.back();
      small.pop_back();
      Option& option = options_[first_.back() + less];
      option.threshold = static_cast<std::uint64_t>(share[less] * 0x1p64);
      option.alias = more;
      share[more] -= 1.0 - share[less];
      if (share[more] >= 1.0) continue;
      large.pop_back();
      small.push_back(more);
    }
    first_.push_back(static_cast<std::uint32_t>(options_.size()));
  }
  measure();
}

void Grammar::measure() {
  // x -> c + M x, from 0, with c the expected terminals of a right side and M the expected nonterminals: the sentence
  // lengths cut at depth k, which converge exactly where the radius is below 1. M's growth from all ones is the radius.
  const std::size_t n = setting_.nonterminals;
  const auto apply = [&](const std::vector<double>& x, double of_terminal) {
    std::vector<double> y(n, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::uint32_t o = first_[i]; o < first_[i + 1]; ++o) {
        for (std::uint32_t s = options_[o].begin; s < options_[o].end; ++s)
          y[i] +=
              options_[o].probability * (symbols_[s] > 0 ? of_terminal : x[static_cast<std::size_t>(-1 - symbols_[s])]);
      }
    }
    return y;
  };
  constexpr int kSteps = 300;
  std::vector<double> growth(n, 1.0), length(n, 0.0);
  double log_growth = 0.0;
  for (int step = 0; step < kSteps; ++step) {
    growth = apply(growth, 0.0);
    length = apply(length, 1.0);
    const double largest = *std::max_element(growth.begin(), growth.end());
    if (largest == 0.0) break;
    if (step >= kSteps / 2) log_growth += std::log(largest) / (kSteps - kSteps / 2);
    for (double& g : growth) g /= largest;
  }
  const bool ends = *std::max_element(growth.begin(), growth.end()) == 0.0;
  branching_ = ends ? 0.0 : std::exp(log_growth);
  mean_length_ = std::numeric_limits<double>::infinity();
  if (branching_ < 1.0) {
    for (int step = 0; step < 20000; ++step) {
      std::vector<double> next = apply(length, 1.0);
      const bool settled = std::equal(next.begin(), next.end(), length.begin(),
                                      [](double a, double b) { return std::abs(a - b) <= 1e-12 * a; });
      length = std::move(next);
      if (settled) break;
    }
    mean_length_ = 0.0;
    for (const double l : length) mean_length_ += l / static_cast<double>(n);
  }
}

PcfgStream::PcfgStream(const Grammar& grammar, std::uint64_t seed, std::uint32_t max_depth)
    : grammar_(&grammar), random_(seed, 1), max_depth_(max_depth) {}

void PcfgStream::fill(std::span<std::int32_t> ids) {
  const Grammar& g = *grammar_;
  for (std::size_t at = 0; at < ids.size();) {
    if (stack_.empty()) {
      stack_.push_back({-1 - static_cast<std::int32_t>(random_.below(g.setting_.nonterminals)), 0});
      if (begun_) ids[at++] = 0;
      begun_ = true;
      continue;
    }
    const Pending top = stack_.back();
    stack_.pop_back();
    if (top.symbol > 0) {
      ids[at++] = top.symbol;
      continue;
    }
    if (top.depth >= max_depth_) continue;
    const auto n = static_cast<std::size_t>(-1 - top.symbol);
    std::uint32_t option = g.first_[n];
    if (const std::uint32_t n_options = g.first_[n + 1] - option; n_options > 1) {
      const std::uint32_t slot = random_.below(n_options);
      const bool own = random_.next() < g.options_[option + slot].threshold;
      option += own ? slot : g.options_[option + slot].alias;
    }
    for (std::uint32_t s = g.options_[option].begin; s < g.options_[option].end; ++s)
      stack_.push_back({g.symbols_[s], top.depth + 1});
  }
}

}  // namespace lmbits
