#include "src/selection/checkpoint.h"

#include <cstring>
#include <set>
#include <string_view>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr std::string_view kMagic = "lmbits select 4\n";

class Writer {
 public:
  template <typename T>
  void add(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);  // little-endian, like all machines we build for
  }
  void add_text(std::string_view text) {
    add(static_cast<std::uint64_t>(text.size()));
    bytes += text;
  }
  std::string bytes;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  void get(T& value) {
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
  }
  std::string get_text() {
    std::uint64_t size = 0;
    get(size);
    return std::string(take(size));
  }
  std::uint64_t get_count() {
    std::uint64_t n = 0;
    get(n);
    return n;
  }

 private:
  std::string_view take(std::size_t n) {
    LMBITS_CHECK(n <= bytes_.size());  // the checksum was right
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  std::string_view bytes_;
};

// One list of fields for both directions.
template <typename Visit>
void visit(Visit&& field, auto& candidate_or_choice) requires requires {
  candidate_or_choice.is_open;
}
{
  field(candidate_or_choice.record), field(candidate_or_choice.n_bytes), field(candidate_or_choice.n_tokens);
  field(candidate_or_choice.score), field(candidate_or_choice.alone), field(candidate_or_choice.is_open);
  field(candidate_or_choice.is_blank);
}

template <typename Visit>
void visit(Visit&& field, auto& choice) requires requires {
  choice.ratio_alone;
}
{
  field(choice.record), field(choice.n_bytes), field(choice.n_tokens), field(choice.stage);
  field(choice.ratio_alone), field(choice.ratio_with_chosen), field(choice.ratio_in_block);
}

template <typename T>
void add_list(Writer& writer, const std::vector<T>& list) {
  writer.add(static_cast<std::uint64_t>(list.size()));
  for (const T& value : list) writer.add(value);
}
template <typename T>
void get_list(Reader& reader, std::vector<T>& list) {
  list.resize(reader.get_count());
  for (T& value : list) reader.get(value);
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Json& identity, const SelectState& state) {
  Writer writer;
  writer.bytes = kMagic;
  writer.add_text(identity.dump());
  writer.add(state.n_scored);
  writer.add(state.n_stages);
  writer.add(static_cast<std::uint64_t>(state.candidates.size()));
  for (const Candidate& c : state.candidates) visit([&](auto value) { writer.add(value); }, c);
  writer.add(static_cast<std::uint64_t>(state.choices.size()));
  for (const Choice& c : state.choices) visit([&](auto value) { writer.add(value); }, c);
  writer.add(static_cast<std::uint64_t>(state.failures.size()));
  for (const auto& failure : state.failures) {
    writer.add(failure.record);
    writer.add_text(failure.error);
  }
  add_list(writer, state.stage.top);
  add_list(writer, state.stage.members);
  add_list(writer, state.stage.with_chosen);
  add_list(writer, state.stage.sizes);
  const std::string hash = Fingerprint().add(writer.bytes).hex();
  write_file_atomically(path, writer.bytes + hash);
}

std::optional<SelectState> read_checkpoint(const std::filesystem::path& path, const Json& identity) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const std::string bytes = read_file(path);
  constexpr std::size_t kHashSize = 32;
  if (bytes.size() < kMagic.size() + kHashSize || !bytes.starts_with(kMagic)) return std::nullopt;
  const std::string_view body = std::string_view(bytes).substr(0, bytes.size() - kHashSize);
  if (Fingerprint().add(body).hex() != std::string_view(bytes).substr(body.size())) return std::nullopt;
  Reader reader(body.substr(kMagic.size()));
  check_identity(Json::parse(reader.get_text()), identity, path);
  SelectState state;
  const auto get = [&](auto& value) { reader.get(value); };
  get(state.n_scored);
  get(state.n_stages);
  state.candidates.resize(reader.get_count());
  for (Candidate& c : state.candidates) visit(get, c);
  state.choices.resize(reader.get_count());
  for (Choice& c : state.choices) visit(get, c);
  state.failures.resize(reader.get_count());
  for (auto& failure : state.failures) {
    get(failure.record);
    failure.error = reader.get_text();
  }
  get_list(reader, state.stage.top);
  get_list(reader, state.stage.members);
  get_list(reader, state.stage.with_chosen);
  get_list(reader, state.stage.sizes);
  return state;
}

void check_identity(const Json& was, const Json& is, const std::filesystem::path& path) {
  std::set<std::string> keys;
  for (const Json* json : {&was, &is})
    for (const auto& [key, value] : json->items()) keys.insert(key);
  for (const std::string& key : keys) {
    const Json before = was.value(key, Json()), now = is.value(key, Json());
    if (before == now) continue;
    throw Error(ErrorKind::kConfig,
                path.string() + " is of a selection with other settings: " + key + " was " + before.dump() +
                    " and is " + now.dump(),
                "give the settings it was started with, another -o, or remove " + path.parent_path().string());
  }
}

}  // namespace lmbits
