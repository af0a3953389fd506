// How fast is the arithmetic coder, and what does it cost beside the model?
//
// usage: coder_bench coder V N ROUNDS            one distribution over V symbols, N of them: bench/coder_bench.py's part
//        coder_bench [BUNDLE.pt TEXT [BYTES]]    compress and decompress against scoring the same windows, one thread
//
// CPU seconds of the process, medians of interleaved rounds. What was coded is decoded and compared first. See README.md.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "kernels/cdf.h"
#include "src/coding/range_coder.h"
#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/model/load.h"
#include "src/scoring/batcher.h"
#include "src/scoring/block_coder.h"
#include "src/scoring/sequence.h"

namespace lmbits::bench {
namespace {

// Zipf's law, shuffled: much like a language model's distributions.
std::vector<float> zipf_logits(std::int64_t n) {
  std::vector<float> logits(static_cast<std::size_t>(n));
  for (std::int64_t v = 0; v < n; ++v)
    logits[static_cast<std::size_t>(v)] = -1.2F * std::log(static_cast<float>(v + 1));
  std::mt19937_64 random(1);
  std::shuffle(logits.begin(), logits.end(), random);
  return logits;
}

std::vector<std::int64_t> draw(const std::vector<std::uint64_t>& low, std::size_t n) {
  std::mt19937_64 random(2);
  std::vector<std::int64_t> ids(n);
  for (std::int64_t& id : ids) id = std::upper_bound(low.begin(), low.end(), random() % low.back()) - low.begin() - 1;
  return ids;
}

// Symbols a CPU second: a known distribution (the coder alone), and a new row of logits for every symbol (the integers, too).
void bench_coder(std::int64_t vocab, std::size_t n, int rounds) {
  const std::vector<float> logits = zipf_logits(vocab);
  std::vector<std::uint64_t> weights(logits.size()), low = {0};
  const kernels::Isa isa = kernels::best_isa();
  const std::uint64_t total = kernels::cdf_weights(isa, logits.data(), vocab, weights.data());
  for (const std::uint64_t weight : weights) low.push_back(low.back() + weight);
  const std::vector<std::int64_t> ids = draw(low, n);
  const auto at = [](std::int64_t id) { return static_cast<std::size_t>(id); };
  const std::span<const std::int64_t> rows(ids.data(),
                                           std::min<std::size_t>(n, 20'000'000 / static_cast<std::size_t>(vocab)));
  std::string coded, coded_rows;
  std::vector<std::int64_t> decoded(n);
  std::vector<double> encode_s, decode_s, encode_rows_s, decode_rows_s;
  for (int round = 0; round <= rounds; ++round) {
    const double encoding = cpu_s([&] {
      RangeEncoder encoder;
      for (const std::int64_t id : ids) encoder.encode(low[at(id)], weights[at(id)], total);
      coded = encoder.finish();
    });
    const double decoding = cpu_s([&] {
      RangeDecoder decoder(coded);
      for (std::int64_t& id : decoded) {
        id = std::upper_bound(low.begin(), low.end(), decoder.target(total)) - low.begin() - 1;
        decoder.consume(low[at(id)], weights[at(id)], total);
      }
    });
    if (decoded != ids) throw std::logic_error("other symbols came back");
    const double encoding_rows = cpu_s([&] {
      RangeEncoder encoder;
      for (const std::int64_t id : rows) {
        const kernels::CdfInterval interval = kernels::cdf_interval(isa, logits.data(), vocab, id);
        encoder.encode(interval.low, interval.width, interval.total);
      }
      coded_rows = encoder.finish();
    });
    const double decoding_rows = cpu_s([&] {
      RangeDecoder decoder(coded_rows);
      for (const std::int64_t id : rows) {
        const std::uint64_t sum = kernels::cdf_weights(isa, logits.data(), vocab, weights.data());
        const kernels::CdfSymbol found = kernels::cdf_find(weights.data(), vocab, decoder.target(sum));
        decoder.consume(found.low, found.width, sum);
        if (found.symbol != id) throw std::logic_error("another symbol came back");
      }
    });
    if (round == 0) continue;  // warms up
    encode_s.push_back(encoding);
    decode_s.push_back(decoding);
    encode_rows_s.push_back(encoding_rows);
    decode_rows_s.push_back(decoding_rows);
  }
  double bits = 0;
  for (const std::int64_t id : ids)
    bits += std::log2(static_cast<double>(total)) - std::log2(static_cast<double>(weights[at(id)]));
  const auto a_second = [](std::size_t count, const std::vector<double>& seconds) {
    return static_cast<double>(count) / median(seconds);
  };
  std::printf(
      "{\"kernels\": \"%s\", \"encode\": %.0f, \"decode\": %.0f, \"encode_rows\": %.0f, \"decode_rows\": %.0f, "
      "\"bits\": %.1f, \"coded_bits\": %.1f}\n",
      kernels::isa_name(isa), a_second(n, encode_s), a_second(n, decode_s), a_second(rows.size(), encode_rows_s),
      a_second(rows.size(), decode_rows_s), bits, 8.0 * static_cast<double>(coded.size()));
}

void bench_model(const std::string& bundle, const std::string& text, int rounds) {
  prepare_torch();
  const auto model = open_model(parse_model_spec(bundle), {});
  model->load();
  BlockCoderOptions options;
  options.convention = convention_for(*model, {});
  BlockCoder coder(*model, options);
  constexpr std::size_t kBlock = 32768;
  std::vector<std::string_view> blocks;
  std::vector<std::int64_t> sizes;
  for (std::size_t begin = 0; begin < text.size(); begin += kBlock) {
    blocks.push_back(std::string_view(text).substr(begin, kBlock));
    sizes.push_back(std::ssize(blocks.back()));
  }
  const auto score = [&] {  // the same windows, their bits alone
    Batcher batcher(BatchPlan(std::max<std::int64_t>(16, options.convention.window), options.batch_positions, 0));
    std::vector<double> bits;
    double sum = 0;
    const auto run = [&](const std::vector<WindowTask>& tasks) {
      if (tasks.empty()) return;
      model->score(batcher.pack(tasks), bits);
      for (const double b : bits) sum += b;
    };
    for (const std::string_view block : blocks) {
      Sequence sequence;
      if (options.convention.prepend_lead) sequence.add_lead(options.convention);
      sequence.add(model->tokenizer().encode(block));
      WindowCutter cutter(sequence, options.convention, 0, 1);
      const std::int64_t n = n_windows(options.convention, std::ssize(sequence.ids));
      for (std::int64_t k = 0; k < n; ++k) run(batcher.add(cutter.cut(k, nullptr, k)));
    }
    for (auto rest = batcher.flush(); !rest.empty(); rest = batcher.flush()) run(rest);
    return sum;
  };
  std::vector<double> score_s, encode_s, decode_s;
  CodingCost cost;
  double bits = 0;
  for (int round = 0; round <= rounds; ++round) {
    std::vector<std::string> payloads, texts;
    const double scoring = cpu_s([&] { bits = score(); });
    const double encoding = cpu_s([&] {
      cost = {};
      payloads = coder.encode(blocks, cost);
    });
    const std::vector<std::string_view> views(payloads.begin(), payloads.end());
    const double decoding = cpu_s([&] { texts = coder.decode(views, sizes, "bench"); });
    if (texts != std::vector<std::string>(blocks.begin(), blocks.end()))
      throw std::logic_error("another text came back");
    if (round == 0) continue;
    score_s.push_back(scoring);
    encode_s.push_back(encoding);
    decode_s.push_back(decoding);
  }
  const auto n = static_cast<double>(text.size());
  std::printf("%s, %zu bytes in %zu blocks, %lld tokens, %s, one thread\n", model->info().name.c_str(), text.size(),
              blocks.size(), static_cast<long long>(cost.n_ids), kernels::isa_name(kernels::best_isa()));
  std::printf("scoring     %10.0f bytes/s   %.1f bits\n", n / median(score_s), bits);
  std::printf("compress    %10.0f bytes/s   %.2f of scoring; coded %.1f bits, -log2 q %.1f, -log2 p %.1f\n",
              n / median(encode_s), median(score_s) / median(encode_s), cost.stream_bits, cost.coded_bits,
              cost.model_bits);
  std::printf("decompress  %10.0f bytes/s   %.2f of scoring; %s, %zu streams\n", n / median(decode_s),
              median(score_s) / median(decode_s), decoding_name(coder.decoding()), blocks.size());
}

}  // namespace
}  // namespace lmbits::bench

int main(int argc, char** argv) {
  using namespace lmbits;
  try {
    if (argc == 5 && std::strcmp(argv[1], "coder") == 0) {
      bench::bench_coder(std::atoll(argv[2]), static_cast<std::size_t>(std::atoll(argv[3])), std::atoi(argv[4]));
      return 0;
    }
    const std::string bundle = argc > 1 ? argv[1] : "models/demo/s-sp-4000.pt";
    std::string text = read_file(argc > 2 ? argv[2] : "models/heldout/prose.txt");
    if (argc > 3) text.resize(std::min(text.size(), static_cast<std::size_t>(std::atoll(argv[3]))));
    bench::bench_model(bundle, text, 3);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "coder_bench: %s\n", e.what());
    return 1;
  }
  return 0;
}
