// Published laws and constants, each with its source.
#pragma once
#include <string>
#include <vector>

#include "src/scaling/law.h"

namespace lmbits {

struct PublishedLaw {
  std::string name;  // "besiroglu2024"
  std::string law;   // a name of make_law
  Parameters p;      // as fitted
  std::string source;
};

const std::vector<PublishedLaw>& published_laws();
// nullptr where there is none of the name.
const PublishedLaw* find_published(const std::string& name);

inline constexpr double kFlopsPerPfDay = 8.64e19;  // 1e15 FLOP/s for a day

// Kaplan et al. 2020 (arXiv:2001.08361), N without embeddings, nats per token of WebText2; C in PF-days.
namespace kaplan {
double loss_of_params(double n);                      // (8.8e13 / N)^0.076, eq. 1.1
double loss_of_tokens(double d);                      // (5.4e13 / D)^0.095, eq. 1.2
double loss_of_compute(double pf_days);               // (1.6e7 / C)^0.057, at a fixed batch
double loss_of_least_compute(double pf_days);         // (3.1e8 / Cmin)^0.050, eq. 1.3
double loss_of_params_and_steps(double n, double s);  // (6.5e13 / N)^0.077 + (2.1e3 / Smin)^0.76, eq. 1.6
double critical_batch(double loss);                   // 2e8 / L^(1 / 0.21) tokens, eq. 1.4
double best_params(double pf_days);                   // 1.3e9 C^0.73, table 6
double best_batch(double pf_days);                    // 2.0e6 C^0.24 tokens
double best_steps(double pf_days);                    // 5.4e3 C^0.03
double best_tokens(double pf_days);                   // 2e10 C^0.27
}  // namespace kaplan

// GPT-3's place: Brown et al. 2020 (arXiv:2005.14165), figure 3.1: L = 2.57 C^-0.048, C in PF-days; 3,640 of them.
inline constexpr double kGpt3PfDays = 3640.0;
double brown_loss(double pf_days);

// Where Kaplan et al.'s L(Cmin) falls below the L(D) of the tokens that a compute-optimal model could have seen,
// D = 2e10 C^0.27: their section 6.3 puts it near 1e4 PF-days, 1e12 parameters and 1e12 tokens, L near 1.7, and says that
// the numbers are uncertain by an order of magnitude.
struct Contradiction {
  double pf_days, n, d, loss;
};
struct KaplanExponents {
  double compute = 0.050, data = 0.095, tokens = 0.27;  // of L(Cmin), L(D), and D(C)
};
Contradiction kaplan_contradiction(const KaplanExponents& exponents);

}  // namespace lmbits
