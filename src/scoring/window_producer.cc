#include "src/scoring/window_producer.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "src/coding/baselines.h"
#include "src/conventions/headline.h"
#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/core/stop.h"
#include "src/corpus/utf8.h"
#include "src/scoring/sequence.h"
#include "src/scoring/stopwatch.h"

namespace lmbits {
namespace {

constexpr std::int64_t kWindowsPerRecord = 16;  // of a stream
constexpr std::int64_t kChunksPerRecord = 64;   // of byte chunks
constexpr std::size_t kLongestCharacter = 4;    // bytes of UTF-8

class WindowProducer {
 public:
  WindowProducer(const Encoder& encode, const Convention& convention, const std::unordered_set<std::string>& done,
                 const ProducerSinks& sinks, Profile& profile)
      : encode_(encode),
        convention_(convention),
        done_(done),
        sinks_(sinks),
        profile_(profile),
        document_baselines_(select_codecs({"gzip-9"})) {}

  void run(CorpusReader& reader) {
    switch (convention_.scope) {
      case Scope::kDocument:
        return produce_documents(reader);
      case Scope::kStream:
        return produce_stream(reader);
      case Scope::kByteChunks:
        return produce_chunks(reader);
    }
  }

 private:
  std::optional<Document> read(CorpusReader& reader) {
    if (stop_requested()) return std::nullopt;
    const Stopwatch time(profile_.read_s);
    return reader.next();
  }

  Tokens encode(std::string_view text) {
    const Stopwatch time(profile_.tokenize_s);
    return encode_(text);
  }

  void produce_documents(CorpusReader& reader) {
    while (const std::optional<Document> document = read(reader)) {
      if (done_.contains(document->id)) continue;
      DocumentRecord record;
      record.id = document->id;
      record.error = document->error;
      record.category = document->category;
      Sequence sequence;
      if (record.error.empty()) sequence = encode_document(*document, record);
      const std::int64_t n = static_cast<std::int64_t>(sequence.ids.size());
      const std::int64_t windows = record.error.empty() ? n_windows(convention_, n) : 0;
      if (windows == 0) {
        sinks_.append(record);
      } else if (!submit_windows(sequence, record, windows)) {
        return;
      }
    }
  }

  Sequence encode_document(const Document& document, DocumentRecord& record) {
    Sequence sequence;
    try {
      Tokens tokens = encode(document.bytes);
      record.n_bytes = static_cast<std::int64_t>(document.bytes.size());
      record.n_chars = count_code_points(document.bytes);
      record.n_words = count_words_like_python_split(document.bytes);
      record.n_tokens = static_cast<std::int64_t>(tokens.ids.size());
      record.lossless = tokens.lossless;
      const std::int64_t block = block_bytes_for(record.n_bytes);
      if (record.n_bytes > block) {
        record.block_bytes = block;
        record.block_bits.assign(static_cast<std::size_t>((record.n_bytes + block - 1) / block), 0.0);
      }
      if (convention_.prepend_lead) sequence.add_lead(convention_);
      sequence.add(std::move(tokens));
      const Stopwatch time(profile_.baseline_s);
      record.baselines = document_baselines_.sizes(document.bytes);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kData) throw;
      record.error = e.what();
    }
    return sequence;
  }

  bool submit_windows(const Sequence& sequence, const DocumentRecord& record, std::int64_t windows) {
    auto builder = std::make_shared<RecordBuilder>(record, windows);
    sinks_.restore(*builder);
    WindowCutter cutter(sequence, convention_, record.block_bytes, static_cast<std::int64_t>(record.block_bits.size()));
    const std::int64_t first = builder->next_window();
    if (first > 0) sinks_.restored(cutter.bytes_before(first));
    for (std::int64_t k = first; k < windows; ++k) {
      if (!sinks_.submit(cutter.cut(k, builder, k))) return false;
    }
    return true;
  }

  // Whole windows of a stream, a record for every kWindowsPerRecord; the bytes between two records' first scored tokens
  // belong to the first of them, so that they sum to the corpus.
  void produce_stream(CorpusReader& reader) {
    Sequence sequence;
    std::string text;
    std::vector<std::int64_t> document_ends;
    bool lossless = true;
    while (const std::optional<Document> document = read(reader)) {
      if (!document->error.empty())
        throw Error(ErrorKind::kData, document->id + ": " + document->error,
                    "a stream convention cannot leave a document out: mend or remove it");
      if (convention_.tokenize_joined && !document_ends.empty()) text += convention_.joiner;
      text += document->bytes;
      document_ends.push_back(static_cast<std::int64_t>(text.size()));
      if (convention_.tokenize_joined) continue;
      Tokens tokens = encode(document->bytes);
      lossless = lossless && tokens.lossless;
      if (convention_.lead_each_document) sequence.add_lead(convention_);
      sequence.add(std::move(tokens));
    }
    if (stop_requested()) return;
    if (convention_.tokenize_joined) {
      Tokens tokens = encode(text);
      lossless = tokens.lossless;
      if (convention_.prepend_lead) sequence.add_lead(convention_);
      sequence.add(std::move(tokens));
    }
    submit_stream(sequence, text, document_ends, lossless);
  }

  void submit_stream(const Sequence& sequence, const std::string& text, const std::vector<std::int64_t>& document_ends,
                     bool lossless) {
    const auto n_ids = static_cast<std::int64_t>(sequence.ids.size());
    require_windows(convention_, n_ids);
    const std::int64_t windows = n_windows(convention_, n_ids);
    WindowCutter cutter(sequence, convention_, 0, 1);
    WindowCutter ends(sequence, convention_, 0, 1);  // runs ahead, for where a record ends
    CharacterCounter characters(text);
    std::int64_t first_byte = 0, first_id = 0;
    for (std::int64_t first = 0; first < windows; first += kWindowsPerRecord) {
      const std::int64_t last = std::min(windows, first + kWindowsPerRecord);
      const std::int64_t end_id = last < windows ? window_at(convention_, n_ids, last).score_begin : n_ids;
      const std::int64_t end_byte = last < windows ? ends.byte_at(end_id) : static_cast<std::int64_t>(text.size());
      DocumentRecord record;
      record.id = numbered("windows", first);
      record.lossless = lossless;
      const std::int64_t joiners = joiner_bytes(document_ends, first_byte, end_byte);
      record.n_bytes = end_byte - first_byte - joiners;
      record.n_chars = characters.count_until(static_cast<std::size_t>(end_byte)) - joiners;
      record.n_tokens = sequence.count_tokens(first_id, end_id);
      first_byte = end_byte;
      first_id = end_id;
      if (done_.contains(record.id)) continue;
      auto builder = std::make_shared<RecordBuilder>(record, last - first);
      for (std::int64_t k = first; k < last; ++k) {
        if (!sinks_.submit(cutter.cut(k, builder, k - first))) return;
      }
    }
  }

  // Bytes of text[begin, end) that stand between documents: no source has them.
  std::int64_t joiner_bytes(const std::vector<std::int64_t>& document_ends, std::int64_t begin,
                            std::int64_t end) const {
    const auto length = static_cast<std::int64_t>(convention_.joiner.size());
    std::int64_t n = 0;
    auto at = std::lower_bound(document_ends.begin(), document_ends.end(), begin - length);
    for (; at != document_ends.end() && *at < end && std::next(at) != document_ends.end(); ++at) {
      n += std::max<std::int64_t>(0, std::min(end, *at + length) - std::max(begin, *at));
    }
    return n;
  }

  void produce_chunks(CorpusReader& reader) {
    std::string pending;
    std::size_t counted = 0;  // bytes at the start of `pending` that end a character of the record before
    std::int64_t first_chunk = 0;
    const auto group = static_cast<std::size_t>(convention_.window * kChunksPerRecord);
    const auto take = [&](std::size_t n_bytes) {
      CharacterCounter characters(pending, counted);
      const std::int64_t n_chars = characters.count_until(n_bytes);
      const bool more = submit_chunks(std::string_view(pending).substr(0, n_bytes), n_chars, first_chunk);
      counted = characters.at() - n_bytes;
      pending.erase(0, n_bytes);
      first_chunk += kChunksPerRecord;
      return more;
    };
    while (const std::optional<Document> document = read(reader)) {
      if (!document->error.empty())
        throw Error(ErrorKind::kData, document->id + ": " + document->error,
                    "byte chunks cannot leave a document out: mend or remove it");
      pending += document->bytes;
      while (pending.size() >= group + kLongestCharacter) {  // so that the last character of the group is there
        if (!take(group)) return;
      }
    }
    while (!pending.empty() && !stop_requested()) {
      if (!take(std::min(group, pending.size()))) return;
    }
  }

  bool submit_chunks(std::string_view text, std::int64_t n_chars, std::int64_t first_chunk) {
    DocumentRecord record;
    record.id = numbered("chunks", first_chunk);
    if (done_.contains(record.id)) return true;
    record.n_bytes = static_cast<std::int64_t>(text.size());
    record.n_chars = n_chars;
    std::vector<Sequence> sequences;
    std::int64_t windows = 0;
    for (std::size_t at = 0; at < text.size(); at += static_cast<std::size_t>(convention_.window)) {
      Tokens tokens = encode(text.substr(at, static_cast<std::size_t>(convention_.window)));
      Sequence& sequence = sequences.emplace_back();
      if (convention_.prepend_lead) sequence.add_lead(convention_);
      record.n_tokens += static_cast<std::int64_t>(tokens.ids.size());
      record.lossless = record.lossless && tokens.lossless;
      sequence.add(std::move(tokens));
      windows += n_windows(convention_, static_cast<std::int64_t>(sequence.ids.size()));
    }
    if (windows == 0) {
      sinks_.append(record);
      return true;
    }
    auto builder = std::make_shared<RecordBuilder>(record, windows);
    std::int64_t index = 0;
    for (const Sequence& sequence : sequences) {
      WindowCutter cutter(sequence, convention_, 0, 1);
      const std::int64_t n = n_windows(convention_, static_cast<std::int64_t>(sequence.ids.size()));
      for (std::int64_t k = 0; k < n; ++k) {
        if (!sinks_.submit(cutter.cut(k, builder, index++))) return false;
      }
    }
    return true;
  }

  static std::string numbered(const char* what, std::int64_t first) {
    const std::string digits = std::to_string(first);
    return std::string(what) + "-" + std::string(digits.size() < 9 ? 9 - digits.size() : 0, '0') + digits;
  }

  const Encoder& encode_;
  const Convention& convention_;
  const std::unordered_set<std::string>& done_;
  const ProducerSinks& sinks_;
  Profile& profile_;
  DocumentBaselines document_baselines_;
};

}  // namespace

void produce_windows(CorpusReader& corpus, const Encoder& encode, const Convention& convention,
                     const std::unordered_set<std::string>& done, const ProducerSinks& sinks, Profile& profile) {
  WindowProducer(encode, convention, done, sinks, profile).run(corpus);
}

}  // namespace lmbits
