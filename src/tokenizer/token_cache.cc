#include "src/tokenizer/token_cache.h"

#include <algorithm>
#include <limits>

#include "src/core/error.h"
#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pattern.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "LMBTOK01";
constexpr std::size_t kHeaderBytes = 56, kEntryBytes = 48;
constexpr std::int64_t kComparedBytes = 64 << 10;
// Of the key. To be raised with any change of what a tokenizer makes of a text.
constexpr std::string_view kGeneration = "lmbits tokens 3";

// Their tables decide what some tokenizers make of a text, and those of another machine may be others.
std::string unicode_libraries() { return "PCRE2 " + pattern_library() + "\nutf8proc " + normalization_library(); }

void put(std::string& out, std::uint64_t value, int n_bytes = 8) {
  for (int i = 0; i < n_bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

std::uint64_t get(std::string_view bytes, std::size_t at, int n_bytes = 8) {
  std::uint64_t value = 0;
  for (int i = 0; i < n_bytes; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)])} << (8 * i);
  return value;
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Takes a number off the front of `bytes`; nullopt where none is.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 9; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    value |= std::uint64_t{byte & 0x7fu} << (7 * i);
    if (byte >= 0x80) continue;
    bytes.remove_prefix(i + 1);
    return value;
  }
  return std::nullopt;
}

int id_bytes(std::int64_t vocab_size) { return vocab_size <= 0x10000 ? 2 : 4; }

enum Status : char { kLossless = 0, kLossy = 1, kFailed = 2 };

std::string header_of(Hash128 key, std::uint64_t n_entries, std::uint64_t index, std::uint64_t index_sum) {
  std::string header(kMagic);
  put(header, key.high);
  put(header, key.low);
  put(header, n_entries);
  put(header, index);
  put(header, index_sum);
  put(header, hash64(header));
  return header;
}

// What of a text is encoded to see whether the cache is right: it all, or the beginning, which then is an entry too.
std::string_view probe_of(std::string_view text) {
  constexpr std::size_t kProbeBytes = 4096;
  return text.size() <= static_cast<std::size_t>(kComparedBytes) ? text : text.substr(0, kProbeBytes);
}

std::string packed(const TokenFile::Entry& entry) {
  std::string bytes;
  for (const std::uint64_t value :
       {entry.text.high, entry.text.low, entry.n_text_bytes, entry.offset, entry.n_bytes, entry.sum})
    put(bytes, value);
  return bytes;
}

}  // namespace

bool CachedText::equals(const CachedText& other) const {
  if (failed || other.failed) return failed == other.failed && what == other.what;
  return tokens.ids == other.tokens.ids && tokens.n_bytes == other.tokens.n_bytes &&
         tokens.lossless == other.tokens.lossless;
}

std::string pack_text(const CachedText& text, std::int64_t vocab_size) {
  std::string out(1, text.failed ? kFailed : text.tokens.lossless ? kLossless : kLossy);
  if (text.failed) {
    put_varint(out, text.what.size());
    return out + text.what + text.hint;
  }
  const int width = id_bytes(vocab_size);
  put_varint(out, text.tokens.ids.size());
  for (const std::int32_t id : text.tokens.ids) {
    LMBITS_CHECK(id >= 0 && id < vocab_size);
    put(out, static_cast<std::uint32_t>(id), width);
  }
  for (const std::int32_t n : text.tokens.n_bytes) put_varint(out, static_cast<std::uint32_t>(n));
  return out;
}

std::optional<CachedText> unpack_text(std::string_view payload, std::int64_t vocab_size, std::size_t n_text_bytes) {
  if (payload.empty() || payload[0] < kLossless || payload[0] > kFailed) return std::nullopt;
  CachedText text;
  text.failed = payload[0] == kFailed;
  text.tokens.lossless = payload[0] != kLossy;
  payload.remove_prefix(1);
  const auto count = take_varint(payload);
  if (!count || *count > payload.size()) return std::nullopt;
  const auto n = static_cast<std::size_t>(*count);
  if (text.failed) {
    text.what = payload.substr(0, n);
    text.hint = payload.substr(n);
    return text;
  }
  const int width = id_bytes(vocab_size);
  if (payload.size() / static_cast<std::size_t>(width) < n) return std::nullopt;
  text.tokens.ids.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t id = get(payload, i * static_cast<std::size_t>(width), width);
    if (id >= static_cast<std::uint64_t>(vocab_size)) return std::nullopt;
    text.tokens.ids[i] = static_cast<std::int32_t>(id);
  }
  payload.remove_prefix(n * static_cast<std::size_t>(width));
  text.tokens.n_bytes.resize(n);
  std::uint64_t total = 0;
  for (std::int32_t& n_bytes : text.tokens.n_bytes) {
    const auto value = take_varint(payload);
    if (!value || *value > n_text_bytes || *value > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
    total += *value;
    n_bytes = static_cast<std::int32_t>(*value);
  }
  if (!payload.empty() || (text.tokens.lossless && total != n_text_bytes)) return std::nullopt;
  return text;
}

TokenFile::TokenFile(std::string_view bytes, Hash128 key) : bytes_(bytes) {
  if (bytes.size() < kHeaderBytes || !bytes.starts_with(kMagic)) return;
  if (get(bytes, kHeaderBytes - 8) != hash64(bytes.substr(0, kHeaderBytes - 8))) return;
  if (get(bytes, 8) != key.high || get(bytes, 16) != key.low) return;
  const std::uint64_t n = get(bytes, 24), index = get(bytes, 32);
  if (index < kHeaderBytes || index > bytes.size() || (bytes.size() - index) % kEntryBytes != 0) return;
  if ((bytes.size() - index) / kEntryBytes != n) return;
  if (get(bytes, 40) != hash64(bytes.substr(index))) return;
  n_entries_ = static_cast<std::size_t>(n);
  index_ = static_cast<std::size_t>(index);
  sound_ = true;
}

TokenFile::Entry TokenFile::entry(std::size_t i) const {
  const std::size_t at = index_ + i * kEntryBytes;
  return {{get(bytes_, at), get(bytes_, at + 8)},
          get(bytes_, at + 16),
          get(bytes_, at + 24),
          get(bytes_, at + 32),
          get(bytes_, at + 40)};
}

std::optional<std::size_t> TokenFile::find(Hash128 text) const {
  std::size_t lo = 0, hi = n_entries_;
  while (lo < hi) {
    const std::size_t middle = lo + (hi - lo) / 2;
    if (entry(middle).text < text) {
      lo = middle + 1;
    } else {
      hi = middle;
    }
  }
  return lo < n_entries_ && entry(lo).text == text ? std::optional(lo) : std::nullopt;
}

std::optional<std::string_view> TokenFile::payload(const Entry& entry) const {
  if (entry.offset < kHeaderBytes || entry.offset > index_ || entry.n_bytes > index_ - entry.offset)
    return std::nullopt;
  const std::string_view bytes = bytes_.substr(entry.offset, entry.n_bytes);
  return hash64(bytes) == entry.sum ? std::optional(bytes) : std::nullopt;
}

TokenCache::TokenCache(const fs::path& folder, const Tokenizer& tokenizer, const std::string& corpus_fingerprint)
    : tokenizer_(tokenizer), vocab_size_(tokenizer.vocab_size()) {
  const std::string name = tokenizer.fingerprint();
  key_ = hash128(std::string(kGeneration) + "\n" + unicode_libraries() + "\n" + name + "\n" + corpus_fingerprint);
  constexpr std::size_t kShownDigits = 16;  // the header has the key
  path_ = folder / (corpus_fingerprint.substr(0, kShownDigits) + "-" + name.substr(0, kShownDigits) + ".tokens");
  open();
}

TokenCache::~TokenCache() = default;

void TokenCache::open() {
  file_ = {};
  mapped_.reset();
  std::error_code none;
  if (!fs::exists(path_, none)) return;
  try {
    mapped_ = std::make_unique<MappedFile>(path_);
  } catch (const Error& error) {
    give_up(error);
    return;
  }
  file_ = TokenFile(mapped_->bytes(), key_);
  if (file_.sound()) return;
  rebuild_ = true;
  problem_ = path_.string() + " was damaged or another corpus': made again";
}

Tokens TokenCache::encode(std::string_view text) {
  const Hash128 hash = hash128(text);
  std::optional<CachedText> cached = look_up(hash, text);
  if (cached) {
    ++n_found_;
  } else {
    ++n_encoded_;
    cached = encode_now(text);
    keep(hash, text, *cached);
    const std::string_view probe = probe_of(text);
    if (probe.size() < text.size()) keep(hash128(probe), probe, encode_now(probe));
  }
  if (cached->failed) throw Error(ErrorKind::kData, cached->what, cached->hint);
  return std::move(cached->tokens);
}

std::optional<CachedText> TokenCache::read(Hash128 hash, std::string_view text) {
  const auto found = file_.find(hash);
  if (!found) return std::nullopt;
  const TokenFile::Entry entry = file_.entry(*found);
  const auto payload = file_.payload(entry);
  std::optional<CachedText> cached;
  if (payload && entry.n_text_bytes == text.size()) cached = unpack_text(*payload, vocab_size_, text.size());
  if (!cached) {
    rebuild_ = true;
    problem_ = path_.string() + " was damaged: mended";
  }
  return cached;
}

std::optional<CachedText> TokenCache::look_up(Hash128 hash, std::string_view text) {
  std::optional<CachedText> cached = read(hash, text);
  if (!cached || n_compared_bytes_ >= kComparedBytes) return cached;
  const std::string_view probe = probe_of(text);
  const std::optional<CachedText> of_probe = probe.size() == text.size() ? cached : read(hash128(probe), probe);
  if (!of_probe) return std::nullopt;
  n_compared_bytes_ += static_cast<std::int64_t>(probe.size());
  if (of_probe->equals(encode_now(probe))) return cached;
  file_ = {};
  rebuild_ = true;
  problem_ = path_.string() + " was written by another version of the tokenizer: made again";
  return std::nullopt;
}

CachedText TokenCache::encode_now(std::string_view text) const {
  try {
    return {tokenizer_.encode(text), false, {}, {}};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    return {{}, true, error.what(), error.hint()};
  }
}

void TokenCache::keep(Hash128 hash, std::string_view text, const CachedText& encoded) {
  if (!enabled_ || !seen_.insert(hash.low).second) return;
  try {
    if (!out_) {
      fs::create_directories(path_.parent_path());
      remove_abandoned_files(path_.parent_path());
      out_ = std::make_unique<AtomicFile>(path_);
      out_->append(std::string(kHeaderBytes, '\0'));
    }
    const std::string payload = pack_text(encoded, vocab_size_);
    kept_.push_back({hash, text.size(), static_cast<std::uint64_t>(out_->size()), payload.size(), hash64(payload)});
    out_->append(payload);
  } catch (const std::exception& error) {
    give_up(error);
  }
}

void TokenCache::commit() {
  if (!out_ || !enabled_) return;
  try {
    const bool trusted = file_.sound() || !rebuild_;
    if (trusted) open();  // another process may have written since
    std::vector<TokenFile::Entry> entries = std::move(kept_);
    const auto by_text = [](const auto& a, const auto& b) { return a.text < b.text; };
    const auto same_text = [](const auto& a, const auto& b) { return a.text == b.text; };
    std::stable_sort(entries.begin(), entries.end(), by_text);
    const std::size_t n_new = entries.size();
    for (std::size_t i = 0; i < file_.size(); ++i) {
      TokenFile::Entry entry = file_.entry(i);
      const auto end = entries.begin() + static_cast<std::ptrdiff_t>(n_new);
      if (std::binary_search(entries.begin(), end, entry, by_text)) continue;
      const auto payload = file_.payload(entry);
      if (!payload) continue;
      entry.offset = static_cast<std::uint64_t>(out_->size());
      out_->append(*payload);
      entries.push_back(entry);
    }
    std::stable_sort(entries.begin(), entries.end(), by_text);
    entries.erase(std::unique(entries.begin(), entries.end(), same_text), entries.end());
    std::string index;
    index.reserve(entries.size() * kEntryBytes);
    for (const TokenFile::Entry& entry : entries) index += packed(entry);
    const auto at = static_cast<std::uint64_t>(out_->size());
    out_->append(index);
    out_->overwrite(0, header_of(key_, entries.size(), at, hash64(index)));
    out_->commit();
    out_.reset();
    rebuild_ = false;
  } catch (const std::exception& error) {
    give_up(error);
  }
  kept_.clear();
  seen_.clear();
  if (enabled_) open();
}

void TokenCache::give_up(const std::exception& error) {
  problem_ = std::string("no token cache: ") + error.what();
  enabled_ = false;
  out_.reset();
  kept_.clear();
  seen_.clear();
}

}  // namespace lmbits
