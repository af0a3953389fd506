// Answers GET and HEAD over HTTP/1.1; all else is refused.
#pragma once
#include <functional>
#include <map>
#include <string>

namespace lmbits::cli {

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body = {};
};

using HttpHandler =
    std::function<HttpAnswer(const std::string& path, const std::multimap<std::string, std::string>& query)>;

// Until stop_requested(). `port` 0: a free one; `ready` is told which. On a loopback address only requests whose Host is
// one are answered (403), so that no web page reaches it through a name of its own. A body is refused (413), an address or
// a header above 8 KiB too (414, 400), another method (405). Throws Error(kConfig) where the address cannot be listened on, Error(kUnsupported) in a build without
// cpp-httplib.
void serve_http(const std::string& host, int port, const HttpHandler& handler, const std::function<void(int)>& ready);

}  // namespace lmbits::cli
