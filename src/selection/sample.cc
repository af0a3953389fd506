#include "src/selection/sample.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "src/core/error.h"
#include "src/core/suggest.h"

namespace lmbits {
namespace {

using Record = nlohmann::json;

const std::vector<std::pair<std::string, SampleFormat>>& formats() {
  static const std::vector<std::pair<std::string, SampleFormat>> list = {{"auto", SampleFormat::kAuto},
                                                                         {"text", SampleFormat::kText},
                                                                         {"sharegpt", SampleFormat::kShareGpt},
                                                                         {"alpaca", SampleFormat::kAlpaca},
                                                                         {"messages", SampleFormat::kMessages}};
  return list;
}

[[noreturn]] void fail(const std::string& why) { throw Error(ErrorKind::kData, why); }

const std::string& string_in(const Record& record, const std::string& key) {
  const auto found = record.find(key);
  if (found == record.end()) fail("no field \"" + key + "\"");
  if (!found->is_string()) fail("field \"" + key + "\" is no string but of type " + found->type_name());
  return found->get_ref<const std::string&>();
}

std::string usual_role(const std::string& role) {
  if (role == "human") return "user";
  if (role == "gpt") return "assistant";
  return role;
}

std::string content_of(const Record& message) {
  const auto content = message.find("content");
  if (content == message.end() || !content->is_array()) return string_in(message, "content");
  std::string text;
  for (const Record& part : *content)
    if (part.is_object() && part.contains("text")) text += string_in(part, "text");
  return text;
}

std::vector<Turn> turns_in(const Record& record, const std::string& key) {
  const auto list = record.find(key);
  if (list == record.end()) fail("no field \"" + key + "\"");
  if (!list->is_array() || list->empty()) fail("field \"" + key + "\" is no list of turns");
  std::vector<Turn> turns;
  for (const Record& turn : *list) {
    if (!turn.is_object()) fail("field \"" + key + "\" holds a turn that is no object");
    if (key == "messages") {
      turns.push_back({string_in(turn, "role"), content_of(turn)});
    } else {
      turns.push_back({usual_role(string_in(turn, "from")), string_in(turn, "value")});
    }
  }
  return turns;
}

std::vector<Turn> alpaca_turns(const Record& record) {
  std::string question = string_in(record, "instruction");
  const auto input = record.find("input");
  if (input != record.end() && input->is_string() && !input->get_ref<const std::string&>().empty())
    question += "\n\n" + input->get<std::string>();
  return {{"user", std::move(question)}, {"assistant", string_in(record, "output")}};
}

SampleFormat format_of(const Record& record, const SampleTemplate& how) {
  if (how.format != SampleFormat::kAuto) return how.format;
  if (record.contains(how.text_field)) return SampleFormat::kText;
  if (record.contains("conversations")) return SampleFormat::kShareGpt;
  if (record.contains("messages")) return SampleFormat::kMessages;
  if (record.contains("instruction")) return SampleFormat::kAlpaca;
  fail("none of the fields \"" + how.text_field + "\", \"conversations\", \"messages\", \"instruction\"");
}

std::string value_text(const Record& record, const std::string& key) {
  const auto found = record.find(key);
  if (found == record.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string text_of_turns(const std::vector<Turn>& turns, std::size_t begin, std::size_t end) {
  std::string text;
  for (std::size_t i = begin; i < end; ++i) {
    if (i > begin) text += "\n\n";
    if (!turns[i].role.empty()) text += turns[i].role + ": ";
    text += turns[i].text;
  }
  return text;
}

}  // namespace

SampleFormat parse_sample_format(const std::string& name) {
  std::vector<std::string> known;
  for (const auto& [format_name, format] : formats()) {
    if (format_name == name) return format;
    known.push_back(format_name);
  }
  throw Error(ErrorKind::kUsage, "unknown sample format " + name, suggestion(name, known));
}

std::string sample_format_name(SampleFormat format) {
  for (const auto& [name, known] : formats())
    if (known == format) return name;
  return "";
}

Sample parse_sample(std::string_view json, const SampleTemplate& how) {
  if (json.find('\0') != std::string_view::npos) fail("not JSON: it holds a NUL byte");
  Record record;
  try {
    record = Record::parse(json);
  } catch (const Record::parse_error& error) {
    fail("not JSON in UTF-8 from byte " + std::to_string(error.byte) + " on");
  } catch (const Record::out_of_range&) {
    fail("not JSON that can be read: a number is out of range");
  }
  if (!record.is_object()) fail(std::string("is JSON but no object: ") + record.type_name());
  Sample sample;
  const auto id = record.find("id");
  if (id != record.end() && (id->is_string() || id->is_number_integer())) sample.id = value_text(record, "id");
  if (!how.group_field.empty()) sample.group = value_text(record, how.group_field);
  switch (format_of(record, how)) {
    case SampleFormat::kShareGpt:
      sample.turns = turns_in(record, "conversations");
      break;
    case SampleFormat::kMessages:
      sample.turns = turns_in(record, "messages");
      break;
    case SampleFormat::kAlpaca:
      sample.turns = alpaca_turns(record);
      break;
    default:
      string_in(record, how.text_field);  // checks
      sample.turns.push_back({"", std::move(record[how.text_field].get_ref<std::string&>())});
  }
  return sample;
}

std::string sample_text(Sample&& sample) {
  if (sample.turns.size() == 1 && sample.turns[0].role.empty()) return std::move(sample.turns[0].text);
  return sample_text(std::as_const(sample));
}

std::string sample_text(const Sample& sample) { return text_of_turns(sample.turns, 0, sample.turns.size()); }

PromptAndAnswer prompt_and_answer(const Sample& sample) {
  const std::size_t n = sample.turns.size();
  return {text_of_turns(sample.turns, 0, n - 1), text_of_turns(sample.turns, n - 1, n)};
}

}  // namespace lmbits
