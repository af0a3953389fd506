// A training sample: plain text, or a conversation in one of the usual shapes, and the text that stands for it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace lmbits {

enum class SampleFormat {
  kAuto,      // by each record's keys: the text field, else conversations, messages, instruction
  kText,      // the string under `text_field`
  kShareGpt,  // {"conversations": [{"from": "human", "value": "..."}, ...]}
  kAlpaca,    // {"instruction": "...", "input": "...", "output": "..."}
  kMessages,  // {"messages": [{"role": "user", "content": "..."}, ...]}; content may be a list of {"type": "text", "text"}
};

SampleFormat parse_sample_format(
    const std::string& name);  // auto, text, sharegpt, alpaca, messages; else Error(kUsage)
std::string sample_format_name(SampleFormat format);

struct SampleTemplate {
  SampleFormat format = SampleFormat::kAuto;
  std::string text_field = "text";
  std::string group_field = {};  // of a sample's group; empty: none
};

struct Turn {
  std::string role;  // user, assistant, system, or as given; empty for plain text
  std::string text;
};

struct Sample {
  std::string id;     // the record's "id" where that is an integer or a string, else empty
  std::string group;  // what `group_field` holds: a string, or any value's JSON; empty where there is none
  std::vector<Turn> turns;
};

// Throws Error(kData) saying what the record lacks. human and gpt (ShareGPT) become user and assistant; Alpaca's
// instruction and input, a blank line between them, become one turn of the user.
Sample parse_sample(std::string_view json, const SampleTemplate& how);

// The template: plain text as it is; a conversation as its turns, "ROLE: TEXT" each, a blank line between them.
std::string sample_text(const Sample& sample);
std::string sample_text(Sample&& sample);  // the same without a copy of a plain text

// The same of all turns up to and without the last one, and of the last one alone; a plain text is all answer.
struct PromptAndAnswer {
  std::string prompt, answer;
};
PromptAndAnswer prompt_and_answer(const Sample& sample);

}  // namespace lmbits
