#include "src/scaling/published.h"

#include <cmath>

namespace lmbits {
namespace {

Parameters chinchilla(double e, double a, double b, double alpha, double beta) {
  return {std::log(e), std::log(a), std::log(b), alpha, beta};
}

}  // namespace

const std::vector<PublishedLaw>& published_laws() {
  static const std::vector<PublishedLaw> all = {
      {"hoffmann2022", "chinchilla", chinchilla(1.6934, 406.4, 410.7, 0.3392, 0.2849),
       "Hoffmann et al. 2022 (arXiv:2203.15556), exponents unrounded"},
      {"hoffmann2022-rounded", "chinchilla", chinchilla(1.69, 406.4, 410.7, 0.34, 0.28),
       "Hoffmann et al. 2022 (arXiv:2203.15556), eq. 10 as printed"},
      {"besiroglu2024", "chinchilla", chinchilla(1.8172, 482.01, 2085.43, 0.3478, 0.3658),
       "Besiroglu et al. 2024 (arXiv:2404.10102), table 1"},
      {"kaplan2020",
       "kaplan-nd",
       {std::log(6.4e13), std::log(1.8e13), 0.076, 0.103},
       "Kaplan et al. 2020 (arXiv:2001.08361), table 2; N without embeddings"},
      {"kaplan2020-n",
       "kaplan-n",
       {-40.0, 0.076 * std::log(8.8e13), 0.076},
       "Kaplan et al. 2020, eq. 1.1; N without embeddings"},
      {"kaplan2020-d", "kaplan-d", {-40.0, 0.095 * std::log(5.4e13), 0.095}, "Kaplan et al. 2020, eq. 1.2"},
      {"muennighoff2023",
       "data-constrained",
       {0.6254804, 6.255414, 7.3049974, 0.3526596, 0.3526596, std::log(15.387756), std::log(5.309743)},
       "Muennighoff et al. 2023 (arXiv:2305.16264), appendix A"},
  };
  return all;
}

const PublishedLaw* find_published(const std::string& name) {
  for (const PublishedLaw& law : published_laws()) {
    if (law.name == name) return &law;
  }
  return nullptr;
}

namespace kaplan {
double loss_of_params(double n) { return std::pow(8.8e13 / n, 0.076); }
double loss_of_tokens(double d) { return std::pow(5.4e13 / d, 0.095); }
double loss_of_compute(double pf_days) { return std::pow(1.6e7 / pf_days, 0.057); }
double loss_of_least_compute(double pf_days) { return std::pow(3.1e8 / pf_days, 0.050); }
double loss_of_params_and_steps(double n, double s) { return std::pow(6.5e13 / n, 0.077) + std::pow(2.1e3 / s, 0.76); }
double critical_batch(double loss) { return 2e8 / std::pow(loss, 1.0 / 0.21); }
double best_params(double pf_days) { return 1.3e9 * std::pow(pf_days, 0.73); }
double best_batch(double pf_days) { return 2.0e6 * std::pow(pf_days, 0.24); }
double best_steps(double pf_days) { return 5.4e3 * std::pow(pf_days, 0.03); }
double best_tokens(double pf_days) { return 2e10 * std::pow(pf_days, 0.27); }
}  // namespace kaplan

double brown_loss(double pf_days) { return 2.57 * std::pow(pf_days, -0.048); }

Contradiction kaplan_contradiction(const KaplanExponents& exponents) {
  // (3.1e8 / C)^gamma = (5.4e13 / (2e10 C^t))^b, in logarithms linear in log C.
  const double log_c = (exponents.data * std::log(5.4e13 / 2e10) - exponents.compute * std::log(3.1e8)) /
                       (exponents.data * exponents.tokens - exponents.compute);
  const double c = std::exp(log_c);
  return {c, kaplan::best_params(c), 2e10 * std::pow(c, exponents.tokens),
          std::exp(exponents.compute * (std::log(3.1e8) - log_c))};
}

}  // namespace lmbits
