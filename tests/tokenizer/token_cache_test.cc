#include "src/tokenizer/token_cache.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "src/core/error.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

// Three bytes a token; `salt` is another version of it with the same fingerprint.
class Chunks final : public Tokenizer {
 public:
  explicit Chunks(std::int64_t vocab = 1000, int salt = 0) : vocab_(vocab), salt_(salt) {}

  Tokens encode(std::string_view text) const override {
    ++n_calls;
    n_bytes += text.size();
    if (text.starts_with("FAIL")) throw Error(ErrorKind::kData, "no token for F", "another tokenizer");
    Tokens tokens;
    for (std::size_t at = 0; at < text.size(); at += 3) {
      const std::string_view piece = text.substr(at, 3);
      tokens.ids.push_back(static_cast<std::int32_t>((hash64(piece) + static_cast<std::uint64_t>(salt_)) %
                                                     static_cast<std::uint64_t>(vocab_)));
      tokens.n_bytes.push_back(static_cast<std::int32_t>(piece.size()));
    }
    tokens.lossless = !text.starts_with("LOSSY");
    if (!tokens.lossless && !tokens.n_bytes.empty()) tokens.n_bytes[0] = 0;
    return tokens;
  }
  std::string decode(std::span<const std::int32_t>) const override { return {}; }
  std::string kind() const override { return "chunks"; }
  std::string fingerprint() const override { return "0123456789abcdef0123456789abcdef"; }
  std::int64_t vocab_size() const override { return vocab_; }
  std::optional<std::int32_t> bos_id() const override { return {}; }
  std::optional<std::int32_t> eos_id() const override { return {}; }
  std::string piece(std::int32_t) const override { return {}; }

  mutable int n_calls = 0;
  mutable std::size_t n_bytes = 0;

 private:
  std::int64_t vocab_;
  int salt_;
};

const std::string kCorpus = "fedcba9876543210fedcba9876543210";

std::vector<std::string> texts() {
  std::vector<std::string> all = {"", "a", "LOSSY text", "FAIL text", "FAIL", std::string("\0\xff\xfe", 3)};
  std::mt19937 random(7);
  for (int i = 0; i < 40; ++i) {
    std::string text;
    for (std::size_t n = random() % 400; n > 0; --n) text.push_back(static_cast<char>(random() % 256));
    all.push_back(text);
  }
  return all;
}

// What encode() gives or throws, as one string.
template <typename Encoder>
std::string outcome(Encoder&& encoder, const std::string& text) {
  try {
    const Tokens tokens = encoder(text);
    std::string all = tokens.lossless ? "lossless" : "lossy";
    for (const std::int32_t id : tokens.ids) all += " " + std::to_string(id);
    for (const std::int32_t n : tokens.n_bytes) all += " b" + std::to_string(n);
    return all;
  } catch (const Error& error) {
    return std::string(error.what()) + "|" + error.hint();
  }
}

// Encodes all texts through a cache in `folder` and compares with the tokenizer's own; what the cache says of itself.
struct Pass {
  std::int64_t n_found, n_encoded;
  std::string problem;
};
Pass pass(const fs::path& folder, const Chunks& tokenizer, const std::vector<std::string>& all,
          const std::string& corpus = kCorpus) {
  TokenCache cache(folder, tokenizer, corpus);
  for (const std::string& text : all) {
    const Chunks reference(tokenizer);
    EXPECT_EQ(outcome([&](const auto& t) { return cache.encode(t); }, text),
              outcome([&](const auto& t) { return reference.encode(t); }, text));
  }
  cache.commit();
  return {cache.n_found(), cache.n_encoded(), cache.problem()};
}

fs::path only_file(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 1u);
  return files.empty() ? fs::path() : files[0];
}

std::string bytes_of(const fs::path& path) { return read_file(path); }
void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(PackText, GivesBackWhatItGot) {
  std::mt19937 random(1);
  for (const std::int64_t vocab : {300, 65536, 65537, 256000}) {
    for (int i = 0; i < 200; ++i) {
      CachedText text;
      std::size_t n_bytes = 0;
      for (std::size_t n = random() % 50; n > 0; --n) {
        text.tokens.ids.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab)));
        text.tokens.n_bytes.push_back(static_cast<std::int32_t>(i % 10 == 0 ? random() % 100000 : random() % 20));
        n_bytes += static_cast<std::size_t>(text.tokens.n_bytes.back());
      }
      text.tokens.lossless = i % 3 > 0;
      const auto back = unpack_text(pack_text(text, vocab), vocab, n_bytes);
      ASSERT_TRUE(back);
      EXPECT_EQ(back->tokens.ids, text.tokens.ids);
      EXPECT_EQ(back->tokens.n_bytes, text.tokens.n_bytes);
      EXPECT_EQ(back->tokens.lossless, text.tokens.lossless);
    }
  }
}

TEST(UnpackText, TakesAnyBytes) {
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    std::string payload;
    for (std::size_t n = random() % 30; n > 0; --n)
      payload.push_back(static_cast<char>(random() % 5 ? random() % 4 : random()));
    const auto text = unpack_text(payload, 300, 40);
    if (text && !text->failed) {
      EXPECT_EQ(text->tokens.ids.size(), text->tokens.n_bytes.size());
      for (const std::int32_t id : text->tokens.ids) EXPECT_LT(id, 300);
    }
  }
}

TEST(TokenCache, TheSecondTimeNothingIsEncodedAndNothingDiffers) {
  const TemporaryFolder folder;
  const auto all = texts();
  const Pass first = pass(folder / "c", Chunks(), all);
  EXPECT_EQ(first.n_found, 0);
  EXPECT_EQ(first.n_encoded, static_cast<std::int64_t>(all.size()));
  const Pass second = pass(folder / "c", Chunks(), all);
  EXPECT_EQ(second.n_found, static_cast<std::int64_t>(all.size()));
  EXPECT_EQ(second.n_encoded, 0);
  EXPECT_EQ(second.problem, "");
  EXPECT_FALSE(is_temporary_file(only_file(folder / "c")));
}

TEST(TokenCache, TextsBeyondTheComparedOnesAreNotEncodedAtAll) {
  const TemporaryFolder folder;
  std::vector<std::string> all = texts();
  for (int i = 0; i < 300; ++i) all.push_back(std::string(1000, 'x') + std::to_string(i));
  pass(folder / "c", Chunks(), all);
  const Chunks tokenizer;
  TokenCache cache(folder / "c", tokenizer, kCorpus);
  for (const std::string& text : all) outcome([&](const auto& t) { return cache.encode(t); }, text);
  EXPECT_LT(tokenizer.n_calls, 150);  // 64 KiB of 300 KB
}

TEST(TokenCache, OfALongTextOnlyTheBeginningIsEncodedAndCompared) {
  const TemporaryFolder folder;
  const std::vector<std::string> all = {std::string(200'000, 'x') + "y", std::string(100'000, 'z')};
  pass(folder / "c", Chunks(), all);
  const Chunks tokenizer;
  TokenCache cache(folder / "c", tokenizer, kCorpus);
  for (const std::string& text : all) cache.encode(text);
  EXPECT_EQ(cache.n_encoded(), 0);
  EXPECT_EQ(tokenizer.n_calls, 2);
  EXPECT_EQ(tokenizer.n_bytes, 2 * 4096);
  EXPECT_NE(pass(folder / "c", Chunks(1000, 1), all).problem.find("another version"), std::string::npos);
}

TEST(TokenCache, APartOfTheTextsIsCompletedByLaterRuns) {
  const TemporaryFolder folder;
  const auto all = texts();
  pass(folder / "c", Chunks(), {all.begin() + 20, all.end()});
  const Pass second = pass(folder / "c", Chunks(), all);
  EXPECT_EQ(second.n_encoded, 20);
  EXPECT_EQ(pass(folder / "c", Chunks(), all).n_encoded, 0);
}

TEST(TokenCache, AnotherCorpusOrTokenizerHasAnotherFile) {
  const TemporaryFolder folder;
  pass(folder / "c", Chunks(), texts());
  const Pass other = pass(folder / "c", Chunks(), texts(), "00000000000000000000000000000000");
  EXPECT_EQ(other.n_found, 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / "c"), fs::directory_iterator()), 2);
}

TEST(TokenCache, AForeignFileUnderItsNameIsNotUsed) {
  const TemporaryFolder folder;
  pass(folder / "a", Chunks(), texts());
  pass(folder / "b", Chunks(), texts(), "fedcba98765432100000000000000000");  // the name has 16 digits only
  fs::copy_file(only_file(folder / "b"), only_file(folder / "a"), fs::copy_options::overwrite_existing);
  const Pass after = pass(folder / "a", Chunks(), texts());
  EXPECT_EQ(after.n_found, 0);
  EXPECT_NE(after.problem.find("made again"), std::string::npos);
  EXPECT_EQ(pass(folder / "a", Chunks(), texts()).n_encoded, 0);
}

TEST(TokenCache, AnotherVersionOfTheTokenizerIsNoticedAndTheFileMadeAgain) {
  const TemporaryFolder folder;
  pass(folder / "c", Chunks(1000, 1), texts());
  const Pass after = pass(folder / "c", Chunks(1000, 0), texts());
  EXPECT_EQ(after.n_found, 1) << "the empty text alone is the same in both";
  EXPECT_NE(after.problem.find("another version"), std::string::npos);
  EXPECT_EQ(pass(folder / "c", Chunks(1000, 0), texts()).n_encoded, 1) << "that one was not kept: the file was dropped";
  EXPECT_EQ(pass(folder / "c", Chunks(1000, 0), texts()).n_encoded, 0);
}

TEST(TokenCache, EveryFlippedByteIsNoticedOrChangesNothing) {
  const TemporaryFolder folder;
  const std::vector<std::string> all = {"", "abc", "LOSSY text", "FAIL text", "some longer text here"};
  pass(folder / "c", Chunks(), all);
  const fs::path path = only_file(folder / "c");
  const std::string whole = bytes_of(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1 << i % 8);
    write(path, damaged);
    EXPECT_FALSE(pass(folder / "c", Chunks(), all).problem.empty()) << "byte " << i << " of " << whole.size();
    EXPECT_EQ(pass(folder / "c", Chunks(), all).n_encoded, 0) << "it is mended";
  }
}

TEST(TokenCache, EveryTruncationIsNoticedAndMended) {
  const TemporaryFolder folder;
  const std::vector<std::string> all = {"", "abc", "LOSSY text", "FAIL text", "some longer text here"};
  pass(folder / "c", Chunks(), all);
  const fs::path path = only_file(folder / "c");
  const std::string whole = bytes_of(path);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    write(path, whole.substr(0, n));
    EXPECT_EQ(pass(folder / "c", Chunks(), all).n_found, 0) << n << " of " << whole.size() << " bytes";
    EXPECT_EQ(pass(folder / "c", Chunks(), all).n_encoded, 0);
  }
  write(path, whole + "x");
  EXPECT_EQ(pass(folder / "c", Chunks(), all).n_found, 0) << "and what is too long";
}

TEST(TokenCache, AFolderThatCannotBeWrittenCostsOnlyTheCache) {
  const TemporaryFolder folder;
  write(folder / "file", "not a folder");
  const Pass after = pass(folder / "file", Chunks(), texts());
  EXPECT_EQ(after.n_encoded, static_cast<std::int64_t>(texts().size()));
  EXPECT_NE(after.problem.find("no token cache"), std::string::npos);
}

TEST(TokenCache, WritersAtOnceLeaveAWholeFile) {
  const TemporaryFolder folder;
  const auto all = texts();
  std::vector<pid_t> children;
  for (int child = 0; child < 4; ++child) {
    const pid_t pid = fork();
    if (pid == 0) {
      for (int round = 0; round < 20; ++round) {
        std::vector<std::string> some;  // another part each time
        for (std::size_t i = 0; i < all.size(); ++i)
          if ((i + static_cast<std::size_t>(round)) % 4 != static_cast<std::size_t>(child)) some.push_back(all[i]);
        const std::string problem = pass(folder / "c", Chunks(), some).problem;
        if (!problem.empty()) {
          std::fprintf(stderr, "%s\n", problem.c_str());
          _exit(1);
        }
      }
      _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const Pass after = pass(folder / "c", Chunks(), all);
  EXPECT_EQ(after.problem, "");
  only_file(folder / "c");  // no temporary file is left
}

TEST(TokenCache, AKilledWritersFileIsRemovedByTheNextAndALivingOnesIsNot) {
  const TemporaryFolder folder;
  const Chunks tokenizer;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t pid = fork();
  if (pid == 0) {
    TokenCache cache(folder / "c", tokenizer, kCorpus);
    for (const std::string& text : texts()) outcome([&](const auto& t) { return cache.encode(t); }, text);
    if (::write(ready[1], "x", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const fs::path temporary = only_file(folder / "c");
  EXPECT_TRUE(is_temporary_file(temporary));
  pass(folder / "c", tokenizer, {"a text"});
  EXPECT_TRUE(fs::exists(temporary)) << "its writer lives";
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(fs::exists(temporary));
  pass(folder / "c", tokenizer, {"another text"});
  EXPECT_FALSE(fs::exists(temporary));
  EXPECT_EQ(pass(folder / "c", tokenizer, {"a text", "another text"}).n_encoded, 0);
}

}  // namespace
}  // namespace lmbits
