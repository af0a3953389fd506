#include "src/tokenizer/bpe_model.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

constexpr std::uint32_t kNoSymbol = 0xFFFFFFFF;
constexpr std::uint32_t kInvalidSymbol = kRawSymbol | 0x400000;  // | byte: no code point, so no rule names it
constexpr std::uint32_t kMeta = 0x2581;                          // "▁"
constexpr std::size_t kPartBytes = 32;  // a part without a space is cut from here on, where it can be

std::vector<std::uint32_t> code_points(std::string_view text) {
  std::vector<std::uint32_t> all;
  for (const char* p = text.data(); p < text.data() + text.size();) {
    const Decoded decoded = decode_utf8(p, text.data() + text.size());
    all.push_back(decoded.code_point);
    p += decoded.n_bytes;
  }
  return all;
}

std::uint64_t neighbours(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32 | right; }

}  // namespace

BpeModel::BpeModel(BpeDefinition definition) : definition_(std::move(definition)), table_(definition_.rules) {
  const auto& pieces = definition_.pieces;
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    const std::string& piece = pieces[id];
    const std::vector<std::uint32_t> characters =
        definition_.byte_level ? std::vector<std::uint32_t>() : code_points(piece);
    n_symbols_.push_back(static_cast<std::uint32_t>(
        definition_.byte_level ? piece.size() : std::max<std::size_t>(1, characters.size())));
    auto n_bytes = static_cast<std::int32_t>(piece.size());
    if (definition_.space_is_meta) n_bytes -= 2 * static_cast<std::int32_t>(std::ranges::count(characters, kMeta));
    plain_bytes_.push_back(n_bytes);
    if (definition_.whole_words_first && !piece.empty()) whole_words_.emplace(piece, id);
    if (characters.size() != 1 || characters[0] == kInvalidByte) continue;
    if (character_ids_.size() <= characters[0]) character_ids_.resize(characters[0] + std::size_t{1}, kNoSymbol);
    character_ids_[characters[0]] = id;
  }
  for (const std::int32_t id : definition_.byte_ids) {
    if (id >= 0) plain_bytes_[static_cast<std::size_t>(id)] = 1, n_symbols_[static_cast<std::size_t>(id)] = 1;
  }
  if (definition_.byte_level) {
    for (std::uint32_t id = 0; id < pieces.size(); ++id) {
      if (pieces[id].size() == 1)
        definition_.byte_ids[static_cast<unsigned char>(pieces[id][0])] = static_cast<std::int32_t>(id);
    }
  } else {
    find_joins();
  }
}

void BpeModel::find_joins() {
  const auto is_byte = [&](std::uint32_t symbol) {
    return std::ranges::find(definition_.byte_ids, static_cast<std::int32_t>(symbol)) != definition_.byte_ids.end();
  };
  const bool has_all_bytes = std::ranges::find(definition_.byte_ids, -1) == definition_.byte_ids.end();
  cuttable_ = !definition_.whole_words_first && (has_all_bytes || !definition_.fuse_unk);
  for (const MergeRule& rule : definition_.rules) {
    const std::vector<std::uint32_t> characters = code_points(definition_.pieces[rule.result]);
    for (std::size_t i = 1; i < characters.size(); ++i) joins_.insert(neighbours(characters[i - 1], characters[i]));
    if (definition_.unknown == Unknown::kBytesFirst && characters.size() > 1 && characters[0] == '<' &&
        is_byte(rule.left))
      cuttable_ = false;
  }
  if (symbol_of(kMeta) < kRawSymbol) meta_ = kMeta;
  for (std::uint32_t c = 0; c < cut_before_meta_.size(); ++c) cut_before_meta_[c] = may_cut(c, meta_);
}

std::uint32_t BpeModel::symbol_of(std::uint32_t code_point) const {
  const std::uint32_t id = code_point < character_ids_.size() ? character_ids_[code_point] : kNoSymbol;
  return id == kNoSymbol ? kRawSymbol | code_point : id;
}

bool BpeModel::may_cut(std::uint32_t left, std::uint32_t right) const {
  if (definition_.space_is_meta && left == ' ') left = kMeta;
  if (definition_.space_is_meta && right == ' ') right = kMeta;
  return !joins_.contains(neighbours(left, right));
}

std::size_t BpeModel::part_length(std::string_view rest) const {
  if (!cuttable_) return rest.size();
  const char* const end = rest.data() + rest.size();
  const char* p = rest.data();
  std::uint32_t left = 0;
  while (p < end) {
    const auto byte = static_cast<unsigned char>(*p);
    const Decoded right = byte < 0x80 ? Decoded{byte, 1} : decode_utf8(p, end);
    const bool is_meta = right.code_point == meta_ || (definition_.space_is_meta && byte == ' ');
    const auto length = static_cast<std::size_t>(p - rest.data());
    if (length > 0) {
      if (is_meta && left < 128 ? cut_before_meta_[left]
                                : (is_meta || length >= kPartBytes) && may_cut(left, right.code_point))
        return length;
    }
    left = right.code_point;
    p += right.n_bytes;
  }
  return rest.size();
}

void BpeModel::encode(std::string_view word, const char* text_end, Workspace& workspace, Pieces& pieces) const {
  if (definition_.byte_level) return encode_part(word, text_end, workspace, pieces);
  while (!word.empty()) {
    const std::size_t n = part_length(word);
    encode_part(word.substr(0, n), text_end, workspace, pieces);
    word.remove_prefix(n);
  }
}

void BpeModel::encode_with_prefix(std::string_view word, Workspace& workspace, Pieces& pieces) const {
  const bool may_follow =
      cuttable_ && !word.empty() && may_cut(kMeta, decode_utf8(word.data(), word.data() + word.size()).code_point);
  const std::size_t n = may_follow ? 0 : part_length(word);
  encode_afresh(word.substr(0, n), true, workspace, pieces);
  encode(word.substr(n), word.data() + word.size(), workspace, pieces);
}

void BpeModel::encode_part(std::string_view part, const char* text_end, Workspace& workspace, Pieces& pieces) const {
  std::uint32_t known[WordCache::kMaxIds];
  if (const std::size_t n = workspace.cache.find(part, text_end, known); n > 0) {
    for (std::size_t i = 0; i < n; ++i) pieces.put(known[i], plain_bytes_[known[i]]);
    return;
  }
  const std::size_t begin = pieces.ids.size();
  encode_afresh(part, false, workspace, pieces);
  workspace.symbols.clear();
  bool plain = true;
  std::size_t n_bytes = 0;
  for (std::size_t i = begin; i < pieces.ids.size(); ++i) {
    const auto id = static_cast<std::uint32_t>(pieces.ids[i]);
    plain = plain && pieces.n_bytes[i] == plain_bytes_[id];
    n_bytes += static_cast<std::size_t>(pieces.n_bytes[i]);
    workspace.symbols.push_back(id);
  }
  if (plain && n_bytes == part.size()) workspace.cache.put(part, workspace.symbols);
}

void BpeModel::encode_afresh(std::string_view part, bool prefix, Workspace& workspace, Pieces& pieces) const {
  if (definition_.whole_words_first) {
    if (const auto found = whole_words_.find(part); found != whole_words_.end()) {
      return pieces.put(found->second, static_cast<std::int32_t>(part.size()));
    }
  }
  auto& symbols = workspace.symbols;
  auto& bytes = workspace.symbol_bytes;
  symbols.clear();
  bytes.clear();
  if (prefix) symbols.push_back(symbol_of(kMeta)), bytes.push_back(0);
  if (definition_.byte_level) {
    add_byte_symbols(part, workspace);
  } else {
    add_character_symbols(part, workspace);
  }
  table_.merge(symbols, workspace.merging);
  std::size_t at = 0;  // of the symbols before merging
  for (const std::uint32_t symbol : symbols) {
    const std::size_t n = symbol < kRawSymbol ? n_symbols_[symbol] : 1;
    std::int32_t n_bytes = 0;
    for (std::size_t i = 0; i < n && at < bytes.size(); ++i) n_bytes += bytes[at++];
    put_symbol(symbol, n_bytes, pieces);
  }
}

void BpeModel::add_byte_symbols(std::string_view part, Workspace& workspace) const {
  for (const char c : part) {
    const auto byte = static_cast<unsigned char>(c);
    if (definition_.byte_ids[byte] >= 0) {
      workspace.symbols.push_back(static_cast<std::uint32_t>(definition_.byte_ids[byte]));
      workspace.symbol_bytes.push_back(1);
    } else {
      add_unknown({&c, 1}, kInvalidByte, workspace);
    }
  }
}

void BpeModel::add_character_symbols(std::string_view part, Workspace& workspace) const {
  const char* const end = part.data() + part.size();
  for (const char* p = part.data(); p < end;) {
    const Decoded decoded = decode_utf8(p, end);
    const bool is_meta = definition_.space_is_meta && decoded.code_point == ' ';
    const std::uint32_t symbol =
        decoded.code_point == kInvalidByte ? kNoSymbol : symbol_of(is_meta ? kMeta : decoded.code_point);
    if (symbol < kRawSymbol || (symbol != kNoSymbol && definition_.unknown == Unknown::kBytesLast)) {
      workspace.symbols.push_back(symbol);
      workspace.symbol_bytes.push_back(static_cast<std::int32_t>(decoded.n_bytes));
    } else {
      add_unknown({p, decoded.n_bytes}, decoded.code_point, workspace);
    }
    p += decoded.n_bytes;
  }
}

void BpeModel::add_unknown(std::string_view character, std::uint32_t code_point, Workspace& workspace) const {
  const auto byte_id = [&](char c) { return definition_.byte_ids[static_cast<unsigned char>(c)]; };
  const auto n_bytes = static_cast<std::int32_t>(character.size());
  if (definition_.unknown != Unknown::kUnknownId &&
      std::ranges::all_of(character, [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : character) {
      const bool valid = code_point != kInvalidByte;
      workspace.symbols.push_back(valid ? static_cast<std::uint32_t>(byte_id(c))
                                        : kInvalidSymbol | static_cast<unsigned char>(c));
      workspace.symbol_bytes.push_back(1);
    }
  } else if (!definition_.unk_id) {
    // Nothing stands for it, so its bytes count with what stands before it.
    if (!workspace.symbol_bytes.empty()) workspace.symbol_bytes.back() += n_bytes;
  } else if (definition_.fuse_unk && !workspace.symbols.empty() && workspace.symbols.back() == *definition_.unk_id) {
    workspace.symbol_bytes.back() += n_bytes;
  } else {
    workspace.symbols.push_back(*definition_.unk_id);
    workspace.symbol_bytes.push_back(n_bytes);
  }
}

// A character that is no piece becomes its bytes' pieces; where these are more than its bytes in the word (a space that
// stands for "▁"), the last ones carry them.
void BpeModel::put_symbol(std::uint32_t symbol, std::int32_t bytes, Pieces& pieces) const {
  if (symbol < kRawSymbol) return pieces.put(symbol, bytes);
  std::string text;
  if ((symbol & kInvalidSymbol) == kInvalidSymbol) {
    text += static_cast<char>(symbol & 255);
  } else {
    append_utf8(text, symbol & ~kRawSymbol);
  }
  auto n_left = static_cast<std::int32_t>(text.size());
  for (const char c : text) {
    const std::int32_t id = definition_.byte_ids[static_cast<unsigned char>(c)];
    pieces.put(static_cast<std::uint32_t>(id), n_left-- <= bytes ? 1 : 0);
  }
}

std::vector<MergeRule> rules_from_ranks(const std::vector<std::string>& pieces,
                                        const std::vector<std::int64_t>& rank_of, bool byte_level) {
  std::unordered_map<std::string_view, std::uint32_t> ids;
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    if (rank_of[id] >= 0) ids.emplace(pieces[id], id);
  }
  const auto symbol = [&](std::string_view part) {
    if (const auto found = ids.find(part); found != ids.end()) return found->second;
    if (byte_level) return kNoSymbol;
    const Decoded decoded = decode_utf8(part.data(), part.data() + part.size());
    return decoded.n_bytes == part.size() && decoded.code_point != kInvalidByte ? kRawSymbol | decoded.code_point
                                                                                : kNoSymbol;
  };
  std::vector<MergeRule> rules;
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    if (rank_of[id] < 0 || ids.at(pieces[id]) != id) continue;
    const std::string_view piece = pieces[id];
    for (std::size_t cut = 1; cut < piece.size(); ++cut) {
      if (!byte_level && (static_cast<unsigned char>(piece[cut]) & 0xC0) == 0x80) continue;
      const std::uint32_t left = symbol(piece.substr(0, cut));
      const std::uint32_t right = left == kNoSymbol ? kNoSymbol : symbol(piece.substr(cut));
      if (right != kNoSymbol) rules.push_back({left, right, id, static_cast<std::uint32_t>(rank_of[id])});
    }
  }
  return rules;
}

}  // namespace lmbits
