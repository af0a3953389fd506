#include "src/scoring/compress.h"

#include <gnu/libc-version.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

#include "kernels/attention.h"
#include "kernels/cdf.h"
#include "kernels/isa.h"
#include "kernels/linear.h"
#include "kernels/rows.h"
#include "src/coding/container.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/media.h"
#include "src/model/load.h"
#include "src/scoring/sequence.h"

namespace lmbits {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostStreams = 4096;
constexpr std::int64_t kGroupBytes = 1 << 18;  // of the original that a thread codes at a time, at least

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A version of our kernels that nobody can forget to raise: a fingerprint of what they make of made-up numbers.
std::string kernel_fingerprint() {
  constexpr std::int64_t kSize = 64, kRows = 12;
  const kernels::Isa isa = kernels::best_isa();
  const auto made_up = [](std::int64_t n, std::int64_t seed) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i)
      values[static_cast<std::size_t>(i)] = static_cast<float>(((i + seed) * 7919 + 17) % 1009 - 504) / 250.0F;
    return values;
  };
  const auto bytes_of = [](const auto& values) {
    return std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  Fingerprint fingerprint;
  const std::vector<float> x = made_up(kRows * kSize, 1), gain = made_up(kSize, 2);
  const kernels::Linear map{.n_in = kSize, .n_out = kSize, .gated = true, .norm_eps = 1e-5F};
  std::vector<float> packed(static_cast<std::size_t>(kernels::packed_bytes(isa, map) / 4)), y(x.size());
  kernels::pack_linear(isa, map, made_up(2 * kSize * kSize, 3).data(), gain.data(), packed.data());
  kernels::linear(isa, map, packed.data(), x.data(), kRows, x.data(), y.data());
  fingerprint.add(bytes_of(y));
  const kernels::AttentionShape shape{1, 2, 2, kRows, kSize / 2, 0.2F};
  const auto heads = [&](auto* data) {
    return kernels::HeadsView<std::remove_pointer_t<decltype(data)>>{data, kRows * kSize, kSize / 2, kSize};
  };
  std::vector<float> workspace(static_cast<std::size_t>(kernels::attention_workspace(isa, shape)));
  kernels::causal_attention(isa, shape, heads(x.data()), heads(std::as_const(y).data()), heads(x.data()),
                            heads(packed.data()), workspace.data());
  fingerprint.add(bytes_of(x)).add(std::string_view(bytes_of(packed)).substr(0, 4 * x.size()));
  kernels::rms_norm(isa, x.data(), kRows, kSize, gain.data(), 1e-5F, y.data());
  fingerprint.add(bytes_of(y));
  std::vector<std::uint64_t> weights(x.size());
  kernels::cdf_weights(isa, x.data(), std::ssize(x), weights.data());
  return fingerprint.add(bytes_of(weights)).hex().substr(0, 16);
}

// What may change the last bits of a model's numbers. A difference is no reason to refuse: `arithmetic` decides, and says
// what differs.
Json environment(const LanguageModel& model) {
  Json json = {{"kernels", std::string(kernels::isa_name(kernels::best_isa())) + " " + kernel_fingerprint()},
               {"libc", gnu_get_libc_version()}};
  if (model.info().dtype == "float64") return json;  // a model without weights, and without libtorch
  const Json torch = describe_torch();
  for (const char* key : {"libtorch", "cpu_capability"}) json[key] = torch.at(key);
  return json;
}

// What must be the same, key by key.
Json identity(const LanguageModel& model, const BlockCoderOptions& options) {
  const Convention& convention = options.convention;
  const ModelInfo& info = model.info();
  return {{"model", info.fingerprint},
          {"tokenizer", model.tokenizer().fingerprint()},
          {"vocab_size", info.vocab_size},
          {"dtype", info.dtype},
          {"device", "cpu"},
          {"window", convention.window},
          {"stride", convention.stride},
          {"bos_id", to_json_or_null(convention.prepend_lead ? convention.lead_id : std::nullopt)},
          {"decoding", decoding_name(*options.decoding)},
          {"streams", *options.decoding == Decoding::kStep ? Json(options.n_lock_step) : Json(nullptr)},
          {"mix", options.mix}};
}

Convention convention_of(const LanguageModel& model, std::optional<std::int64_t> window,
                         std::optional<std::int64_t> stride) {
  ConventionOptions options;
  options.window = window;
  options.stride = stride;
  return convention_for(model, options);
}

// What is coded of a file: its samples in the order of `patch` where its name and its content are those of a picture, sound
// or video (`outcome.patch` then says in which), else the file as it is: any file can be compressed, whatever it is called.
std::string as_coded(const std::string& path, std::string file, const std::string& patch, CompressOutcome& outcome) {
  if (patch.empty() || !is_media_name(path)) return file;
  const Patch parsed = parse_patch(patch);
  try {
    std::string arranged = arrange_media(file, parsed, path);
    if (restore_media(arranged, parsed, path) == file) {  // never on trust: the original must come back
      outcome.patch = patch_name(parsed);
      return arranged;
    }
    outcome.unarranged = path + ": its samples would not come back; please report it";
  } catch (const Error& e) {
    outcome.unarranged = e.what();
  }
  return file;
}

std::int64_t model_bytes(const std::string& spec) {
  std::string path = parse_model_spec(spec).path;
  if (path.starts_with("bigram:")) path = path.substr(7);
  std::error_code none;
  const auto size = fs::file_size(path, none);
  return none ? 0 : static_cast<std::int64_t>(size);
}

// Coders are lent to whichever thread asks: their caches stay.
class CoderPool {
 public:
  CoderPool(const LanguageModel& model, const BlockCoderOptions& options, Progress& progress)
      : model_(model), options_(options), progress_(progress) {}

  template <class F>
  void with(F use) {
    prepare_torch_thread();
    std::unique_ptr<BlockCoder> coder = take();
    use(*coder);
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(coder));
  }

 private:
  std::unique_ptr<BlockCoder> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto coder = std::move(free_.back());
        free_.pop_back();
        return coder;
      }
    }
    auto coder = std::make_unique<BlockCoder>(model_, options_);
    coder->on_ids = [this](std::int64_t n) { progress_.advance(n); };
    return coder;
  }

  const LanguageModel& model_;
  const BlockCoderOptions& options_;
  Progress& progress_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<BlockCoder>> free_;
};

struct Group {
  std::size_t begin, end;  // blocks
};

std::vector<Group> groups_of(std::size_t n_blocks, std::int64_t size) {
  std::vector<Group> groups;
  for (std::size_t begin = 0; begin < n_blocks; begin += static_cast<std::size_t>(size))
    groups.push_back({begin, std::min(n_blocks, begin + static_cast<std::size_t>(size))});
  return groups;
}

std::string_view block_of(std::string_view bytes, const Container& container, std::size_t i) {
  return bytes.substr(i * static_cast<std::size_t>(container.block_bytes),
                      static_cast<std::size_t>(container_block_bytes(container, static_cast<std::int64_t>(i))));
}

// In whose order the samples of the original were coded; empty: the original was.
std::string patch_of(const Container& container, const std::string& where) {
  const auto patch = container.info.find("patch");
  if (patch == container.info.end()) return {};
  if (!patch->is_string()) throw Error(ErrorKind::kData, where + ": its header's patch is " + patch->dump());
  return patch->get<std::string>();
}

std::string list_differences(const Json& theirs, const Json& ours) {
  std::string text;
  for (const auto& [key, value] : theirs.items()) {
    const Json mine = ours.value(key, Json(nullptr));
    if (mine != value) text += (text.empty() ? "" : ", ") + key + " was " + value.dump() + ", is " + mine.dump();
  }
  return text;
}

std::string block_name(std::size_t i, std::size_t n) {
  return "block " + std::to_string(i) + " of " + std::to_string(n);
}

// Blocks [group) decoded and proved, at their place in `original`. False where a stop was requested.
bool decode_group(BlockCoder& coder, const Container& container, const Group& group, const std::string& where,
                  const Json& our_environment, std::string& original) {
  std::vector<std::string_view> payloads;
  std::vector<std::int64_t> n_bytes;
  for (std::size_t i = group.begin; i < group.end; ++i) {
    payloads.push_back(container.blocks[i].payload);
    n_bytes.push_back(container_block_bytes(container, static_cast<std::int64_t>(i)));
  }
  std::string problem;
  std::vector<std::string> texts;
  std::size_t bad = group.begin;
  try {
    texts = coder.decode(payloads, n_bytes, where);
    if (texts.empty()) return false;
    for (; bad < group.end; ++bad) {
      const std::string& text = texts[bad - group.begin];
      if (std::ssize(text) != n_bytes[bad - group.begin] || crc32c(text) != container.blocks[bad].original_crc) break;
    }
    if (bad < group.end)
      problem = block_name(bad, container.blocks.size()) + " decodes to other bytes than were encoded";
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData) throw;
    problem = e.what();
  }
  if (!problem.empty()) {
    const std::string differences =
        list_differences(container.info.value("environment", Json::object()), our_environment);
    throw Error(
        ErrorKind::kModel,
        where + ": " + problem + ", although the file is undamaged: the model's numbers are not those of the encoder",
        differences.empty() ? "the file names no difference between this machine and the encoder's; please report it"
                            : "decode it where the encoder ran, or with the same: " + differences);
  }
  for (std::size_t i = group.begin; i < group.end; ++i) {
    const std::string& text = texts[i - group.begin];
    std::copy(text.begin(), text.end(), original.begin() + static_cast<std::ptrdiff_t>(i) * container.block_bytes);
  }
  return true;
}

// The original, from what was coded of it, and proved by its fingerprint. nullopt where a stop was requested.
std::optional<std::string> decode_container(const LanguageModel& model, const BlockCoderOptions& options,
                                            const Container& container, const std::string& where, int n_threads,
                                            Progress& progress) {
  CoderPool coders(model, options, progress);
  std::int64_t n_streams = 1;
  coders.with([&](BlockCoder& coder) { n_streams = coder.n_streams(); });
  const auto n_blocks = std::ssize(container.blocks);
  const std::int64_t a_thread = (n_blocks + n_threads - 1) / std::max(1, n_threads);
  const bool fixed = options.decoding == Decoding::kStep;  // what was coded together decodes together
  const std::vector<Group> groups =
      groups_of(container.blocks.size(), fixed ? n_streams : std::clamp<std::int64_t>(a_thread, 1, n_streams));
  const Json ours = environment(model);
  std::string original(static_cast<std::size_t>(container.n_bytes), '\0');
  std::atomic<bool> whole = true;
  parallel_for(std::ssize(groups), n_threads, [&](std::int64_t g) {
    coders.with([&](BlockCoder& coder) {
      if (stop_requested() ||
          !decode_group(coder, container, groups[static_cast<std::size_t>(g)], where, ours, original))
        whole = false;
    });
  });
  if (!whole) return std::nullopt;
  if (const std::string patch = patch_of(container, where); !patch.empty())
    original = restore_media(original, parse_patch(patch), where);
  const std::string fingerprint = Fingerprint().add(original).hex();
  if (fingerprint != container.fingerprint) {
    throw Error(ErrorKind::kData,
                where + ": all blocks decode, but the whole has the fingerprint " + fingerprint + " and not " +
                    container.fingerprint,
                "please report it");
  }
  return original;
}

// A hint: what here is not as it was where the file was encoded.
std::string where_to_decode(const Json& info, const LanguageModel& model) {
  const std::string differences = list_differences(info.value("environment", Json::object()), environment(model));
  return differences.empty() ? "nothing known differs: decode it on the machine that encoded it"
                             : "decode it where the encoder ran, or with the same: " + differences;
}

// Does this program, here and now, make the integers that the encoder made?
void check_arithmetic(const std::string& where, const Container& container, const LanguageModel& model,
                      BlockCoder& coder) {
  const Json& info = container.info;
  const auto stated = info.find("arithmetic");
  const std::string theirs = stated != info.end() && stated->is_string() ? stated->get<std::string>() : "none";
  const std::string ours = container.version == 2 ? coder.arithmetic(2) : coder.arithmetic();
  if (ours == theirs) return;
  throw Error(ErrorKind::kModel,
              where + " cannot be decoded here: " + model.info().name +
                  " gives other numbers than it gave the encoder (arithmetic " + ours + ", was " + theirs + ")",
              where_to_decode(info, model));
}

// Where this program or machine does not offer the way of decoding that was encoded for, says so.
std::unique_ptr<BlockCoder> coder_as_encoded(const std::string& where, const Json& info, const LanguageModel& model,
                                             const BlockCoderOptions& options) {
  try {
    return std::make_unique<BlockCoder>(model, options);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kUnsupported) throw;
    throw Error(e.kind(), where + " is to be decoded " + decoding_name(*options.decoding) + ", but here " + e.what(),
                where_to_decode(info, model));
  }
}

void check_identity(const std::string& where, const Json& theirs, const Json& ours) {
  const std::string differences = list_differences(theirs, ours);
  if (differences.empty()) return;
  throw Error(
      ErrorKind::kModel, where + " was made otherwise: " + differences,
      "give --model (and --dtype) what it was compressed with; lmbits inspect " + where + " says what that was");
}

std::int64_t n_front_bytes(const Container& container, std::int64_t n_file) {
  for (const ContainerBlock& block : container.blocks) n_file -= std::ssize(block.payload);
  return n_file;
}

}  // namespace

CompressOutcome compress_file(const CompressRequest& request, Progress& progress) {
  const auto model = open_model(parse_model_spec(request.model), {.dtype = request.dtype});
  const std::string original = read_file(request.input);
  prepare_torch();
  model->load();
  BlockCoderOptions options;
  options.convention = convention_of(*model, request.window, request.stride);
  options.mix = request.mix;
  options.decoding = request.decoding;

  CompressOutcome outcome;
  outcome.model = model->info().name;
  outcome.n_bytes = std::ssize(original);
  outcome.n_model_bytes = model_bytes(request.model);
  Container container;
  container.n_bytes = outcome.n_bytes;
  container.block_bytes = request.block_bytes;
  container.fingerprint = outcome.fingerprint = Fingerprint().add(original).hex();
  const std::string coded = as_coded(request.input, original, request.patch, outcome);
  container.blocks.resize(static_cast<std::size_t>(n_container_blocks(container.n_bytes, container.block_bytes)));
  outcome.n_blocks = std::ssize(container.blocks);

  progress.begin({.label = "compress " + request.input, .unit = "tok", .total = std::nullopt});
  const auto start = std::chrono::steady_clock::now();
  CoderPool coders(*model, options, progress);
  std::int64_t n_streams = 1;
  std::string arithmetic;
  coders.with([&](BlockCoder& coder) {
    options.decoding = outcome.decoding = coder.decoding();
    n_streams = coder.n_streams();
    arithmetic = coder.arithmetic();
  });
  container.info = {{"name", outcome.model},
                    {"identity", identity(*model, options)},
                    {"arithmetic", arithmetic},
                    {"environment", environment(*model)}};
  if (!outcome.patch.empty()) container.info["patch"] = outcome.patch;
  std::int64_t many = request.block_bytes == 0 ? 1 : std::max<std::int64_t>(1, kGroupBytes / request.block_bytes);
  if (outcome.decoding == Decoding::kStep) many = n_streams;
  const std::vector<Group> groups =
      groups_of(container.blocks.size(), request.self_check ? std::min(many, n_streams) : many);
  std::vector<CodingCost> costs(groups.size());
  std::string decoded(request.self_check ? original.size() : 0, '\0');
  parallel_for(std::ssize(groups), request.n_threads, [&](std::int64_t g) {
    coders.with([&](BlockCoder& coder) {
      const Group& group = groups[static_cast<std::size_t>(g)];
      std::vector<std::string_view> texts;
      for (std::size_t i = group.begin; i < group.end; ++i) texts.push_back(block_of(coded, container, i));
      if (stop_requested()) return;
      std::vector<std::string> payloads = coder.encode(texts, costs[static_cast<std::size_t>(g)]);
      for (std::size_t i = group.begin; i < group.end; ++i)
        container.blocks[i] = {crc32c(texts[i - group.begin]), std::move(payloads[i - group.begin])};
      if (request.self_check && !stop_requested())
        decode_group(coder, container, group, request.input, container.info["environment"], decoded);
    });
  });
  outcome.seconds = seconds_since(start);
  for (const CodingCost& cost : costs) outcome.cost += cost;
  if (stop_requested()) {
    progress.end();
    outcome.interrupted = true;
    return outcome;
  }
  const std::string bytes = write_container(container);
  outcome.n_compressed = std::ssize(bytes);
  outcome.n_container_bytes = n_front_bytes(container, outcome.n_compressed);
  if (request.verify) {
    const auto verify_start = std::chrono::steady_clock::now();
    progress.begin({.label = "verify " + request.input, .unit = "tok", .total = outcome.cost.n_ids});
    const auto again = decode_container(*model, options, read_container(bytes, request.output), request.output,
                                        request.n_threads, progress);
    if (again && *again != original)
      throw Error(ErrorKind::kModel, request.output + " does not decode to " + request.input, "please report it");
    outcome.interrupted = !again;
    outcome.verify_seconds = seconds_since(verify_start);
  }
  progress.end();
  if (!outcome.interrupted) write_file_atomically(request.output, bytes);
  return outcome;
}

CompressOutcome decompress_file(const DecompressRequest& request, Progress& progress) {
  const std::string bytes = read_file(request.input);
  const Container container = read_container(bytes, request.input);
  const auto model = open_model(parse_model_spec(request.model), {.dtype = request.dtype});
  const Json theirs = container.info.value("identity", Json::object());
  BlockCoderOptions options;
  Json ours;
  try {
    options.mix = theirs.at("mix").get<bool>();
    // The model first: another one would make window and stride look wrong.
    options.convention.window = theirs.at("window").get<std::int64_t>();
    options.convention.stride = theirs.at("stride").get<std::int64_t>();
    const auto decoding = theirs.at("decoding").get<std::string>();
    options.decoding = decoding_of(decoding);
    if (!options.decoding)
      throw Error(ErrorKind::kData, request.input + ": decoding \"" + decoding + "\" is not known");
    if (theirs.at("streams").is_number()) {
      options.n_lock_step = theirs.at("streams").get<std::int64_t>();
      if (options.n_lock_step < 1 || options.n_lock_step > kMostStreams)
        throw Error(ErrorKind::kData,
                    request.input + ": " + std::to_string(options.n_lock_step) + " streams at a time");
    }
    ours = identity(*model, options);
    ours["bos_id"] = theirs.at("bos_id");
    check_identity(request.input, theirs, ours);
    options.convention = convention_of(*model, options.convention.window, options.convention.stride);
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData, request.input + ": its header says too little: " + e.what());
  }
  prepare_torch();
  model->load();
  CompressOutcome outcome;
  outcome.decoding = *options.decoding;
  check_identity(request.input, theirs, identity(*model, options));
  const auto coder = coder_as_encoded(request.input, container.info, *model, options);
  check_arithmetic(request.input, container, *model, *coder);
  outcome.model = model->info().name;
  outcome.n_bytes = container.n_bytes;
  outcome.n_compressed = std::ssize(bytes);
  outcome.n_blocks = std::ssize(container.blocks);
  outcome.n_container_bytes = n_front_bytes(container, outcome.n_compressed);
  outcome.fingerprint = container.fingerprint;
  outcome.patch = patch_of(container, request.input);
  progress.begin({.label = "decompress " + request.input, .unit = "tok", .total = std::nullopt});
  const auto start = std::chrono::steady_clock::now();
  const auto original = decode_container(*model, options, container, request.input, request.n_threads, progress);
  outcome.seconds = seconds_since(start);
  progress.end();
  outcome.interrupted = !original;
  if (original) write_file_atomically(request.output, *original);
  return outcome;
}

}  // namespace lmbits
