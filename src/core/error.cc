#include "src/core/error.h"

#include <utility>

namespace lmbits {

Error::Error(ErrorKind kind, const std::string& what, std::string hint)
    : std::runtime_error(what), kind_(kind), hint_(std::move(hint)) {}

Error::~Error() = default;

}  // namespace lmbits
