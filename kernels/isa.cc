#include "kernels/isa.h"

#include <stdexcept>
#include <string>

#include "kernels/dispatch.h"

namespace lmbits::kernels {

bool isa_available(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kScalar:
      return true;
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f");
  }
#endif
  return isa == Isa::kScalar;
}

Isa best_isa() {
  static const Isa best = isa_available(Isa::kAvx512) ? Isa::kAvx512
                          : isa_available(Isa::kAvx2) ? Isa::kAvx2
                                                      : Isa::kScalar;
  return best;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kScalar:
      break;
  }
  return "scalar";
}

const Bodies& bodies(Isa isa) {
  if (!isa_available(isa)) throw std::logic_error(std::string("this machine has no ") + isa_name(isa));
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512Bodies;
  if (isa == Isa::kAvx2) return kAvx2Bodies;
#endif
  return kScalarBodies;
}

}  // namespace lmbits::kernels
