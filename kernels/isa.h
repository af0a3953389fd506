// The instruction sets a CPU kernel is compiled for, and which of them this machine has.
#pragma once

namespace lmbits::kernels {

enum class Isa {
  kScalar,  // what the compiler's baseline offers (SSE2, NEON)
  kAvx2,    // AVX2 and FMA
  kAvx512,  // AVX-512F
};

inline constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};

// Compiled in, supported by the processor and enabled by the operating system.
bool isa_available(Isa isa);

// The widest one available.
Isa best_isa();

// "scalar", "avx2" or "avx512".
const char* isa_name(Isa isa);

}  // namespace lmbits::kernels
