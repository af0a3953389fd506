// Runs the program: exit codes, what it prints, and how fast it starts.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "src/core/file.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

class Program : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lmbits_cli_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Outcome {
    int exit_code = -1;
    std::string out, err;
  };

  // `arguments` as a shell would take them, in the test's folder.
  Outcome run(const std::string& arguments) { return shell("'" LMBITS_PROGRAM "' " + arguments); }

  Outcome shell(const std::string& command) {
    const std::string line = "cd '" + folder_.string() + "' && { " + command + "\n} >.out 2>.err </dev/null";
    const int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder_ / ".out"), read_file(folder_ / ".err")};
  }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  fs::path folder_;
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string sample_text() {
  std::string text;
  for (int line = 0; line < 200; ++line) text += "Line " + std::to_string(line * line) + " of the naïve sample.\n";
  return text;
}

// The names in the groups of `lmbits --help`: two spaces, a word of small letters, a description.
std::vector<std::string> commands_in(const std::string& help) {
  std::vector<std::string> names;
  std::istringstream lines(help.substr(0, help.find("Example:")));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("  ") && line.size() > 3 && std::islower(static_cast<unsigned char>(line[2])))
      names.push_back(line.substr(2, line.find(' ', 2) - 2));
  return names;
}

TEST_F(Program, EveryCommandHasHelpWithAnExample) {
  const Outcome top = run("--help");
  EXPECT_EQ(top.exit_code, 0);
  EXPECT_TRUE(contains(top.out, "Example:"));
  const std::vector<std::string> commands = commands_in(top.out);
  EXPECT_GE(commands.size(), 3u);
  for (const std::string& command : commands) {
    const Outcome help = run(command + " --help");
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_TRUE(contains(help.out, "Example:")) << command;
    EXPECT_TRUE(contains(help.out, "lmbits " + command)) << command;
    EXPECT_EQ(help.err, "") << command;
  }
}

TEST_F(Program, TellsItsVersion) {
  const Outcome version = run("--version");
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.out.starts_with("lmbits ")) << version.out;
}

TEST_F(Program, WithoutACommandShowsHelpAsAnError) {
  const Outcome nothing = run("");
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_EQ(nothing.out, "");
  EXPECT_TRUE(contains(nothing.err, "baseline"));
}

TEST_F(Program, SuggestsTheNearestFlagCommandAndCodec) {
  write("a.txt", sample_text());
  const struct {
    std::string arguments, what, hint;
  } cases[] = {
      {"baselin a.txt", "unknown command baselin", "did you mean baseline?"},
      {"baseline a.txt --spilt lines", "unknown flag --spilt", "did you mean --split?"},
      {"baseline --formt=csv a.txt", "unknown flag --formt", "did you mean --format?"},
      {"baseline --spilt", "unknown flag --spilt", "did you mean --split?"},             // and not: CORPUS is required
      {"rank runs extra --levle 0.9", "unknown flag --levle", "did you mean --level?"},  // and not: unexpected extra
      {"baseline a.txt --verison", "unknown flag --verison", "did you mean --version?"},
      {"baseline a.txt --zzzzzzzz", "unknown flag --zzzzzzzz", "see lmbits baseline --help"},
      {"--split lines baseline a.txt", "--split stands before the command", "put it after baseline"},
      {"baseline a.txt --codec gzpi-9", "unknown codec gzpi-9", "did you mean gzip-9?"},
      {"baseline a.txt --codec zstd-22-dict", "zstd-22-dict without a dictionary", "--dictionary"},
      {"baseline", "required", "see lmbits baseline --help"},
      {"baseline a.txt --threads many", "--threads", "see lmbits baseline --help"},
      {"baseline a.txt --format yaml", "--format", "see lmbits baseline --help"},
  };
  for (const auto& c : cases) {
    const Outcome outcome = run(c.arguments);
    EXPECT_EQ(outcome.exit_code, 2) << c.arguments;
    EXPECT_EQ(outcome.out, "") << c.arguments;
    EXPECT_TRUE(outcome.err.starts_with("lmbits: ")) << outcome.err;
    EXPECT_TRUE(contains(outcome.err, c.what)) << c.arguments << "\n" << outcome.err;
    EXPECT_TRUE(contains(outcome.err, "\n  hint: ") && contains(outcome.err, c.hint)) << c.arguments << "\n"
                                                                                      << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << "said once\n" << outcome.err;
  }
}

TEST_F(Program, ExitsWithTheKindOfTheError) {
  write("a.txt", sample_text());
  EXPECT_EQ(run("baseline nowhere.txt").exit_code, 4);
  EXPECT_EQ(run("baseline a.txt --split pages").exit_code, 3);
  EXPECT_EQ(run("baseline a.txt --config nowhere.toml").exit_code, 3);
  write("empty", "");
  EXPECT_EQ(run("baseline a.txt --dictionary empty").exit_code, 4);
  write("bad.jsonl", "{\"text\": \"good\"}\n{\"txt\": \"bad\"}\n");
  const Outcome some_failed = run("baseline bad.jsonl --codec gzip");
  EXPECT_EQ(some_failed.exit_code, 10);
  EXPECT_TRUE(contains(some_failed.out, "1 failed")) << some_failed.out;
  EXPECT_TRUE(contains(some_failed.err, "line-2")) << some_failed.err;
}

TEST_F(Program, AFileGivesFlagsAndTheCommandLineWins) {
  write("a.txt", sample_text());
  write("b # c, d.txt", sample_text());
  write("run.toml",
        "# a comment\n"
        "codec = [\"gzip-9\",\n"
        "         'xz-6']  # two of them\n"
        "json = true\n"
        "[baseline]\n"
        "corpus = \"b # c, d.txt\"\n"
        "split = \"lines\"\n"
        "[rank]\n"
        "level = 0.9\n");
  const Outcome from_file = run("baseline --config run.toml");
  ASSERT_EQ(from_file.exit_code, 0) << from_file.err;
  const Json corpus = Json::parse(from_file.out).at("corpora").at(0);
  EXPECT_EQ(corpus.at("n_documents"), 200);
  EXPECT_EQ(corpus.at("baselines").size(), 4u);
  EXPECT_TRUE(corpus.at("baselines").contains("xz-6/doc"));

  const Outcome overridden = run("--config run.toml baseline a.txt --split none --codec zstd-3");
  ASSERT_EQ(overridden.exit_code, 0) << overridden.err;
  const Json other = Json::parse(overridden.out).at("corpora").at(0);
  EXPECT_EQ(other.at("corpus"), "a");
  EXPECT_EQ(other.at("n_documents"), 1);
  EXPECT_EQ(other.at("baselines").size(), 2u);
}

TEST_F(Program, RefusesUnknownKeysByNameWithTheNearest) {
  write("a.txt", sample_text());
  const struct {
    std::string text, what, hint;
  } cases[] = {
      {"spilt = \"lines\"\n", "unknown key \"spilt\" for baseline", "did you mean --split?"},
      {"[baseline]\ncodecs = \"gzip\"\n", "unknown key \"codecs\" for baseline", "did you mean --codec?"},
      {"[rank]\nlevle = 0.9\n", "unknown key \"levle\" for rank", "did you mean --level?"},  // another command's, too
      {"[basline]\nsplit = \"lines\"\n", "unknown section [basline]", "did you mean baseline?"},
      {"help = true\n", "unknown key \"help\"", ""},
      {"config = \"other.toml\"\n", "unknown key \"config\"", ""},
      {"split = \"lines\"\nquiet = true\nsplit = \"none\"\n", "\"split\" is given twice", "a list"},
  };
  for (const auto& c : cases) {
    write("run.toml", c.text);
    const Outcome outcome = run("baseline a.txt --config run.toml");
    EXPECT_EQ(outcome.exit_code, 3) << c.text;
    EXPECT_TRUE(contains(outcome.err, "run.toml") && contains(outcome.err, c.what)) << c.text << outcome.err;
    EXPECT_TRUE(contains(outcome.err, c.hint)) << c.text << outcome.err;
  }
}

TEST_F(Program, BaselineSizesAreThoseOfPythonsLibraries) {
  if (shell("python3 -c 'import zlib, bz2, lzma'").exit_code != 0) GTEST_SKIP() << "no python3 with zlib, bz2 and lzma";
  write("a.txt", sample_text());
  write("sizes.py",
        "import bz2, json, lzma, zlib\n"
        "def gzip(data, level):\n"
        "    packer = zlib.compressobj(level, zlib.DEFLATED, 31)\n"
        "    return len(packer.compress(data) + packer.flush())\n"
        "codecs = {'gzip-1': lambda d: gzip(d, 1), 'gzip-6': lambda d: gzip(d, 6), 'gzip-9': lambda d: gzip(d, 9),\n"
        "          'bzip2-9': lambda d: len(bz2.compress(d, 9)), 'xz-6': lambda d: len(lzma.compress(d, preset=6)),\n"
        "          'xz-9e': lambda d: len(lzma.compress(d, preset=9 | lzma.PRESET_EXTREME))}\n"
        "data = open('a.txt', 'rb').read()\n"
        "sizes = {name: codec(data) for name, codec in codecs.items()}\n"
        // Python's xz -9 sets up 0.7 GB for each line.
        "sizes |= {name + '/doc': sum(map(codec, data.splitlines(True))) for name, codec in codecs.items() if name != "
        "'xz-9e'}\n"
        "print(json.dumps(sizes))\n");
  const Json expected = Json::parse(shell("python3 sizes.py").out);
  const Json corpus = Json::parse(run("baseline a.txt --split lines --json").out).at("corpora").at(0);
  EXPECT_EQ(corpus.at("n_bytes"), std::ssize(sample_text()));
  EXPECT_EQ(corpus.at("n_chars"), std::ssize(sample_text()) - 200) << "ï is two bytes and one character";
  for (const auto& [name, bytes] : expected.items()) {
    const Json& baseline = corpus.at("baselines").at(name);
    EXPECT_EQ(baseline.at("bytes"), bytes) << name;
    const auto n_bytes = static_cast<double>(sample_text().size());
    EXPECT_DOUBLE_EQ(baseline.at("bits_per_byte").get<double>(), 8.0 * bytes.get<double>() / n_bytes) << name;
    EXPECT_DOUBLE_EQ(baseline.at("ratio").get<double>(), n_bytes / bytes.get<double>()) << name;
  }
}

TEST_F(Program, BaselineGivesTheSameTableOnAnyNumberOfThreads) {
  write("a.txt", sample_text());
  const auto without_times = [](Json report) {
    for (auto& corpus : report.at("corpora"))
      for (auto& baseline : corpus.at("baselines")) baseline.erase("cpu_seconds");
    return report;
  };
  const Json one = Json::parse(run("baseline a.txt --split 1000 --json --threads 1").out);
  const Json three = Json::parse(run("baseline a.txt --split 1000 --json --threads 3").out);
  EXPECT_EQ(without_times(one), without_times(three));
}

TEST_F(Program, BaselineOfNoTextHasNoRates) {
  write("empty.txt", "");
  const Outcome outcome = run("baseline empty.txt --codec gzip-9 --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json baseline = Json::parse(outcome.out).at("corpora").at(0).at("baselines").at("gzip-9");
  EXPECT_EQ(baseline.at("bytes"), 20);
  EXPECT_TRUE(baseline.at("bits_per_byte").is_null());
  EXPECT_TRUE(contains(run("baseline empty.txt --codec gzip-9").out, "—"));
}

TEST_F(Program, BaselineWritesEveryFormatAndNothingElse) {
  write("a.txt", sample_text());
  const Outcome csv = run("baseline a.txt --codec gzip-9 --format csv");
  EXPECT_TRUE(csv.out.starts_with("corpus,codec,bytes,bits_per_byte,bits_per_char,ratio,cpu_seconds\na,gzip-9,"))
      << csv.out;
  EXPECT_TRUE(contains(run("baseline a.txt --codec gzip-9 --format markdown").out, "| codec"));
  const Outcome table = run("baseline a.txt --codec gzip-9");
  EXPECT_TRUE(contains(table.out, "1 document")) << table.out;
  EXPECT_FALSE(contains(table.out, "gzip-9/doc")) << "one document's sum is the stream again";
  EXPECT_FALSE(contains(table.out + table.err, "\x1b")) << "no colours, no redrawing where there is no terminal";
}

// Starts a baseline of text that takes minutes, and sends `n_signals`. It stops cleanly between two documents, which
// `split` makes: "none" leaves it no such place before the second signal.
int interrupt_baseline(const fs::path& corpus, const char* split, int n_signals) {
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    execl(LMBITS_PROGRAM, "lmbits", "baseline", corpus.c_str(), "--split", split, "--codec", "xz-9e", nullptr);
    _exit(127);
  }
  for (int n = 0; n < n_signals; ++n) {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    kill(child, SIGINT);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST_F(Program, StopsCleanlyOnTheFirstInterruptAndAtOnceOnTheSecond) {
  std::minstd_rand random(1);
  std::string text(30'000'000, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 20);
  write("long.txt", text);
  const int once = interrupt_baseline(folder_ / "long.txt", "50000", 1);
  EXPECT_TRUE(WIFEXITED(once) && WEXITSTATUS(once) == 130) << once;
  const int twice = interrupt_baseline(folder_ / "long.txt", "none", 2);
  EXPECT_TRUE(WIFSIGNALED(twice) && WTERMSIG(twice) == SIGINT) << twice;
}

TEST_F(Program, StartsInAMomentWithoutLibtorch) {
  double best_ms = 1e9;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(run("--help").exit_code, 0);
    best_ms =
        std::min(best_ms, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::printf("lmbits --help: %.1f ms\n", best_ms);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(best_ms, 100.0);
#endif
}

TEST_F(Program, DoesNotLinkLibtorch) {
  if (shell("command -v readelf").exit_code != 0) GTEST_SKIP() << "no readelf";
  for (const char* file : {LMBITS_PROGRAM, LMBITS_CORE_LIBRARY}) {
    const Outcome needed = shell(std::string("readelf -d '") + file + "'");
    ASSERT_TRUE(contains(needed.out, "NEEDED")) << file;
    for (const char* library : {"torch", "libc10", "cuda", "lmbits_eval"})
      EXPECT_FALSE(contains(needed.out, std::string("Shared library: [lib") + library)) << file;
    EXPECT_FALSE(contains(needed.out, "libtorch")) << file;
    EXPECT_FALSE(contains(needed.out, "libc10")) << file;
  }
}

}  // namespace
}  // namespace lmbits
