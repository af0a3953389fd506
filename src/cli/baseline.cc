// lmbits baseline: what do gzip, zstd, xz, bzip2 and brotli need?
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>

#include "src/cli/baseline_cache.h"
#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/external_codecs.h"
#include "src/cli/progress_line.h"
#include "src/cli/stdout_style.h"
#include "src/cli/stop_signals.h"
#include "src/coding/baselines.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/hash.h"
#include "src/core/json.h"
#include "src/core/stop.h"
#include "src/core/thread_pool.h"
#include "src/corpus/reader.h"
#include "src/corpus/utf8.h"
#include "src/report/wording.h"

namespace lmbits::cli {
namespace {

struct BaselineOptions {
  std::vector<std::string> corpora, codecs;
  std::string cache;  // a folder; empty: none
  std::string field = "text", split = "none", patch = "32x64", dictionary, format = "table";
  int n_threads = 0;
  std::int64_t chunk_bytes = 0;
  bool external = false, json = false, quiet = false;
};

struct MeasuredCorpus {
  std::string name;
  std::int64_t n_documents = 0, n_failed = 0, n_bytes = 0, n_chars = 0;
  std::map<std::string, std::int64_t> bytes;  // "gzip-9": the corpus as one stream; "gzip-9/doc": summed over documents
  std::vector<std::string> names;             // of `bytes`, in the order of the rows
  std::map<std::string, double> cpu_seconds;
};

constexpr const char* kBaselineHelp =
    "Example:\n"
    "  lmbits baseline novel.txt prose=held/prose.jsonl --split paragraphs\n"
    "  lmbits baseline novel.txt --codec gzip-9 --codec xz --json\n"
    "\n"
    "Each codec compresses the whole corpus as one stream (its documents, one after the other), and each document by\n"
    "itself: `gzip-9/doc` is the sum. Sizes are of the files that the tools would write, headers included.\n"
    "--dictionary FILE adds zstd-22-dict: zstd at level 22, which has seen FILE. Give it the text a model was trained\n"
    "on to compare with what has seen the same. --chunk 2048 adds two rows a codec: every 2048 bytes by themselves, "
    "each\n"
    "with its header, and with all headers but one left out (a header: what the codec makes of nothing). Codecs by "
    "name\n"
    "alone, as they take long: zstd-22-long, cm (context mixing). --external adds zpaq, 7z, bzip3 and lrzip, where\n"
    "installed. Codecs: gzip-1 gzip-6 gzip-9 bzip2-9 zstd-3 zstd-19 xz-6 xz-9e\n"
    "brotli-11, or gzip, bzip2, zstd, xz, brotli for all of one kind.";

std::vector<BaselineCodec> codecs_of(const BaselineOptions& options) {
  std::vector<std::string> names = options.codecs;
  const bool names_dictionary = std::erase(names, "zstd-22-dict") > 0;
  if (names_dictionary && options.dictionary.empty())
    throw Error(ErrorKind::kUsage, "zstd-22-dict without a dictionary", "give one with --dictionary FILE");
  std::vector<BaselineCodec> codecs;
  if (!names.empty() || !names_dictionary) codecs = select_codecs(names);
  if (!options.dictionary.empty()) codecs.push_back(zstd_dictionary_codec(read_file(options.dictionary)));
  return codecs;
}

// What the size of a codec depends on beside the text: its library's version, its dictionary.
std::string version_of(const BaselineCodec& codec, const std::string& dictionary) {
  static const Json versions = codec_versions();
  const auto library = [&]() -> std::string {
    using enum BaselineCodec::Family;
    switch (codec.family) {
      case kGzip:
        return "zlib";
      case kBzip2:
        return "bzip2";
      case kXz:
        return "liblzma";
      case kBrotli:
        return "brotli";
      case kContextMixing:
        return "cm";
      case kZstd:
      case kZstdLong:
        return "zstd";
    }
    return "";
  }();
  return library + " " + versions.at(library).get<std::string>() + (codec.dictionary ? " " + dictionary : "");
}

// A corpus cut every so many bytes, whatever its documents, as Deletang et al. 2023 do.
class ByChunk {
 public:
  ByChunk(const std::vector<BaselineCodec>& codecs, std::int64_t chunk_bytes, int n_threads)
      : chunk_bytes_(static_cast<std::size_t>(chunk_bytes)),
        sums_(chunk_bytes > 0 ? codecs : std::vector<BaselineCodec>{}, n_threads) {}

  void add(std::string_view bytes) {
    if (chunk_bytes_ == 0) return;
    pending_ += bytes;
    std::size_t begin = 0;
    for (; pending_.size() - begin >= chunk_bytes_; begin += chunk_bytes_) put(pending_.substr(begin, chunk_bytes_));
    pending_.erase(0, begin);
  }

  // With a header each, and with one alone.
  std::map<std::string, CodecSize> finish(const std::vector<BaselineCodec>& codecs) {
    if (!pending_.empty()) put(std::exchange(pending_, {}));
    const auto sizes = sums_.finish();
    const auto seconds = sums_.cpu_seconds();
    std::map<std::string, CodecSize> rows;
    for (const BaselineCodec& codec : codecs) {
      const std::string each = codec.name + "/" + std::to_string(chunk_bytes_);
      const std::int64_t headers = std::max<std::int64_t>(0, n_chunks_ - 1) * compressed_size(codec, "");
      rows[each] = {sizes.at(codec.name), seconds.at(codec.name)};
      rows[each + "-one-header"] = {sizes.at(codec.name) - headers, seconds.at(codec.name)};
    }
    return rows;
  }

 private:
  void put(std::string chunk) {
    ++n_chunks_;
    sums_.add(std::move(chunk));
  }
  std::size_t chunk_bytes_;
  PerDocumentBaselines sums_;
  std::string pending_;
  std::int64_t n_chunks_ = 0;
};

// Calls use(document) for every sound one and counts; false where the user asked to stop.
bool for_each_document(const CorpusSpec& spec, MeasuredCorpus& corpus, Progress& progress,
                       const std::function<void(std::string document)>& use) {
  const auto reader = open_corpus(spec);
  corpus.n_documents = corpus.n_failed = corpus.n_bytes = corpus.n_chars = 0;
  progress.begin({.label = corpus.name, .unit = "B", .total = corpus_size_bytes(spec)});
  while (auto document = reader->next()) {
    if (stop_requested()) return false;
    if (!document->error.empty()) {
      ++corpus.n_failed;
      std::fprintf(stderr, "lmbits: %s\n",
                   printable(corpus.name + ": " + document->id + ": " + document->error).c_str());
      continue;
    }
    ++corpus.n_documents;
    const auto n_bytes = std::ssize(document->bytes);
    corpus.n_bytes += n_bytes;
    corpus.n_chars += count_code_points(document->bytes);
    use(std::move(document->bytes));
    progress.advance(n_bytes);
  }
  return true;
}

// Rows of the table, by name, that each codec gives. "" and "/doc" are the corpus as one stream and by document.
std::vector<std::string> row_kinds(const BaselineOptions& options) {
  std::vector<std::string> kinds = {"", "/doc"};
  if (options.chunk_bytes > 0) {
    const std::string each = "/" + std::to_string(options.chunk_bytes);
    kinds.insert(kinds.end(), {each, each + "-one-header"});
  }
  return kinds;
}

struct InstalledCodec {
  const ExternalCodec* codec;
  std::string path, version;
};

std::vector<InstalledCodec> installed_codecs(bool wanted) {
  std::vector<InstalledCodec> found;
  if (!wanted) return found;
  for (const ExternalCodec& codec : external_codecs()) {
    if (const auto path = find_program(codec.program)) found.push_back({&codec, *path, version_of(codec, *path)});
  }
  return found;
}

void add_document(Fingerprint& fingerprint, const std::string& document) {
  fingerprint.add(std::to_string(document.size()) + " ").add(document);
}

// Rows of the table, by name, that these codecs and programs give; nullopt where the user asked to stop. Where `expected` is
// not empty, Error(kData) unless it is the fingerprint of the documents.
std::optional<std::map<std::string, CodecSize>> compress_corpus(const CorpusSpec& spec, MeasuredCorpus& corpus,
                                                                const std::vector<BaselineCodec>& codecs,
                                                                const std::vector<InstalledCodec>& programs,
                                                                const BaselineOptions& options,
                                                                const std::string& expected, Progress& progress) {
  WholeCorpusBaselines whole(codecs, options.n_threads);
  PerDocumentBaselines by_document(codecs, options.n_threads);
  ByChunk by_chunk(codecs, options.chunk_bytes, options.n_threads);
  const auto everything = programs.empty() ? std::nullopt : std::make_optional<SpoolFile>();
  Fingerprint documents;
  const auto add = [&](std::string document) {
    if (!expected.empty()) add_document(documents, document);
    whole.add(document);
    by_chunk.add(document);
    if (everything) everything->append(document);
    by_document.add(std::move(document));
  };
  if (!for_each_document(spec, corpus, progress, add)) return std::nullopt;
  if (!expected.empty() && documents.hex() != expected)
    throw Error(ErrorKind::kData, corpus.name + " changed while it was read: " + expected + ", then " + documents.hex(),
                "run it again when the text is complete");
  std::map<std::string, CodecSize> rows;
  if (options.chunk_bytes > 0) rows = by_chunk.finish(codecs);
  const auto sizes = whole.finish(), of_documents = by_document.finish();
  const auto seconds = whole.cpu_seconds(), document_seconds = by_document.cpu_seconds();
  for (const BaselineCodec& codec : codecs) {
    rows[codec.name] = {sizes.at(codec.name), seconds.at(codec.name)};
    rows[codec.name + "/doc"] = {of_documents.at(codec.name), document_seconds.at(codec.name)};
  }
  std::vector<ExternalSize> external(programs.size());
  parallel_for(std::ssize(external), options.n_threads, [&](std::int64_t i) {
    const InstalledCodec& each = programs[static_cast<std::size_t>(i)];
    external[static_cast<std::size_t>(i)] = external_size(*each.codec, each.path, everything->path());
  });
  for (std::size_t i = 0; i < external.size(); ++i)
    rows[programs[i].codec->name] = {external[i].bytes, external[i].cpu_seconds};
  return rows;
}

// nullopt where the user asked to stop. What the cache knows is not computed again; it then costs a pass over the corpus
// to know that it is the same.
std::optional<MeasuredCorpus> measure(const CorpusSpec& spec, const std::vector<BaselineCodec>& codecs,
                                      const BaselineOptions& options, Progress& progress) {
  MeasuredCorpus corpus;
  corpus.name = corpus_name(spec);
  std::string fingerprint;
  if (!options.cache.empty()) {
    Fingerprint documents;
    const auto add = [&](const std::string& document) { add_document(documents, document); };
    if (!for_each_document(spec, corpus, progress, add)) return std::nullopt;
    fingerprint = documents.hex();
  }
  BaselineCache cache(options.cache, fingerprint);
  const std::string dictionary =
      options.dictionary.empty() ? "" : Fingerprint().add(read_file(options.dictionary)).hex();
  const std::vector<std::string> kinds = row_kinds(options);
  std::vector<BaselineCodec> missing;
  for (const BaselineCodec& codec : codecs) {
    const std::string version = version_of(codec, dictionary);
    if (!std::ranges::all_of(
            kinds, [&](const std::string& kind) { return cache.find(codec.name + kind, version).has_value(); }))
      missing.push_back(codec);
  }
  const std::vector<InstalledCodec> installed = installed_codecs(options.external);
  std::vector<InstalledCodec> missing_programs;
  for (const InstalledCodec& each : installed) {
    if (!cache.find(each.codec->name, each.version)) missing_programs.push_back(each);
  }
  std::map<std::string, CodecSize> rows;
  if (options.cache.empty() || !missing.empty() || !missing_programs.empty()) {
    auto computed = compress_corpus(spec, corpus, missing, missing_programs, options, fingerprint, progress);
    if (!computed) return std::nullopt;
    rows = std::move(*computed);
  }
  const auto take = [&](const std::string& row, const std::string& version) {
    const auto fresh = rows.find(row);
    const CodecSize size = fresh != rows.end() ? fresh->second : *cache.find(row, version);
    cache.put(row, version, size);
    corpus.names.push_back(row);
    corpus.bytes[row] = size.bytes;
    corpus.cpu_seconds[row] = size.cpu_seconds;
  };
  for (const std::string& kind : kinds) {
    for (const BaselineCodec& codec : codecs) take(codec.name + kind, version_of(codec, dictionary));
  }
  for (const InstalledCodec& each : installed) take(each.codec->name, each.version);
  cache.save();
  progress.end();
  return corpus;
}

std::optional<double> ratio_of(double numerator, std::int64_t denominator) {
  if (denominator == 0) return std::nullopt;
  return numerator / static_cast<double>(denominator);
}

Table empty_table(bool of_one_corpus) {
  Table table;
  if (!of_one_corpus) table.columns.push_back({.key = "corpus", .title = "corpus", .align = Align::kLeft});
  table.columns.insert(table.columns.end(), {{.key = "codec", .title = "codec", .align = Align::kLeft},
                                             {.key = "bytes", .title = "bytes ↓"},
                                             {.key = "bits_per_byte", .title = "bits/byte ↓"},
                                             {.key = "bits_per_char", .title = "bits/char ↓"},
                                             {.key = "ratio", .title = "ratio ↑", .decimals = 3},
                                             {.key = "cpu_seconds", .title = "CPU s", .decimals = 2}});
  return table;
}

std::vector<Cell> row_cells(const MeasuredCorpus& corpus, const std::string& name) {
  const std::int64_t bytes = corpus.bytes.at(name);
  const double bits = 8.0 * static_cast<double>(bytes);
  return {name,
          bytes,
          cell_of(ratio_of(bits, corpus.n_bytes)),
          cell_of(ratio_of(bits, corpus.n_chars)),
          cell_of(ratio_of(static_cast<double>(corpus.n_bytes), bytes)),
          corpus.cpu_seconds.at(name)};
}

// For people: the sums over documents only where they say something new.
Table table_of(const MeasuredCorpus& corpus) {
  Table table = empty_table(/*of_one_corpus=*/true);
  std::int64_t least = corpus.bytes.begin()->second;
  for (const auto& [name, bytes] : corpus.bytes) least = std::min(least, bytes);
  for (const std::string& name : corpus.names) {
    if (corpus.n_documents == 1 && name.ends_with("/doc")) continue;
    const bool is_best = corpus.bytes.at(name) == least;
    table.rows.push_back({row_cells(corpus, name), is_best ? Emphasis::kStrong : Emphasis::kNone});
  }
  return table;
}

std::string counted(std::int64_t n, const std::string& noun) {
  return with_thousands(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string heading(const MeasuredCorpus& corpus) {
  std::string text = printable(corpus.name) + ": " + counted(corpus.n_documents, "document") + ", " +
                     counted(corpus.n_bytes, "byte") + ", " + counted(corpus.n_chars, "character");
  if (corpus.n_failed > 0) text += "; " + with_thousands(corpus.n_failed) + " failed and in no number";
  return text;
}

std::string csv_of(const std::vector<MeasuredCorpus>& corpora) {
  Table table = empty_table(/*of_one_corpus=*/false);
  for (const MeasuredCorpus& corpus : corpora) {
    for (const std::string& name : corpus.names) {
      std::vector<Cell> cells = row_cells(corpus, name);
      cells.insert(cells.begin(), corpus.name);
      table.rows.push_back({std::move(cells)});
    }
  }
  return to_csv(table);
}

Json json_of(const std::vector<MeasuredCorpus>& corpora, bool external) {
  Json list = Json::array();
  for (const MeasuredCorpus& corpus : corpora) {
    Json baselines = Json::object();
    for (const std::string& name : corpus.names) {
      const std::int64_t bytes = corpus.bytes.at(name);
      const double bits = 8.0 * static_cast<double>(bytes);
      baselines[name] = {{"bytes", bytes},
                         {"bits_per_byte", to_json_or_null(ratio_of(bits, corpus.n_bytes))},
                         {"bits_per_char", to_json_or_null(ratio_of(bits, corpus.n_chars))},
                         {"ratio", to_json_or_null(ratio_of(static_cast<double>(corpus.n_bytes), bytes))},
                         {"cpu_seconds", corpus.cpu_seconds.at(name)}};
    }
    list.push_back({{"corpus", printable(corpus.name)},
                    {"n_documents", corpus.n_documents},
                    {"n_failed", corpus.n_failed},
                    {"n_bytes", corpus.n_bytes},
                    {"n_chars", corpus.n_chars},
                    {"baselines", std::move(baselines)}});
  }
  Json versions = codec_versions();
  if (external) {
    for (const ExternalCodec& codec : external_codecs()) {
      const auto path = find_program(codec.program);
      versions[codec.program] = path ? Json(version_of(codec, *path)) : Json(nullptr);
    }
  }
  return {{"codec_versions", std::move(versions)}, {"corpora", std::move(list)}};
}

std::string report_text(const std::vector<MeasuredCorpus>& corpora, const BaselineOptions& options,
                        const std::string& format) {
  if (format == "json") return json_of(corpora, options.external).dump(2) + "\n";
  if (format == "csv") return csv_of(corpora);
  std::string text;
  for (const MeasuredCorpus& corpus : corpora) {
    if (!text.empty()) text += "\n";
    const Table table = table_of(corpus);
    text += heading(corpus) + "\n\n" + (format == "markdown" ? to_markdown(table) : to_text(table, stdout_style()));
  }
  return text;
}

int run_baseline(const BaselineOptions& options) {
  stop_cleanly_on_signals();
  const std::vector<BaselineCodec> codecs = codecs_of(options);
  const auto progress = make_progress(options.quiet);
  std::vector<MeasuredCorpus> corpora;
  std::int64_t n_failed = 0;
  for (const std::string& text : options.corpora) {
    CorpusSpec spec = parse_corpus_spec(text);
    spec.field = options.field;
    spec.split = options.split;
    spec.patch = options.patch;
    auto corpus = measure(spec, codecs, options, *progress);
    if (!corpus) {
      progress->end();
      std::fputs(options.cache.empty()
                     ? "stopped; nothing is kept: run it again. --cache DIR keeps the corpora that are finished\n"
                     : "stopped; the corpora that are finished are kept. To go on: the same command again\n",
                 stderr);
      return kExitInterrupted;
    }
    n_failed += corpus->n_failed;
    corpora.push_back(std::move(*corpus));
  }
  print(report_text(corpora, options, options.json ? "json" : options.format));
  return n_failed > 0 ? kExitSomeFailed : 0;
}

}  // namespace

void add_baseline(const Command& app, int& exit_code) {
  const auto options = std::make_shared<BaselineOptions>();
  const Command command = app.add_subcommand("baseline", "What gzip, bzip2, zstd, xz and brotli need for a corpus");
  command
      .add_option("CORPUS,--corpus", options->corpora,
                  "[NAME=]PATH of a text file, a folder or JSONL; also as .gz or .zst")
      .required();
  command.add_option("--field", options->field, "JSONL: the key that holds the text (default text)");
  command.add_option("--split", options->split,
                     "Cut into documents: none (default), paragraphs, lines or a number of bytes");
  command.add_option("--patch", options->patch, "Pictures and video: the order of their pixels, as in lmbits eval");
  command.add_option("--codec", options->codecs, "Only this codec; may be given several times (default all)")
      .allow_extra_args(false);  // or it would take the corpora that follow
  command.add_option("--dictionary", options->dictionary, "Adds zstd-22-dict, which has seen this file");
  command
      .add_option("--chunk", options->chunk_bytes, "Also every so many bytes by themselves (2048 as in the literature)")
      .in_range(std::int64_t{1}, std::int64_t{1} << 30);
  command.add_flag("--external", options->external, "Also zpaq, 7z PPMd, bzip3 and lrzip, those that are installed");
  command.add_option("--cache", options->cache, "A folder that keeps what was computed, for the next time");
  command.add_option("--threads", options->n_threads, "Threads (default all); sizes do not depend on it")
      .not_negative();
  command.add_option("--format", options->format, "table (default), markdown, csv or json")
      .one_of({"table", "markdown", "csv", "json"});
  command.add_flag("--json", options->json, "The same as --format json");
  command.add_flag("--quiet", options->quiet, "No progress");
  command.footer(kBaselineHelp);
  command.callback([options, &exit_code] { exit_code = run_baseline(*options); });
}

}  // namespace lmbits::cli
