#include "src/tasks/question.h"

#include <algorithm>
#include <unordered_set>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

struct Broken {
  std::string why;
};

[[noreturn]] void refuse(const std::string& key, const Json& value, const std::string& wanted) {
  throw Broken{"\"" + key + "\" is " + (value.is_null() ? "missing" : value.dump().substr(0, 60)) + ", not " + wanted};
}

std::string text_at(const Json& line, const char* key, bool required) {
  const Json value = line.value(key, Json());
  if (value.is_null() && !required) return {};
  if (!value.is_string()) refuse(key, value, "a text");
  return value.get<std::string>();
}

void read_choices(const Json& line, Question& question) {
  const Json choices = line.value("choices", Json::array());
  if (!choices.is_array() || choices.size() == 1)
    refuse("choices", choices, "a list of two or more texts, or an empty one");
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (!choices[i].is_string() || choices[i].get<std::string>().empty())
      refuse("choices[" + std::to_string(i) + "]", choices[i], "a text that is not empty");
    question.continuations.push_back(choices[i].get<std::string>());
  }
}

void read_answer(const Json& line, Question& question) {
  const Json answer = line.value("answer", Json());
  question.exact = question.continuations.empty();
  if (question.exact) {
    if (!answer.is_string() || answer.get<std::string>().empty())
      refuse("answer", answer, "a text, which a question without choices needs");
    question.continuations.push_back(answer.get<std::string>());
    return;
  }
  const std::size_t n = question.continuations.size();
  if (!answer.is_number_integer() || answer.get<std::int64_t>() < 0 || answer.get<std::uint64_t>() >= n)
    refuse("answer", answer, "an index from 0 to " + std::to_string(n - 1));
  question.answer = answer.get<std::size_t>();
}

Question parse_line(const Json& line, const std::string& number) {
  Question question;
  question.id = "line " + number;
  try {
    if (!line.is_object()) throw Broken{"it is not a JSON object"};
    question.id = text_at(line, "id", true);
    question.area = text_at(line, "area", false);
    question.kind = text_at(line, "kind", false);
    question.context = text_at(line, "context", true);
    read_choices(line, question);
    read_answer(line, question);
  } catch (const Broken& broken) {
    question.error = broken.why;
  }
  return question;
}

}  // namespace

std::vector<Question> parse_questions(std::string_view jsonl, const std::string& source) {
  std::vector<Question> questions;
  std::unordered_set<std::string> ids;
  for (std::size_t number = 1; !jsonl.empty(); ++number) {
    const std::string_view text = jsonl.substr(0, jsonl.find('\n'));
    jsonl.remove_prefix(std::min(text.size() + 1, jsonl.size()));
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string line = std::to_string(number);
    Question question = parse_line(Json::parse(text, nullptr, /*allow_exceptions=*/false), line);
    if (!ids.insert(question.id).second) {
      question.error = "the id " + question.id + " is there twice";
      question.id = "line " + line;
      ids.insert(question.id);
    }
    if (!question.error.empty()) question.error = source + ", line " + line + ": " + question.error;
    questions.push_back(std::move(question));
  }
  if (questions.empty())
    throw Error(ErrorKind::kData, source + " holds no question", "docs/formats.md describes a line of questions");
  return questions;
}

std::string context_with_shots(const std::vector<Question>& questions, std::size_t index, std::size_t n_shots) {
  if (n_shots == 0) return questions[index].context;
  std::vector<std::pair<std::string, std::size_t>> drawn;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Question& other = questions[i];
    if (i != index && other.error.empty() && other.kind == questions[index].kind && other.area == questions[index].area)
      drawn.emplace_back(Fingerprint().add(other.id).hex(), i);
  }
  const auto n = static_cast<std::ptrdiff_t>(std::min(n_shots, drawn.size()));
  std::partial_sort(drawn.begin(), drawn.begin() + n, drawn.end());
  std::string context;
  for (std::ptrdiff_t k = 0; k < n; ++k) {
    const Question& shot = questions[drawn[static_cast<std::size_t>(k)].second];
    context += shot.context + shot.gold() + "\n\n";
  }
  return context + questions[index].context;
}

}  // namespace lmbits
