#include "src/tokenizer/word_model.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "src/tokenizer/byte_blocks.h"

namespace lmbits {
namespace {

constexpr std::size_t kAhead = 64;

}  // namespace

const char* WordModel::encode(const char* text, std::span<const std::uint32_t> lengths, const char* readable_end,
                              Workspace& workspace, Pieces& pieces) const {
  for (; !lengths.empty(); lengths = lengths.subspan(std::min(kAhead, lengths.size())))
    text = encode_some(text, lengths.first(std::min(kAhead, lengths.size())), readable_end, workspace, pieces);
  return text;
}

// Two passes: the table of known words is larger than the processor's inner caches, so the lines of all words are asked for
// before the first is read. Written for the eye of the branch predictor: what is known and of few tokens takes no branch
// that depends on the word. It writes kFewTokens + 1 numbers whatever it has; the next one overwrites what was too much.
const char* WordModel::encode_some(const char* text, std::span<const std::uint32_t> lengths, const char* readable_end,
                                   Workspace& workspace, Pieces& pieces) const {
  struct Sought {
    WordCache::Key key;
    const WordCache::Line* line;
  };
  std::array<Sought, kAhead> sought;
  const char* word = text;
  for (std::size_t i = 0; i < lengths.size(); word += lengths[i++]) {
    const bool is_short = lengths[i] <= WordCache::kShortBytes;
    sought[i].key = is_short ? WordCache::key_of(word, lengths[i], readable_end) : WordCache::kNoKey;
    sought[i].line = workspace.cache.line_of(sought[i].key);
    __builtin_prefetch(sought[i].line);
  }
  std::uint32_t facts = 0;  // of all words
  pieces.make_room((lengths.size() + 1) * WordCache::kShortTokens);
  std::int32_t *ids = pieces.ids_end(), *n_bytes = pieces.n_bytes_end();
  for (std::size_t i = 0; i < lengths.size(); text += lengths[i++]) {
    const WordCache::Short* const known = WordCache::find(sought[i].key, sought[i].line);
    if (!known) [[unlikely]] {
      pieces.set_size(pieces.size() + static_cast<std::size_t>(ids - pieces.ids_end()));
      if (lengths[i] > cut_beyond_) {
        encode_long({text, lengths[i]}, readable_end, workspace, pieces);
      } else {
        encode_unknown({text, lengths[i]}, readable_end, workspace, pieces);
      }
      pieces.make_room((lengths.size() - i) * WordCache::kShortTokens);
      ids = pieces.ids_end();
      n_bytes = pieces.n_bytes_end();
      continue;
    }
    facts |= known->facts();
    if (known->n_few() != 0) [[likely]] {
      std::memcpy(ids, known->ids_and_facts,
                  sizeof known->ids_and_facts);  // one move; the next word overwrites the facts
      put_bytes_as_numbers(known->facts(), n_bytes);
      ids += known->n_few();
      n_bytes += known->n_few();
    } else {
      WordCache::copy_short_ids(*known, ids);
      for (std::uint32_t ends = known->ends(), begin = 0; ends; ends &= ends - 1, ++ids) {
        const auto end = static_cast<std::uint32_t>(std::countr_zero(ends)) + 1;
        *n_bytes++ = static_cast<std::int32_t>(end - begin);
        begin = end;
      }
    }
  }
  pieces.set_size(pieces.size() + static_cast<std::size_t>(ids - pieces.ids_end()));
  pieces.lossy = pieces.lossy || (facts & WordCache::kLossyFact) != 0;
  return text;
}

void WordModel::encode_unknown(std::string_view word, const char* readable_end, Workspace& workspace,
                               Pieces& pieces) const {
  WordCache::Long known;
  if (word.size() <= WordCache::kLongBytes && workspace.cache.find_long(word, known)) {
    pieces.make_room(known.n_tokens);
    std::copy_n(known.ids, known.n_tokens, pieces.ids_end());
    std::copy_n(known.n_bytes, known.n_tokens, pieces.n_bytes_end());
    pieces.set_size(pieces.size() + known.n_tokens);
    pieces.lossy = pieces.lossy || known.is_lossy;
    return;
  }
  const std::size_t first = pieces.size();
  const bool lossy_before = std::exchange(pieces.lossy, false);
  encode_afresh(word, readable_end, workspace, pieces);
  const bool lossy = pieces.lossy || !comes_back(word, pieces, first);
  workspace.cache.put(word, std::as_const(pieces).ids().subspan(first), std::as_const(pieces).n_bytes().subspan(first),
                      lossy);
  pieces.lossy = lossy_before || lossy;
}

bool WordModel::comes_back(std::string_view word, const Pieces& pieces, std::size_t first,
                           std::string_view unseen) const {
  if (!surfaces_) return false;
  for (std::size_t i = first; i < pieces.size(); ++i) {
    std::string_view surface = (*surfaces_)[static_cast<std::size_t>(pieces.ids()[i])];
    if (!unseen.empty() && !surface.starts_with(unseen)) return false;
    surface.remove_prefix(unseen.size());
    unseen = "";
    if (!word.starts_with(surface) || static_cast<std::int32_t>(surface.size()) != pieces.n_bytes()[i]) return false;
    word.remove_prefix(surface.size());
  }
  return word.empty() && unseen.empty();
}

}  // namespace lmbits
