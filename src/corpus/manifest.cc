#include "src/corpus/manifest.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/suggest.h"
#include "src/corpus/media.h"
#include "src/corpus/splitter.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

constexpr const char* kFormat = "lmbits-corpus-1";

// An object's keys, each asked for once; what nobody asked for is refused by name.
class Keys {
 public:
  Keys(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(where_ + " is " + object.type_name() + ", not an object");
  }

  const Json* find(const std::string& key) {
    known_.push_back(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  void text(const std::string& key, std::string& value) {
    const Json* found = find(key);
    if (found == nullptr) return;
    if (!found->is_string()) wrong(key, *found, "a string");
    value = found->get<std::string>();
  }

  void count(const std::string& key, std::optional<std::int64_t>& value) {
    const Json* found = find(key);
    if (found == nullptr) return;
    if (!found->is_number_integer() || found->get<std::int64_t>() < 0) wrong(key, *found, "a whole number from 0 on");
    value = found->get<std::int64_t>();
  }

  void check_unknown() const {
    for (const auto& item : object_.items()) {
      if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) continue;
      throw Error(ErrorKind::kConfig, where_ + " has the unknown key \"" + item.key() + "\"",
                  suggestion(item.key(), known_));
    }
  }

  [[noreturn]] void wrong(const std::string& key, const Json& value, const std::string& expected) const {
    fail(where_ + ": \"" + key + "\" is " + value.dump() + ", not " + expected);
  }
  [[noreturn]] static void fail(const std::string& what) {
    throw Error(ErrorKind::kConfig, what, "the keys of a corpus.json are listed in docs/formats.md");
  }

 private:
  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

void read_filters(const Json& json, const std::string& where, CorpusFilters& filters) {
  Keys keys(json, where);
  keys.count("min_bytes", filters.min_bytes);
  keys.count("max_bytes", filters.max_bytes);
  keys.count("min_chars", filters.min_chars);
  keys.count("max_chars", filters.max_chars);
  if (const Json* valid = keys.find("valid_utf8")) {
    if (!valid->is_boolean()) keys.wrong("valid_utf8", *valid, "true or false");
    filters.valid_utf8 = valid->get<bool>();
  }
  if (const Json* fields = keys.find("where")) {
    if (!fields->is_object()) keys.wrong("where", *fields, "an object");
    for (const auto& [field, wanted] : fields->items()) {
      if (wanted.is_object()) {
        Keys range(wanted, where + ".where." + field);
        for (const char* end : {"min", "max"}) {
          const Json* value = range.find(end);
          if (value != nullptr && !value->is_number()) range.wrong(end, *value, "a number");
        }
        range.check_unknown();
      }
      filters.where[field] = wanted;
    }
  }
  keys.check_unknown();
}

// The keys that a corpus and each of its sources may have.
void read_common(Keys& keys, const std::string& where, CorpusSource& source) {
  keys.text("field", source.field);
  keys.text("split", source.split);
  keys.text("patch", source.patch);
  keys.text("licence", source.licence);
  keys.text("category", source.category);
  keys.text("category_field", source.category_field);
  if (const Json* filters = keys.find("filters")) read_filters(*filters, where + ".filters", source.filters);
  parse_split(source.split);
  parse_patch(source.patch);
}

bool in_range(const nlohmann::json& value, const Json& range) {
  if (!value.is_number()) return false;
  const double x = value.get<double>();
  return (!range.contains("min") || x >= range["min"].get<double>()) &&
         (!range.contains("max") || x <= range["max"].get<double>());
}

bool is_wanted(const nlohmann::json* value, const Json& wanted) {
  if (value == nullptr) return wanted.is_null();
  if (wanted.is_object()) return in_range(*value, wanted);
  const auto equals = [&](const Json& one) { return nlohmann::json::parse(one.dump()) == *value; };
  return wanted.is_array() ? std::any_of(wanted.begin(), wanted.end(), equals) : equals(wanted);
}

template <typename Record>
Record* find_member(Record* at, const std::string& key) {
  if (at->is_object()) {
    const auto found = at->find(key);
    return found == at->end() ? nullptr : &*found;
  }
  std::size_t place = 0;
  const auto [end, status] = std::from_chars(key.data(), key.data() + key.size(), place);
  if (!at->is_array() || status != std::errc() || end != key.data() + key.size() || place >= at->size()) return nullptr;
  return &(*at)[place];
}

template <typename Record>
Record* find_path(Record& record, const std::string& field) {
  if (Record* found = find_member(&record, field)) return found;
  Record* at = &record;
  for (std::size_t begin = 0; at != nullptr && begin <= field.size();) {
    const std::size_t dot = std::min(field.find('.', begin), field.size());
    at = find_member(at, field.substr(begin, dot - begin));
    begin = dot + 1;
  }
  return at;
}

}  // namespace

const nlohmann::json* find_field(const nlohmann::json& record, const std::string& field) {
  return find_path(record, field);
}

nlohmann::json* find_field(nlohmann::json& record, const std::string& field) { return find_path(record, field); }

bool CorpusFilters::keeps(const Document& document) const {
  if (!document.error.empty()) return true;
  const auto between = [](std::int64_t n, const auto& min, const auto& max) {
    return (!min || n >= *min) && (!max || n <= *max);
  };
  if (!between(static_cast<std::int64_t>(document.bytes.size()), min_bytes, max_bytes)) return false;
  if ((min_chars || max_chars) && !between(count_code_points(document.bytes), min_chars, max_chars)) return false;
  return !valid_utf8 || valid_utf8_prefix(document.bytes) == document.bytes.size();
}

bool CorpusFilters::keeps_record(const nlohmann::json& record) const {
  for (const auto& [field, wanted] : where.items()) {
    if (!is_wanted(find_field(record, field), wanted)) return false;
  }
  return true;
}

bool is_corpus_manifest(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  return name == "corpus.json" || name.ends_with(".corpus.json");
}

CorpusManifest read_corpus_manifest(const std::string& path, const CorpusSource& defaults) {
  const std::string bytes = read_file(path);
  const Json json = Json::parse(bytes, nullptr, false);
  if (json.is_discarded())
    throw Error(ErrorKind::kData, path + ": not JSON", "a corpus.json is described in docs/formats.md");
  Keys keys(json, path);
  std::string format;
  keys.text("format", format);
  if (format != kFormat) Keys::fail(path + ": \"format\" is \"" + format + "\", not \"" + kFormat + "\"");
  CorpusManifest manifest;
  keys.text("name", manifest.name);
  keys.text("description", manifest.description);
  keys.text("sample", manifest.sample);
  std::optional<std::int64_t> seed;
  keys.count("sample_seed", seed);
  if (seed) manifest.sample_seed = static_cast<std::uint64_t>(*seed);
  CorpusSource common = defaults;
  common.path.clear();
  read_common(keys, path, common);
  manifest.licence = common.licence;
  const Json* sources = keys.find("sources");
  keys.check_unknown();
  if (sources == nullptr || !sources->is_array() || sources->empty()) Keys::fail(path + ": no list of \"sources\"");
  for (const Json& entry : *sources) {
    const std::string where = path + ": sources[" + std::to_string(manifest.sources.size()) + "]";
    CorpusSource source = common;
    if (entry.is_string()) {
      source.path = entry.get<std::string>();
    } else {
      Keys own(entry, where);
      own.text("path", source.path);
      read_common(own, where, source);
      own.check_unknown();
    }
    if (source.path.empty()) Keys::fail(where + " has no \"path\"");
    manifest.sources.push_back(source);
  }
  return manifest;
}

}  // namespace lmbits
