#include "src/tokenizer/word_models.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "src/core/error.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

struct Step {  // the best way to reach a place
  double score = -std::numeric_limits<double>::infinity();
  std::uint32_t begin = 0;
  std::int32_t id = -1;  // -1: unknown
};

// SentencePiece's float sums begin anew where they have grown this large, for precision: all that is reached is lowered by
// the same (since 0.2.3).
constexpr double kLargestFloatSum = 100000.0;

void begin_sums_anew(std::span<Step> reached) {
  const auto offset = static_cast<float>(reached.front().score);
  for (Step& step : reached) step.score = static_cast<double>(static_cast<float>(step.score) - offset);
}

std::size_t bytes_of_all(const std::vector<std::pair<std::string, double>>& vocabulary) {
  std::size_t n = 0;
  for (const auto& [piece, score] : vocabulary) n += piece.size();
  return n;
}

}  // namespace

void PieceTrie::put(std::string_view piece, std::int32_t id) {
  std::uint32_t node = 0;
  for (const char byte : piece) {
    Edge& edge = edges_[place_of(key_of(node, byte))];
    if (edge.node == kNone) {
      edge = {key_of(node, byte), static_cast<std::uint32_t>(ids_.size())};
      ids_.push_back(-1);
    }
    node = edge.node;
  }
  ids_[node] = id;
}

UnigramModel::UnigramModel(const UnigramScores& scores, std::optional<std::uint32_t> unk_id,
                           const std::array<std::int32_t, 256>& byte_ids)
    : trie_(bytes_of_all(scores.vocabulary)),
      byte_ids_(byte_ids),
      unk_id_(unk_id),
      unknown_score_(scores.unknown),
      single_precision_(scores.single_precision) {
  for (const auto& [piece, score] : scores.vocabulary) {
    if (!piece.empty()) trie_.put(piece, static_cast<std::int32_t>(scores_.size()));
    scores_.push_back(score);
  }
}

void UnigramModel::encode_afresh(std::string_view word, const char*, Workspace&, Pieces& pieces) const {
  const char* const end = word.data() + word.size();
  std::vector<Step> steps(word.size() + 1);
  steps[0].score = 0;
  std::size_t frontier = 0;
  for (std::size_t at = 0; at < word.size();) {
    if (single_precision_ && std::abs(steps[at].score) > kLargestFloatSum)
      begin_sums_anew(std::span(steps).subspan(at, std::max(frontier, at) - at + 1));
    const std::size_t n_character = decode_utf8(word.data() + at, end).n_bytes;
    bool covers_character = false;
    const auto reach = [&](std::size_t n, double score, std::int32_t id) {
      Step& step = steps[at + n];
      double sum = steps[at].score + score;
      if (single_precision_) sum = static_cast<double>(static_cast<float>(sum));
      if (sum > step.score) step = {sum, static_cast<std::uint32_t>(at), id};
      frontier = std::max(frontier, at + n);
    };
    std::uint32_t node = 0;
    for (std::size_t n = 1; at + n <= word.size(); ++n) {
      node = trie_.next(node, word[at + n - 1]);
      if (node == PieceTrie::kNone) break;
      const std::int32_t id = trie_.id(node);
      if (id < 0) continue;
      reach(n, scores_[static_cast<std::size_t>(id)], id);
      covers_character = covers_character || n == n_character;
    }
    if (!covers_character) reach(n_character, unknown_score_, -1);
    at += n_character;
  }
  std::vector<std::pair<Step, std::size_t>> path;
  for (std::size_t at = word.size(); at > 0; at = steps[at].begin) path.emplace_back(steps[at], at);
  for (std::size_t i = path.size(); i-- > 0;) {
    const auto& [step, step_end] = path[i];
    if (!is_unknown(step.id)) {
      pieces.put(static_cast<std::uint32_t>(step.id), static_cast<std::int32_t>(step_end - step.begin));
      continue;
    }
    std::size_t run_end = step_end;
    while (i > 0 && is_unknown(path[i - 1].first.id)) run_end = path[--i].second;
    put_unknown(word.substr(step.begin, run_end - step.begin), step.id >= 0 && run_end == step_end, pieces);
  }
}

// `is_piece`: the run is the text of the unknown piece, which is no reason for bytes.
void UnigramModel::put_unknown(std::string_view run, bool is_piece, Pieces& pieces) const {
  const auto id_of = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  if (!unk_id_)
    throw Error(ErrorKind::kData, "a character is in no piece, and there is no unknown piece",
                "the tokenizer's unk_id is null: repair the text, or use another tokenizer");
  if (!is_piece && std::ranges::all_of(run, [&](char c) { return id_of(c) >= 0; })) {
    for (const char c : run) pieces.put(static_cast<std::uint32_t>(id_of(c)), 1);
  } else {
    pieces.put(*unk_id_, static_cast<std::int32_t>(run.size()));
  }
}

void WordLevelModel::encode_afresh(std::string_view word, const char*, Workspace&, Pieces& pieces) const {
  const auto found = ids_.find(std::string(word));
  const std::optional<std::uint32_t> id = found != ids_.end() ? std::optional(found->second) : unk_id_;
  if (!id)
    throw Error(ErrorKind::kData, "a word is not in the vocabulary, and the unknown token is not there either",
                "repair the text, or use another tokenizer");
  pieces.put(*id, static_cast<std::int32_t>(word.size()));
}

std::optional<unsigned char> byte_of_piece(std::string_view piece) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  if (digit(piece[3]) < 0 || digit(piece[4]) < 0) return std::nullopt;
  return static_cast<unsigned char>(digit(piece[3]) * 16 + digit(piece[4]));
}

}  // namespace lmbits
