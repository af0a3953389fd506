#include "src/conventions/plan.h"

#include <algorithm>
#include <array>
#include <string>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t default_count(const Convention& c, std::int64_t n) {
  if (n < 2) return 0;
  const std::int64_t beyond_first = std::max<std::int64_t>(0, n - 1 - c.window);
  return 1 + ceil_div(beyond_first, c.stride);
}

Window default_window(const Convention& c, std::int64_t n, std::int64_t k) {
  const std::int64_t begin = k * c.stride;
  const std::int64_t end = std::min(begin + c.window, n - 1);
  const std::int64_t score_begin = k == 0 ? 1 : begin - c.stride + c.window + 1;  // where window k - 1 stopped
  return {begin, end, score_begin, end + 1};
}

std::int64_t lm_eval_count(const Convention& c, std::int64_t n) { return n < 2 ? 0 : ceil_div(n - 1, c.window); }

Window lm_eval_window(const Convention& c, std::int64_t n, std::int64_t k) {
  const std::int64_t score_begin = 1 + k * c.window;
  const std::int64_t score_end = std::min(score_begin + c.window, n);
  // The last window keeps its full length and reaches back; only the first may be short.
  return {std::max<std::int64_t>(0, score_end - 1 - c.window), score_end - 1, score_begin, score_end};
}

std::int64_t hkust_count(const Convention& c, std::int64_t n) {
  return n <= c.window ? 0 : (n - c.window - 1) / c.stride + 1;
}

Window hkust_window(const Convention& c, std::int64_t, std::int64_t k) {
  const std::int64_t begin = k * c.stride;
  const std::int64_t end = begin + c.window;
  return {begin, end, k == 0 ? 1 : end + 1 - c.stride, end + 1};
}

std::int64_t llama_count(const Convention& c, std::int64_t n) {
  const std::int64_t n_chunks = n / c.window;
  return n_chunks < 2 ? 0 : n_chunks;
}

Window llama_window(const Convention& c, std::int64_t, std::int64_t k) {
  const std::int64_t begin = k * c.window;
  const std::int64_t end = begin + c.window;
  return {begin, end - 1, begin + c.window / 2 + 1, end, c.window_lead};
}

std::int64_t gptq_count(const Convention& c, std::int64_t n) { return n / c.window; }

Window gptq_window(const Convention& c, std::int64_t, std::int64_t k) {
  const std::int64_t begin = k * c.window;
  return {begin, begin + c.window - 1, begin + 1, begin + c.window};
}

std::int64_t uncheatable_count(const Convention& c, std::int64_t n) {
  if (c.window_lead == Lead::kInserted) return ceil_div(n, c.window);
  return n / c.window + (n % c.window >= 2 ? 1 : 0);  // a last chunk of one id is overwritten: nothing to score
}

Window uncheatable_window(const Convention& c, std::int64_t n, std::int64_t k) {
  const std::int64_t begin = k * c.window;
  const std::int64_t end = std::min(begin + c.window, n);
  return {begin, end - 1, c.window_lead == Lead::kInserted ? begin : begin + 1, end, c.window_lead};
}

struct Rules {
  const char* name;
  std::int64_t (*count)(const Convention&, std::int64_t n_ids);
  Window (*window)(const Convention&, std::int64_t n_ids, std::int64_t k);
};

constexpr std::array<Rules, 7> kRules{{
    {"default", default_count, default_window},
    {"lm-eval", lm_eval_count, lm_eval_window},
    {"hkust", hkust_count, hkust_window},
    {"llama-ppl", llama_count, llama_window},
    {"gptq", gptq_count, gptq_window},
    {"uncheatable", uncheatable_count, uncheatable_window},
    {"lmic", default_count, default_window},  // a chunk is scored as a document; one window, as ids <= bytes
}};

const Rules& rules_of(const Convention& convention) {
  LMBITS_CHECK(convention.stride >= 1 && convention.stride <= convention.window);
  const auto* rules = std::find_if(kRules.begin(), kRules.end(),
                                   [&](const Rules& candidate) { return convention.name == candidate.name; });
  LMBITS_CHECK(rules != kRules.end());
  return *rules;
}

}  // namespace

std::int64_t n_windows(const Convention& convention, std::int64_t n_ids) {
  LMBITS_CHECK(n_ids >= 0);
  return rules_of(convention).count(convention, n_ids);
}

Window window_at(const Convention& convention, std::int64_t n_ids, std::int64_t k) {
  LMBITS_CHECK(k >= 0 && k < n_windows(convention, n_ids));
  return rules_of(convention).window(convention, n_ids, k);
}

std::vector<Window> plan(const Convention& convention, std::int64_t n_ids) {
  const Rules& rules = rules_of(convention);
  std::vector<Window> windows(static_cast<std::size_t>(n_windows(convention, n_ids)));
  for (std::size_t k = 0; k < windows.size(); ++k) {
    windows[k] = rules.window(convention, n_ids, static_cast<std::int64_t>(k));
  }
  return windows;
}

std::int64_t min_ids(const Convention& convention) {
  if (convention.name == "hkust") return convention.window + 1;
  if (convention.name == "llama-ppl") return 2 * convention.window;
  if (convention.name == "gptq") return convention.window;
  return convention.window_lead == Lead::kInserted ? 1 : 2;
}

void require_windows(const Convention& convention, std::int64_t n_ids) {
  const std::int64_t needed = min_ids(convention);
  if (n_ids >= needed) return;
  throw Error(ErrorKind::kData,
              convention.name + " with a window of " + std::to_string(convention.window) + " needs at least " +
                  std::to_string(needed) + " ids, but the corpus has " + std::to_string(n_ids),
              "use a longer corpus, a smaller --window, or --convention default");
}

}  // namespace lmbits
