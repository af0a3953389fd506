#include "src/selection/select_job.h"

#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/suggest.h"
#include "src/core/thread_pool.h"
#include "src/corpus/byte_source.h"
#include "src/selection/checkpoint.h"
#include "src/selection/deflate_size.h"
#include "src/selection/pool.h"
#include "src/selection/python_repr.h"
#include "src/stats/random.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr int kSchema = 1;
constexpr std::int64_t kRandomDraws = 5;
constexpr std::int64_t kMaxRandomBytes = std::int64_t{256} << 20;  // larger results are not set beside random choices
constexpr std::int64_t kLargeSample = std::int64_t{8} << 20;
constexpr std::size_t kFailuresShown = 20;

bool is_reference(const SelectRequest& request) { return request.options.algorithm == SelectAlgorithm::kZipReference; }

bool counts_tokens(const SelectRequest& request) { return request.options.unit == SelectOptions::Unit::kTokens; }

fs::path beside(const SelectRequest& request, const char* suffix) { return request.output.string() + suffix; }

std::string unit_name(SelectOptions::Unit unit) {
  return unit == SelectOptions::Unit::kSamples ? "samples" : unit == SelectOptions::Unit::kBytes ? "bytes" : "tokens";
}

void check(const SelectRequest& request) {
  const SelectOptions& o = request.options;
  if (o.budget < 1 || o.k1 < 1 || o.k2 < 1 || o.k3 < 1)
    throw Error(ErrorKind::kUsage, "the budget, k1, k2 and k3 are at least 1");
  if (!is_reference(request)) return;
  const bool asks_for_more = o.unit != SelectOptions::Unit::kSamples || o.min_bytes > 0 || o.max_bytes > 0 ||
                             o.min_new > 0 || request.max_share > 0 || request.length_bins > 0 ||
                             request.sample.format != SampleFormat::kAuto || request.sample.text_field != "text";
  if (asks_for_more)
    throw Error(
        ErrorKind::kUsage,
        "zip-reference knows a budget of samples, k1, k2 and k3 alone, and compresses whole records, as the released "
        "code does",
        "leave --algorithm away for the mended algorithm, which knows the rest");
}

// What would be lost, or would not be what its name says.
void check_output(const SelectRequest& request) {
  const std::string name = request.output.string();
  std::error_code none;
  if (const fs::path work = beside(request, ".work"); fs::exists(work, none) && !fs::is_directory(work, none))
    throw Error(ErrorKind::kUsage, work.string() + " is a file, and a folder for checkpoints is to be made there",
                "give another -o, or move it away");
  for (const char* suffix : {"", ".choices.jsonl", ".manifest.json"}) {
    const fs::path path = beside(request, suffix);
    if (fs::equivalent(request.pool, path, none))
      throw Error(ErrorKind::kUsage, path.string() + " is the pool itself", "give another -o");
    if (fs::is_directory(path, none))
      throw Error(ErrorKind::kUsage, path.string() + " is a folder, and a file is to be written",
                  "give -o a file's name, such as " + (request.output / "chosen.jsonl").string());
  }
  if (is_compressed_name(name))
    throw Error(ErrorKind::kUsage, name + ": the chosen records are written uncompressed",
                "give -o " + name.substr(0, name.rfind('.')) + ", and compress it afterwards");
}

// All that the choices depend on, in one flat object.
Json identity_of(const SelectRequest& request, const CostModel& model, const Pool& pool, const std::string& tokenizer) {
  const SelectOptions& o = request.options;
  Json json = {{"pool", pool.fingerprint()},
               {"n_records", pool.size()},
               {"algorithm", is_reference(request) ? "zip-reference" : "zip"},
               {"k1", o.k1},
               {"k2", o.k2},
               {"k3", o.k3},
               {"budget", o.budget},
               {"unit", unit_name(o.unit)},
               {"cost", model.identity()}};
  if (is_reference(request)) {
    json["python"] = request.python;
    return json;
  }
  json["format"] = sample_format_name(request.sample.format);
  json["field"] = request.sample.text_field;
  json["group"] = request.sample.group_field;
  json["max_share"] = request.max_share;
  json["length_bins"] = request.length_bins;
  json["min_bytes"] = o.min_bytes;
  json["max_bytes"] = o.max_bytes;
  json["min_new"] = o.min_new;
  json["tokenizer"] = tokenizer;
  return json;
}

std::unique_ptr<Tokenizer> tokenizer_of(const SelectRequest& request) {
  if (request.tokenizer.empty()) return make_byte_tokenizer(256, std::nullopt, std::nullopt);
  return make_sentencepiece_tokenizer(read_file(request.tokenizer));
}

// ---- Groups: one more pass over the records, for what is limited by group or length.

struct RecordFacts {
  std::string group;
  std::int64_t n_bytes = -1;  // -1: cannot be used, or is not offered
};

std::vector<RecordFacts> facts_of(const SelectRequest& request, const Pool& pool, int n_threads) {
  std::vector<RecordFacts> facts(static_cast<std::size_t>(pool.size()));
  parallel_for(pool.size(), n_threads, [&](std::int64_t i) {
    try {
      const Sample sample = parse_sample(pool.record(i), request.sample);
      const std::string text = sample_text(sample);
      facts[static_cast<std::size_t>(i)] = {sample.group, is_offered(request.options, text) ? std::ssize(text) : -1};
    } catch (const Error&) {  // is reported where the sample is scored
    }
  });
  return facts;
}

GroupRoom rooms_by_group(const std::vector<RecordFacts>& facts, double share, std::int64_t budget) {
  GroupRoom rooms;
  std::unordered_map<std::string, std::int32_t> number_of;
  const auto room =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(share * static_cast<double>(budget))));
  for (const RecordFacts& fact : facts) {
    const auto [found, is_new] = number_of.try_emplace(fact.group, static_cast<std::int32_t>(rooms.room.size()));
    if (is_new) rooms.room.push_back(room);
    rooms.group_of.push_back(found->second);
  }
  return rooms;
}

GroupRoom rooms_by_length(const std::vector<RecordFacts>& facts, std::int64_t n_bins, std::int64_t budget) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < facts.size(); ++i)
    if (facts[i].n_bytes >= 0) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(facts[a].n_bytes, a) < std::pair(facts[b].n_bytes, b);
  });
  GroupRoom rooms{std::vector<std::int32_t>(facts.size(), -1),
                  std::vector<std::int64_t>(static_cast<std::size_t>(n_bins))};
  for (std::size_t k = 0; k < order.size(); ++k)
    rooms.group_of[order[k]] = static_cast<std::int32_t>(static_cast<std::int64_t>(k) * n_bins / std::ssize(order));
  for (std::int64_t b = 0; b < n_bins; ++b)
    rooms.room[static_cast<std::size_t>(b)] = budget * (b + 1) / n_bins - budget * b / n_bins;
  return rooms;
}

// A key that no record has would make one group of all of them.
void check_groups(const SelectRequest& request, const Pool& pool, const std::vector<RecordFacts>& facts) {
  const bool has_groups = std::any_of(facts.begin(), facts.end(), [](const auto& fact) { return !fact.group.empty(); });
  if (has_groups || facts.empty()) return;
  std::vector<std::string> keys;
  const Json first = Json::parse(pool.record(0), nullptr, /*allow_exceptions=*/false);
  if (first.is_object())
    for (const auto& [key, value] : first.items()) keys.push_back(key);
  throw Error(ErrorKind::kData, "no record of " + request.pool + " has the key \"" + request.sample.group_field + "\"",
              suggestion(request.sample.group_field, keys));
}

std::vector<GroupRoom> groups_of(const SelectRequest& request, const Pool& pool) {
  std::vector<GroupRoom> groups;
  if (request.max_share <= 0 && request.length_bins <= 0) return groups;
  const auto facts = facts_of(request, pool, 0);
  if (request.max_share > 0) {
    check_groups(request, pool, facts);
    groups.push_back(rooms_by_group(facts, request.max_share, request.options.budget));
  }
  if (request.length_bins > 0) groups.push_back(rooms_by_length(facts, request.length_bins, request.options.budget));
  return groups;
}

SelectInput input_of(const SelectRequest& request, const Pool& pool, const Tokenizer* tokenizer) {
  SelectInput input;
  input.n_records = pool.size();
  input.text = [&request, &pool](std::int64_t i) {
    const std::string record = pool.record(i);
    if (std::ssize(record) >= kMaxSampleBytes) throw Error(ErrorKind::kData, "larger than 1 GiB");
    return scored_text(request, record);
  };
  if (tokenizer != nullptr)
    input.tokens = [tokenizer](const std::string& text) { return std::ssize(tokenizer->encode(text).ids); };
  if (is_reference(request)) {
    input.open = "[";
    input.separator = ", ";
    input.close = "]";
  } else {
    input.groups = groups_of(request, pool);
  }
  return input;
}

// ---- What came out.

double ratio_of_set(const SelectInput& input, const std::vector<std::int64_t>& records) {
  const auto set = make_deflate_sizer(9);
  std::int64_t n_raw = std::ssize(input.open);
  set->append(input.open);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string text = input.text(records[i]) + (i + 1 < records.size() ? input.separator : input.close);
    set->append(text);
    n_raw += std::ssize(text);
  }
  return static_cast<double>(n_raw) / static_cast<double>(set->size_with(""));
}

// As many samples as were chosen, uniformly without replacement: R of each draw. One draw at a time where a sample is large:
// the draws are likely to hold the same one.
std::vector<double> random_ratios(const SelectInput& input, const SelectState& state, std::uint64_t seed) {
  std::vector<double> ratios(static_cast<std::size_t>(kRandomDraws));
  std::int64_t largest = 0;
  for (const Candidate& c : state.candidates) largest = std::max(largest, c.n_bytes);
  parallel_for(kRandomDraws, largest > kLargeSample ? 1 : 0, [&](std::int64_t draw) {
    std::vector<std::int64_t> records;
    for (const Candidate& c : state.candidates) records.push_back(c.record);
    Random random(seed, static_cast<std::uint64_t>(draw));
    const std::size_t n = std::min(records.size(), state.choices.size());
    for (std::size_t i = 0; i < n; ++i)
      std::swap(records[i], records[i + random.below(static_cast<std::uint32_t>(records.size() - i))]);
    records.resize(n);
    ratios[static_cast<std::size_t>(draw)] = ratio_of_set(input, records);
  });
  return ratios;
}

Json summary_of(const SelectRequest& request, const SelectInput& input, const SelectState& state, SelectEnd end) {
  std::vector<std::int64_t> records;
  std::int64_t n_bytes = 0, n_tokens = 0;
  for (const Choice& choice : state.choices) {
    records.push_back(choice.record);
    n_bytes += choice.n_bytes;
    n_tokens += choice.n_tokens;
  }
  const auto n_blank = std::count_if(state.candidates.begin(), state.candidates.end(),
                                     [](const Candidate& candidate) { return candidate.is_blank; });
  Json json = {{"n_records", input.n_records},
               {"n_failed", state.failures.size()},
               {"n_blank", n_blank},
               {"n_chosen", records.size()},
               {"n_bytes", n_bytes},
               {"n_stages", state.n_stages},
               {"budget_met", end == SelectEnd::kDone},
               {"ratio", nullptr},
               {"random_ratios", nullptr}};
  if (counts_tokens(request)) json["n_tokens"] = n_tokens;
  if (records.empty()) return json;
  json["ratio"] = ratio_of_set(input, records);
  if (n_bytes <= kMaxRandomBytes) json["random_ratios"] = random_ratios(input, state, request.seed);
  return json;
}

std::string one_line(std::string record) {
  for (char& c : record)
    if (c == '\n' || c == '\r') c = ' ';  // between JSON's tokens: within a string they are escaped
  return record;
}

void write_selected(const SelectRequest& request, const Pool& pool, const SelectState& state) {
  const bool is_array = request.output.extension() == ".json";
  const fs::path temporary = beside(request, ".work") / "selected";
  AppendFile file(temporary, 0);
  if (is_array) file.append("[");
  for (std::size_t i = 0; i < state.choices.size(); ++i) {
    const bool has_comma = is_array && i + 1 < state.choices.size();
    file.append(one_line(pool.record(state.choices[i].record)) + (has_comma ? "," : ""));
  }
  if (is_array) file.append("]");
  file.sync();
  fs::rename(temporary, request.output);
}

std::string id_of(const Pool& pool, std::int64_t record) {
  try {
    const Json json = Json::parse(pool.record(record));
    const auto id = json.find("id");
    if (json.is_object() && id != json.end()) return id->is_string() ? id->get<std::string>() : id->dump();
  } catch (const Json::exception&) {  // what Python reads and JSON libraries do not
  }
  return "";
}

void write_choices(const SelectRequest& request, const Pool& pool, const SelectState& state) {
  const fs::path temporary = beside(request, ".work") / "choices";
  AppendFile file(temporary, 0);
  std::int64_t rank = 0;
  for (const Choice& c : state.choices) {
    Json line = {{"rank", ++rank},
                 {"record", c.record},
                 {"place", pool.place(c.record)},
                 {"id", id_of(pool, c.record)},
                 {"stage", c.stage},
                 {"n_bytes", c.n_bytes},
                 {"ratio_alone", c.ratio_alone},
                 {"ratio_with_chosen", c.ratio_with_chosen},
                 {"ratio_in_block", c.ratio_in_block}};
    if (counts_tokens(request)) line["n_tokens"] = c.n_tokens;
    file.append(line.dump());
  }
  file.sync();
  fs::rename(temporary, beside(request, ".choices.jsonl"));
}

std::string file_fingerprint(const fs::path& path) {
  Fingerprint hash;
  const auto source = open_raw_bytes(path.string());
  for (std::string buffer; append_some(*source, buffer); buffer.clear()) hash.add(buffer);
  return hash.hex();
}

// Whether a finished selection of the same identity and seed has left what it wrote, and nobody changed it since.
bool takes_finished(const SelectRequest& request, const Json& identity, SelectOutcome& outcome) {
  const fs::path path = beside(request, ".manifest.json"), choices = beside(request, ".choices.jsonl");
  if (!fs::exists(path) || !fs::exists(request.output) || !fs::exists(choices)) return false;
  const Json manifest = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || manifest.value("identity", Json()) != identity) return false;
  if (manifest.value("seed", Json()) != Json(request.seed)) return false;  // the random choices would be others
  if (manifest.value("output_fingerprint", Json()) != Json(file_fingerprint(request.output))) return false;
  if (manifest.value("choices_fingerprint", Json()) != Json(file_fingerprint(choices))) return false;
  outcome.summary = manifest.at("summary");
  outcome.n_failed = outcome.summary.at("n_failed").get<std::int64_t>();
  outcome.failures = manifest.at("failures").get<std::vector<std::string>>();
  outcome.was_finished = true;
  return true;
}

void write_manifest(const SelectRequest& request, const Json& identity, const SelectOutcome& outcome) {
  const Json manifest = {{"schema", kSchema},
                         {"identity", identity},
                         {"pool", request.pool},
                         {"zlib", zlibVersion()},
                         {"command", request.command},
                         {"seed", request.seed},
                         {"output_fingerprint", file_fingerprint(request.output)},
                         {"choices_fingerprint", file_fingerprint(beside(request, ".choices.jsonl"))},
                         {"summary", outcome.summary},
                         {"failures", outcome.failures}};
  write_file_atomically(beside(request, ".manifest.json"),
                        manifest.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

// OUT.work, locked; gone afterwards unless it holds a checkpoint, or a file that is not a selection's.
class WorkFolder {
 public:
  explicit WorkFolder(fs::path path) : path_(std::move(path)) {
    fs::create_directories(path_);
    refuse_files_of_others();
    lock_.emplace(path_);
  }
  // The lock's file goes last, so that a folder with a selection's files has one, and is held until all is gone.
  ~WorkFolder() {
    std::error_code none;
    if (fs::exists(path_ / "checkpoint", none)) return;
    for (const char* name : kNames) fs::remove(path_ / name, none);
    remove_temporaries();
    fs::remove(path_ / kLock, none);
    fs::remove(path_, none);  // which fails where something is left
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  static constexpr const char* kLock = ".lock";
  static constexpr const char* kNames[] = {"checkpoint", "pool", "selected", "choices"};

  void refuse_files_of_others() const {
    if (fs::exists(path_ / kLock)) return;
    for (const char* name : kNames)
      if (fs::exists(path_ / name))
        throw Error(ErrorKind::kUsage, (path_ / name).string() + " is not a selection's, and would be overwritten",
                    "give another -o, or move it away");
  }

  // Of a checkpoint whose writing was killed.
  void remove_temporaries() const {
    std::error_code none;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(path_, none))
      if (is_temporary_file(entry.path()) && entry.path().filename().string().starts_with(".checkpoint."))
        found.push_back(entry.path());
    for (const fs::path& path : found) fs::remove(path, none);
  }

  fs::path path_;
  std::optional<FolderLock> lock_;
};

void report_failures(const Pool& pool, const SelectState& state, SelectOutcome& outcome) {
  outcome.n_failed = std::ssize(state.failures);
  outcome.failures.clear();
  for (const auto& failure : state.failures) {
    if (outcome.failures.size() == kFailuresShown) break;
    outcome.failures.push_back(pool.place(failure.record) + ": " + failure.error);
  }
}

// Checkpoints, at most one every so many seconds.
class Keeper {
 public:
  Keeper(fs::path path, Json identity, double every_s)
      : path_(std::move(path)), identity_(std::move(identity)), every_s_(every_s) {}
  void see(const SelectState& state) {
    const auto now = std::chrono::steady_clock::now();
    if (std::chrono::duration<double>(now - written_).count() >= every_s_) write(state);
  }
  void write(const SelectState& state) {
    write_checkpoint(path_, identity_, state);
    written_ = std::chrono::steady_clock::now();
  }

 private:
  fs::path path_;
  Json identity_;
  double every_s_;
  std::chrono::steady_clock::time_point written_ = std::chrono::steady_clock::now();
};

}  // namespace

std::string scored_text(const SelectRequest& request, const std::string& record) {
  if (is_reference(request)) return python_repr_of_json(record, unicode_version_of_python(request.python));
  return sample_text(parse_sample(record, request.sample));
}

void run_select(const SelectRequest& request, const CostModel& model, Progress& progress, SelectOutcome& outcome) {
  check(request);
  check_output(request);
  WorkFolder work(beside(request, ".work"));
  const Pool pool(request.pool, work.path() / "pool");
  const auto tokenizer = counts_tokens(request) ? tokenizer_of(request) : nullptr;
  const Json identity = identity_of(request, model, pool, tokenizer ? tokenizer->fingerprint() : "");
  if (takes_finished(request, identity, outcome)) return;
  const SelectInput input = input_of(request, pool, tokenizer.get());
  const fs::path checkpoint = work.path() / "checkpoint";
  SelectState state = read_checkpoint(checkpoint, identity).value_or(SelectState{});
  outcome.n_resumed = std::ssize(state.choices);
  outcome.n_scored_before = state.n_scored;
  Keeper keeper(checkpoint, identity, request.checkpoint_every_s);
  SelectEnd end = SelectEnd::kDone;
  try {
    end = select(input, model, request.options, state, progress, [&](const SelectState& s) { keeper.see(s); });
  } catch (const Error&) {
    progress.end();
    report_failures(pool, state, outcome);  // they may be why: too few samples are left
    throw;
  }
  progress.end();
  report_failures(pool, state, outcome);
  if (end == SelectEnd::kStopped) {
    keeper.write(state);
    outcome.is_interrupted = true;
    return;
  }
  outcome.summary = summary_of(request, input, state, end);
  write_selected(request, pool, state);
  write_choices(request, pool, state);
  write_manifest(request, identity, outcome);
  remove_file(checkpoint);
}

}  // namespace lmbits
