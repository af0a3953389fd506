// Multiple-choice and next-word questions. docs/formats.md describes the file.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

struct Question {
  std::string id, area, kind;              // area and kind: empty where the file does not say
  std::string context;                     // what stands before the answer
  std::vector<std::string> continuations;  // the choices; or the one text that is to be written exactly
  bool exact = false;                      // no choices: continuations[0] is to be written
  std::size_t answer = 0;                  // index of the right one
  std::string error;                       // not empty: the line is broken, and why; then only `id` means anything

  const std::string& gold() const { return continuations[answer]; }
};

// A question a line: {id, area, kind, context, choices, answer}; blank lines are skipped. A broken line becomes a question
// with an `error` that names `source`, the line and the key; its id is the line's, or "line N". Throws Error(kData) where
// there is no question at all.
std::vector<Question> parse_questions(std::string_view jsonl, const std::string& source);

// The context with `n_shots` solved examples before it: "context answer\n\n" each. They are questions of the same kind and
// area, those whose ids have the smallest XXH3 fingerprints (drawn at random, but the same whatever the file's order),
// the question itself left out. Fewer where there are fewer.
std::string context_with_shots(const std::vector<Question>& questions, std::size_t index, std::size_t n_shots);

}  // namespace lmbits
