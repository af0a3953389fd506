// lmbits tokenize: which ids does this tokenizer make of this text, and how fast?
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <ctime>

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/corpus_flags.h"
#include "src/cli/stdout_style.h"
#include "src/cli/tokenizer_flags.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/thread_pool.h"
#include "src/corpus/reader.h"
#include "src/corpus/utf8.h"
#include "src/report/table.h"

namespace lmbits::cli {
namespace {

struct TokenizeFlags {
  TokenizerFlags tokenizer;
  CorpusFlags reading;
  std::string text, corpus;
  bool ids = false, pieces = false, json = false;
  int n_threads = 1;
};

struct Totals {
  std::int64_t n_documents = 0, n_failed = 0, n_lossy = 0, n_bytes = 0, n_chars = 0, n_tokens = 0;
  double seconds = 0, cpu_seconds = 0;  // of encoding alone; the latter of all threads together
};

void print_ids(const Tokens& tokens) {
  std::string line;
  for (const std::int32_t id : tokens.ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  print(line + "\n");
}

void print_pieces(const Tokenizer& tokenizer, const Tokens& tokens) {
  std::string lines;
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    lines += std::to_string(tokens.ids[i]) + "\t" + std::to_string(tokens.n_bytes[i]) + "\t" +
             Json(tokenizer.piece(tokens.ids[i])).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  print(lines);
}

// Encodes what was read, prints it in its order, counts it.
void encode(const Tokenizer& tokenizer, const std::vector<Document>& documents, const TokenizeFlags& flags,
            Totals& totals) {
  std::vector<Tokens> encoded(documents.size());
  std::vector<std::string> errors(documents.size());
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu_begin = std::clock();
  parallel_for(static_cast<std::int64_t>(documents.size()), flags.n_threads, [&](std::int64_t i) {
    const auto k = static_cast<std::size_t>(i);
    errors[k] = documents[k].error;
    if (!errors[k].empty()) return;
    try {
      encoded[k] = tokenizer.encode(documents[k].bytes);
    } catch (const Error& e) {
      errors[k] = e.what();
    }
  });
  totals.cpu_seconds += static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC;
  totals.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (std::size_t k = 0; k < documents.size(); ++k) {
    ++totals.n_documents;
    if (!errors[k].empty()) {
      ++totals.n_failed;
      std::fprintf(stderr, "lmbits: %s: %s\n", printable(documents[k].id).c_str(), printable(errors[k]).c_str());
      if (flags.ids) print("\n");  // its line
      continue;
    }
    totals.n_bytes += static_cast<std::int64_t>(documents[k].bytes.size());
    totals.n_chars += count_code_points(documents[k].bytes);
    totals.n_tokens += static_cast<std::int64_t>(encoded[k].ids.size());
    totals.n_lossy += encoded[k].lossless ? 0 : 1;
    if (flags.ids) print_ids(encoded[k]);
    if (flags.pieces) print_pieces(tokenizer, encoded[k]);
  }
}

double rate(std::int64_t n, std::int64_t per) {
  return per == 0 ? 0.0 : static_cast<double>(n) / static_cast<double>(per);
}

void print_totals(const Tokenizer& tokenizer, const Totals& t, const TokenizeFlags& flags) {
  if (flags.json) {
    const Json json = {{"tokenizer",
                        {{"kind", tokenizer.kind()},
                         {"fingerprint", tokenizer.fingerprint()},
                         {"vocab_size", tokenizer.vocab_size()}}},
                       {"n_documents", t.n_documents},
                       {"n_failed", t.n_failed},
                       {"n_lossy", t.n_lossy},
                       {"n_bytes", t.n_bytes},
                       {"n_chars", t.n_chars},
                       {"n_tokens", t.n_tokens},
                       {"bytes_per_token", t.n_tokens > 0 ? Json(rate(t.n_bytes, t.n_tokens)) : Json(nullptr)},
                       {"encode_s", t.seconds},
                       {"encode_cpu_s", t.cpu_seconds},
                       {"threads", flags.n_threads}};
    return print(json.dump(2) + "\n");
  }
  if (flags.ids || flags.pieces) return;
  const auto count = [](std::int64_t n, const std::string& what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  print(count(t.n_tokens, "token") + ", " + count(t.n_bytes, "byte") + ", " + count(t.n_chars, "character") + ", " +
        count(t.n_documents - t.n_failed, "document") +
        (t.n_failed ? ", " + std::to_string(t.n_failed) + " failed" : "") + "\n");
  if (t.n_tokens > 0) {
    print(format_fixed(rate(t.n_bytes, t.n_tokens), 3) + " bytes/token, " +
          format_fixed(rate(t.n_chars, t.n_tokens), 3) + " characters/token\n");
  }
  print(t.n_lossy == 0 ? "lossless: every document comes back byte for byte\n"
                       : "lossy: " + std::to_string(t.n_lossy) + " of " +
                             count(t.n_documents - t.n_failed, "document") + " not given back byte for byte\n");
  constexpr std::int64_t kTimedBytes = 100'000;
  if (t.n_bytes < kTimedBytes) return;  // too short to say how fast
  print(format_fixed(static_cast<double>(t.n_bytes) / std::max(t.seconds, 1e-9) / 1e6, 1) + " MB/s on " +
        std::to_string(flags.n_threads) + (flags.n_threads == 1 ? " thread\n" : " threads\n"));
}

int run(const TokenizeFlags& flags) {
  // Tokens of a batch of documents are kept: by default the heap grows 128 KiB at a time, in pages that each cost a fault, a fifth
  // of the time of a text whose words are known.
  mallopt(M_TOP_PAD, 64 << 20);
  if (flags.text.empty() == flags.corpus.empty())
    throw Error(ErrorKind::kUsage, "give a text: --text TEXT or --corpus PATH");
  const auto tokenizer = open_tokenizer(flags.tokenizer);
  try {
    tokenizer->encode("a");  // what a thread sets up at first is no part of the speed
  } catch (const Error&) {
  }
  Totals totals;
  std::vector<Document> batch;
  constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
  if (!flags.text.empty()) {
    encode(*tokenizer, {{"text", flags.text, ""}}, flags, totals);
  } else {
    const auto reader = open_corpus(corpus_spec(flags.corpus, flags.reading));
    std::size_t n_bytes = 0;
    for (auto document = reader->next(); document; document = reader->next()) {
      n_bytes += document->bytes.size();
      batch.push_back(std::move(*document));
      if (n_bytes < kBatchBytes) continue;
      encode(*tokenizer, batch, flags, totals);
      batch.clear();
      n_bytes = 0;
    }
    encode(*tokenizer, batch, flags, totals);
  }
  print_totals(*tokenizer, totals, flags);
  return totals.n_failed > 0 ? kExitSomeFailed : 0;
}

}  // namespace

void add_tokenize(const Command& app, int& exit_code) {
  auto flags = std::make_shared<TokenizeFlags>();
  const Command command = app.add_subcommand("tokenize", "Which ids does a tokenizer make of a text, and how fast?");
  command.footer(
      "Example:\n  lmbits tokenize tokenizer.json --text \"It was the best of times\" --pieces\n"
      "  lmbits tokenize gpt2.tiktoken --pattern gpt2 --corpus novel.txt\n"
      "--ids prints a line for each document, --pieces a line for each token: id, bytes of the text, piece.");
  command.add_option("TOKENIZER", flags->tokenizer.path, "tokenizer.json, a .tiktoken, .model or .gguf file, or bytes")
      .required();
  add_tokenizer_flags(command, flags->tokenizer);
  command.add_option("--text", flags->text, "This text");
  command.add_option("--corpus", flags->corpus, "This corpus, as for eval");
  add_corpus_flags(command, flags->reading);
  command.add_option("--threads", flags->n_threads, "Threads; documents are spread over them")
      .capture_default_str()
      .in_range(1, 1024);
  command.add_flag("--ids", flags->ids, "Print the ids");
  command.add_flag("--pieces", flags->pieces, "Print the tokens");
  command.add_flag("--json", flags->json, "Print JSON");
  command.callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace lmbits::cli
