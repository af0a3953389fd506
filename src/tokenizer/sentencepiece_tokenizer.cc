// SentencePiece over any bytes and texts of any size, with the ids that one call on the whole text gives.
//
// Long texts. One call's time grows faster than its text (a byte at 4 MB costs twice what it does at 200 kB) and its
// memory by 100 bytes a byte. So a text is cut every 8 KiB or so, but only where that changes nothing: the model is
// BPE with byte fallback and no normalisation that looks beyond a character, and the two characters beside the cut
// stand next to each other in no piece. BPE merges neighbours into pieces of the vocabulary, so no merge spans such
// a cut, and merges that share no symbol do not see each other. Where no such place exists, and for other models (a
// unigram model's float sum of scores runs over the whole text, and cutting it did change ids), one call gets it
// all. Cuts depend on the text and the model alone.
//
// Such a model (BPE, byte fallback, nothing normalised, no unused pieces, no space in user-defined ones) needs no library
// at all: its merges are those of BpeModel, which knows words again, with ids equal by test. The library then only
// reads the file.
//
// Every unigram model goes through our normaliser and UnigramModel, with the ids of SentencePiece 0.2.3: of ways that are
// nearly equal ("111" as "11" "1" or "1" "11") the sums' rounding decides, and 0.1.97, which may be the library here, rounds
// others. Behind some ten thousand tokens, and with user-defined pieces, 0.2.3's sums are not quite these (docs/formats.md).
//
// A dummy prefix belongs to the text's start, so what follows a cut goes to a second processor that adds none.
#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <unordered_set>

#include "src/core/error.h"
#include "src/corpus/utf8.h"
#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/aligned_text.h"
#include "src/tokenizer/bpe_model.h"
#include "src/tokenizer/fingerprint.h"
#include "src/tokenizer/pipeline_tokenizer.h"
#include "src/tokenizer/sentencepiece_model.h"
#include "src/tokenizer/sentencepiece_normalizer.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/word_models.h"

namespace lmbits {
namespace {

using sentencepiece::SentencePieceProcessor;

constexpr std::uint8_t kNormalPiece = 1, kUserDefinedPiece = 4;
constexpr std::size_t kSegmentBytes = std::size_t{1} << 13;
constexpr std::string_view kSpace = "\xE2\x96\x81";  // "▁", U+2581, which stands for " " in pieces

std::unique_ptr<SentencePieceProcessor> load(const std::string& model) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto(model);
  if (!status.ok()) {
    throw Error(ErrorKind::kModel, std::string("not a SentencePiece model: ") + status.error_message(),
                "the file is damaged or of another kind");
  }
  return processor;
}

std::string with_spaces(std::string_view piece) {
  std::string text;
  for (std::size_t at = 0; at < piece.size();) {
    const bool space = piece.substr(at).starts_with(kSpace);
    text += space ? ' ' : piece[at];
    at += space ? kSpace.size() : 1;
  }
  return text;
}

// Two characters next to each other as a number, with " " for "▁": the same in a text and in a piece.
std::uint64_t neighbours(std::string_view left, std::string_view right) {
  const auto number = [](std::string_view character) {
    if (character == kSpace) character = " ";
    std::uint32_t bytes = 0;
    std::memcpy(&bytes, character.data(), character.size());
    return bytes;
  };
  return std::uint64_t{number(left)} << 32 | number(right);
}

std::string_view character_at(std::string_view text, std::size_t at) {
  return text.substr(at, utf8_character_length(text.substr(at, 4)));
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::string& model)
      : processor_(load(model)),
        settings_(read_sentencepiece_settings(model)),
        fingerprint_(tokenizer_fingerprint("sentencepiece", model)),
        types_(read_sentencepiece_types(model)) {
    if (settings_.add_dummy_prefix) continuation_ = load(without_dummy_prefix(model));
    byte_ids_.fill(-1);
    for (int id = 0; id < processor_->GetPieceSize(); ++id) add_piece(id);
    if (types_.size() != bytes_.size())
      throw Error(ErrorKind::kModel,
                  "the SentencePiece model holds " + std::to_string(types_.size()) + " pieces, but " +
                      std::to_string(bytes_.size()) + " were read",
                  "the file is damaged");
    std::vector<std::string> user_defined;
    for (int id = 0; id < processor_->GetPieceSize(); ++id) {
      if (is_user_defined(id)) user_defined.push_back(processor_->IdToPiece(id));
    }
    make_own_engine();
    make_unigram(user_defined);
  }

  Tokens encode(std::string_view text) const override {
    check_text_size(text);
    const WorkspacePool::Lease lease(workspaces_, own_ ? &*own_ : nullptr);
    Pieces& pieces = (*lease).pieces;
    pieces.clear();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t n_valid = valid_utf8_prefix(text.substr(at));
      encode_run(text.substr(at, n_valid), at == 0, *lease);
      at += n_valid;
      if (at == text.size()) break;
      const auto byte = static_cast<unsigned char>(text[at]);
      if (byte_ids_[byte] < 0) {
        throw Error(ErrorKind::kData,
                    "invalid UTF-8 at byte " + std::to_string(at) + ", which this tokenizer cannot encode",
                    "its SentencePiece model has no byte fallback: repair the text or use another model");
      }
      pieces.put(static_cast<std::uint32_t>(byte_ids_[byte]), 1);
      ++at;
    }
    Tokens tokens;
    tokens.ids.assign(pieces.ids().begin(), pieces.ids().end());
    tokens.n_bytes.assign(pieces.n_bytes().begin(), pieces.n_bytes().end());
    tokens.lossless = own_ ? !pieces.lossy : decode(tokens.ids) == text;
    return tokens;
  }

  // Not the library's Decode, which turns byte pieces that are no UTF-8 into U+FFFD; the same otherwise.
  std::string decode(std::span<const std::int32_t> ids) const override {
    const bool strips_prefix = settings_.add_dummy_prefix || settings_.remove_extra_whitespaces;
    std::string text;
    bool at_start = true;
    for (const std::int32_t id : ids) {
      check_token_id(id, vocab_size());
      if (processor_->IsControl(id)) continue;
      const bool prefixed = at_start && strips_prefix && processor_->IdToPiece(id).starts_with(kSpace);
      text += std::string_view(bytes_[static_cast<std::size_t>(id)]).substr(prefixed ? 1 : 0);
      at_start = false;
    }
    return text;
  }

  std::string kind() const override { return "sentencepiece"; }
  std::string fingerprint() const override { return fingerprint_; }
  std::int64_t vocab_size() const override { return processor_->GetPieceSize(); }
  std::optional<std::int32_t> bos_id() const override { return id_or_none(processor_->bos_id()); }
  std::optional<std::int32_t> eos_id() const override { return id_or_none(processor_->eos_id()); }

  std::string piece(std::int32_t id) const override {
    check_token_id(id, vocab_size());
    const bool named = processor_->IsControl(id) || processor_->IsUnknown(id);
    return named ? processor_->IdToPiece(id) : bytes_[static_cast<std::size_t>(id)];
  }

 private:
  static std::optional<std::int32_t> id_or_none(int id) { return id < 0 ? std::nullopt : std::optional(id); }

  void add_piece(int id) {
    const std::string& piece = processor_->IdToPiece(id);
    if (processor_->IsByte(id)) {  // "<0xNN>"
      const auto byte = static_cast<unsigned char>(std::stoi(piece.substr(3, 2), nullptr, 16));
      byte_ids_[byte] = id;
      bytes_.emplace_back(1, static_cast<char>(byte));
    } else if (processor_->IsControl(id) || processor_->IsUnknown(id)) {
      bytes_.push_back(processor_->DecodeIds({id}));  // nothing, or the model's surface of <unk>
    } else {
      bytes_.push_back(with_spaces(piece));
      for (std::string_view rest = piece; !rest.empty();) {
        const std::string_view left = character_at(rest, 0);
        if (left.empty()) break;
        rest.remove_prefix(left.size());
        const std::string_view right = rest.empty() ? rest : character_at(rest, 0);
        if (!right.empty()) joined_.insert(neighbours(left, right));
      }
    }
  }

  // Valid UTF-8, from the start of the text or from behind an invalid byte.
  void encode_run(std::string_view run, bool at_start, Workspace& workspace) const {
    if (own_) return encode_by_own_engine(run, at_start, workspace);
    if (unigram_) return encode_by_unigram(run, at_start, workspace);
    while (!run.empty()) {
      const std::size_t n = segment_length(run);
      encode_segment(at_start || !continuation_ ? *processor_ : *continuation_, run.substr(0, n), workspace.pieces);
      run.remove_prefix(n);
      at_start = false;
    }
  }

  // The first place from kSegmentBytes on where a cut changes no id.
  std::size_t segment_length(std::string_view run) const {
    if (!may_cut() || run.size() <= kSegmentBytes) return run.size();
    std::size_t at = kSegmentBytes;
    while (utf8_character_length(run.substr(at, 4)) == 0) --at;  // to the beginning of a character
    for (std::string_view left = character_at(run, at);;) {
      at += left.size();
      if (at == run.size()) return at;
      const std::string_view right = character_at(run, at);
      if (!joined_.contains(neighbours(left, right))) return at;
      left = right;
    }
  }

  // User-defined pieces are found first, as the library does, and merge with nothing.
  void encode_by_own_engine(std::string_view run, bool at_start, Workspace& workspace) const {
    if (run.empty()) return;
    Pieces& pieces = workspace.pieces;
    bool prefix = at_start && settings_.add_dummy_prefix;
    const char* const end = run.data() + run.size();
    user_defined_.cut(run, [&](const TextPart& part) {
      const std::string_view text = part.token ? std::string_view() : run.substr(part.begin, part.end - part.begin);
      if (prefix) {
        own_->encode_with_prefix(text, end, workspace, pieces);
      } else if (!part.token) {
        own_->encode_long(text, end, workspace, pieces);
      }
      if (part.token) pieces.put(part.token->id, static_cast<std::int32_t>(part.end - part.begin));
      prefix = false;
    });
  }

  // The model's words are whole runs, normalised.
  void encode_by_unigram(std::string_view run, bool at_start, Workspace& workspace) const {
    if (run.empty()) return;
    const AlignedText text = normalizer_->apply(run, at_start);
    Pieces& pieces = workspace.pieces;
    const std::size_t first = pieces.size();
    unigram_->encode_long(text.text, text.text.data() + text.text.size(), workspace, pieces);
    std::size_t at = 0;
    std::uint32_t covered = 0;  // of the run
    for (std::size_t i = first; i < pieces.size(); ++i) {
      at += static_cast<std::size_t>(pieces.n_bytes()[i]);
      pieces.n_bytes()[i] = static_cast<std::int32_t>(text.origin[at] - covered);
      covered = text.origin[at];
    }
  }

  void make_unigram(const std::vector<std::string>& user_defined) {
    if (!settings_.is_unigram) return;
    UnigramScores scores;
    scores.single_precision = true;
    float worst = std::numeric_limits<float>::max();
    for (int id = 0; id < processor_->GetPieceSize(); ++id) {
      const bool is_normal = types_[static_cast<std::size_t>(id)] == kNormalPiece;
      const float score = processor_->GetScore(id);
      if (is_normal) worst = std::min(worst, score);
      scores.vocabulary.emplace_back(is_normal || is_user_defined(id) ? processor_->IdToPiece(id) : "", score);
    }
    for (std::size_t id = 0; id < types_.size(); ++id) {
      auto& [piece, score] = scores.vocabulary[id];
      // Above all others, which are log-probabilities; one long piece above two short ones.
      if (types_[id] == kUserDefinedPiece)
        score = static_cast<double>(static_cast<float>(0.1 * static_cast<double>(piece.size() - 1)));
    }
    scores.unknown = static_cast<double>(worst - static_cast<float>(kUnknownPenalty));
    normalizer_.emplace(settings_, user_defined);
    unigram_.emplace(scores, static_cast<std::uint32_t>(processor_->unk_id()), byte_ids_);
  }

  void make_own_engine() {
    const auto n_pieces = static_cast<std::size_t>(processor_->GetPieceSize());
    if (!may_cut() || !settings_.escape_whitespaces || std::ranges::find(byte_ids_, -1) != byte_ids_.end()) return;
    BpeDefinition bpe;
    bpe.byte_level = false;
    bpe.space_is_meta = true;
    bpe.unknown = Unknown::kBytesLast;
    bpe.byte_ids = byte_ids_;
    bpe.pieces.resize(n_pieces);
    std::vector<float> scores;  // of the pieces that merges make, the best first
    std::vector<AddedToken> user_defined;
    for (std::size_t i = 0; i < n_pieces; ++i) {
      const int id = static_cast<int>(i);
      if (processor_->IsUnused(id)) return;
      if (processor_->IsByte(id) || processor_->IsControl(id) || processor_->IsUnknown(id)) continue;
      bpe.pieces[i] = processor_->IdToPiece(id);
      scores.push_back(processor_->GetScore(id));
      if (!is_user_defined(id)) continue;
      if (bpe.pieces[i].find(kSpace) != std::string::npos || bpe.pieces[i].find(' ') != std::string::npos) return;
      user_defined.push_back({.id = static_cast<std::uint32_t>(id), .content = bpe.pieces[i]});
    }
    std::ranges::sort(scores, std::greater<>());
    std::vector<std::int64_t> ranks(n_pieces, -1);
    for (std::size_t i = 0; i < n_pieces; ++i) {
      if (bpe.pieces[i].empty()) continue;
      ranks[i] = std::ranges::lower_bound(scores, processor_->GetScore(static_cast<int>(i)), std::greater<>()) -
                 scores.begin();
    }
    bpe.rules = rules_from_ranks(bpe.pieces, ranks, false);
    own_.emplace(std::move(bpe));
    own_->set_surfaces(bytes_);
    user_defined_ = AddedTokenFinder(std::move(user_defined));
  }

  bool is_user_defined(int id) const { return types_[static_cast<std::size_t>(id)] == kUserDefinedPiece; }

  bool may_cut() const {
    return settings_.is_bpe && settings_.byte_fallback && !settings_.maps_characters &&
           !settings_.remove_extra_whitespaces && !settings_.whitespace_as_suffix;
  }

  static void encode_segment(const SentencePieceProcessor& processor, std::string_view segment, Pieces& pieces) {
    sentencepiece::ImmutableSentencePieceText encoded;
    const auto status = processor.Encode(segment, encoded.mutable_proto());
    if (!status.ok()) throw Error(ErrorKind::kModel, std::string("SentencePiece failed: ") + status.error_message());
    std::size_t n_silent = 0;  // byte pieces so far of a character whose bytes the library gives to the last of them
    for (const auto& piece : encoded.pieces()) {
      const auto id = static_cast<std::int32_t>(piece.id());
      const std::size_t n_bytes = piece.end() - piece.begin();
      pieces.put(static_cast<std::uint32_t>(id), static_cast<std::int32_t>(n_bytes));
      if (!processor.IsByte(id)) {
        n_silent = 0;
      } else if (n_bytes == 0) {
        ++n_silent;
      } else {
        if (n_bytes == n_silent + 1) std::fill_n(pieces.n_bytes().rbegin(), n_bytes, 1);
        n_silent = 0;
      }
    }
  }

  std::unique_ptr<SentencePieceProcessor> processor_;
  std::unique_ptr<SentencePieceProcessor> continuation_;  // where processor_ adds a dummy prefix: the same without it
  SentencePieceSettings settings_;
  std::string fingerprint_;
  std::vector<std::string> bytes_;                     // of each id, as text
  std::array<std::int32_t, 256> byte_ids_{};           // of each byte's piece; -1 without byte fallback
  std::unordered_set<std::uint64_t> joined_;           // neighbours() within a piece
  std::vector<std::uint8_t> types_;                    // of each id, as in the model file
  std::optional<BpeModel> own_;                        // where it is exact: see above
  std::optional<SentencePieceNormalizer> normalizer_;  // of a unigram model
  std::optional<UnigramModel> unigram_;
  AddedTokenFinder user_defined_;
  mutable WorkspacePool workspaces_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(const std::string& model_file_bytes) {
  return std::make_unique<SentencePieceTokenizer>(model_file_bytes);
}

}  // namespace lmbits
