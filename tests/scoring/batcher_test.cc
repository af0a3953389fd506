#include "src/scoring/batcher.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "src/corpus/utf8.h"
#include "src/scoring/window_producer.h"

namespace lmbits {
namespace {

WindowTask task_of(std::int64_t n_input, std::int64_t first_row, std::int32_t first_id = 1) {
  WindowTask task;
  for (std::int64_t i = 0; i < n_input; ++i) task.input.push_back(first_id + static_cast<std::int32_t>(i));
  task.first_row = first_row;
  for (std::int64_t i = first_row; i < n_input; ++i)
    task.targets.push_back(task.input[static_cast<std::size_t>(i)] + 1);
  return task;
}

TEST(BatchPlan, EveryWindowFitsAndWastesLittle) {
  for (const std::int64_t longest : {1, 15, 16, 17, 100, 512, 2048, 5000}) {
    const BatchPlan plan(longest, 2048, 0);
    std::int64_t last = 0;
    for (std::int64_t length = 1; length <= longest; ++length) {
      const BatchShape shape = plan.shape(length);
      ASSERT_GE(shape.n_positions, length);
      ASSERT_LE(shape.n_positions, std::max<std::int64_t>(longest, 16));
      ASSERT_LE(shape.n_positions - length, std::max<std::int64_t>(15, length / 8));
      ASSERT_GE(shape.n_positions, last) << "longer windows have longer shapes";
      ASSERT_GE(shape.n_sequences, 1);
      last = shape.n_positions;
    }
  }
}

TEST(BatchPlan, KeepsToTheBounds) {
  EXPECT_EQ(BatchPlan(512, 2048, 0).shape(512).n_sequences, 4);
  EXPECT_EQ(BatchPlan(512, 2048, 3).shape(512).n_sequences, 3);
  EXPECT_EQ(BatchPlan(512, 2048, 3).shape(16).n_sequences, 3);
  EXPECT_EQ(BatchPlan(4096, 2048, 0).shape(4096).n_sequences, 1);
}

TEST(Batcher, GivesBackEveryWindowOnce) {
  Batcher batcher(BatchPlan(64, 128, 0));
  std::vector<int> seen(200, 0);
  const auto count = [&](const std::vector<WindowTask>& tasks) {
    for (const WindowTask& task : tasks) ++seen[static_cast<std::size_t>(task.index)];
  };
  for (std::int64_t i = 0; i < 200; ++i) {
    WindowTask task = task_of(1 + i * 37 % 64, 0);
    task.index = i;
    count(batcher.add(std::move(task)));
  }
  for (auto rest = batcher.flush(); !rest.empty(); rest = batcher.flush()) count(rest);
  for (const int n : seen) EXPECT_EQ(n, 1);
}

TEST(Batcher, PacksTargetsBesideTheRowsThatPredictThem) {
  Batcher batcher(BatchPlan(20, 64, 0));
  const std::vector<WindowTask> tasks = {task_of(20, 5, 100), task_of(18, 0, 300)};
  const Batch batch = batcher.pack(tasks);
  ASSERT_EQ(batch.n_positions, 20);
  ASSERT_EQ(batch.n_sequences, 3);  // 64 / 20, one of them a dummy
  ASSERT_EQ(batch.ids.size(), 60u);
  ASSERT_EQ(batch.rows.size(), 15u + 18u);
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    EXPECT_EQ(batch.ids[static_cast<std::size_t>(batch.rows[i])] + 1, batch.targets[i]);
    if (i > 0) {
      EXPECT_LT(batch.rows[i - 1], batch.rows[i]);
    }
  }
  EXPECT_EQ(batch.ids[20 + 18], 0) << "padding";
  EXPECT_EQ(batch.ids[40], 0) << "dummy sequence";
}

// ---- where windows come from: the chunks of bytes that `lmic` cuts

class Texts final : public CorpusReader {
 public:
  explicit Texts(const std::vector<std::string>& texts) : texts_(texts) {}
  std::optional<Document> next() override {
    if (at_ == texts_.size()) return std::nullopt;
    Document document;
    document.id = std::to_string(at_);
    document.bytes = texts_[at_++];
    return document;
  }

 private:
  const std::vector<std::string>& texts_;
  std::size_t at_ = 0;
};

struct Chunks {
  std::vector<std::string> encoded;   // in the order in which the tokenizer saw them
  std::vector<WindowTask> tasks;      // in the order in which they were submitted
  std::vector<DocumentRecord> whole;  // each once, in that order
};

// An id a byte, BOS is 256.
Chunks chunks_of(const std::vector<std::string>& texts, std::int64_t window,
                 const std::unordered_set<std::string>& done = {}) {
  ConventionOptions options;
  options.name = "lmic";
  options.window = window;
  const Convention lmic =
      resolve_convention(options, {.context_length = 1000, .n_ids = 257, .n_predicted = 257, .bos_id = 256});
  Chunks chunks;
  const Encoder encode = [&](std::string_view text) {
    chunks.encoded.emplace_back(text);
    Tokens tokens;
    for (const char byte : text) tokens.ids.push_back(static_cast<unsigned char>(byte));
    tokens.n_bytes.assign(text.size(), 1);
    return tokens;
  };
  const ProducerSinks sinks = {.submit =
                                   [&](WindowTask task) {
                                     if (task.index == 0) chunks.whole.push_back(task.record->record());
                                     chunks.tasks.push_back(std::move(task));
                                     return true;
                                   },
                               .append = [](const DocumentRecord& record) { ADD_FAILURE() << record.id; },
                               .restore = [](RecordBuilder&) {},
                               .restored = [](std::int64_t) {}};
  Texts reader(texts);
  Profile profile;
  produce_windows(reader, encode, lmic, done, sinks, profile);
  return chunks;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

// Documents of all lengths, none among them, with characters of one to four bytes for cuts to strike.
std::vector<std::string> documents_of(std::size_t n_bytes) {
  const std::string letters = "a\xc3\xa9\xe6\xbc\xa2z\xf0\x9f\x98\x80";
  std::string all;
  while (all.size() < n_bytes) all += letters;
  all.resize(n_bytes);
  std::vector<std::string> texts;
  for (std::size_t at = 0, length = 0; at < all.size(); at += length, length = (3 * length + 1) % 71)
    texts.push_back(all.substr(at, length));
  return texts;
}

TEST(ByteChunks, AreTheBytesOfTheCorpusCutEveryWindowWhateverStandsThere) {
  for (std::int64_t window = 1; window <= 9; ++window) {
    for (const std::int64_t n : {0L, 1L, window - 1, window, window + 1, 64 * window - 1, 64 * window, 64 * window + 1,
                                 64 * window + 5, 3 * 64 * window + 2}) {
      SCOPED_TRACE(::testing::Message() << "W=" << window << " bytes=" << n);
      const std::vector<std::string> texts = documents_of(static_cast<std::size_t>(n));
      const std::string all = joined(texts);
      const Chunks chunks = chunks_of(texts, window);
      ASSERT_EQ(joined(chunks.encoded), all);
      for (std::size_t i = 0; i + 1 < chunks.encoded.size(); ++i)
        ASSERT_EQ(std::ssize(chunks.encoded[i]), window) << "chunk " << i;
      // A window each: BOS and the chunk are fed (but for the last byte), the chunk is scored.
      ASSERT_EQ(chunks.tasks.size(), chunks.encoded.size());
      for (std::size_t i = 0; i < chunks.tasks.size(); ++i) {
        std::vector<std::int32_t> bytes;
        for (const char byte : chunks.encoded[i]) bytes.push_back(static_cast<unsigned char>(byte));
        const WindowTask& task = chunks.tasks[i];
        ASSERT_EQ(task.targets, bytes);
        bytes.insert(bytes.begin(), 256);
        bytes.pop_back();
        ASSERT_EQ(task.input, bytes);
        ASSERT_EQ(task.first_row, 0);
        ASSERT_EQ(task.n_bytes, std::ssize(chunks.encoded[i]));
      }
    }
  }
}

TEST(ByteChunks, SixtyFourShareARecordAndRecordsSumToTheCorpus) {
  for (std::int64_t window = 1; window <= 9; ++window) {
    const std::vector<std::string> texts = documents_of(static_cast<std::size_t>(64 * window * 3 + 7));
    const std::string all = joined(texts);
    const Chunks chunks = chunks_of(texts, window);
    ASSERT_EQ(std::ssize(chunks.whole), 4);
    std::int64_t n_bytes = 0, n_chars = 0;
    for (std::size_t i = 0; i < chunks.whole.size(); ++i) {
      const DocumentRecord& record = chunks.whole[i];
      const std::string number = std::to_string(64 * i);
      EXPECT_EQ(record.id, "chunks-" + std::string(9 - number.size(), '0') + number);
      if (i + 1 < chunks.whole.size()) {
        EXPECT_EQ(record.n_bytes, 64 * window);
      }
      EXPECT_EQ(record.n_tokens, record.n_bytes);
      n_bytes += record.n_bytes;
      n_chars += record.n_chars;
    }
    EXPECT_EQ(n_bytes, std::ssize(all));
    EXPECT_EQ(n_chars, count_code_points(all)) << "a character that a cut goes through counts once, W=" << window;
  }
}

TEST(ByteChunks, ARecordThatIsThereIsPassedOverAndTheOthersStayWhatTheyWere) {
  const std::vector<std::string> texts = documents_of(64 * 5 * 3 + 7);
  const Chunks all = chunks_of(texts, 5), rest = chunks_of(texts, 5, {"chunks-000000064"});
  std::vector<std::string> expected = all.encoded;
  expected.erase(expected.begin() + 64, expected.begin() + 128);
  EXPECT_EQ(rest.encoded, expected);
  ASSERT_EQ(rest.whole.size() + 1, all.whole.size());
  EXPECT_EQ(rest.whole[1].id, all.whole[2].id);
  EXPECT_EQ(rest.whole[1].n_chars, all.whole[2].n_chars);
}

}  // namespace
}  // namespace lmbits
