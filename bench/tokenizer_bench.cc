// How fast does a tokenizer encode? One fresh process a measurement; tokenizer_bench.py runs it beside other libraries.
//
// usage: tokenizer_bench TOKENIZER TEXT [--threads N] [--pattern P]
// Prints JSON: CPU and wall seconds of encoding one character (which fills caches), of the first pass over the text, in documents of 64 KiB that end with a line, and of the
// second one, and what shows that ids are the same as another library's: their number, and the sum of each times its place.
// Everything Tokenizer::encode does counts: ids, the bytes of each token, whether it is lossless.
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>

#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/tokenizer/make_tokenizer.h"

namespace {

using lmbits::Json;

constexpr std::size_t kDocumentBytes = 65536;

std::vector<std::string_view> documents(std::string_view text) {
  std::vector<std::string_view> all;
  while (!text.empty()) {
    const std::size_t line_end = text.find('\n', std::min(kDocumentBytes, text.size()) - 1);
    const std::size_t n = line_end == std::string_view::npos ? text.size() : line_end + 1;
    all.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return all;
}

Json measure(const lmbits::Tokenizer& tokenizer, const std::vector<std::string_view>& texts, int n_threads) {
  std::vector<lmbits::Tokens> encoded(texts.size());
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu_begin = std::clock();
  lmbits::parallel_for(static_cast<std::int64_t>(texts.size()), n_threads, [&](std::int64_t i) {
    encoded[static_cast<std::size_t>(i)] = tokenizer.encode(texts[static_cast<std::size_t>(i)]);
  });
  const double cpu_s = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC;
  const double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::uint64_t n_tokens = 0, sum = 0;
  for (const lmbits::Tokens& tokens : encoded) {
    for (const std::int32_t id : tokens.ids) sum += ++n_tokens * static_cast<std::uint64_t>(id);
  }
  return {{"cpu_s", cpu_s}, {"wall_s", wall_s}, {"n_tokens", n_tokens}, {"sum", sum}};
}

int run(const std::vector<std::string>& arguments) {
  mallopt(M_TOP_PAD, 64 << 20);  // as lmbits tokenize does: see there
  std::vector<std::string> paths;
  int n_threads = 1;
  std::string pattern;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--threads" && i + 1 < arguments.size()) {
      n_threads = std::stoi(arguments[++i]);
    } else if (arguments[i] == "--pattern" && i + 1 < arguments.size()) {
      pattern = arguments[++i];
    } else {
      paths.push_back(arguments[i]);
    }
  }
  if (paths.size() != 2) {
    std::fprintf(stderr, "usage: tokenizer_bench TOKENIZER TEXT [--threads N] [--pattern P]\n");
    return 2;
  }
  const std::string file = lmbits::read_file(paths[0]), text = lmbits::read_file(paths[1]);
  const auto tokenizer = lmbits::make_tokenizer(
      {.kind = lmbits::guess_tokenizer_kind(file, paths[0]), .bytes = file, .pattern = pattern}, paths[0]);
  const auto texts = documents(text);
  const Json first = measure(*tokenizer, {texts.empty() ? std::string_view() : texts[0].substr(0, 1)}, 1);
  const Json cold = measure(*tokenizer, texts, n_threads), warm = measure(*tokenizer, texts, n_threads);
  std::printf("%s\n", Json{{"first", first}, {"cold", cold}, {"warm", warm}}.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
