// lmbits serve: the history's pages, live, to look at in a browser.
#include <filesystem>
#include <memory>
#include <string>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/http_server.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/core/error.h"
#include "src/nightly/history_pages.h"
#include "src/store/history.h"

namespace lmbits::cli {
namespace {

constexpr const char* kHelp =
    "Example:\n"
    "  lmbits serve --db nightly/history.sqlite\n"
    "  http://127.0.0.1:8300/?corpus=prose&last=50\n"
    "\n"
    "Pages: / (runs, bits/byte over time), /run/ID, /api/runs (JSON), and what lmbits nightly left beside the "
    "database:\n"
    "/night, /latest.json, /junit.xml, /metrics. Each is made when it is asked for. Nothing is ever written. There is "
    "no\n"
    "login: beyond this machine (--host) put a server with one before it.";

struct ServeFlags {
  std::string database = "history.sqlite", host = "127.0.0.1";
  int port = 8300;
};

int run(const ServeFlags& flags) {
  stop_cleanly_on_signals();
  const History sound(flags.database, Sqlite::Access::kRead);  // says at once where there is none
  serve_http(
      flags.host, flags.port,
      [&](const std::string& path, const Query& query) {
        const std::optional<Page> page = history_page(std::filesystem::absolute(flags.database), path, query);
        return page ? HttpAnswer{200, page->type, page->body} : HttpAnswer{.status = 404, .body = "no such page\n"};
      },
      [&](int port) {
        print("http://" + flags.host + ":" + std::to_string(port) + "/   (Ctrl-C ends it)\n");
        std::fflush(stdout);
      });
  return 0;
}

}  // namespace

void add_serve(const Command& app, int& exit_code) {
  const auto flags = std::make_shared<ServeFlags>();
  const Command command = app.add_subcommand("serve", "Show the history in a browser: read-only, on this machine");
  command.footer(kHelp);
  command.add_option("--db", flags->database, "The database").capture_default_str();
  command.add_option("--host", flags->host, "Address to listen on").capture_default_str();
  command.add_option("--port", flags->port, "Port; 0: a free one").in_range(0, 65535).capture_default_str();
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
