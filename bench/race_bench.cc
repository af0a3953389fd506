// What share of all tokens does a race between models take, and how often is it wrong? Races over simulated late
// checkpoints of one run, and over the runs of a folder (`lmbits eval --split 1024`), each in a fresh random order.
//
// race_bench [--races N] [--seed N] [--only WORDS] [--runs DIR] [--tuned SHARE] [--min N]
//
// --only: the rows whose names hold WORDS. --runs: also the rows of a folder's runs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>

#include "src/core/error.h"
#include "src/core/thread_pool.h"
#include "src/stats/race.h"
#include "src/stats/random.h"
#include "src/store/run_directory.h"

using namespace lmbits;

namespace {

struct Family {
  std::vector<std::vector<double>> bits;      // [model][piece]
  std::vector<std::vector<double>> controls;  // [control][piece]
};

double normal(Random& random) {  // Box & Muller 1958
  const double u = 1.0 - random.uniform(), v = random.uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * M_PI * v);
}

// Checkpoints k = 0 ... K - 1 of one run, each `gap` better than the one before: bits of a piece of 1 KiB are
//   base (1 + gap (K - 1 - k) h + s w_k),
// h (mean 1, sd 0.3) for pieces that gain more than others from training, s (mean square 1, log-normal) for those that
// scatter more, w a random walk over the checkpoints plus noise of each, so that relative paired differences have the
// variance 4.1e-5 + 2.2e-5 lag, which was measured on neighbouring checkpoints of a demo model.
Family late_checkpoints(std::size_t n_models, std::int64_t n_pieces, double gap, Random& random) {
  Family family;
  family.bits.assign(n_models, std::vector<double>(static_cast<std::size_t>(n_pieces)));
  for (std::size_t p = 0; p < static_cast<std::size_t>(n_pieces); ++p) {
    const double base = 1024.0 * 1.9 * std::exp(0.25 * normal(random));
    const double h = 1.0 + 0.3 * normal(random), s = std::exp(0.4 * normal(random) - 0.16);
    double walk = 0.0;
    for (std::size_t k = 0; k < n_models; ++k) {
      walk += std::sqrt(2.2e-5) * normal(random);
      const double w = walk + std::sqrt(4.1e-5 / 2.0) * normal(random);
      family.bits[k][p] = base * (1.0 + gap * static_cast<double>(n_models - 1 - k) * h + s * w);
    }
  }
  return family;
}

// The models' pieces over all corpora of a folder; a corpus is a category.
Family of_runs(const std::string& folder) {
  std::map<std::string, std::map<std::string, std::map<std::string, const DocumentRecord*>>> records;
  const std::vector<Run> runs = read_runs(folder);
  std::set<std::string> models;
  for (const Run& run : runs) {
    const std::string model = run.manifest["model"]["name"], corpus = run.manifest["corpus"]["name"];
    models.insert(model);
    for (const DocumentRecord& record : run.records) records[corpus][record.id][model] = &record;
  }
  Family family;
  family.bits.resize(models.size());
  std::vector<std::int64_t> n_bytes;
  std::vector<std::size_t> category;
  std::size_t c = 0;
  for (const auto& [corpus, documents] : records) {
    for (const auto& [id, of_model] : documents) {
      if (of_model.size() != models.size()) continue;
      std::size_t m = 0;
      for (const auto& [model, record] : of_model) family.bits[m++].push_back(record->bits);
      n_bytes.push_back(of_model.begin()->second->n_bytes);
      category.push_back(c);
    }
    ++c;
  }
  family.controls = race_controls(n_bytes, category);
  return family;
}

struct Tally {
  std::vector<double> shares;
  int n_wrong = 0;
};

std::vector<double> in_order(const std::vector<double>& values, const std::vector<std::uint32_t>& order) {
  std::vector<double> out(values.size());
  for (std::size_t p = 0; p < order.size(); ++p) out[p] = values[order[p]];
  return out;
}

// One race in a random order of the pieces: the share of all scores that it took; whether a claim was wrong.
std::pair<double, bool> race(const Family& family, const RaceOptions& options, Random random) {
  const std::size_t n_models = family.bits.size(), n_pieces = family.bits[0].size();
  std::vector<std::uint32_t> order(n_pieces);
  std::iota(order.begin(), order.end(), 0u);
  for (std::size_t p = n_pieces; p > 1; --p)
    std::swap(order[p - 1], order[random.below(static_cast<std::uint32_t>(p))]);
  std::vector<std::vector<double>> controls;
  for (const auto& control : family.controls) controls.push_back(in_order(control, order));
  Race race(n_models, static_cast<std::int64_t>(n_pieces), controls, options);
  double n_scores = 0.0;
  while (!race.finished()) {
    const auto from = static_cast<std::size_t>(race.n_scored()), to = static_cast<std::size_t>(race.next_look());
    std::vector<std::vector<double>> bits(n_models);
    for (std::size_t m = 0; m < n_models; ++m) {
      if (!race.is_active(m)) continue;
      for (std::size_t p = from; p < to; ++p) bits[m].push_back(family.bits[m][order[p]]);
      n_scores += static_cast<double>(to - from);
    }
    race.advance(bits);
  }
  std::vector<double> total(n_models);
  for (std::size_t m = 0; m < n_models; ++m) {
    total[m] = std::accumulate(family.bits[m].begin(), family.bits[m].end(), 0.0);
  }
  const auto inverted = [&](std::size_t i, std::size_t j) {  // i claimed to be before j, wrongly
    return total[i] > (1.0 + options.zone) * total[j] * (1.0 + 1e-12);
  };
  bool wrong = false;
  const std::vector<std::size_t> result = race.order();
  if (options.goal == RaceGoal::kTop) {
    for (std::size_t a = 0; a < options.top; ++a) {
      for (std::size_t b = options.top; b < n_models; ++b) wrong = wrong || inverted(result[a], result[b]);
    }
  } else {
    for (std::size_t i = 0; i < n_models; ++i) {
      for (std::size_t j = 0; j < n_models; ++j) wrong = wrong || (race.is_before(i, j) && inverted(i, j));
    }
  }
  return {n_scores / static_cast<double>(n_models * n_pieces), wrong};
}

struct Row {
  std::string name;
  std::size_t n_models = 0;
  std::int64_t n_pieces = 0;
  double gap = 0.0;
  RaceOptions options;
  double aim = 0.0;
  bool equal = false;  // the difference of two models is taken out
};

void print(const Row& row, const Tally& tally) {
  std::vector<double> shares = tally.shares;
  std::sort(shares.begin(), shares.end());
  const double n = static_cast<double>(shares.size());
  const double mean = std::accumulate(shares.begin(), shares.end(), 0.0) / n;
  std::printf("%-44s %6zu races   share %.4f  p90 %.4f", row.name.c_str(), shares.size(), mean,
              shares[static_cast<std::size_t>(0.9 * (n - 1.0))]);
  if (row.aim > 0.0) std::printf("  aim %.3f", row.aim);
  std::printf("   wrong %.2f %% (at most %.0f %%)\n", 100.0 * tally.n_wrong / n, 100.0 * (1.0 - row.options.level));
  std::fflush(stdout);
}

// Models i and j of a family whose difference is taken out, but for a millionth of a bit a piece that the first needs more.
Family made_equal(const Family& family, std::size_t i, std::size_t j) {
  Family pair{{family.bits[i], family.bits[j]}, family.controls};
  const auto n = static_cast<double>(pair.bits[0].size());
  double difference = 0.0;
  for (std::size_t p = 0; p < pair.bits[0].size(); ++p) difference += pair.bits[1][p] - pair.bits[0][p];
  for (double& value : pair.bits[0]) value += difference / n + 1e-6;
  return pair;
}

// `per_family` races over each simulated family.
Tally simulate(const Row& row, int n_races, int per_family, std::uint64_t seed) {
  Tally tally;
  const int n_families = (n_races + per_family - 1) / per_family;
  std::vector<std::pair<double, bool>> results(static_cast<std::size_t>(n_families * per_family));
  parallel_for(n_families, 2, [&](std::int64_t f) {
    Random random(seed, static_cast<std::uint64_t>(f));
    Family family = late_checkpoints(row.n_models, row.n_pieces, row.gap, random);
    if (row.equal) family = made_equal(family, 0, 1);
    for (int r = 0; r < per_family; ++r) {
      const auto k = static_cast<std::size_t>(f * per_family + r);
      results[k] = race(family, row.options, Random(seed + 1, k));
    }
  });
  for (const auto& [share, wrong] : results) {
    tally.shares.push_back(share);
    tally.n_wrong += wrong;
  }
  return tally;
}

Tally over(const Family& family, const RaceOptions& options, int n_races, std::uint64_t seed) {
  Tally tally;
  std::vector<std::pair<double, bool>> results(static_cast<std::size_t>(n_races));
  parallel_for(n_races, 2, [&](std::int64_t r) {
    results[static_cast<std::size_t>(r)] = race(family, options, Random(seed, static_cast<std::uint64_t>(r)));
  });
  for (const auto& [share, wrong] : results) {
    tally.shares.push_back(share);
    tally.n_wrong += wrong;
  }
  return tally;
}

RaceOptions goal(RaceGoal goal, double zone) {
  RaceOptions options;
  options.goal = goal;
  options.zone = zone;
  return options;
}

// All pairs of a family, made equal. The worst of so many is bad by chance, too, so the three worst race again.
void race_equal_pairs(const Family& family, const RaceOptions& options, int n_races, std::uint64_t seed) {
  Tally all;
  std::vector<std::pair<int, Family>> pairs;
  for (std::size_t i = 0; i + 1 < family.bits.size(); ++i) {
    for (std::size_t j = i + 1; j < family.bits.size(); ++j) {
      Family pair = made_equal(family, i, j);
      const Tally tally = over(pair, options, std::max(200, n_races / 5), seed + i * 1000 + j);
      all.shares.insert(all.shares.end(), tally.shares.begin(), tally.shares.end());
      all.n_wrong += tally.n_wrong;
      pairs.emplace_back(tally.n_wrong, std::move(pair));
    }
  }
  print({"pairs of the folder, no difference", 0, 0, 0.0, options}, all);
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (std::size_t k = 0; k < std::min<std::size_t>(3, pairs.size()); ++k) {
    print({"  the worst of them, raced again", 0, 0, 0.0, options},
          over(pairs[k].second, options, n_races, seed + 999999));
  }
}

}  // namespace

int main(int argc, char** argv) {
  int n_races = 1000;
  std::uint64_t seed = 1;
  std::string runs, only;
  std::optional<double> tuned;
  std::optional<std::int64_t> min_pieces;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (i + 1 == argc) {
      std::fprintf(stderr, "race_bench: %s needs a value\n", flag.c_str());
      return 2;
    } else if (flag == "--races") {
      n_races = std::atoi(argv[++i]);
    } else if (flag == "--seed") {
      seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (flag == "--only") {
      only = argv[++i];
    } else if (flag == "--runs") {
      runs = argv[++i];
    } else if (flag == "--tuned") {
      tuned = std::atof(argv[++i]);
    } else if (flag == "--min") {
      min_pieces = std::atoll(argv[++i]);
    }
  }
  const auto tune = [&](RaceOptions options) {
    if (tuned) options.tuned_share = *tuned;
    if (min_pieces) options.min_pieces = *min_pieces;
    return options;
  };
  const auto wanted = [&](const std::string& name) { return name.find(only) != std::string::npos; };
  const RaceOptions order = tune(goal(RaceGoal::kOrder, 0.0)), zone = tune(goal(RaceGoal::kOrder, 0.001)),
                    best = tune(goal(RaceGoal::kTop, 0.0));
  const std::vector<Row> rows = {{"50 late, 5,000 pieces, order", 50, 5000, 0.001, order, 0.25},
                                 {"50 late, 5,000 pieces, order, zone 0.1 %", 50, 5000, 0.001, zone, 0.09},
                                 {"50 late, 5,000 pieces, best", 50, 5000, 0.001, best, 0.02},
                                 {"50 late, 50,000 pieces, order", 50, 50000, 0.001, order, 0.03},
                                 {"50 late, 50,000 pieces, order, zone 0.1 %", 50, 50000, 0.001, zone, 0.012},
                                 {"50 late, 50,000 pieces, best", 50, 50000, 0.001, best},
                                 {"two late, gap 0.1 %, 5,000 pieces", 2, 5000, 0.001, order},
                                 {"two late, no difference, 5,000 pieces", 2, 5000, 0.0, order, 0.0, true}};
  for (const Row& row : rows) {
    if (wanted(row.name)) print(row, simulate(row, n_races, row.n_pieces > 10000 ? 20 : 5, seed));
  }
  if (runs.empty()) return 0;
  const Family family = of_runs(runs);
  const std::string name =
      std::to_string(family.bits.size()) + " models of the folder, " + std::to_string(family.bits[0].size());
  for (const Row& row :
       {Row{name + ", order", 0, 0, 0.0, order, 0.4}, Row{name + ", order, zone 0.1 %", 0, 0, 0.0, zone},
        Row{name + ", order, zone 0.5 %", 0, 0, 0.0, tune(goal(RaceGoal::kOrder, 0.005))},
        Row{name + ", best", 0, 0, 0.0, best}}) {
    if (wanted(row.name)) print(row, over(family, row.options, n_races, seed));
  }
  if (wanted("pairs of the folder")) race_equal_pairs(family, order, n_races, seed);
}
