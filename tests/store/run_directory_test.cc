#include "src/store/run_directory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "tests/core/sandbox.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

Json manifest() {
  return {{"identity", {{"model", {{"name", "m"}, {"hash", "aa"}}}, {"corpus", "c"}, {"length", 512}}},
          {"command", "lmbits eval"}};
}

DocumentRecord record(int i) {
  DocumentRecord r;
  r.id = "doc-" + std::to_string(i);
  r.n_bytes = 10 * i;
  r.n_chars = r.n_tokens = r.n_scored = i;
  r.bits = i / 7.0;
  r.baselines = {{"gzip-9", 3 * i}};
  return r;
}

DocumentRecord failed_record(int i) {
  DocumentRecord r = record(i);
  r.bits = 0.0;
  r.error = "out of luck";
  return r;
}

std::vector<std::string> ids(const std::vector<DocumentRecord>& records) {
  std::vector<std::string> result;
  for (const DocumentRecord& r : records) result.push_back(r.id);
  return result;
}

std::vector<std::string> ids_of(std::initializer_list<int> numbers) {
  std::vector<std::string> result;
  for (const int i : numbers) result.push_back("doc-" + std::to_string(i));
  return result;
}

void write_run(const fs::path& path, int n, bool finished = false) {
  RunWriter writer(path, manifest());
  for (int i = 0; i < n; ++i) writer.append(record(i));
  if (finished) writer.finish({{"bits", 1.0}});
}

// Whether the records are some of record(0), record(1) ..., each at most once and with its own values.
void expect_sound(const std::vector<DocumentRecord>& records) {
  std::set<std::string> seen;
  for (const DocumentRecord& r : records) {
    EXPECT_TRUE(seen.insert(r.id).second) << r.id << " twice";
    EXPECT_EQ(to_json(r), to_json(record(std::stoi(r.id.substr(4)))));
  }
}

// What an evaluation does: opens the run and appends what is not there yet.
void resume(const fs::path& path, int n) {
  RunWriter writer(path, manifest());
  const std::vector<std::string> done = ids(writer.done());
  const std::set<std::string> have(done.begin(), done.end());
  for (int i = 0; i < n; ++i) {
    if (!have.contains(record(i).id)) writer.append(record(i));
  }
}

template <typename Action>
std::string refusal(ErrorKind kind, Action action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind) << e.what();
    EXPECT_FALSE(e.hint().empty());
    return e.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(RunDirectory, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "deep" / "run";
  write_run(path, 3, /*finished=*/true);
  const auto run = read_run(path);
  EXPECT_EQ(run.path, path);
  EXPECT_EQ(run.manifest["schema"], kRunSchema);
  EXPECT_EQ(run.manifest["identity"], manifest()["identity"]);
  EXPECT_EQ(run.manifest["command"], "lmbits eval");
  EXPECT_EQ(run.summary, Json({{"schema", kRunSchema}, {"bits", 1.0}}));
  EXPECT_EQ(ids(run.records), ids_of({0, 1, 2}));
  expect_sound(run.records);
  EXPECT_EQ(run.n_damaged_lines, 0);
}

TEST(RunDirectory, EveryLineEndsWithTheChecksumOfTheRest) {
  const TemporaryFolder folder;
  write_run(folder.path(), 20);
  std::ifstream file(folder.path() / "documents.jsonl");
  int n = 0;
  for (std::string line; std::getline(file, line); ++n) {
    Json json = Json::parse(line);
    EXPECT_EQ(json.items().begin().key(), "id");
    const std::string crc = json["crc"];
    json.erase("crc");
    EXPECT_EQ(crc, crc32c_hex(json.dump()));
    EXPECT_TRUE(line.ends_with(",\"crc\":\"" + crc + "\"}"));
  }
  EXPECT_EQ(n, 20);
}

TEST(RunDirectory, IsUnfinishedUntilItHasASummary) {
  const TemporaryFolder folder;
  write_run(folder.path(), 2);
  EXPECT_TRUE(read_run(folder.path()).summary.is_null());
  write_run(folder.path() / "b", 2, true);
  EXPECT_FALSE(read_run(folder.path() / "b").summary.is_null());
}

TEST(RunDirectory, CanBeReadWhileItIsWritten) {
  const TemporaryFolder folder;
  RunWriter writer(folder.path(), manifest());
  EXPECT_TRUE(read_run(folder.path()).records.empty());
  writer.append(record(0));
  EXPECT_EQ(ids(read_run(folder.path()).records), ids_of({0}));
}

TEST(RunDirectory, ListsRunsByName) {
  const TemporaryFolder folder;
  for (const char* name : {"b", "a", "c"}) write_run(folder.path() / name, 1);
  fs::create_directory(folder.path() / "no run");
  put_file(folder.path() / "file", "x");
  std::vector<std::string> names;
  for (const auto& run : read_runs(folder.path())) names.push_back(run.path.filename());
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(read_runs(folder.path() / "a").size(), 1u);
  EXPECT_TRUE(read_runs(folder.path() / "no run").empty());
  refusal(ErrorKind::kData, [&] { read_runs(folder.path() / "missing"); });
}

TEST(RunDirectory, RefusesWhatIsNoRunOfThisSchema) {
  const TemporaryFolder folder;
  refusal(ErrorKind::kData, [&] { read_run(folder.path()); });
  put_file(folder.path() / "manifest.json", R"({"schema": 7, "identity": {}})");
  for (const auto& what : {refusal(ErrorKind::kData, [&] { read_run(folder.path()); }),
                           refusal(ErrorKind::kData, [&] { RunWriter(folder.path(), manifest()); })}) {
    EXPECT_NE(what.find("schema 7"), std::string::npos) << what;
    EXPECT_NE(what.find("reads 1"), std::string::npos) << what;
  }
  put_file(folder.path() / "manifest.json", "{\"schema\": 1, \"iden");
  EXPECT_NE(refusal(ErrorKind::kData, [&] { read_run(folder.path()); }).find("damaged"), std::string::npos);
}

TEST(RunDirectory, RefusesRecordsWhoseManifestIsGone) {
  const TemporaryFolder folder;
  write_run(folder.path(), 1);
  fs::remove(folder.path() / "manifest.json");
  const std::string what = refusal(ErrorKind::kData, [&] { RunWriter(folder.path(), manifest()); });
  EXPECT_NE(what.find("documents.jsonl but no manifest.json"), std::string::npos) << what;
  EXPECT_TRUE(fs::exists(folder.path() / "documents.jsonl"));
}

// ---- Resume.

TEST(Resume, OfAFileCutAnywhereKeepsExactlyTheCompleteLines) {
  const TemporaryFolder folder;
  write_run(folder.path(), 3);
  const fs::path documents = folder.path() / "documents.jsonl";
  const std::string whole = read_file(documents);
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const std::string cut = whole.substr(0, length);
    const auto n_complete = static_cast<std::size_t>(std::count(cut.begin(), cut.end(), '\n'));
    put_file(documents, cut);
    const auto run = read_run(folder.path());
    ASSERT_EQ(run.records.size(), n_complete) << length;
    ASSERT_EQ(run.n_damaged_lines, cut.empty() || cut.back() == '\n' ? 0 : 1) << length;
    if (length % 29 != 0) continue;  // each writer waits for the disk several times
    resume(folder.path(), 3);
    ASSERT_EQ(read_file(documents), whole) << length;
  }
}

TEST(Resume, OfAFileWithAnyFlippedByteRedoesTheLinesItHit) {
  const TemporaryFolder folder;
  write_run(folder.path(), 3);
  const fs::path documents = folder.path() / "documents.jsonl";
  const std::string whole = read_file(documents);
  std::mt19937 random(1);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ static_cast<char>(1 << (random() % 8)));
    put_file(documents, damaged);
    const auto run = read_run(folder.path());
    expect_sound(run.records);
    // A newline that is gone joins two lines (at the end of the file: leaves one torn), anything else spoils one.
    const bool joins = whole[i] == '\n' && i + 1 < whole.size();
    ASSERT_EQ(run.records.size(), joins ? 1u : 2u) << i;
    ASSERT_GE(run.n_damaged_lines, 1) << i;
    if (i % 29 != 0) continue;
    resume(folder.path(), 3);
    const auto resumed = read_run(folder.path());
    expect_sound(resumed.records);
    ASSERT_EQ(resumed.records.size(), 3u) << i;
    ASSERT_EQ(resumed.n_damaged_lines, 0) << i;
  }
}

TEST(Resume, DropsLinesThatAreNoRecords) {
  const TemporaryFolder folder;
  write_run(folder.path(), 2);
  const fs::path documents = folder.path() / "documents.jsonl";
  put_file(documents, "\n{}\nnull\n" + read_file(documents) + std::string("\0\0\0", 3));
  const auto run = read_run(folder.path());
  EXPECT_EQ(ids(run.records), ids_of({0, 1}));
  EXPECT_EQ(run.n_damaged_lines, 4);
  RunWriter writer(folder.path(), manifest());
  EXPECT_EQ(ids(writer.done()), ids_of({0, 1}));
  EXPECT_EQ(read_run(folder.path()).n_damaged_lines, 0);
}

TEST(Resume, NamesTheLineOfASoundRecordThatItDoesNotUnderstand) {
  const TemporaryFolder folder;
  write_run(folder.path(), 1);
  const std::string text = R"({"id":"x"})";
  const std::string line = R"({"id":"x","crc":")" + crc32c_hex(text) + "\"}\n";
  put_file(folder.path() / "documents.jsonl", read_file(folder.path() / "documents.jsonl") + line);
  const std::string what = refusal(ErrorKind::kData, [&] { read_run(folder.path()); });
  EXPECT_NE(what.find("documents.jsonl:2: "), std::string::npos) << what;
  EXPECT_NE(what.find("`n_bytes` is missing"), std::string::npos) << what;
}

TEST(Resume, KeepsTheFirstOfTwoRecordsOfOneDocument) {
  const TemporaryFolder folder;
  write_run(folder.path() / "a", 2);
  const std::string lines = read_file(folder.path() / "a" / "documents.jsonl");
  DocumentRecord other = record(0);
  other.bits = 99.0;
  {
    RunWriter writer(folder.path() / "b", manifest());
    writer.append(other);
  }
  const std::string second = read_file(folder.path() / "b" / "documents.jsonl");
  put_file(folder.path() / "a" / "documents.jsonl", lines + second);
  EXPECT_EQ(ids(read_run(folder.path() / "a").records), ids_of({0, 1}));
  expect_sound(read_run(folder.path() / "a").records);
  RunWriter writer(folder.path() / "a", manifest());
  EXPECT_EQ(ids(writer.done()), ids_of({0, 1}));
  EXPECT_EQ(read_file(folder.path() / "a" / "documents.jsonl"), lines);
}

TEST(Resume, RetriesFailedDocuments) {
  const TemporaryFolder folder;
  {
    RunWriter writer(folder.path(), manifest());
    writer.append(record(0));
    writer.append(failed_record(1));
    writer.append(record(2));
    writer.append(failed_record(3));
    writer.finish({});
  }
  EXPECT_EQ(total(read_run(folder.path()).records).n_failed, 2);
  {
    RunWriter writer(folder.path(), manifest());
    EXPECT_EQ(ids(writer.done()), ids_of({0, 2}));
    EXPECT_EQ(ids(read_run(folder.path()).records), ids_of({0, 2}));
    EXPECT_TRUE(read_run(folder.path()).summary.is_null()) << "the old summary is not that of these records";
    writer.append(record(1));
    writer.append(record(3));
  }
  EXPECT_EQ(ids(read_run(folder.path()).records), ids_of({0, 2, 1, 3}));
  expect_sound(read_run(folder.path()).records);
}

TEST(Resume, OfAFinishedRunChangesNothingUntilARecordIsAdded) {
  const TemporaryFolder folder;
  write_run(folder.path(), 2, /*finished=*/true);
  const std::string before = read_file(folder.path() / "documents.jsonl");
  {
    RunWriter writer(folder.path(), manifest());
    EXPECT_EQ(writer.done().size(), 2u);
    EXPECT_FALSE(read_run(folder.path()).summary.is_null());
    EXPECT_EQ(read_file(folder.path() / "documents.jsonl"), before);
    writer.append(record(2));
    EXPECT_TRUE(read_run(folder.path()).summary.is_null());
  }
}

TEST(Resume, RemovesTemporaryFilesThatAKillLeftBehind) {
  const TemporaryFolder folder;
  write_run(folder.path(), 1);
  put_file(folder.path() / ".summary.json.1.lmbits-tmp", "{");
  ASSERT_TRUE(is_temporary_file(folder.path() / ".summary.json.1.lmbits-tmp"));
  resume(folder.path(), 1);
  EXPECT_FALSE(fs::exists(folder.path() / ".summary.json.1.lmbits-tmp"));
}

TEST(Resume, AfterAnyKillHasEveryRecordExactlyOnce) {
  const TemporaryFolder folder;
  const int n = 4000;
  std::mt19937 random(2);
  int kills = 0;
  for (; kills < 20; ++kills) {
    const pid_t writer = start_child([&] {
      resume(folder.path(), n);
      return 0;
    });
    ::usleep(static_cast<useconds_t>(random() % 8000));
    ::kill(writer, SIGKILL);
    if (wait_for(writer) == 0) break;  // done before the kill
    if (fs::exists(folder.path() / "manifest.json")) {
      const std::size_t n_before = read_run(folder.path()).records.size();
      EXPECT_EQ(RunWriter(folder.path(), manifest()).done().size(), n_before);
    }
  }
  EXPECT_GE(kills, 5) << "too few kills hit the writer to prove anything";
  resume(folder.path(), n);
  const auto run = read_run(folder.path());
  EXPECT_EQ(run.records.size(), static_cast<std::size_t>(n));
  EXPECT_EQ(run.n_damaged_lines, 0);
  expect_sound(run.records);
}

// ---- Refusals.

TEST(Resume, RefusesAnotherIdentityAndNamesEveryKeyWithBothValues) {
  const TemporaryFolder folder;
  write_run(folder.path(), 1);
  Json other = manifest();
  other["identity"]["model"]["hash"] = "bb";
  other["identity"]["length"] = 1024;
  other["identity"].erase("corpus");
  other["identity"]["stride"] = 7;
  const std::string what = refusal(ErrorKind::kConfig, [&] { RunWriter(folder.path(), other); });
  for (const char* part : {"model.hash was \"aa\", is now \"bb\"", "length was 512, is now 1024",
                           "corpus was \"c\", is now absent", "stride was absent, is now 7"}) {
    EXPECT_NE(what.find(part), std::string::npos) << what;
  }
  EXPECT_EQ(what.find("model.name"), std::string::npos) << "unchanged: " << what;
  EXPECT_EQ(ids(read_run(folder.path()).records), ids_of({0})) << "nothing is touched";
}

TEST(Resume, AcceptsTheSameIdentityInAnotherOrderAndOtherFactsAroundIt) {
  const TemporaryFolder folder;
  write_run(folder.path(), 1);
  const Json other = {{"command", "another"},
                      {"identity", {{"length", 512}, {"corpus", "c"}, {"model", {{"hash", "aa"}, {"name", "m"}}}}}};
  EXPECT_NO_THROW(RunWriter(folder.path(), other));
}

TEST(Resume, ComparesAnIdentityAsItReadsBack) {  // a path need not be UTF-8, 0.1 must not differ from itself
  const TemporaryFolder folder;
  const Json odd = {{"identity", {{"path", "caf\xe9"}, {"share", 0.1}, {"nan", std::nan("")}}}};
  { RunWriter writer(folder.path(), odd); }
  EXPECT_NO_THROW(RunWriter(folder.path(), odd));
}

TEST(RunWriter, RefusesASecondWriterAndNamesTheFirst) {
  const TemporaryFolder folder;
  const RunWriter first(folder.path(), manifest());
  const std::string what = refusal(ErrorKind::kConfig, [&] { RunWriter(folder.path(), manifest()); });
  EXPECT_NE(what.find("process " + std::to_string(::getpid())), std::string::npos) << what;
  EXPECT_NE(what.find(folder.path().string()), std::string::npos) << what;
}

TEST(RunWriter, RefusesASecondRecordOfOneDocument) {
  const TemporaryFolder folder;
  write_run(folder.path(), 1);
  RunWriter writer(folder.path(), manifest());
  writer.append(record(1));
  for (const int i : {0, 1}) {
    const std::string what = refusal(ErrorKind::kData, [&] { writer.append(record(i)); });
    EXPECT_NE(what.find("doc-" + std::to_string(i)), std::string::npos) << what;
  }
}

TEST(RunWriter, SaysOnceAndClearlyThatAFolderIsReadOnly) {
  const TemporaryFolder folder;
  write_run(folder.path() / "old", 1);
  fs::permissions(folder.path(), fs::perms(0555));
  fs::permissions(folder.path() / "old", fs::perms(0555));
  fs::permissions(folder.path() / "old" / ".lock", fs::perms(0444));
  for (const char* name : {"new", "old"}) {
    EXPECT_EQ(run_in_child([&] {
                drop_privileges();
                const std::string what =
                    refusal(ErrorKind::kData, [&] { RunWriter(folder.path() / name, manifest()); });
                const bool clear = what.find(folder.path() / name) != std::string::npos &&
                                   what.find(std::strerror(EACCES)) != std::string::npos;
                return clear ? 0 : 1;
              }),
              0)
        << name;
  }
  fs::permissions(folder.path() / "old", fs::perms(0755));
  fs::permissions(folder.path(), fs::perms(0755));
}

TEST(RunWriter, LosesNothingWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  EXPECT_EQ(run_in_child([&] {
              RunWriter writer(folder.path(), manifest());
              std::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{5000, 5000};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              int n = 0;
              try {
                for (; n < 1000; ++n) writer.append(record(n));
              } catch (const Error& e) {
                if (e.kind() != ErrorKind::kData) return 1;
              }
              const auto run = read_run(folder.path());
              if (n <= 10 || run.records.size() != static_cast<std::size_t>(n)) return 2;
              return run.n_damaged_lines == 0 ? 0 : 3;
            }),
            0);
  resume(folder.path(), 100);
  EXPECT_EQ(read_run(folder.path()).records.size(), 100u);
  expect_sound(read_run(folder.path()).records);
}

TEST(RunWriter, KeepsIdsThatAreNotUtf8) {  // a file's name can be any bytes
  const TemporaryFolder folder;
  DocumentRecord odd = record(0);
  odd.id = "caf\xe9.txt";
  {
    RunWriter writer(folder.path(), manifest());
    writer.append(odd);
  }
  const RunWriter writer(folder.path(), manifest());
  ASSERT_EQ(writer.done().size(), 1u);
  EXPECT_EQ(writer.done()[0].id, odd.id);
}

}  // namespace
}  // namespace lmbits
