#include "src/model/language_model.h"

namespace lmbits {

void LanguageModel::sum(const Batch& batch, const std::vector<std::int64_t>& begins,
                        std::vector<kernels::NllSum>& sums) const {
  std::vector<double> bits;
  score(batch, bits);
  const std::vector<float> narrow(bits.begin(), bits.end());
  sums.resize(begins.size() - 1);
  kernels::segment_sums_reference(narrow.data(), begins.data(), static_cast<std::int64_t>(sums.size()), sums.data());
}

}  // namespace lmbits
