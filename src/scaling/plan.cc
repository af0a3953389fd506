#include "src/scaling/plan.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"

namespace lmbits {
namespace {

// Closed form where there is one.
Allocation best_at(const Law& law, const Parameters& p, double flops, const PlanRequest& request) {
  if (law.name() == "chinchilla") return compute_optimal(p, flops);
  return compute_optimal(law, p, flops, request.unique_tokens);
}

void check(const KnownLaw& known) {
  const auto variables = known.law->variables();
  const auto has = [&](Variable v) { return std::find(variables.begin(), variables.end(), v) != variables.end(); };
  if (!has(Variable::kParams) || !has(Variable::kTokens))
    throw Error(ErrorKind::kUsage, known.law->name() + " does not depend on both N and D: it has no best size",
                "give a law of N and D");
  if (has(Variable::kComplexity))
    throw Error(ErrorKind::kUsage, "the gzip law needs the data's H",
                "give it with --complexity; lmbits gzip-complexity measures it");
}

double loss_at(const KnownLaw& known, double n, double d, const PlanRequest& request) {
  ScalingPoint point;
  point.at(Variable::kParams) = n;
  point.at(Variable::kTokens) = d;
  point.at(Variable::kUniqueTokens) = request.unique_tokens.value_or(d);
  return known.loss(point);
}

}  // namespace

std::vector<PlanRow> plan(const KnownLaw& law, const PlanRequest& request) {
  check(law);
  std::vector<PlanRow> rows;
  for (const double flops : request.flops) {
    const auto quantity = [&](auto of) {
      return law.interval([&](const Parameters& p) { return of(best_at(*law.law, p, flops, request)); }, request.level);
    };
    rows.push_back({flops, best_at(*law.law, law.p, flops, request), quantity([](const Allocation& a) { return a.n; }),
                    quantity([](const Allocation& a) { return a.d; }),
                    quantity([](const Allocation& a) { return a.d / a.n; }),
                    quantity([](const Allocation& a) { return a.loss; })});
  }
  return rows;
}

std::vector<MisSized> mis_sized(const KnownLaw& law, double flops, const PlanRequest& request) {
  check(law);
  const Allocation best = best_at(*law.law, law.p, flops, request);
  std::vector<MisSized> rows;
  for (const double factor : {0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0}) {
    const double n = factor * best.n, d = best.d / factor, loss = loss_at(law, n, d, request);
    double lo = std::log(flops) - 40.0, hi = std::log(flops);  // of the compute that reaches the loss at the best size
    for (int i = 0; i < 60; ++i) {
      const double middle = 0.5 * (lo + hi);
      (best_at(*law.law, law.p, std::exp(middle), request).loss > loss ? lo : hi) = middle;
    }
    rows.push_back({factor, n, d, loss, factor == 1.0 ? 0.0 : 1.0 - std::exp(hi) / flops});
  }
  return rows;
}

std::vector<SweepRun> sweep(const KnownLaw& law, const SweepRequest& wanted, const PlanRequest& request) {
  check(law);
  double shares = 0.0;
  for (int k = 0; k < wanted.n_budgets; ++k) shares += std::pow(wanted.step, -k);
  std::vector<SweepRun> runs;
  for (int k = wanted.n_budgets; k-- > 0;) {
    const double flops = wanted.budget / wanted.n_sizes / shares * std::pow(wanted.step, -k);
    const Allocation best = best_at(*law.law, law.p, flops, request);
    for (int i = 0; i < wanted.n_sizes; ++i) {
      const double n =
          best.n * std::pow(wanted.spread, wanted.n_sizes > 1 ? 2.0 * i / (wanted.n_sizes - 1) - 1.0 : 0.0);
      runs.push_back({flops, n, flops / (6.0 * n)});
    }
  }
  return runs;
}

}  // namespace lmbits
