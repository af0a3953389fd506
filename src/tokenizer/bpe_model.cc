#include "src/tokenizer/bpe_model.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

constexpr std::uint32_t kNoSymbol = 0xFFFFFFFF;
constexpr std::uint32_t kInvalidSymbol = kRawSymbol | 0x400000;  // | byte: no code point, so no rule names it
constexpr std::uint32_t kMeta = 0x2581;                          // "▁"
constexpr std::size_t kPartBytes = 32;      // a part without a space is cut from here on, where it can be
constexpr std::size_t kBytePartBytes = 16;  // longer words of a byte-level model are cut wherever they can be

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
  if (definition_.byte_level) {
    set_up_bytes();
    find_byte_joins();
    return;
  }
  const auto& pieces = definition_.pieces;
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    const std::vector<std::uint32_t> characters = code_points(pieces[id]);
    if (characters.size() != 1 || characters[0] == kInvalidByte) continue;
    if (character_ids_.size() <= characters[0]) character_ids_.resize(characters[0] + std::size_t{1}, kNoSymbol);
    character_ids_[characters[0]] = id;
  }
  has_all_bytes_ = std::ranges::find(definition_.byte_ids, -1) == definition_.byte_ids.end();
  if (definition_.whole_words_first) {
    whole_words_ = PieceIndex(pieces.size());
    for (std::uint32_t id = 0; id < pieces.size(); ++id) {
      if (!pieces[id].empty()) whole_words_.put(pieces, id);
    }
  }
  find_character_joins();
}

// A word that is a piece is that piece where the rules make it so from its bytes, and need not be merged then; with
// whole_words_first, always.
void BpeModel::set_up_bytes() {
  const auto& pieces = definition_.pieces;
  std::array<std::uint32_t, 256> symbols;
  symbols.fill(kNoSymbol);
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].size() == 1) symbols[static_cast<unsigned char>(pieces[id][0])] = id;
  }
  for (std::size_t byte = 0; byte < symbols.size(); ++byte)
    definition_.byte_ids[byte] = symbols[byte] == kNoSymbol ? -1 : static_cast<std::int32_t>(symbols[byte]);
  has_all_bytes_ = std::ranges::find(symbols, kNoSymbol) == symbols.end();
  cuttable_ = true;
  table_.set_byte_symbols(symbols);
  whole_words_ = PieceIndex(pieces.size());
  MergeWorkspace merging;
  for (std::uint32_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].empty()) continue;
    table_.merge_bytes(pieces[id], merging);
    const bool is_made = merging.symbols.size() == 1 && merging.symbols[0] == id;
    if (is_made || definition_.whole_words_first) whole_words_.put(pieces, id);
    if (!is_made && definition_.whole_words_first) cuttable_ = false;  // a part that is this piece is not this id
  }
}

// From the last piece to the first, as the newer of two stays longer, and the first are the frequent ones.
void BpeModel::fill(WordCache& cache) const {
  const auto& pieces = definition_.pieces;
  for (std::size_t i = definition_.byte_level ? pieces.size() : 0; i-- > 0;) {
    const auto id = static_cast<std::int32_t>(i), n_bytes = static_cast<std::int32_t>(pieces[i].size());
    if (pieces[i].empty() || pieces[i].size() > WordCache::kShortBytes) continue;
    if (whole_words_.find(pieces, pieces[i]) != static_cast<std::uint32_t>(i)) continue;
    const std::string* const decoded = surface(i);
    cache.put(pieces[i], {&id, 1}, {&n_bytes, 1}, !decoded || *decoded != pieces[i]);
  }
}

void BpeModel::find_byte_joins() {
  if (cuttable_) cut_beyond_ = kBytePartBytes;
  const auto add = [&](std::string_view piece) {
    for (std::size_t i = 1; i < piece.size(); ++i)
      byte_joins_.set(std::size_t{static_cast<unsigned char>(piece[i - 1])} << 8 |
                      static_cast<unsigned char>(piece[i]));
  };
  for (const MergeRule& rule : definition_.rules) add(definition_.pieces[rule.result]);
  // A byte that has no piece (NeoX's vocabulary, for one, lacks those that no UTF-8 has) stays with its neighbours, as
  // unknown ones may become one token.
  for (std::size_t byte = 0; byte < 256; ++byte) {
    for (std::size_t other = 0; definition_.byte_ids[byte] < 0 && other < 256; ++other)
      byte_joins_.set(byte << 8 | other), byte_joins_.set(other << 8 | byte);
  }
}

void BpeModel::find_character_joins() {
  const auto is_byte = [&](std::uint32_t symbol) {
    return std::ranges::find(definition_.byte_ids, static_cast<std::int32_t>(symbol)) != definition_.byte_ids.end();
  };
  cuttable_ = !definition_.whole_words_first && (has_all_bytes_ || !definition_.fuse_unk);
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

std::size_t BpeModel::byte_part_length(std::string_view rest) const {
  const auto byte = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(rest[i])}; };
  std::size_t n = 1;
  while (n < rest.size() && byte_joins_[byte(n - 1) << 8 | byte(n)]) ++n;
  return n;
}

void BpeModel::encode_long(std::string_view word, const char* readable_end, Workspace& workspace,
                           Pieces& pieces) const {
  std::array<std::uint32_t, 64> lengths;
  while (!word.empty()) {
    std::size_t n_parts = 0, n_bytes = 0;
    for (; n_parts < lengths.size() && n_bytes < word.size(); n_bytes += lengths[n_parts++]) {
      const std::string_view rest = word.substr(n_bytes);
      lengths[n_parts] = static_cast<std::uint32_t>(!cuttable_               ? rest.size()
                                                    : definition_.byte_level ? byte_part_length(rest)
                                                                             : part_length(rest));
    }
    if (n_parts == 1) {
      encode_unknown(word.substr(0, n_bytes), readable_end, workspace, pieces);
    } else {
      encode(word.data(), std::span(lengths).first(n_parts), readable_end, workspace, pieces);
    }
    word.remove_prefix(n_bytes);
  }
}

void BpeModel::encode_with_prefix(std::string_view word, const char* readable_end, Workspace& workspace,
                                  Pieces& pieces) const {
  const bool may_follow =
      cuttable_ && !word.empty() && may_cut(kMeta, decode_utf8(word.data(), word.data() + word.size()).code_point);
  const std::size_t n = may_follow ? 0 : part_length(word);
  const std::size_t first = pieces.size();
  encode_characters(word.substr(0, n), true, workspace, pieces);
  if (!comes_back(word.substr(0, n), pieces, first, " ")) pieces.lossy = true;
  encode_long(word.substr(n), readable_end, workspace, pieces);
}

void BpeModel::encode_afresh(std::string_view word, const char* readable_end, Workspace& workspace,
                             Pieces& pieces) const {
  if (const auto id = whole_words_.find(definition_.pieces, word))
    return pieces.put(*id, static_cast<std::int32_t>(word.size()));
  if (!definition_.byte_level) return encode_characters(word, false, workspace, pieces);
  if (cuttable_ && byte_part_length(word) < word.size()) return encode_long(word, readable_end, workspace, pieces);
  MergeWorkspace& merging = workspace.merging;
  table_.merge_bytes(word, merging);
  if (!has_all_bytes_ && std::ranges::find(merging.symbols, kNoSymbol) != merging.symbols.end())
    return encode_characters(word, false, workspace, pieces);
  merging.begins.push_back(static_cast<std::uint32_t>(word.size()));
  for (std::size_t i = 0; i < merging.symbols.size(); ++i)
    pieces.put(merging.symbols[i], static_cast<std::int32_t>(merging.begins[i + 1] - merging.begins[i]));
}

void BpeModel::encode_characters(std::string_view part, bool prefix, Workspace& workspace, Pieces& pieces) const {
  MergeWorkspace& merging = workspace.merging;
  auto& bytes = workspace.symbol_bytes;
  merging.symbols.clear();
  bytes.clear();
  if (prefix) merging.symbols.push_back(symbol_of(kMeta)), bytes.push_back(0);
  if (definition_.byte_level) {
    add_byte_symbols(part, workspace);
  } else {
    add_character_symbols(part, workspace);
  }
  table_.merge(merging);
  merging.begins.push_back(static_cast<std::uint32_t>(bytes.size()));
  for (std::size_t i = 0; i < merging.symbols.size(); ++i) {
    std::int32_t n_bytes = 0;
    for (std::uint32_t k = merging.begins[i]; k < merging.begins[i + 1]; ++k) n_bytes += bytes[k];
    put_symbol(merging.symbols[i], n_bytes, pieces);
  }
}

void BpeModel::add_byte_symbols(std::string_view part, Workspace& workspace) const {
  for (const char c : part) {
    const auto byte = static_cast<unsigned char>(c);
    if (definition_.byte_ids[byte] >= 0) {
      workspace.merging.symbols.push_back(static_cast<std::uint32_t>(definition_.byte_ids[byte]));
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
      workspace.merging.symbols.push_back(symbol);
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
      workspace.merging.symbols.push_back(valid ? static_cast<std::uint32_t>(byte_id(c))
                                                : kInvalidSymbol | static_cast<unsigned char>(c));
      workspace.symbol_bytes.push_back(1);
    }
  } else if (!definition_.unk_id) {
    if (definition_.needs_unk)
      throw Error(ErrorKind::kData, "a character is no piece, and the unknown token is none either",
                  "the tokenizer's unk_token is not in its vocabulary: add it, or repair the text");
    // Nothing stands for it, so its bytes count with what stands before it.
    if (!workspace.symbol_bytes.empty()) workspace.symbol_bytes.back() += n_bytes;
  } else if (definition_.fuse_unk && !workspace.merging.symbols.empty() &&
             workspace.merging.symbols.back() == *definition_.unk_id) {
    workspace.symbol_bytes.back() += n_bytes;
  } else {
    workspace.merging.symbols.push_back(*definition_.unk_id);
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
