#include "src/corpus/jsonl_reader.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "src/core/json.h"
#include "src/core/json_depth.h"
#include "src/corpus/text_reader.h"
#include "src/corpus/utf8.h"

namespace lmbits {
namespace {

// Ids given out so far; the second use of one gets "~2".
class UniqueIds {
 public:
  std::string claim(const std::string& id) {
    std::int64_t& n_uses = n_uses_[id];
    if (++n_uses == 1) return id;
    for (;; ++n_uses) {
      std::string candidate = id + "~" + std::to_string(n_uses);
      if (n_uses_.try_emplace(candidate, 1).second) return candidate;  // else a line calls itself "x~2"
    }
  }

 private:
  std::unordered_map<std::string, std::int64_t> n_uses_;  // references stay valid while it grows
};

constexpr int kMostLevels = 512;

// The sorted map, not the ordered one: its look-ups stay fast however many keys a line has.
using Record = nlohmann::json;

std::string record_id(const Record& record, const std::string& fallback) {
  const auto id = record.find("id");
  if (id == record.end()) return fallback;
  if (id->is_number_integer()) return id->dump();
  if (!id->is_string() || id->get_ref<const std::string&>().empty()) return fallback;
  return id->get<std::string>();
}

class JsonlReader : public CorpusReader {
 public:
  JsonlReader(const std::string& path, const CorpusSource& source)
      : lines_(open_bytes(path), {Split::Kind::kLines, 0}), source_(source), split_(parse_split(source.split)) {}

  std::optional<Document> next() override {
    while (true) {
      if (pieces_) {
        if (auto document = pieces_->next()) {
          document->category = category_;
          return document;
        }
        pieces_.reset();
      }
      auto line = lines_.next();
      if (!line) return std::nullopt;
      ++line_number_;
      if (line->find_first_not_of(" \t\r\n") == std::string::npos) continue;
      std::optional<Document> parsed = parse(*std::move(line));
      if (!parsed) continue;
      Document document = *std::move(parsed);
      category_ = document.category;
      SourcePieces pieces(ids_.claim(document.id), split_);
      if (!document.error.empty()) return pieces.failed(document.error);
      pieces.open_memory(std::move(document.bytes));
      pieces_ = std::move(pieces);
    }
  }

 private:
  // nullopt for a record that the filters leave out.
  std::optional<Document> parse(std::string line) const {
    const std::string place = "line " + std::to_string(line_number_);
    const std::string fallback_id = "line-" + std::to_string(line_number_);
    const auto failed = [&](const std::string& id, const std::string& why) {
      return Document{id, {}, place + ": " + why};
    };

    const std::size_t n_valid = valid_utf8_prefix(line);
    if (n_valid < line.size()) return failed(fallback_id, "invalid UTF-8 at byte " + std::to_string(n_valid));
    // The parser takes a NUL for the end of its input and would not see what follows.
    if (line.find('\0') != std::string::npos) return failed(fallback_id, "not JSON: it holds a NUL byte");

    if (nests_deeper(line, kMostLevels))
      return failed(fallback_id, "JSON of more than " + std::to_string(kMostLevels) + " levels");

    Record record;
    try {
      record = Record::parse(line);
    } catch (const Record::parse_error& error) {
      return failed(fallback_id, "not JSON from byte " + std::to_string(error.byte) + " on");
    } catch (const Record::out_of_range&) {
      return failed(fallback_id, "not JSON that can be read: a number is out of range");
    }
    line = {};  // the text is in `record` now: one copy of a large document is enough
    if (!record.is_object()) return failed(fallback_id, std::string("is JSON but no object: ") + record.type_name());

    if (!source_.filters.keeps_record(record)) return std::nullopt;
    std::string id = record_id(record, fallback_id);
    std::string category = category_of(record);
    Record* text = find_field(record, source_.field);
    if (text == nullptr) return failed(id, "no field \"" + source_.field + "\"");
    if (!text->is_string()) {
      return failed(id, "field \"" + source_.field + "\" is no string but of type " + text->type_name());
    }
    return Document{std::move(id), std::move(text->get_ref<std::string&>()), {}, std::move(category)};
  }

  std::string category_of(const Record& record) const {
    if (source_.category_field.empty()) return source_.category;
    const Record* found = find_field(record, source_.category_field);
    if (found == nullptr || found->is_null()) return source_.category;
    return found->is_string() ? found->get<std::string>() : found->dump();
  }

  DocumentSplitter lines_;
  CorpusSource source_;
  Split split_;
  std::int64_t line_number_ = 0;
  UniqueIds ids_;
  std::optional<SourcePieces> pieces_;  // of the last line, until its end
  std::string category_;                // its
};

}  // namespace

std::unique_ptr<CorpusReader> make_jsonl_reader(const std::string& path, const CorpusSource& source) {
  return std::make_unique<JsonlReader>(path, source);
}

}  // namespace lmbits
