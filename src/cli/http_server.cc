#include "src/cli/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <chrono>
#include <exception>
#include <stop_token>
#include <thread>

#include "src/core/error.h"
#include "src/core/stop.h"

namespace lmbits::cli {
namespace {

constexpr std::size_t kMostBodyBytes = 1024;
constexpr time_t kPatienceS = 5;
constexpr std::chrono::milliseconds kPause{50};

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// "localhost:8080", "[::1]:8080" without their ports.
std::string without_port(const std::string& host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

void send(httplib::Response& response, const HttpAnswer& answer) {
  response.status = answer.status;
  response.set_content(answer.body, answer.type);
}

}  // namespace

void serve_http(const std::string& host, int port, const HttpHandler& handler, const std::function<void(int)>& ready) {
  httplib::Server server;
  server.set_payload_max_length(kMostBodyBytes);
  server.set_read_timeout(kPatienceS, 0);
  server.set_write_timeout(kPatienceS, 0);
  server.set_keep_alive_max_count(100);
  server.set_socket_options([](socket_t socket) {  // the library's own would let another program share the port
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_default_headers({{"Cache-Control", "no-store"},
                              {"X-Content-Type-Options", "nosniff"},
                              {"Referrer-Policy", "no-referrer"},
                              {"Content-Security-Policy",
                               "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                               "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"}});
  server.set_pre_routing_handler([&](const httplib::Request& request, httplib::Response& response) {
    using Handled = httplib::Server::HandlerResponse;
    if (is_loopback(host) && !is_loopback(without_port(request.get_header_value("Host")))) {
      send(response, {403, "text/plain; charset=utf-8", "this server answers to its own address only\n"});
      return Handled::Handled;
    }
    if (request.method != "GET" && request.method != "HEAD") {
      response.set_header("Allow", "GET, HEAD");
      send(response, {405, "text/plain; charset=utf-8", "read-only\n"});
      return Handled::Handled;
    }
    if (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0") {
      send(response, {413, "text/plain; charset=utf-8", "no body is wanted\n"});
      return Handled::Handled;
    }
    return Handled::Unhandled;
  });
  server.Get(".*", [&](const httplib::Request& request, httplib::Response& response) {
    send(response, handler(request.path, {request.params.begin(), request.params.end()}));
  });
  server.set_exception_handler([](const httplib::Request&, httplib::Response& response, std::exception_ptr failure) {
    HttpAnswer answer{.status = 500};
    try {
      std::rethrow_exception(failure);
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::kUsage) answer.status = 400;
      answer.body = std::string(e.what()) + "\n" + e.hint() + "\n";
    } catch (const std::exception& e) {
      answer.body = std::string(e.what()) + "\n";
    }
    send(response, answer);
  });
  const int bound = port == 0 ? server.bind_to_any_port(host) : server.bind_to_port(host, port) ? port : -1;
  if (bound < 0)
    throw Error(ErrorKind::kConfig, "cannot listen on " + host + ":" + std::to_string(port),
                "another program may have the port: --port 0 takes a free one");
  ready(bound);
  const std::jthread watch([&](const std::stop_token& ended) {
    while (!stop_requested() && !ended.stop_requested()) std::this_thread::sleep_for(kPause);
    server.stop();
  });
  server.listen_after_bind();
}

}  // namespace lmbits::cli
