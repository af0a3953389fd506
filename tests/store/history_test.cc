#include "src/store/history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "src/core/file.h"
#include "src/core/json.h"
#include "tests/support/temporary_folder.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

DocumentRecord record(int k, double bits) {
  DocumentRecord r;
  r.id = "document-" + std::to_string(k);
  r.n_bytes = 100 + k;
  r.n_chars = 99 + k;
  r.n_tokens = 30 + k;
  r.n_scored = 29 + k;
  r.n_forward = 31 + k;
  r.bits = bits;
  r.bits_squared = 2.0 * bits;
  return r;
}

// A finished run of three documents, one of them in blocks, one failed.
fs::path write_run(const fs::path& folder, const std::string& model, double bits, const std::string& version = "2.13") {
  const Json manifest = {
      {"identity",
       {{"model", "fingerprint of " + model},
        {"tokenizer", "t"},
        {"corpus", "c"},
        {"convention", {{"name", "default"}}},
        {"dtype", "float32"}}},
      {"model",
       {{"name", model},
        {"metadata", {{"training", {{"step", 300}, {"tokens", 1e6}}}, {"parameters", {{"total", 1234}}}}}}},
      {"corpus", {{"name", "prose"}}},
      {"device", "cpu"},
      {"versions", {{"torch", version}}},
      {"started", "2026-01-0" + std::to_string(1 + model.size() % 9) + "T00:00:00Z"}};
  const fs::path path = folder / (model + "__prose__default");
  if (fs::exists(path / "documents.jsonl")) fs::remove_all(path);
  RunWriter writer(path, manifest);
  DocumentRecord in_blocks = record(1, bits / 2.0);
  in_blocks.block_bytes = 4096;
  in_blocks.block_bits = {bits / 4.0, bits / 4.0};
  DocumentRecord failed = record(2, 0.0);
  failed.error = "no tokens";
  writer.append(record(0, bits));
  writer.append(in_blocks);
  writer.append(failed);
  writer.finish({{"n_documents", 2}, {"n_failed", 1}, {"interval", {{"level", 0.95}, {"bits_per_byte", {1.0, 2.0}}}}});
  return path;
}

class HistoryTest : public ::testing::Test {
 protected:
  testing::TemporaryFolder folder;
  fs::path runs = folder.path() / "runs";
  fs::path file = folder.path() / "history.sqlite";
};

TEST_F(HistoryTest, HoldsWhatTheRunsSay) {
  const lmbits::Run expected = read_run(write_run(runs, "a", 1000.0 / 3.0));
  History history(file, Sqlite::Access::kWrite);
  EXPECT_EQ(history.import(runs).n_added, 1);
  const std::vector<HistoryRun> found = history.runs({});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].model, "a");
  EXPECT_EQ(found[0].corpus, "prose");
  EXPECT_EQ(found[0].step, 300);
  EXPECT_EQ(found[0].n_documents, 2);
  EXPECT_EQ(found[0].n_failed, 1);
  EXPECT_EQ(found[0].bits, 1000.0 / 3.0 + 1000.0 / 6.0);
  EXPECT_EQ(found[0].lo, 1.0);
  const lmbits::Run run = history.run(found[0].id);
  EXPECT_EQ(run.manifest, expected.manifest);
  EXPECT_EQ(run.summary, expected.summary);
  ASSERT_EQ(run.records.size(), expected.records.size());
  for (const DocumentRecord& r : run.records) {
    const auto same = std::find_if(expected.records.begin(), expected.records.end(),
                                   [&](const DocumentRecord& other) { return other.id == r.id; });
    ASSERT_NE(same, expected.records.end());
    EXPECT_EQ(to_json(r), to_json(*same));
  }
  EXPECT_TRUE(history.check().empty());
}

TEST_F(HistoryTest, ImportsTheSameWorkOnce) {
  write_run(runs, "a", 100.0);
  History history(file, Sqlite::Access::kWrite);
  history.import(runs);
  EXPECT_EQ(history.import(runs).n_unchanged, 1);
  fs::copy(runs, folder.path() / "copy", fs::copy_options::recursive);
  EXPECT_EQ(history.import(folder.path() / "copy").n_unchanged, 1);  // another place, the same work
  EXPECT_EQ(history.runs({}).size(), 1u);
  write_run(folder.path() / "newer", "a", 100.0, "2.14");  // another libtorch is another run
  EXPECT_EQ(history.import(folder.path() / "newer").n_added, 1);
  EXPECT_EQ(history.runs({}).size(), 2u);
  EXPECT_EQ(history.sources().size(), 3u);
}

TEST_F(HistoryTest, ReplacesARunWhoseRecordsChanged) {
  write_run(runs, "a", 100.0);
  History history(file, Sqlite::Access::kWrite);
  history.import(runs);
  write_run(runs, "a", 200.0);
  EXPECT_EQ(history.import(runs).n_updated, 1);
  ASSERT_EQ(history.runs({}).size(), 1u);
  EXPECT_EQ(history.runs({})[0].bits, 300.0);
  EXPECT_TRUE(history.check().empty());  // nothing of the old one is left
}

TEST_F(HistoryTest, LeavesUnfinishedAndUnreadableRunsOut) {
  fs::remove(write_run(runs, "unfinished", 1.0) / "summary.json");
  std::ofstream(write_run(runs, "broken", 1.0) / "manifest.json") << "{";
  write_run(runs, "whole", 1.0);
  History history(file, Sqlite::Access::kWrite);
  const ImportOutcome outcome = history.import(runs);
  EXPECT_EQ(outcome.n_added, 1);
  EXPECT_EQ(outcome.n_unfinished, 1);
  ASSERT_EQ(outcome.unreadable.size(), 1u);
  EXPECT_NE(outcome.unreadable[0].find("broken"), std::string::npos);
  write_run(runs, "unfinished", 1.0);
  EXPECT_EQ(history.import(runs).n_added, 1);
}

TEST_F(HistoryTest, Filters) {
  for (const char* model : {"run-1", "run-22", "other"}) write_run(runs, model, 10.0);
  History history(file, Sqlite::Access::kWrite);
  history.import(runs);
  EXPECT_EQ(history.runs({.model = "run-*", .corpus = {}, .convention = {}}).size(), 2u);
  EXPECT_EQ(history.runs({.model = {}, .corpus = "code", .convention = {}}).size(), 0u);
  const std::vector<HistoryRun> last = history.runs({.model = {}, .corpus = {}, .convention = {}, .last = 1});
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0].model, "run-22");  // started last
}

// Every page damaged in turn: found and made again with the same content, or harmless.
TEST_F(HistoryTest, IsMadeAgainWhereItIsDamaged) {
  for (int k = 0; k < 3; ++k) write_run(runs, "model-" + std::to_string(k), 100.0 + k);
  {
    History history(file, Sqlite::Access::kWrite);
    history.import(runs);
  }
  const std::string sound = read_file(file);
  int n_rebuilt = 0;
  for (std::size_t at = 0; at < sound.size(); at += 1024) {
    std::string bytes = sound;
    for (std::size_t k = at; k < std::min(at + 512, bytes.size()); ++k) bytes[k] = static_cast<char>(bytes[k] ^ 0x5a);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    std::string note;
    const auto history = open_or_rebuild_history(file, {runs}, note);
    n_rebuilt += !note.empty();
    history->import(runs);
    ASSERT_EQ(history->runs({}).size(), 3u) << "damaged at " << at;
    for (const HistoryRun& run : history->runs({}))
      ASSERT_EQ(history->run(run.id).records.size(), 3u) << "damaged at " << at;
    ASSERT_TRUE(history->check().empty()) << "damaged at " << at;
  }
  EXPECT_GT(n_rebuilt, 3);
  int n_aside = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    n_aside += entry.path().string().find(".damaged-") != std::string::npos;
  }
  EXPECT_GT(n_aside, 0);
}

TEST_F(HistoryTest, IsRefusedWhereANewerProgramWroteIt) {
  { History history(file, Sqlite::Access::kWrite); }
  { Sqlite(file, Sqlite::Access::kWrite).run("PRAGMA user_version = 99"); }
  try {
    History history(file, Sqlite::Access::kRead);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("99"), std::string::npos);
  }
}

TEST_F(HistoryTest, SaysWhichFileIsNotThere) {
  try {
    History history(folder.path() / "none.sqlite", Sqlite::Access::kRead);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kData);
    EXPECT_NE(std::string(e.what()).find("none.sqlite"), std::string::npos);
  }
}

}  // namespace
}  // namespace lmbits
