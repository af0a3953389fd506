#include "src/tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "src/core/error.h"
#include "src/tokenizer/unicode.h"

namespace lmbits {
namespace {

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

std::string pattern_library() {
  std::string versions;
  for (const std::uint32_t what : {PCRE2_CONFIG_VERSION, PCRE2_CONFIG_UNICODE_VERSION}) {
    char version[64] = {};  // the longest of them has 24 characters
    pcre2_config(what, version);
    versions += (versions.empty() ? "" : ", Unicode ") + std::string(version);
  }
  return versions;
}

struct Pattern::Code {
  pcre2_code* code = nullptr;
  bool has_jit = false;
  ~Code() { pcre2_code_free(code); }
};

Pattern::Pattern(const std::string& pattern, RegexDialect dialect) : code_(std::make_unique<Code>()) {
  const std::string spelt = to_pcre2(pattern, dialect);
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (context) pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  const std::uint32_t ends = dialect == RegexDialect::kOniguruma ? PCRE2_MULTILINE : PCRE2_DOLLAR_ENDONLY;
  int error = 0;
  PCRE2_SIZE place = 0;
  code_->code = pcre2_compile(units(spelt), spelt.size(), PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | ends,
                              &error, &place, context.get());
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

std::optional<Match> Pattern::search(std::string_view text, std::size_t at) const {
  if (at > text.size()) return std::nullopt;
  pcre2_match_data* const data = match_data();
  const int found = match_at(code_->code, code_->has_jit, text, at, data);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) {
    throw Error(ErrorKind::kData, "the split pattern gave up (PCRE2 error " + std::to_string(found) + ")",
                "the text makes the pattern backtrack too much: split the document");
  }
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data);
  return Match{span[0], span[1]};
}

std::optional<Match> Pattern::find(std::string_view text, std::size_t at, bool may_be_empty_at) const {
  const std::optional<Match> found = search(text, at);
  if (!found || found->end > at || may_be_empty_at) return found;
  if (at >= text.size()) return std::nullopt;
  return search(text, at + decode_utf8(text.data() + at, text.data() + text.size()).n_bytes);
}

std::size_t PatternSplitter::split(std::string_view text, std::size_t at, std::span<std::uint32_t> lengths) const {
  std::size_t n = 0;
  const auto put = [&](std::size_t length) { lengths[n++] = static_cast<std::uint32_t>(length); };
  while (n + 2 <= lengths.size() && at < text.size()) {
    const std::optional<Match> match = pattern_.find(text, at);
    const std::size_t begin = match ? match->begin : text.size();
    if (begin > at) put(begin - at);
    if (match && match->end > begin) put(match->end - begin);
    at = match ? match->end : text.size();
  }
  return n;
}

}  // namespace lmbits
