#include "kernels/bodies_simd.h"
#include "kernels/simd_avx2.h"

namespace lmbits::kernels {

constinit const Bodies kAvx2Bodies = all_bodies<Avx2>();

}  // namespace lmbits::kernels
