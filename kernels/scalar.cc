#include "kernels/bodies_simd.h"
#include "kernels/simd_scalar.h"

namespace lmbits::kernels {

constinit const Bodies kScalarBodies = all_bodies<Scalar>();

}  // namespace lmbits::kernels
