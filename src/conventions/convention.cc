#include "src/conventions/convention.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr std::int64_t kMaxWindow = std::int64_t{1} << 30;  // keeps window arithmetic far from overflow

enum class AutoLead { kBosElseEos, kBos, kNone };  // what --bos auto means

std::int64_t half(std::int64_t window) { return std::max<std::int64_t>(1, window / 2); }
std::int64_t whole(std::int64_t window) { return window; }
std::int64_t hkust_stride(std::int64_t window) { return std::min<std::int64_t>(512, window); }

struct Preset {
  const char* name;
  Scope scope;
  std::int64_t window;
  bool window_fits_context;  // the default window is min(window, the model's context), else `window` as published
  std::int64_t min_window;   // a shorter one scores nothing
  std::int64_t (*stride)(std::int64_t window);
  bool has_stride_option;
  AutoLead auto_lead;
  bool needs_lead;
};

// Windows: lm-eval's is the model's own context; hkust 1900/512 as in arXiv:2404.09937; llama-ppl: what llama.cpp takes
// for this program by default; gptq: the length that the quantisation papers use; uncheatable: its chunk size since
// 2025-12; lmic: bytes, as in arXiv:2309.10668.
constexpr std::array<Preset, 7> kPresets{{
    {"default", Scope::kDocument, 2048, true, 1, half, true, AutoLead::kBosElseEos, false},
    {"lm-eval", Scope::kDocument, kMaxWindow, true, 1, whole, false, AutoLead::kBosElseEos, true},
    {"hkust", Scope::kStream, 1900, false, 1, hkust_stride, true, AutoLead::kBos, false},
    {"llama-ppl", Scope::kStream, 512, false, 3, whole, false, AutoLead::kBos, false},
    {"gptq", Scope::kStream, 2048, true, 2, whole, false, AutoLead::kNone, false},
    {"uncheatable", Scope::kDocument, 4000, false, 1, whole, false, AutoLead::kBosElseEos, true},
    {"lmic", Scope::kByteChunks, 2048, false, 1, half, false, AutoLead::kBosElseEos, false},
}};

const Preset& find_preset(const std::string& name) {
  for (const Preset& preset : kPresets) {
    if (name == preset.name) return preset;
  }
  std::string known;
  for (const Preset& preset : kPresets) known += (known.empty() ? "" : ", ") + std::string(preset.name);
  throw Error(ErrorKind::kConfig, "there is no convention '" + name + "'", "choose one of " + known);
}

std::int32_t parse_id(const std::string& text) {
  std::int32_t id = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  if (error != std::errc{} || stop != end || id < 0) {
    throw Error(ErrorKind::kConfig, "bos is '" + text + "', which is neither auto, none nor a token id",
                "give --bos auto, --bos none or --bos ID");
  }
  return id;
}

std::optional<std::int32_t> choose_lead(const std::string& bos, const Preset& preset, const ConventionLimits& limits) {
  std::optional<std::int32_t> lead;
  if (bos == "auto") {
    if (preset.auto_lead != AutoLead::kNone) lead = limits.bos_id;
    if (preset.auto_lead == AutoLead::kBosElseEos && !lead) lead = limits.eos_id;
  } else if (bos != "none") {
    lead = parse_id(bos);
    if (*lead >= limits.n_ids) {
      throw Error(ErrorKind::kConfig,
                  "bos is " + bos + ", but the model's ids end at " + std::to_string(limits.n_ids - 1),
                  "give one of its ids, or --bos auto or none");
    }
  }
  if (!lead && preset.needs_lead) {
    throw Error(ErrorKind::kConfig,
                std::string(preset.name) + " starts from a BOS token, but " +
                    (bos == "none" ? "bos is 'none'" : "the tokenizer has neither BOS nor EOS"),
                "give --bos ID, or use --convention default");
  }
  return lead;
}

// hkust scores the BOS before each document. A model that cannot predict its BOS does without, as one that has none.
void settle_scored_lead(Convention& c, const std::string& bos, std::int64_t n_predicted) {
  if (c.name != "hkust" || !c.lead_id || *c.lead_id < n_predicted) return;
  if (bos != "auto") {
    throw Error(ErrorKind::kConfig,
                c.name + " scores the BOS before each document, but bos is " + bos +
                    " and the model predicts ids below " + std::to_string(n_predicted),
                "give --bos auto or none");
  }
  c.lead_id.reset();
}

void check_window(const Convention& c, std::int64_t min_window, std::int64_t context_length, bool beyond_context) {
  if (c.window < min_window || c.window > kMaxWindow) {
    throw Error(ErrorKind::kConfig,
                c.name + " with a window of " + std::to_string(c.window) +
                    (c.window < min_window ? " scores nothing" : " is out of range"),
                "give --window N with " + std::to_string(min_window) + " <= N <= " + std::to_string(kMaxWindow));
  }
  if (c.window > context_length && !beyond_context) {
    throw Error(ErrorKind::kConfig,
                c.name + " uses a window of " + std::to_string(c.window) +
                    (c.scope == Scope::kByteChunks ? " bytes (up to as many ids)" : " ids") +
                    ", but the model's context is " + std::to_string(context_length),
                "give --window " + std::to_string(context_length) +
                    " (the number is then no longer the published convention's), or --allow-beyond-context");
  }
  if (c.stride < 1 || c.stride > c.window) {
    throw Error(ErrorKind::kConfig,
                c.name + " with a stride of " + std::to_string(c.stride) + " and a window of " +
                    std::to_string(c.window) + " would leave tokens out",
                "give --stride N with 1 <= N <= " + std::to_string(c.window));
  }
}

void check_options(const ConventionOptions& options, const Preset& preset) {
  if (options.stride && !preset.has_stride_option) {
    throw Error(ErrorKind::kConfig,
                "stride is " + std::to_string(*options.stride) + ", but " + options.name + " has none to choose",
                "leave --stride away; default and hkust have one");
  }
  if (options.top_k && (options.name != "lmic" || *options.top_k < 1)) {
    throw Error(ErrorKind::kConfig,
                "top-k is " + std::to_string(*options.top_k) + " and the convention " + options.name,
                "lmic alone renormalises, over --top-k K tokens with K >= 1 (100 as published)");
  }
  const std::string& mode = options.uncheatable_mode;
  if (mode != "add_bos" && mode != "replace_bos") {
    throw Error(ErrorKind::kConfig, "the uncheatable mode is '" + mode + "', which does not exist",
                "choose add_bos or replace_bos");
  }
  if (mode != "add_bos" && options.name != "uncheatable") {
    throw Error(ErrorKind::kConfig,
                "the mode '" + mode + "' belongs to uncheatable, but the convention is " + options.name,
                "use --convention uncheatable, or leave the mode away");
  }
}

// Where this convention puts its lead, and what is tokenised.
void set_layout(Convention& c, const std::string& uncheatable_mode) {
  const bool has_lead = c.lead_id.has_value();
  if (c.name == "hkust") {
    c.lead_each_document = has_lead;
  } else if (c.name == "uncheatable") {
    c.window_lead = uncheatable_mode == "add_bos" ? Lead::kInserted : Lead::kReplaced;
  } else {
    c.prepend_lead = has_lead;
  }
  if (c.name == "llama-ppl") {
    c.window_lead = has_lead ? Lead::kReplaced : Lead::kNone;
    c.tokenize_joined = true;
  } else if (c.name == "gptq") {
    c.tokenize_joined = true;
    c.joiner = "\n\n";
  }
}

const char* name_of(Scope scope) {
  switch (scope) {
    case Scope::kDocument:
      return "document";
    case Scope::kStream:
      return "stream";
    case Scope::kByteChunks:
      return "byte-chunks";
  }
  return "";
}

const char* name_of(Lead lead) {
  switch (lead) {
    case Lead::kNone:
      return "none";
    case Lead::kReplaced:
      return "replaced";
    case Lead::kInserted:
      return "inserted";
  }
  return "";
}

}  // namespace

std::vector<std::string> convention_names() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

Convention resolve_convention(const ConventionOptions& options, const ConventionLimits& limits) {
  const std::int64_t context_length = limits.context_length;
  LMBITS_CHECK(context_length >= 1);
  const Preset& preset = find_preset(options.name);
  check_options(options, preset);
  Convention c;
  c.name = preset.name;
  c.scope = preset.scope;
  const std::int64_t window = preset.window_fits_context ? std::min(preset.window, context_length) : preset.window;
  c.window = options.window.value_or(window);
  c.stride = options.stride.value_or(preset.stride(c.window));
  c.lead_id = choose_lead(options.bos, preset, limits);
  c.top_k = options.top_k.value_or(0);
  settle_scored_lead(c, options.bos, limits.n_predicted);
  set_layout(c, options.uncheatable_mode);
  const bool replaces_first = c.name == "uncheatable" && c.window_lead == Lead::kReplaced;
  check_window(c, replaces_first ? 2 : preset.min_window, context_length, options.allow_beyond_context);
  return c;
}

Json to_json(const Convention& convention) {
  Json json = {{"name", convention.name},
               {"scope", name_of(convention.scope)},
               {"window", convention.window},
               {"stride", convention.stride},
               {"lead_id", to_json_or_null(convention.lead_id)},
               {"prepend_lead", convention.prepend_lead},
               {"lead_each_document", convention.lead_each_document},
               {"window_lead", name_of(convention.window_lead)},
               {"tokenize_joined", convention.tokenize_joined},
               {"joiner", convention.joiner}};
  if (convention.top_k > 0) json["top_k"] = convention.top_k;  // only there: runs of before it existed can be resumed
  return json;
}

}  // namespace lmbits
