// The history as pages, made when somebody asks: what `lmbits serve` shows.
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace lmbits {

struct Page {
  std::string type = "text/html; charset=utf-8";
  std::string body;
};

using Query = std::multimap<std::string, std::string>;

// "/": runs, newest last, and bits/byte over time; corpus=, model= (with * and ?), convention= and last= choose runs.
// "/run/ID": one run's documents. "/api/runs": the same runs as JSON. "/night", "/latest.json", "/junit.xml",
// "/metrics": what `lmbits nightly` left beside the database, where it did. nullopt: there is no such page. Nothing but
// these files is ever read, whatever the path says.
//
// Throws Error as History does; Error(kUsage) for a query that says nothing (last=many).
std::optional<Page> history_page(const std::filesystem::path& database, const std::string& path, const Query& query);

}  // namespace lmbits
