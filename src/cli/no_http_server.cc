#include "src/cli/http_server.h"
#include "src/core/error.h"

namespace lmbits::cli {

void serve_http(const std::string&, int, const HttpHandler&, const std::function<void(int)>&) {
  throw Error(ErrorKind::kUnsupported, "this lmbits was built without an HTTP library",
              "install libcpp-httplib-dev, configure and build again");
}

}  // namespace lmbits::cli
