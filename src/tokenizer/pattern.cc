#include "src/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "src/core/error.h"

namespace lmbits {
namespace {

constexpr const char* kSpaceSet = R"(\x09-\x0d\x{85}\p{Z})";

// The pattern with \s and \S spelt out. A \S inside a character class with other members is left to PCRE2.
std::string with_spaces_spelt_out(const std::string& pattern) {
  std::string spelt;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\' || i + 1 == pattern.size()) {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      spelt += c;
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      spelt += in_class ? kSpaceSet : std::string("[") + kSpaceSet + "]";
    } else if (escaped == 'S' && !in_class) {
      spelt += std::string("[^") + kSpaceSet + "]";
    } else {
      spelt += {c, escaped};
    }
  }
  return spelt;
}

// A thread's block for results, which matches are written to: each thread needs one of its own.
pcre2_match_data* match_data() {
  struct Free {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  };
  thread_local const std::unique_ptr<pcre2_match_data, Free> data(pcre2_match_data_create(1, nullptr));
  return data.get();
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

// pcre2_jit_match is pcre2_match without its checks of the arguments: half the time of a short match.
int match_at(const pcre2_code* code, bool has_jit, std::string_view text, std::size_t at, pcre2_match_data* data) {
  if (has_jit) {
    const int found = pcre2_jit_match(code, units(text), text.size(), at, 0, data, nullptr);
    if (found != PCRE2_ERROR_JIT_STACKLIMIT) return found;
  }
  return pcre2_match(code, units(text), text.size(), at, PCRE2_NO_JIT, data, nullptr);
}

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  bool has_jit = false;
  ~Code() { pcre2_code_free(code); }
};

Pattern::Pattern(const std::string& pattern) : code_(std::make_unique<Code>()) {
  const std::string spelt = with_spaces_spelt_out(pattern);
  int error = 0;
  PCRE2_SIZE place = 0;
  code_->code = pcre2_compile(units(spelt), spelt.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error,
                              &place, nullptr);
  if (!code_->code) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    throw Error(ErrorKind::kModel,
                "the split pattern " + pattern + " is refused: " + reinterpret_cast<const char*>(message),
                "PCRE2's syntax is understood (pcre2pattern)");
  }
  code_->has_jit = pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE) == 0;  // else the interpreter matches
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;

std::optional<Match> Pattern::find(std::string_view text, std::size_t at) const {
  pcre2_match_data* const data = match_data();
  for (; at < text.size(); ++at) {
    const int found = match_at(code_->code, code_->has_jit, text, at, data);
    if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (found < 0) {
      throw Error(ErrorKind::kData, "the split pattern gave up (PCRE2 error " + std::to_string(found) + ")",
                  "the text makes the pattern backtrack too much: split the document");
    }
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data);
    if (span[1] > span[0]) return Match{span[0], span[1]};
    at = span[0];
  }
  return std::nullopt;
}

std::size_t PatternSplitter::split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const {
  std::size_t n = 0;
  const auto put = [&](std::size_t length) { lengths[n++] = static_cast<std::uint32_t>(length); };
  while (n + 2 <= lengths.size() && at < text.size()) {
    const std::optional<Match> match = pattern_.find(text, at);
    const std::size_t begin = match ? match->begin : text.size();
    if (begin > at) put(begin - at);
    if (match) put(match->end - begin);
    at = match ? match->end : text.size();
  }
  return n;
}

}  // namespace lmbits
