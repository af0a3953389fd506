#include "src/selection/sample.h"

#include <gtest/gtest.h>

#include "src/core/error.h"

namespace lmbits {
namespace {

std::string text(const std::string& json, SampleFormat format = SampleFormat::kAuto) {
  return sample_text(parse_sample(json, {.format = format}));
}

TEST(Sample, TheThreeShapesOfAConversationGiveTheSameText) {
  const std::string expected = "user: What?\n\nassistant: That.";
  EXPECT_EQ(text(R"({"conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "That."}]})"),
            expected);
  EXPECT_EQ(text(R"({"messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]})"),
            expected);
  EXPECT_EQ(text(R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image"}]},
                                  {"role": "assistant", "content": "That."}]})"),
            expected);
  EXPECT_EQ(text(R"({"instruction": "What?", "input": "", "output": "That."})"), expected);
  EXPECT_EQ(text(R"({"instruction": "What?", "input": "This?", "output": "That."})"),
            "user: What?\n\nThis?\n\nassistant: That.");
}

TEST(Sample, APlainTextIsLeftAsItIsAndComesFirst) {
  EXPECT_EQ(text(R"({"text": " a\r\n", "messages": []})"), " a\r\n");
  EXPECT_EQ(sample_text(parse_sample(R"({"body": "b"})", {.text_field = "body"})), "b");
}

TEST(Sample, SaysWhatIsMissing) {
  const auto error = [](const std::string& json, SampleFormat format) {
    try {
      text(json, format);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(error("{}", SampleFormat::kText), "no field \"text\"");
  EXPECT_EQ(error(R"({"text": 5})", SampleFormat::kAuto), "field \"text\" is no string but of type number");
  EXPECT_EQ(error(R"({"conversations": []})", SampleFormat::kAuto), "field \"conversations\" is no list of turns");
  EXPECT_EQ(error(R"({"messages": [5]})", SampleFormat::kAuto), "field \"messages\" holds a turn that is no object");
  EXPECT_EQ(error("[1]", SampleFormat::kAuto), "is JSON but no object: array");
  EXPECT_EQ(error("{}", SampleFormat::kAuto),
            "none of the fields \"text\", \"conversations\", \"messages\", \"instruction\"");
}

TEST(Sample, IdAndGroupAreTakenAsTheyCome) {
  const SampleTemplate how{.group_field = "source"};
  EXPECT_EQ(parse_sample(R"({"id": 7, "text": "", "source": "web"})", how).id, "7");
  EXPECT_EQ(parse_sample(R"({"id": "x", "text": "", "source": "web"})", how).group, "web");
  EXPECT_EQ(parse_sample(R"({"id": 1.5, "text": "", "source": [1]})", how).id, "");
  EXPECT_EQ(parse_sample(R"({"text": "", "source": [1]})", how).group, "[1]");
}

TEST(Sample, TheLastTurnIsTheAnswer) {
  const auto parts = prompt_and_answer(parse_sample(
      R"({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]})",
      {}));
  EXPECT_EQ(parts.prompt, "system: S\n\nuser: Q");
  EXPECT_EQ(parts.answer, "assistant: A");
  EXPECT_EQ(prompt_and_answer(parse_sample(R"({"text": "T"})", {})).prompt, "");
}

}  // namespace
}  // namespace lmbits
