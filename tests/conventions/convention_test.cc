#include "src/conventions/convention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "src/conventions/top_k.h"
#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {
namespace {

constexpr std::int32_t kBos = 1;
constexpr std::int32_t kEos = 2;

ConventionOptions named(const std::string& name) {
  ConventionOptions options;
  options.name = name;
  return options;
}

ConventionLimits limits(std::int64_t context, std::optional<std::int32_t> bos, std::optional<std::int32_t> eos) {
  return {.context_length = context, .n_ids = 300, .n_predicted = 299, .bos_id = bos, .eos_id = eos};
}

Convention resolve(const ConventionOptions& options, std::int64_t context = 8192) {
  return resolve_convention(options, limits(context, kBos, kEos));
}

// The Error(kConfig) that resolving throws; fails the test where it throws none.
Error refusal(const ConventionOptions& options, std::int64_t context = 8192, std::optional<std::int32_t> bos = kBos,
              std::optional<std::int32_t> eos = kEos) {
  try {
    resolve_convention(options, limits(context, bos, eos));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_FALSE(error.hint().empty());
    return error;
  }
  ADD_FAILURE() << "not refused";
  return Error(ErrorKind::kConfig, "");
}

bool says(const Error& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

TEST(ResolveConvention, FillsInThePublishedWindowsAndStrides) {
  struct Row {
    const char* name;
    Scope scope;
    std::int64_t window, stride;
  };
  const Row rows[] = {{"default", Scope::kDocument, 2048, 1024}, {"lm-eval", Scope::kDocument, 8192, 8192},
                      {"hkust", Scope::kStream, 1900, 512},      {"llama-ppl", Scope::kStream, 512, 512},
                      {"gptq", Scope::kStream, 2048, 2048},      {"uncheatable", Scope::kDocument, 4000, 4000},
                      {"lmic", Scope::kByteChunks, 2048, 1024}};
  ASSERT_EQ(std::size(rows), convention_names().size());
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    SCOPED_TRACE(rows[i].name);
    EXPECT_EQ(convention_names()[i], rows[i].name);
    const Convention c = resolve(named(rows[i].name));
    EXPECT_EQ(c.name, rows[i].name);
    EXPECT_EQ(c.scope, rows[i].scope);
    EXPECT_EQ(c.window, rows[i].window);
    EXPECT_EQ(c.stride, rows[i].stride);
  }
}

TEST(ResolveConvention, RefusesABosThatTheModelDoesNotKnow) {
  for (const std::string& name : convention_names()) {
    SCOPED_TRACE(name);
    ConventionOptions options = named(name);
    options.bos = "300";
    EXPECT_TRUE(says(refusal(options), "300") && says(refusal(options), "299"));
    options.bos = "299";  // may be fed; hkust scores it
    if (name == "hkust") {
      EXPECT_TRUE(says(refusal(options), "below 299"));
      EXPECT_EQ(resolve_convention(named(name), limits(8192, 299, kEos)).lead_id, std::nullopt);
    } else {
      EXPECT_EQ(resolve(options).lead_id, 299);
    }
  }
}

TEST(ResolveConvention, AStrideOfHkustIsNeverLongerThanItsWindow) {
  ConventionOptions options = named("hkust");
  options.window = 256;
  EXPECT_EQ(resolve(options).stride, 256);
}

TEST(ResolveConvention, ShrinksOnlyTheWindowsThatFollowTheModel) {
  EXPECT_EQ(resolve(named("default"), 512).window, 512);
  EXPECT_EQ(resolve(named("default"), 512).stride, 256);
  EXPECT_EQ(resolve(named("default"), 1).stride, 1);
  EXPECT_EQ(resolve(named("lm-eval"), 512).window, 512);
  EXPECT_EQ(resolve(named("gptq"), 512).window, 512);
}

TEST(ResolveConvention, RefusesAWindowLongerThanTheContextNamingBoth) {
  for (const char* name : {"hkust", "llama-ppl", "uncheatable", "lmic"}) {
    SCOPED_TRACE(name);
    const Error error = refusal(named(name), 256);
    EXPECT_TRUE(says(error, std::to_string(resolve(named(name)).window)));
    EXPECT_TRUE(says(error, "256"));
    EXPECT_NE(error.hint().find("--allow-beyond-context"), std::string::npos);
    ConventionOptions allowed = named(name);
    allowed.allow_beyond_context = true;
    EXPECT_EQ(resolve(allowed, 256).window, resolve(named(name)).window);
  }
  ConventionOptions longer = named("default");
  longer.window = 257;
  EXPECT_TRUE(says(refusal(longer, 256), "257"));
  longer.window = 256;
  EXPECT_EQ(resolve(longer, 256).window, 256);
}

TEST(ResolveConvention, TakesTheLeadThatEachPublishedProgramTakes) {
  const auto lead = [](const char* name, std::optional<std::int32_t> bos, std::optional<std::int32_t> eos) {
    return resolve_convention(named(name), limits(8192, bos, eos)).lead_id;
  };
  for (const char* name : {"default", "lm-eval", "uncheatable", "lmic"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(lead(name, kBos, kEos), kBos);
    EXPECT_EQ(lead(name, std::nullopt, kEos), kEos);
  }
  for (const char* name : {"hkust", "llama-ppl"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(lead(name, kBos, kEos), kBos);
    EXPECT_EQ(lead(name, std::nullopt, kEos), std::nullopt);
  }
  EXPECT_EQ(lead("gptq", kBos, kEos), std::nullopt);
  EXPECT_EQ(lead("default", std::nullopt, std::nullopt), std::nullopt);
}

TEST(ResolveConvention, RefusesToGoWithoutALeadWhereTheNumberNeedsOne) {
  for (const char* name : {"lm-eval", "uncheatable"}) {
    EXPECT_TRUE(says(refusal(named(name), 8192, std::nullopt, std::nullopt), "neither BOS nor EOS"));
    ConventionOptions none = named(name);
    none.bos = "none";
    EXPECT_TRUE(says(refusal(none), "none"));
  }
}

TEST(ResolveConvention, PutsTheLeadWhereTheConventionWantsIt) {
  for (const char* name : {"default", "lm-eval", "llama-ppl", "lmic"}) EXPECT_TRUE(resolve(named(name)).prepend_lead);
  for (const char* name : {"hkust", "gptq", "uncheatable"}) EXPECT_FALSE(resolve(named(name)).prepend_lead);
  EXPECT_TRUE(resolve(named("hkust")).lead_each_document);
  EXPECT_EQ(resolve(named("llama-ppl")).window_lead, Lead::kReplaced);
  EXPECT_EQ(resolve(named("uncheatable")).window_lead, Lead::kInserted);
  ConventionOptions replace = named("uncheatable");
  replace.uncheatable_mode = "replace_bos";
  EXPECT_EQ(resolve(replace).window_lead, Lead::kReplaced);
}

TEST(ResolveConvention, LeavesNoTraceOfALeadWithBosNone) {
  for (const char* name : {"default", "hkust", "llama-ppl", "gptq", "lmic"}) {
    ConventionOptions options = named(name);
    options.bos = "none";
    const Convention c = resolve(options);
    EXPECT_FALSE(c.lead_id || c.prepend_lead || c.lead_each_document || c.window_lead != Lead::kNone) << name;
  }
}

TEST(ResolveConvention, TakesAGivenIdAsLead) {
  for (const std::string& name : convention_names()) {
    ConventionOptions options = named(name);
    options.bos = "17";
    EXPECT_EQ(resolve(options).lead_id, 17) << name;
  }
  ConventionOptions gptq = named("gptq");
  gptq.bos = "17";
  EXPECT_TRUE(resolve(gptq).prepend_lead);
}

TEST(ResolveConvention, TokenisesOnceWhatThePublishedProgramsJoin) {
  EXPECT_TRUE(resolve(named("gptq")).tokenize_joined);
  EXPECT_EQ(resolve(named("gptq")).joiner, "\n\n");
  EXPECT_TRUE(resolve(named("llama-ppl")).tokenize_joined);
  EXPECT_EQ(resolve(named("llama-ppl")).joiner, "");
  EXPECT_FALSE(resolve(named("hkust")).tokenize_joined);
}

TEST(ResolveConvention, RefusesWhatDoesNotExist) {
  const Error unknown = refusal(named("hkusst"));
  EXPECT_TRUE(says(unknown, "hkusst"));
  EXPECT_NE(unknown.hint().find("hkust"), std::string::npos);
  for (const char* bos : {"", "yes", "-1", "1x", " 1", "99999999999"}) {
    ConventionOptions options;
    options.bos = bos;
    EXPECT_TRUE(says(refusal(options), std::string("'") + bos + "'"));
  }
  ConventionOptions mode = named("uncheatable");
  mode.uncheatable_mode = "both";
  EXPECT_TRUE(says(refusal(mode), "both"));
  mode = named("default");
  mode.uncheatable_mode = "replace_bos";
  EXPECT_TRUE(says(refusal(mode), "default"));
}

TEST(ResolveConvention, RefusesStridesThatLeaveTokensOutOrMeanNothing) {
  for (const char* name : {"default", "hkust"}) {
    ConventionOptions options = named(name);
    options.window = 100;
    for (const std::int64_t stride : {-1, 0, 101}) {
      options.stride = stride;
      EXPECT_TRUE(says(refusal(options), std::to_string(stride)));
    }
    options.stride = 100;
    EXPECT_EQ(resolve(options).stride, 100);
  }
  for (const char* name : {"lm-eval", "llama-ppl", "gptq", "uncheatable", "lmic"}) {
    ConventionOptions options = named(name);
    options.stride = 10;
    EXPECT_TRUE(says(refusal(options), name));
  }
}

TEST(ResolveConvention, RenormalisesForLmicAlone) {
  EXPECT_EQ(resolve(named("lmic")).top_k, 0);
  for (const std::string& name : convention_names()) {
    ConventionOptions options = named(name.c_str());
    options.top_k = 100;
    if (name == "lmic") {
      EXPECT_EQ(resolve(options).top_k, 100);
    } else {
      EXPECT_TRUE(says(refusal(options), name));
    }
  }
  ConventionOptions none = named("lmic");
  none.top_k = 0;
  EXPECT_TRUE(says(refusal(none), "top-k is 0"));
}

TEST(TopKBits, AreThoseOfTheKLargestRenormalised) {
  std::vector<float> logits;
  for (const double p : {0.125, 0.5, 0.0625, 0.25, 0.0625}) logits.push_back(static_cast<float>(std::log(p) + 7.0));
  EXPECT_NEAR(top_k_bits(logits, 1, 1), 0.0, 1e-6);
  EXPECT_NEAR(top_k_bits(logits, 1, 2), std::log2(0.75 / 0.5), 1e-6);
  EXPECT_NEAR(top_k_bits(logits, 3, 2), std::log2(0.75 / 0.25), 1e-6);
  EXPECT_NEAR(top_k_bits(logits, 0, 2), 3.0, 1e-6) << "outside: as the model has it";
  EXPECT_NEAR(top_k_bits(logits, 0, 3), std::log2(0.875 / 0.125), 1e-6);
  EXPECT_EQ(top_k_bits(logits, 2, 4), top_k_bits(logits, 4, 4)) << "as probable as the K-th: inside, both";
  EXPECT_NEAR(top_k_bits(logits, 4, 4), std::log2(0.9375 / 0.0625), 1e-6);
  for (const std::int64_t all : {5, 6, 100}) EXPECT_NEAR(top_k_bits(logits, 2, all), 4.0, 1e-6);
}

TEST(TopKBits, OfWhatIsNoNumberAreNone) {
  const std::vector<float> logits = {0.0F, std::nanf(""), 1.0F};
  EXPECT_TRUE(std::isnan(top_k_bits(logits, 0, 1)));
  const std::vector<float> sound = {0.0F, 1.0F};
  for (const std::int32_t target : {-1, 2}) EXPECT_TRUE(std::isnan(top_k_bits(sound, target, 1)));
  const std::vector<float> impossible = {0.0F, -std::numeric_limits<float>::infinity()};
  EXPECT_EQ(top_k_bits(impossible, 1, 1), std::numeric_limits<double>::infinity());
  EXPECT_EQ(top_k_bits(impossible, 0, 2), 0.0);
}

TEST(ResolveConvention, RefusesWindowsThatScoreNothing) {
  const auto with_window = [](const char* name, std::int64_t window, const char* mode = "add_bos") {
    ConventionOptions options = named(name);
    options.window = window;
    options.uncheatable_mode = mode;
    if (options.name == "hkust") options.stride = 1;
    return options;
  };
  for (const std::string& name : convention_names()) refusal(with_window(name.c_str(), 0));
  for (const char* name : {"default", "lm-eval", "hkust", "uncheatable", "lmic"}) {
    EXPECT_EQ(resolve(with_window(name, 1)).window, 1) << name;
  }
  refusal(with_window("gptq", 1));
  EXPECT_EQ(resolve(with_window("gptq", 2)).window, 2);
  refusal(with_window("llama-ppl", 2));
  EXPECT_EQ(resolve(with_window("llama-ppl", 3)).window, 3);
  refusal(with_window("uncheatable", 1, "replace_bos"));
  EXPECT_EQ(resolve(with_window("uncheatable", 2, "replace_bos")).window, 2);
  EXPECT_TRUE(says(refusal(with_window("default", INT64_MAX), INT64_MAX), "out of range"));
}

TEST(ResolveConvention, NeedsNoLimitFromAModelThatHasNone) {
  EXPECT_EQ(resolve(named("default"), INT64_MAX).window, 2048);
  EXPECT_EQ(resolve(named("lm-eval"), INT64_MAX).window, std::int64_t{1} << 30);
}

TEST(ConventionJson, ChangesWithEveryField) {
  const Convention base;
  const Json json = to_json(base);
  EXPECT_TRUE(json.at("lead_id").is_null());
  const auto changed = [&](auto change) {
    Convention other = base;
    change(other);
    return to_json(other) != json;
  };
  EXPECT_TRUE(changed([](Convention& c) { c.name = "lmic"; }));
  EXPECT_TRUE(changed([](Convention& c) { c.scope = Scope::kStream; }));
  EXPECT_TRUE(changed([](Convention& c) { c.window = 7; }));
  EXPECT_TRUE(changed([](Convention& c) { c.stride = 7; }));
  EXPECT_TRUE(changed([](Convention& c) { c.lead_id = 0; }));
  EXPECT_TRUE(changed([](Convention& c) { c.prepend_lead = true; }));
  EXPECT_TRUE(changed([](Convention& c) { c.lead_each_document = true; }));
  EXPECT_TRUE(changed([](Convention& c) { c.window_lead = Lead::kReplaced; }));
  EXPECT_TRUE(changed([](Convention& c) { c.tokenize_joined = true; }));
  EXPECT_TRUE(changed([](Convention& c) { c.joiner = "\n"; }));
  EXPECT_TRUE(changed([](Convention& c) { c.top_k = 100; }));
}

}  // namespace
}  // namespace lmbits
