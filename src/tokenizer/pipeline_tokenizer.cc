#include "src/tokenizer/pipeline_tokenizer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "src/core/error.h"
#include "src/tokenizer/fingerprint.h"

namespace lmbits {
namespace {

constexpr std::size_t kBatchWords = 256;

std::pair<std::vector<AddedToken>, std::vector<AddedToken>> by_place(const std::vector<AddedToken>& tokens) {
  std::pair<std::vector<AddedToken>, std::vector<AddedToken>> split;
  for (const AddedToken& token : tokens) (token.normalized ? split.second : split.first).push_back(token);
  return split;
}

class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(Pipeline pipeline) : p_(std::move(pipeline)) {
    auto [in_source, in_normalised] = by_place(p_.added_tokens);
    for (AddedToken& token : in_normalised) {
      std::string normal = normalised(AlignedText::of(token.content)).text;
      if (normal.empty() && !token.content.empty())
        throw Error(ErrorKind::kUnsupported, "the added token \"" + token.content + "\" is empty once it is normalised",
                    "its \"normalized\" would have to be false");
      token.content = std::move(normal);
    }
    p_.model->set_surfaces(p_.surfaces);
    in_source_ = AddedTokenFinder(std::move(in_source));
    in_normalised_ = AddedTokenFinder(std::move(in_normalised));
  }

  Tokens encode(std::string_view text) const override {
    check_text_size(text);
    const WorkspacePool::Lease lease(pool_, p_.model.get());
    Workspace& workspace = *lease;
    Pieces& pieces = workspace.pieces;
    pieces.clear();
    bool is_aligned = p_.strips_first_space;  // what decodes to the text is not decided word by word
    in_source_.cut(text, [&](const TextPart& part) {
      if (part.token) {
        put_token(part, text, pieces);
      } else {
        is_aligned = !encode_source(text, part, workspace) || is_aligned;
      }
    });
    Tokens tokens;
    tokens.lossless = is_aligned ? gives_back(text, pieces.ids()) : !pieces.lossy;
    if (!tokens.lossless) cover(text.size(), 0, pieces);
    tokens.ids.assign(pieces.ids().begin(), pieces.ids().end());
    tokens.n_bytes.assign(pieces.n_bytes().begin(), pieces.n_bytes().end());
    return tokens;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      check_token_id(id, vocab_size());
      text += p_.surfaces[static_cast<std::size_t>(id)];
    }
    if (p_.strips_first_space && text.starts_with(' ')) text.erase(0, 1);
    return text;
  }

  std::string kind() const override { return p_.kind; }
  std::string fingerprint() const override { return p_.fingerprint; }
  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(p_.surfaces.size()); }
  std::optional<std::int32_t> bos_id() const override { return p_.bos_id; }
  std::optional<std::int32_t> eos_id() const override { return p_.eos_id; }
  std::string piece(std::int32_t id) const override {
    check_token_id(id, vocab_size());
    return p_.surfaces[static_cast<std::size_t>(id)];
  }

 private:
  // Is text what decode() makes of these ids? Without making it.
  bool gives_back(std::string_view text, std::span<const std::int32_t> ids) const {
    const char *at = text.data(), *const end = at + text.size();
    bool strips = p_.strips_first_space;
    for (const std::int32_t id : ids) {
      std::string_view surface = p_.surfaces[static_cast<std::size_t>(id)];
      if (strips && !surface.empty()) {
        if (surface[0] == ' ') surface.remove_prefix(1);
        strips = false;
      }
      if (static_cast<std::size_t>(end - at) < surface.size() || std::memcmp(at, surface.data(), surface.size()) != 0)
        return false;
      at += surface.size();
    }
    return at == end;
  }

  AlignedText normalised(AlignedText text) const {
    for (const auto& normalizer : p_.normalizers) {
      if (normalizer->may_change(text.text)) text = normalizer->apply(std::move(text));
    }
    return text;
  }

  // Nothing but a splitter stands before the model.
  bool is_cut_at_once() const { return p_.pre_tokenization.splitter || p_.pre_tokenization.steps.empty(); }

  bool is_normal(std::string_view text) const {
    return std::ranges::none_of(p_.normalizers, [&](const auto& normalizer) { return normalizer->may_change(text); });
  }

  void put_token(const TextPart& part, std::string_view text, Pieces& pieces) const {
    const std::string_view source = text.substr(part.begin, part.end - part.begin);
    pieces.put(part.token->id, static_cast<std::int32_t>(source.size()));
    pieces.lossy = pieces.lossy || part.comes_again || p_.surfaces[part.token->id] != source;
  }

  // A part of the source without tokens that are searched there. Returns whether it went word by word from there to the
  // model, nothing changed.
  bool encode_source(std::string_view source, const TextPart& part, Workspace& workspace) const {
    const std::string_view text = source.substr(part.begin, part.end - part.begin);
    if (!is_cut_at_once() || !is_normal(text)) {
      encode_aligned(normalised(AlignedText::of(text)), part.begin == 0, workspace);
      return false;
    }
    in_normalised_.cut(text, [&](const TextPart& inner) {
      const std::string_view words = text.substr(inner.begin, inner.end - inner.begin);
      if (inner.token) {
        put_token(inner, text, workspace.pieces);
      } else {
        encode_plain(words, source.data() + source.size(), workspace);
      }
    });
    return true;
  }

  // Text that nothing changes: straight from the splitter to the model.
  void encode_plain(std::string_view text, const char* readable_end, Workspace& workspace) const {
    Pieces& pieces = workspace.pieces;
    const std::size_t first = pieces.size();
    const bool lossy_before = std::exchange(pieces.lossy, false);
    if (!p_.pre_tokenization.splitter) {
      p_.model->encode_long(text, readable_end, workspace, pieces);
    } else {
      std::array<std::uint32_t, kBatchWords> lengths;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t n = p_.pre_tokenization.splitter->split(text, at, lengths);
        const char* const end =
            p_.model->encode(text.data() + at, std::span(lengths).first(n), readable_end, workspace, pieces);
        at = static_cast<std::size_t>(end - text.data());
      }
    }
    if (pieces.lossy) cover(text.size(), first, pieces);  // else n_bytes add up to each word's
    pieces.lossy = pieces.lossy || lossy_before;
  }

  void encode_aligned(const AlignedText& aligned, bool at_start, Workspace& workspace) const {
    Pieces& pieces = workspace.pieces;
    in_normalised_.cut(aligned.text, [&](const TextPart& part) {
      const std::size_t first = pieces.size();
      const std::uint32_t begin = aligned.origin[part.begin], end = aligned.origin[part.end];
      if (part.token) return pieces.put(part.token->id, static_cast<std::int32_t>(end - begin));
      if (is_cut_at_once()) {
        const std::string_view text = aligned.text;
        encode_plain(text.substr(part.begin, part.end - part.begin), text.data() + text.size(), workspace);
        back_to_source(aligned, part.begin, first, pieces);
        return cover(end - begin, first, pieces);
      }
      TextChange change(aligned);
      change.copy(part.begin, part.end);
      CutText cut{change.finish(), {{0, part.end - part.begin}}, at_start && part.begin == 0};
      cut.aligned.origin.back() = end;
      encode_words(cut, workspace, pieces);
      cover(end - begin, first, pieces);
    });
  }

  // From bytes of the normalised text, where the tokens from `first` on begin at `at`, to bytes of the source.
  static void back_to_source(const AlignedText& aligned, std::size_t at, std::size_t first, Pieces& pieces) {
    std::uint32_t covered = aligned.origin[at];
    for (std::size_t i = first; i < pieces.size(); ++i) {
      at += static_cast<std::size_t>(pieces.n_bytes()[i]);
      pieces.n_bytes()[i] = static_cast<std::int32_t>(aligned.origin[at] - covered);
      covered = aligned.origin[at];
    }
  }

  void encode_words(CutText& cut, Workspace& workspace, Pieces& pieces) const {
    for (const auto& step : p_.pre_tokenization.steps) {
      step->apply(cut);
      std::erase_if(cut.words, [](const PreToken& word) { return word.begin == word.end; });
    }
    const AlignedText& aligned = cut.aligned;
    const std::uint32_t source_begin = aligned.origin.front();
    std::uint32_t covered = source_begin;  // of the source
    for (const PreToken& word : cut.words) {
      const std::size_t first = pieces.size();
      const std::string_view text = std::string_view(aligned.text).substr(word.begin, word.end - word.begin);
      if (p_.pre_tokenization.bytes_mapped) {
        const std::string bytes = from_byte_alphabet(text).value_or(std::string(text));
        p_.model->encode_long(bytes, bytes.data() + bytes.size(), workspace, pieces);
      } else {
        p_.model->encode_long(text, aligned.text.data() + aligned.text.size(), workspace, pieces);
      }
      std::size_t at = word.begin;  // of the normalised text
      for (std::size_t i = first; i < pieces.size(); ++i) {
        at = advance(aligned, at, pieces.n_bytes()[i]);
        const std::uint32_t end = std::max(covered, aligned.origin[std::min(at, word.end)]);
        pieces.n_bytes()[i] = static_cast<std::int32_t>(end - covered);
        covered = end;
      }
    }
  }

  // `n_bytes` on, of the model's: where bytes are mapped, that many characters.
  std::size_t advance(const AlignedText& aligned, std::size_t at, std::int32_t n_bytes) const {
    if (!p_.pre_tokenization.bytes_mapped) return at + static_cast<std::size_t>(n_bytes);
    for (; n_bytes > 0 && at < aligned.text.size(); --n_bytes) {
      at += static_cast<unsigned char>(aligned.text[at]) < 0x80 ? 1 : 2;
    }
    return at;
  }

  // What no token stands for counts with the last one; what stands there twice is taken off the last ones.
  static void cover(std::size_t n_bytes, std::size_t first, Pieces& pieces) {
    if (first == pieces.size()) return;
    std::int64_t sum = 0;
    for (std::size_t i = first; i < pieces.size(); ++i) sum += pieces.n_bytes()[i];
    std::int64_t left = static_cast<std::int64_t>(n_bytes) - sum;
    if (left > 0) pieces.n_bytes().back() += static_cast<std::int32_t>(left);
    for (std::size_t i = pieces.size(); left < 0 && i-- > first;) {
      const auto taken = std::min<std::int64_t>(-left, pieces.n_bytes()[i]);
      pieces.n_bytes()[i] -= static_cast<std::int32_t>(taken);
      left += taken;
    }
  }

  Pipeline p_;
  AddedTokenFinder in_source_, in_normalised_;
  mutable WorkspacePool pool_;
};

}  // namespace

std::unique_ptr<Workspace> WorkspacePool::take(const WordModel* model) {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<Workspace> workspace = std::move(free_.back());
      free_.pop_back();
      return workspace;
    }
  }
  auto workspace = std::make_unique<Workspace>();
  if (model) model->fill(workspace->cache);
  return workspace;
}

void WorkspacePool::give_back(std::unique_ptr<Workspace> workspace) {
  constexpr std::size_t kKeptSymbols = std::size_t{1} << 20;  // of a huge word no more is kept
  if (workspace->merging.symbols.capacity() > kKeptSymbols) workspace->merging = MergeWorkspace();
  if (workspace->symbol_bytes.capacity() > kKeptSymbols) workspace->symbol_bytes = {};
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(workspace));
}

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(Pipeline pipeline) {
  return std::make_unique<PipelineTokenizer>(std::move(pipeline));
}

}  // namespace lmbits
