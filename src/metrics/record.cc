#include "src/metrics/record.h"

#include <algorithm>
#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr std::int64_t kSmallestBlock = 4096;
constexpr std::int64_t kMostBlocks = 1024;
constexpr std::size_t kMostCategories = 40;  // more are no tables for people

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::kData, "document record: " + what, "the fields of a record are listed in docs/formats.md");
}

const Json& at(const Json& json, const std::string& key) {
  const auto found = json.find(key);
  if (found == json.end()) refuse("`" + key + "` is missing");
  return *found;
}

std::int64_t get_count(const Json& value, const std::string& key) {
  const std::int64_t count = value.is_number_integer() ? value.get<std::int64_t>() : -1;  // 2^63 and more wrap below 0
  if (count < 0) refuse("`" + key + "` is " + value.dump() + ", not a count");
  return count;
}

double get_number(const Json& value, const std::string& key) {
  if (!value.is_number()) refuse("`" + key + "` is " + value.dump() + ", not a number");
  return value.get<double>();
}

std::string get_string(const Json& value, const std::string& key) {
  if (!value.is_string()) refuse("`" + key + "` is " + value.dump() + ", not a string");
  return value.get<std::string>();
}

// JSON strings are UTF-8, ids (a file's name, say) need not be.
std::string with_replacement_characters(const std::string& bytes) {
  return Json::parse(Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

std::string to_hex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

std::string from_hex(const std::string& hex) {
  if (hex.size() % 2 != 0 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
    refuse("`id_hex` is \"" + hex + "\", not bytes in hex");
  }
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

void read_status(const Json& json, DocumentRecord& record) {
  const std::string status = get_string(at(json, "status"), "status");
  if (status == "ok") {
    record.bits = get_number(at(json, "bits"), "bits");
    record.bits_squared = get_number(at(json, "bits_squared"), "bits_squared");
  } else if (status == "failed") {
    record.error = get_string(at(json, "error"), "error");
    if (record.error.empty()) refuse("`status` is \"failed\" but `error` is empty");
  } else {
    refuse("`status` is \"" + status + "\", not \"ok\" or \"failed\"");
  }
}

void read_blocks(const Json& json, DocumentRecord& record) {
  if (!json.contains("block_bytes")) return;
  record.block_bytes = get_count(at(json, "block_bytes"), "block_bytes");
  const Json& blocks = at(json, "block_bits");
  if (!blocks.is_array()) refuse("`block_bits` is not an array");
  record.block_bits.reserve(blocks.size());
  for (const Json& bits : blocks) record.block_bits.push_back(get_number(bits, "block_bits"));
}

// A sum that loses no more than the last bit: the error of each addition is added up too (Neumaier 1974, ZAMM 54).
class CompensatedSum {
 public:
  void add(double x) {
    const double sum = sum_ + x;
    error_ += std::abs(sum_) >= std::abs(x) ? (sum_ - sum) + x : (x - sum) + sum_;
    sum_ = sum;
  }
  double value() const { return sum_ + error_; }

 private:
  double sum_ = 0.0;
  double error_ = 0.0;
};

}  // namespace

std::int64_t block_bytes_for(std::int64_t n_bytes) {
  std::int64_t block = kSmallestBlock;
  while ((n_bytes - 1) / block >= kMostBlocks) block *= 2;
  return block;
}

bool leaves_much_unscored(std::int64_t n_scored, std::int64_t n_tokens) { return 10 * n_scored < 9 * n_tokens; }

std::string category_of(const DocumentRecord& record) {
  if (!record.category.empty()) return record.category;
  const std::size_t slash = record.id.find('/');
  return slash == std::string::npos ? std::string() : record.id.substr(0, slash);
}

std::map<std::string, std::vector<DocumentRecord>> by_category(const std::vector<DocumentRecord>& records) {
  std::map<std::string, std::vector<DocumentRecord>> categories;
  for (const DocumentRecord& record : records) categories[category_of(record)].push_back(record);
  if (categories.size() < 2 || categories.size() > kMostCategories) categories.clear();
  return categories;
}

Json to_json(const DocumentRecord& record) {
  const bool failed = !record.error.empty();
  const auto is_finite = [](double bits) { return std::isfinite(bits); };
  LMBITS_CHECK(failed || (is_finite(record.bits) && is_finite(record.bits_squared)));
  LMBITS_CHECK(std::all_of(record.block_bits.begin(), record.block_bits.end(), is_finite));
  LMBITS_CHECK(record.block_bits.empty() || record.block_bytes > 0);
  Json json;
  json["id"] = with_replacement_characters(record.id);
  if (json["id"] != record.id) json["id_hex"] = to_hex(record.id);
  if (!record.category.empty()) json["category"] = with_replacement_characters(record.category);
  json["n_bytes"] = record.n_bytes;
  json["n_chars"] = record.n_chars;
  json["n_tokens"] = record.n_tokens;
  json["n_scored"] = record.n_scored;
  json["n_forward"] = record.n_forward;
  json["n_words"] = record.n_words;
  json["bits"] = failed ? Json(nullptr) : Json(record.bits);
  json["bits_squared"] = failed ? Json(nullptr) : Json(record.bits_squared);
  json["lossless"] = record.lossless;
  json["status"] = failed ? "failed" : "ok";
  if (failed) json["error"] = with_replacement_characters(record.error);
  if (record.block_bytes > 0) {
    json["block_bytes"] = record.block_bytes;
    json["block_bits"] = record.block_bits;
  }
  json["baselines"] = Json::object();
  for (const auto& [name, n_bytes] : record.baselines) json["baselines"][name] = n_bytes;
  return json;
}

DocumentRecord record_from_json(const Json& json) {
  if (!json.is_object()) refuse("it is not a JSON object");
  DocumentRecord record;
  record.id = get_string(at(json, "id"), "id");
  if (json.contains("id_hex")) record.id = from_hex(get_string(at(json, "id_hex"), "id_hex"));
  if (json.contains("category")) record.category = get_string(at(json, "category"), "category");
  record.n_bytes = get_count(at(json, "n_bytes"), "n_bytes");
  record.n_chars = get_count(at(json, "n_chars"), "n_chars");
  record.n_tokens = get_count(at(json, "n_tokens"), "n_tokens");
  record.n_scored = get_count(at(json, "n_scored"), "n_scored");
  record.n_forward = get_count(at(json, "n_forward"), "n_forward");
  record.n_words = get_count(at(json, "n_words"), "n_words");
  const Json& lossless = at(json, "lossless");
  if (!lossless.is_boolean()) refuse("`lossless` is " + lossless.dump() + ", not true or false");
  record.lossless = lossless.get<bool>();
  read_status(json, record);
  read_blocks(json, record);
  const Json& baselines = at(json, "baselines");
  if (!baselines.is_object()) refuse("`baselines` is " + baselines.dump() + ", not an object");
  for (const auto& [name, n_bytes] : baselines.items()) {
    record.baselines[name] = get_count(n_bytes, "baselines." + name);
  }
  return record;
}

std::optional<double> Totals::bits_per_byte() const {
  if (n_scored == 0 || n_bytes == 0) return std::nullopt;
  return bits / static_cast<double>(n_bytes);
}

std::optional<double> Totals::bits_per_char() const {
  if (n_scored == 0 || n_chars == 0) return std::nullopt;
  return bits / static_cast<double>(n_chars);
}

std::optional<double> Totals::bits_per_token() const {
  if (n_scored == 0) return std::nullopt;
  return bits / static_cast<double>(n_scored);
}

std::optional<double> Totals::ratio() const {
  if (n_scored == 0 || bits <= 0.0) return std::nullopt;
  return 8.0 * static_cast<double>(n_bytes) / bits;
}

Totals total(const std::vector<DocumentRecord>& records) {
  Totals totals;
  CompensatedSum bits;
  for (const DocumentRecord& record : records) {
    if (!record.error.empty()) {
      ++totals.n_failed;
      continue;
    }
    ++totals.n_documents;
    totals.n_lossy += record.lossless ? 0 : 1;
    totals.n_bytes += record.n_bytes;
    totals.n_chars += record.n_chars;
    totals.n_tokens += record.n_tokens;
    totals.n_scored += record.n_scored;
    totals.n_forward += record.n_forward;
    bits.add(record.bits);
  }
  totals.bits = bits.value();
  return totals;
}

}  // namespace lmbits
