// The whole way from corpus files to summaries, with models whose answer is known.
#include "src/scoring/evaluate.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "src/core/file.h"
#include "src/core/json.h"
#include "src/store/run_directory.h"
#include "tests/support/fake_device.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/toy_bundle.h"

namespace lmbits {
namespace {

using testing::TemporaryFolder;

class Silent : public EvalObserver {
 public:
  void run_started(const std::string&, std::optional<std::int64_t>, std::int64_t) override {}
  void run_progress(const ScoreProgress&) override {}
  void run_finished(const std::string&, const Json&, bool resumed) override { n_resumed += resumed; }
  void run_failed(const std::string& name, const Error& error) override {
    failures.push_back(name + ": " + error.what());
  }
  void model_failed(const std::string& name, const Error& error) override {
    failures.push_back(name + ": " + error.what());
  }

  std::vector<std::string> failures;
  int n_resumed = 0;
};

// Prose-like bytes, none of them special; a function of the seed alone.
std::string text(std::size_t n, unsigned seed) {
  std::string result;
  for (std::size_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    result.push_back(" etaoin shrdlu,.\n"[(seed >> 24) % 17]);
  }
  return result;
}

class Evaluate : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  std::string write_jsonl(const std::string& name, const std::vector<std::string>& texts) {
    std::string lines;
    for (std::size_t i = 0; i < texts.size(); ++i) lines += jsonl_line(i, texts[i]);
    return write(name, lines);
  }

  static std::string jsonl_line(std::size_t i, const std::string& text) {
    return Json({{"id", "doc" + std::to_string(i)}, {"text", text}}).dump() + "\n";
  }

  EvalRequest request(const std::string& model, const std::string& corpus) {
    EvalRequest r;
    r.models = {model};
    CorpusSpec spec;
    spec.path = corpus;
    spec.name = "c";
    r.corpora = {spec};
    r.output = folder_ / ("out" + std::to_string(n_++));
    return r;
  }

  // Runs it and gives the one run back.
  lmbits::Run evaluate_one(const EvalRequest& r) {
    Silent observer;
    const EvalOutcome outcome = evaluate(r, observer);
    EXPECT_EQ(outcome.n_runs, 1) << (observer.failures.empty() ? "" : observer.failures[0]);
    const std::vector<lmbits::Run> runs = read_runs(r.output);
    EXPECT_EQ(runs.size(), 1u);
    return runs.at(0);
  }

  static std::map<std::string, double> bits_by_id(const lmbits::Run& run) {
    std::map<std::string, double> bits;
    for (const DocumentRecord& record : run.records) bits[record.id] = record.bits;
    return bits;
  }

  TemporaryFolder folder_;
  int n_ = 0;
};

std::vector<std::string> some_texts() {
  std::vector<std::string> texts = {"", "a", text(15, 1), text(64, 2), text(65, 3), text(1000, 4), text(9000, 5)};
  for (unsigned i = 0; i < 30; ++i) texts.push_back(text(20 + 13 * i, 100 + i));
  return texts;
}

TEST_F(Evaluate, UniformModelCostsLog2VocabularyForEveryByte) {
  const std::string corpus = write_jsonl("c.jsonl", some_texts());
  for (const char* convention : {"default", "lm-eval", "uncheatable", "lmic"}) {
    EvalRequest r = request("uniform:1000", corpus);
    r.convention.name = convention;
    r.convention.window = 100;
    const lmbits::Run run = evaluate_one(r);
    std::int64_t n_bytes = 0;
    for (const DocumentRecord& record : run.records) {
      EXPECT_EQ(record.n_scored, record.n_bytes) << convention << " " << record.id;
      EXPECT_NEAR(record.bits, std::log2(1000.0) * static_cast<double>(record.n_bytes), 1e-9 * (1 + record.bits))
          << convention;
      n_bytes += record.n_bytes;
    }
    EXPECT_EQ(run.summary["n_bytes"], n_bytes);
    EXPECT_NEAR(run.summary["bits_per_byte"].get<double>(), std::log2(1000.0), 1e-12) << convention;
  }
}

TEST_F(Evaluate, BigramModelEqualsItsClosedForm) {
  const std::string training = text(5000, 77) + std::string("\0\xff", 2);
  const std::string model = "bigram:" + write("train.txt", training);
  const std::vector<std::string> texts = some_texts();
  const lmbits::Run run = evaluate_one(request(model, write_jsonl("c.jsonl", texts)));
  const auto bits = bits_by_id(run);
  const auto count = [&](int a, int b) {  // a < 0: any
    std::int64_t n = 0;
    for (std::size_t i = a < 0 ? 0 : 1; i < training.size(); ++i) {
      n += (a < 0 || static_cast<unsigned char>(training[i - 1]) == a) &&
           (b < 0 || static_cast<unsigned char>(training[i]) == b);
    }
    return static_cast<double>(n);
  };
  for (const std::size_t d : {1u, 2u, 3u, 5u}) {
    double expected = 0.0;
    for (std::size_t i = 0; i < texts[d].size(); ++i) {
      const int a = i == 0 ? -1 : static_cast<unsigned char>(texts[d][i - 1]);
      const int b = static_cast<unsigned char>(texts[d][i]);
      expected -= std::log2((count(a, b) + 1) / (count(a, -1) + 256));
    }
    EXPECT_NEAR(bits.at("doc" + std::to_string(d)), expected, 1e-9 * expected);
  }
}

TEST_F(Evaluate, NeitherThreadsNorBatchesNorOrderChangeADocument) {
  const std::string model = testing::write_toy_bundle(folder_ / "toy.pt");
  const std::vector<std::string> texts = some_texts();
  const std::string corpus = write_jsonl("c.jsonl", texts);
  std::string reversed;  // other neighbours at the same shapes, ids kept
  for (std::size_t i = texts.size(); i-- > 0;) reversed += jsonl_line(i, texts[i]);
  const std::string back = write("reversed.jsonl", reversed);
  double worst = 0.0;
  for (const char* convention : {"default", "lm-eval", "uncheatable", "lmic"}) {
    SCOPED_TRACE(convention);
    const auto evaluated = [&](const std::string& path, std::int64_t n_threads, std::int64_t batch) {
      EvalRequest r = request(model, path);
      r.convention.name = convention;
      r.convention.window = 60;
      r.score.n_threads = n_threads;
      r.score.max_sequences = batch;
      return evaluate_one(r);
    };
    const lmbits::Run base = evaluated(corpus, 1, 0);
    const auto expected = bits_by_id(base);
    EXPECT_EQ(bits_by_id(evaluated(corpus, 2, 0)), expected) << "to the last bit";
    if (std::string(convention) != "lmic") {  // its chunks are of the corpus in its order
      const lmbits::Run other = evaluated(back, 1, 0);
      EXPECT_EQ(bits_by_id(other), expected) << "to the last bit";
      EXPECT_EQ(other.summary["bits"], base.summary["bits"]);
    }
    for (const std::int64_t batch : {1, 64}) {
      const auto got = bits_by_id(evaluated(corpus, 1, batch));
      ASSERT_EQ(got.size(), expected.size());
      for (const auto& [id, bits] : got) {
        if (bits > 0) worst = std::max(worst, std::abs(bits / expected.at(id) - 1));
      }
    }
  }
  std::printf("worst relative difference of a document between batches of 1, of 64 and the default: %.2e\n", worst);
  EXPECT_LE(worst, 1e-6);
}

// Neither our kernels nor kept keys and values: what is left for a bundle of level 3 is its windows.
TEST_F(Evaluate, TopKOfABundleWithAStepOfItsOwnIsThatOfItsWindows) {
  const testing::ToyBundle plain{.context = 64};
  testing::ToyBundle stepping = plain;
  stepping.step =
      "  e = torch.embedding(self.embedding, ids)\n"
      "  n = state[1] + 1 if len(state) > 0 else torch.ones([1])\n"
      "  total = state[0] + e if len(state) > 0 else e\n"
      "  return total / n + e, [total, n]\n";
  std::map<std::string, double> bits[2];
  for (const bool steps : {false, true}) {
    const std::string path = testing::write_toy_bundle(folder_ / "toy.pt", steps ? stepping : plain);
    EvalRequest r = request(path, write_jsonl("c.jsonl", some_texts()));
    r.convention.name = "lmic";
    r.convention.window = 60;
    r.convention.top_k = 10;
    bits[steps] = bits_by_id(evaluate_one(r));
  }
  EXPECT_FALSE(bits[0].empty());
  EXPECT_EQ(bits[0], bits[1]);
}

TEST_F(Evaluate, NoBatchIsLongerThanTheContext) {
  const std::string corpus = write_jsonl("c.jsonl", some_texts());
  const std::string model = testing::write_toy_bundle(
      folder_ / "short.pt", {.context = 20, .lines = "  assert e.size(1) <= 20, \"beyond the context\"\n"});
  for (const char* convention : {"default", "lm-eval", "uncheatable"}) {  // the last inserts an id before each window
    EvalRequest r = request(model, corpus);
    r.convention.name = convention;
    r.convention.window = 20;
    const lmbits::Run run = evaluate_one(r);
    EXPECT_EQ(run.records.size(), some_texts().size()) << convention;
  }
}

TEST_F(Evaluate, SplittingACorpusChangesNothing) {
  const std::string model = testing::write_toy_bundle(folder_ / "toy.pt");
  const std::vector<std::string> texts = some_texts();
  const std::string whole = write_jsonl("whole.jsonl", texts);
  std::string halves[2];
  for (std::size_t i = 0; i < texts.size(); ++i) halves[i % 2] += jsonl_line(i, texts[i]);
  for (const char* convention : {"default", "lm-eval", "uncheatable"}) {  // those of documents
    SCOPED_TRACE(convention);
    const auto evaluated = [&](const std::string& path) {
      EvalRequest r = request(model, path);
      r.convention.name = convention;
      r.convention.window = 60;
      return evaluate_one(r);
    };
    const lmbits::Run expected = evaluated(whole);
    std::map<std::string, double> joined;
    double bits = 0.0;
    std::int64_t n_scored = 0;
    for (const std::string& half : halves) {
      const lmbits::Run run = evaluated(write("half.jsonl", half));
      joined.merge(bits_by_id(run));
      bits += run.summary["bits"].get<double>();
      n_scored += run.summary["n_scored"].get<std::int64_t>();
    }
    EXPECT_EQ(joined, bits_by_id(expected)) << "each document, to the last bit";
    EXPECT_NEAR(bits, expected.summary["bits"].get<double>(), 1e-12 * bits);
    EXPECT_EQ(n_scored, expected.summary["n_scored"]);
  }
}

// A bundle whose tokenizer is a tokenizer.json of bytes and one merge: one that a cache is worth.
std::string write_merging_bundle(const std::filesystem::path& path) {
  testing::ToyBundle toy;
  toy.metadata_changes = {{"tokenizer", {{"kind", "tokenizer.json"}, {"file", "tokenizer.json"}}}, {"bos_id", 0}};
  toy.with_metadata = false;
  testing::write_toy_bundle(path, toy);
  std::ofstream(path.parent_path() / "tokenizer.json") << testing::toy_tokenizer_json();
  std::ofstream(std::filesystem::path(path).replace_extension(".json")) << testing::toy_metadata(toy).dump();
  return path.string();
}

TEST_F(Evaluate, TokensAreMadeOnceForAFamilyAndChangeNothing) {
  const std::string model = write_merging_bundle(folder_ / "merging.pt");
  std::vector<std::string> texts = some_texts();
  texts.push_back("\xc3\xa9t\xc3\xa9 et");
  std::string corpus = write_jsonl("c.jsonl", texts);
  for (const char* convention : {"default", "lm-eval", "hkust", "lmic"}) {
    EvalRequest plain = request(model, corpus);
    plain.convention.name = convention;
    plain.convention.window = 32;
    if (std::string(convention) == "hkust") plain.convention.stride = 16;
    const lmbits::Run without = evaluate_one(plain);
    EvalRequest cached = request(model, corpus);
    cached.convention = plain.convention;
    cached.token_cache = folder_ / "tokens";
    const lmbits::Run first = evaluate_one(cached);
    cached.output = folder_ / "again";
    std::filesystem::remove_all(cached.output);
    const lmbits::Run second = evaluate_one(cached);
    EXPECT_EQ(bits_by_id(first), bits_by_id(without)) << convention << ": to the last bit";
    EXPECT_EQ(bits_by_id(second), bits_by_id(without)) << convention << ": to the last bit";
    EXPECT_EQ(second.summary["profile"]["n_texts_encoded"], 0) << convention;
    EXPECT_GT(second.summary["profile"]["n_texts_cached"], 0) << convention;
    EXPECT_EQ(second.summary["n_tokens"], without.summary["n_tokens"]);
  }
}

TEST_F(Evaluate, CategoriesAreSummedByThemselvesAndAveraged) {
  write("a.txt", text(3000, 1));
  write("b.txt", text(1000, 2) + "\xc3\xa9");
  write("c.txt", text(500, 3));
  const std::string corpus = write("corpus.json", Json({{"format", "lmbits-corpus-1"},
                                                        {"sources",
                                                         {{{"path", "[ab].txt"}, {"category", "x"}, {"split", "200"}},
                                                          {{"path", "c.txt"}, {"category", "y"}, {"split", "200"}}}}})
                                                      .dump());
  const std::string model = "bigram:" + write("train.txt", text(5000, 77) + std::string("\0\xff", 2));
  const lmbits::Run run = evaluate_one(request(model, corpus));
  std::map<std::string, double> bits, n_bytes;
  for (const DocumentRecord& record : run.records) {
    bits[record.category] += record.bits;
    n_bytes[record.category] += static_cast<double>(record.n_bytes);
  }
  ASSERT_EQ(bits.size(), 2u);
  EXPECT_EQ(n_bytes["x"], 4002);
  const Json& s = run.summary;
  double sum = 0.0;
  for (const char* name : {"x", "y"}) {
    EXPECT_NEAR(s["categories"][name]["bits_per_byte"].get<double>(), bits[name] / n_bytes[name], 1e-12);
    sum += bits[name] / n_bytes[name];
  }
  EXPECT_NEAR(s["macro"]["bits_per_byte"].get<double>(), sum / 2, 1e-12);
  EXPECT_NEAR(s["bits_per_byte"].get<double>(), (bits["x"] + bits["y"]) / 4502, 1e-12) << "micro";
  EXPECT_TRUE(evaluate_one(request(model, write("c1.txt", "x"))).summary["categories"].is_null());
}

TEST_F(Evaluate, ContaminatedDocumentsAreNamedAndTheNumberIsGivenWithoutThem) {
  std::vector<std::string> texts;
  for (unsigned i = 0; i < 20; ++i) texts.push_back(text(400, i));
  const std::string train =
      write("seen.txt", text(2000, 50) + texts[3] + "|" + texts[7].substr(100, 200) + "|" + texts[9].substr(0, 60));
  const std::string model = "bigram:" + write("train.txt", text(5000, 77));
  EvalRequest r = request(model, write_jsonl("c.jsonl", texts));
  EXPECT_FALSE(evaluate_one(r).summary.contains("contamination"));
  CorpusSpec seen;
  seen.path = train;
  r.contamination.train = {seen};
  const lmbits::Run run = evaluate_one(r);  // the records stay, the summary is made again
  const Json& c = run.summary["contamination"];
  EXPECT_EQ(c["n_documents"], 20);
  EXPECT_EQ(c["n_contaminated"], 2) << "60 of 400 bytes are below 20 %";
  EXPECT_EQ(c["n_bytes_found"], 400 + 200 + 60);
  EXPECT_EQ(c["longest_found"], 400);
  ASSERT_EQ(c["worst"].size(), 3u);
  EXPECT_EQ(c["worst"][0]["id"], "doc3");
  EXPECT_EQ(c["worst"][1]["share_bytes"], 0.5);
  double bits = 0.0;
  for (const auto& [id, b] : bits_by_id(run)) bits += id == "doc3" || id == "doc7" ? 0.0 : b;
  EXPECT_NEAR(c["bits_per_byte_clean"].get<double>(), bits / (18 * 400), 1e-12);
  EXPECT_NEAR(c["bits_per_byte"].get<double>(), run.summary["bits_per_byte"].get<double>(), 1e-12);
  EXPECT_TRUE(c["blocks"].is_null()) << "no document is longer than a block";

  Silent again;
  EXPECT_EQ(evaluate(r, again).exit_code(), 0);
  EXPECT_EQ(again.n_resumed, 1);
  r.contamination.share = 0.1;
  EXPECT_EQ(evaluate_one(r).summary["contamination"]["n_contaminated"], 3);
}

TEST_F(Evaluate, BlocksOfALongTextAreCleanOrNotByThemselves) {
  const std::string novel = text(20000, 1);
  EvalRequest r = request("uniform:256", write("novel.txt", novel));
  CorpusSpec seen;
  seen.path = write("seen.txt", novel.substr(4096, 6000));  // the second block, and 1904 bytes of the third
  r.contamination.train = {seen};
  const Json c = evaluate_one(r).summary["contamination"];
  EXPECT_EQ(c["n_contaminated"], 1) << "6000 of 20000 bytes";
  EXPECT_TRUE(c["bits_per_byte_clean"].is_null()) << "nothing is left";
  EXPECT_EQ(c["blocks"]["n"], 5);
  EXPECT_EQ(c["blocks"]["n_contaminated"], 2);
  EXPECT_NEAR(c["blocks"]["bits_per_byte_clean"].get<double>(), 8.0, 1e-12);
}

TEST_F(Evaluate, AFinishedRunIsNotComputedAgainAndAChangedCorpusIsRefused) {
  const std::string model = testing::write_toy_bundle(folder_ / "toy.pt");
  const std::string corpus = write_jsonl("c.jsonl", some_texts());
  const EvalRequest r = request(model, corpus);
  evaluate_one(r);
  Silent again;
  EXPECT_EQ(evaluate(r, again).exit_code(), 0);
  EXPECT_EQ(again.n_resumed, 1);

  write_jsonl("c.jsonl", {"other"});
  Silent changed;
  const EvalOutcome outcome = evaluate(r, changed);
  EXPECT_EQ(outcome.exit_code(), static_cast<int>(ErrorKind::kConfig));
  ASSERT_EQ(changed.failures.size(), 1u);
  EXPECT_NE(changed.failures[0].find("corpus"), std::string::npos) << changed.failures[0];
}

TEST_F(Evaluate, OneBadModelOrDocumentStopsNothing) {
  const std::string good = testing::write_toy_bundle(folder_ / "toy.pt");
  const std::string bad = testing::write_toy_bundle(folder_ / "bad.pt", {.mix = "e + e.mean(1, True)"});
  EvalRequest r = request(good, write("c.jsonl", "{\"text\":\"fine\"}\nnot json\n{\"text\":\"also fine\"}\n"));
  r.models = {"bad=" + bad, good};
  Silent observer;
  const EvalOutcome outcome = evaluate(r, observer);
  EXPECT_EQ(outcome.exit_code(), kExitSomeFailed);
  EXPECT_EQ(outcome.n_runs, 1);
  EXPECT_EQ(outcome.n_failed_models, 1);
  EXPECT_EQ(outcome.n_failed_documents, 1);
  const lmbits::Run run = read_runs(r.output).at(0);
  EXPECT_EQ(run.summary["n_documents"], 2);
  EXPECT_EQ(run.summary["n_failed"], 1);
  int n_noted = 0;
  for (const auto& file : std::filesystem::directory_iterator(r.output / "failures")) {
    n_noted += read_file(file.path()).find("bidirectional") != std::string::npos;
  }
  EXPECT_EQ(n_noted, 1);

  r.models = {bad};
  r.output = folder_ / "alone";
  EXPECT_EQ(evaluate(r, observer).exit_code(), static_cast<int>(ErrorKind::kModel));
}

TEST_F(Evaluate, StreamsCountEveryByteOfTheCorpusOnce) {
  const std::vector<std::string> texts = some_texts();
  const std::string corpus = write_jsonl("c.jsonl", texts);
  std::int64_t n_bytes = 0;
  for (const std::string& t : texts) n_bytes += static_cast<std::int64_t>(t.size());
  for (const char* convention : {"hkust", "llama-ppl", "gptq"}) {
    EvalRequest r = request("uniform:256", corpus);
    r.convention.name = convention;
    r.convention.window = 50;
    if (std::string(convention) == "hkust") r.convention.stride = 20;
    const lmbits::Run run = evaluate_one(r);
    EXPECT_EQ(run.summary["n_bytes"], n_bytes) << convention;
    EXPECT_EQ(run.summary["n_chars"], n_bytes) << convention;
    EXPECT_NEAR(run.summary["bits_per_token"].get<double>(), 8.0, 1e-12) << convention;
  }
}

TEST_F(Evaluate, ALongDocumentContinuesFromItsCheckpoint) {
  constexpr std::int64_t kTokens = 10000, kStop = 6000, kWindows = 16, kStride = 32;
  // Something else fails amid the document: what a full disk or a lost device does.
  struct Failing : Silent {
    void run_progress(const ScoreProgress& progress) override {
      n_scored = progress.n_scored;
      if (n_scored > kStop) throw Error(ErrorKind::kData, "amid the document");
    }
    std::int64_t n_scored = 0;
  };

  const auto checkpoints = [](const std::filesystem::path& run) {
    std::vector<std::filesystem::path> paths;
    for (const auto& file : std::filesystem::directory_iterator(run)) {
      if (file.path().filename().string().starts_with("checkpoint-")) paths.push_back(file.path());
    }
    return paths;
  };
  const std::string model = testing::write_toy_bundle(folder_ / "toy.pt");
  EvalRequest r = request(model, write("long.txt", text(kTokens, 9)));
  r.convention.window = 64;
  r.convention.stride = kStride;
  r.score.checkpoint_bytes = 1000;
  r.score.checkpoint_windows = kWindows;
  const lmbits::Run whole = evaluate_one(r);
  ASSERT_EQ(whole.records.size(), 1u);
  EXPECT_EQ(whole.records[0].n_scored, kTokens);
  EXPECT_EQ(whole.summary["profile"]["n_scored"], kTokens);
  EXPECT_EQ(whole.summary["profile"]["n_forward"], whole.records[0].n_forward);
  EXPECT_TRUE(checkpoints(whole.path).empty()) << "left behind: " << checkpoints(whole.path)[0];

  for (const bool damaged : {false, true}) {
    r.output = folder_ / (damaged ? "damaged" : "failed");
    Failing failing;
    EXPECT_EQ(evaluate(r, failing).n_failed_runs, 1);
    const std::filesystem::path run = read_runs(r.output).at(0).path;
    EXPECT_TRUE(read_runs(r.output).at(0).records.empty());
    ASSERT_EQ(checkpoints(run).size(), 1u);
    if (damaged) {
      std::string bytes = read_file(checkpoints(run)[0]);
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
      std::ofstream(checkpoints(run)[0], std::ios::binary) << bytes;
    }
    const lmbits::Run resumed = evaluate_one(r);
    ASSERT_EQ(resumed.records.size(), 1u);
    const DocumentRecord &got = resumed.records[0], &expected = whole.records[0];
    EXPECT_EQ(got.bits, expected.bits) << "to the last bit";
    EXPECT_EQ(got.bits_squared, expected.bits_squared);
    EXPECT_EQ(got.block_bits, expected.block_bits);
    EXPECT_EQ(got.n_scored, expected.n_scored);
    EXPECT_EQ(got.n_forward, expected.n_forward);
    EXPECT_TRUE(checkpoints(run).empty()) << "left behind: " << checkpoints(run)[0];
    // The profile is the second process' own: what was done since the last checkpoint is done twice, and no more.
    const auto twice = resumed.summary["profile"]["n_scored"].get<std::int64_t>() + failing.n_scored - kTokens;
    const auto n_fed = resumed.summary["profile"]["n_forward"].get<std::int64_t>();
    if (damaged) {
      EXPECT_EQ(n_fed, expected.n_forward) << "a damaged checkpoint is not believed";
    } else {
      EXPECT_GE(twice, 0);
      EXPECT_LT(twice, kWindows * kStride);
      EXPECT_LT(n_fed, expected.n_forward / 2) << "more than half of the tokens were scored before";
    }
  }
}

// ---- on devices (fake ones: tests/support/fake_device.h)

class EvaluateOnDevices : public Evaluate {
 protected:
  EvalRequest on_devices(const std::string& name) {
    testing::ToyBundle toy;
    toy.context = 64;
    EvalRequest r = request(testing::write_toy_bundle(folder_ / "toy.pt", toy), write_jsonl("c.jsonl", some_texts()));
    r.device = name;
    if (name != "cpu") {
      r.open_devices = [this](const std::string& wanted) {
        std::vector<std::unique_ptr<Device>> devices;
        for (int i = 0; i < (wanted == "cuda:all" ? 2 : 1); ++i) {
          devices.push_back(std::make_unique<testing::FakeDevice>(machine_, i));
        }
        return devices;
      };
    }
    return r;
  }

  testing::FakeMachine machine_;
};

TEST_F(EvaluateOnDevices, OneOrTwoGiveTheSameTotalsAndThoseOfTheCpu) {
  const lmbits::Run cpu = evaluate_one(on_devices("cpu")), one = evaluate_one(on_devices("cuda")),
                    two = evaluate_one(on_devices("cuda:all"));
  EXPECT_EQ(bits_by_id(one), bits_by_id(two));
  EXPECT_EQ(one.summary["bits"], two.summary["bits"]);
  for (const DocumentRecord& record : cpu.records) {
    const double got = bits_by_id(one).at(record.id);
    EXPECT_NEAR(got, record.bits, 1e-5 * (1 + record.bits)) << record.id;
  }
  for (std::size_t i = 0; i < one.records.size(); ++i) {
    const DocumentRecord& record = one.records[i];
    EXPECT_EQ(record.n_scored, record.n_bytes) << record.id;
    double sum = 0.0;
    for (const double block : record.block_bits) sum += block;
    if (!record.block_bits.empty()) {
      EXPECT_NEAR(sum, record.bits, 1e-9 * record.bits) << record.id;
    }
  }
  EXPECT_EQ(two.manifest["device"], "cuda:0,cuda:1");
  EXPECT_EQ(two.manifest["devices"].size(), 2u);
  EXPECT_GT(two.manifest["devices"][0]["peak_bytes"], 0);
  EXPECT_FALSE(cpu.manifest.contains("devices"));
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// As torchrun starts them, but as threads of one process.
TEST_F(EvaluateOnDevices, AWorkerForEachDeviceGivesTheSameTotals) {
  const lmbits::Run one = evaluate_one(on_devices("cuda"));
  EvalRequest r = on_devices("cuda");
  std::mutex mutex;
  std::set<std::string> opened;
  r.open_devices = [&](const std::string& wanted) {
    const std::lock_guard lock(mutex);
    opened.insert(wanted);
    std::vector<std::unique_ptr<Device>> devices;
    devices.push_back(std::make_unique<testing::FakeDevice>(machine_, wanted.back() - '0'));
    return devices;
  };
  const std::uint16_t port = free_port();
  std::vector<std::jthread> workers;
  for (int rank = 0; rank < 2; ++rank) {
    workers.emplace_back([r, rank, port]() mutable {
      r.worker = WorkerPlace{.rank = rank,
                             .n_workers = 2,
                             .local_rank = rank,
                             .n_local = 2,
                             .host = "127.0.0.1",
                             .port = port,
                             .job = "test"};
      Silent observer;
      EXPECT_EQ(evaluate(r, observer).exit_code(), 0) << (observer.failures.empty() ? "" : observer.failures[0]);
    });
  }
  workers.clear();
  const std::vector<lmbits::Run> runs = read_runs(r.output);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(bits_by_id(runs[0]), bits_by_id(one));
  EXPECT_EQ(runs[0].summary["bits"], one.summary["bits"]);
  EXPECT_EQ(opened, (std::set<std::string>{"cuda:0", "cuda:1"}));
}

TEST_F(EvaluateOnDevices, BackOffsAreInTheManifestAndLoseNothing) {
  const std::map<std::string, double> expected = bits_by_id(evaluate_one(on_devices("cuda")));
  machine_.most_logits = 100 * 257;
  const lmbits::Run run = evaluate_one(on_devices("cuda"));
  EXPECT_GT(machine_.n_out_of_memory, 0);
  const Json back_offs = run.manifest["devices"][0]["back_offs"];
  ASSERT_FALSE(back_offs.empty());
  EXPECT_EQ(back_offs[0]["what"], "head rows");
  ASSERT_EQ(run.records.size(), expected.size());
  for (const auto& [id, bits] : bits_by_id(run)) EXPECT_NEAR(bits, expected.at(id), 1e-5 * (1 + bits)) << id;
}

TEST_F(EvaluateOnDevices, ALostDeviceEndsTheRunWhichThenResumes) {
  const std::map<std::string, double> expected = bits_by_id(evaluate_one(on_devices("cuda")));
  EvalRequest r = on_devices("cuda");
  machine_.n_kernels = 0;
  machine_.lost_after = 12;
  Silent observer;
  const EvalOutcome outcome = evaluate(r, observer);
  EXPECT_EQ(outcome.exit_code(), 6);
  ASSERT_EQ(observer.failures.size(), 1u);
  EXPECT_NE(observer.failures[0].find("cuda:0 is lost: fell off the bus"), std::string::npos) << observer.failures[0];
  const lmbits::Run cut = read_runs(r.output).at(0);
  EXPECT_TRUE(cut.summary.is_null());
  EXPECT_TRUE(cut.manifest["devices"][0].contains("lost"));
  machine_.lost_after = std::numeric_limits<int>::max();
  EXPECT_EQ(bits_by_id(evaluate_one(r)), expected);
}

// A manifest that cannot be amended is no reason to keep quiet about why the scoring ended.
TEST_F(EvaluateOnDevices, ALostDeviceIsToldThoughTheManifestIsDamaged) {
  struct Damaging : Silent {
    void run_started(const std::string& name, std::optional<std::int64_t>, std::int64_t) override {
      std::ofstream(output / name / "manifest.json") << "{";
    }
    std::filesystem::path output;
  } observer;
  EvalRequest r = on_devices("cuda");
  observer.output = r.output;
  machine_.lost_after = 12;
  EXPECT_EQ(evaluate(r, observer).exit_code(), 6);
  ASSERT_EQ(observer.failures.size(), 1u);
  EXPECT_NE(observer.failures[0].find("cuda:0 is lost"), std::string::npos) << observer.failures[0];
}

}  // namespace
}  // namespace lmbits
