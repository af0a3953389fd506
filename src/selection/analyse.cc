#include "src/selection/analyse.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <unordered_set>

#include "src/core/error.h"
#include "src/core/hash.h"
#include "src/core/thread_pool.h"
#include "src/selection/deflate_size.h"
#include "src/selection/pool.h"

namespace lmbits {
namespace {

constexpr std::int64_t kBatch = 1024;  // samples measured between two rounds of bookkeeping

std::string hash_of(std::string_view text) { return Fingerprint().add(text).hex().substr(0, 16); }

// Lower-case ASCII, every number a 0, runs of white space a blank.
std::string form_of(std::string_view text) {
  std::string form;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const char folded = std::isspace(byte) != 0   ? ' '
                        : std::isdigit(byte) != 0 ? '0'
                                                  : static_cast<char>(std::tolower(byte));
    if ((folded == ' ' || folded == '0') && !form.empty() && form.back() == folded) continue;
    form += folded;
  }
  return form;
}

bool is_blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
}

std::int64_t zlib_size(std::string_view before, std::string_view text) {
  const auto sizer = make_deflate_sizer(9);
  sizer->append(before);
  return sizer->size_with(text);
}

struct Measured {
  std::string text, error;
  std::string text_hash, form_hash, prompt_hash, answer_hash;  // prompt_hash: empty without a prompt
  double ratio_alone = 0.0;
  std::optional<double> explained;
  bool is_empty = false;
};

Measured measure(const std::string& record, const SampleTemplate& how) {
  Measured m;
  try {
    const Sample sample = parse_sample(record, how);
    m.text = sample_text(sample);
    const PromptAndAnswer parts = prompt_and_answer(sample);
    m.text_hash = hash_of(m.text);
    m.form_hash = hash_of(form_of(m.text));
    m.answer_hash = hash_of(parts.answer);
    m.is_empty = is_blank(sample.turns.back().text);
    m.ratio_alone = static_cast<double>(m.text.size() + 1) / static_cast<double>(zlib_size("", m.text + "\n"));
    if (!parts.prompt.empty()) m.prompt_hash = hash_of(parts.prompt);
    if (!parts.prompt.empty() && !parts.answer.empty()) {
      const auto added = static_cast<double>(zlib_size(parts.prompt, parts.answer) - zlib_size(parts.prompt, ""));
      m.explained = 1 - added / static_cast<double>(zlib_size("", parts.answer) - zlib_size("", ""));
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    m.error = error.what();
  }
  return m;
}

std::optional<double> median(std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

// What is remembered of the samples that came before.
class Tally {
 public:
  explicit Tally(std::string name) { out_.name = std::move(name); }

  void add(const Measured& m) {
    if (!m.error.empty()) {
      ++out_.n_failed;
      return;
    }
    ++out_.n_samples;
    out_.n_bytes += std::ssize(m.text);
    stream_->append(m.text);
    stream_->append("\n");
    out_.n_copies += texts_.insert(m.text_hash).second ? 0 : 1;
    out_.n_same_form += forms_.insert(m.form_hash).second ? 0 : 1;
    if (!m.prompt_hash.empty()) {
      const auto [answer, is_new] = answers_.try_emplace(m.prompt_hash, m.answer_hash);
      out_.n_contradictions += !is_new && answer->second != m.answer_hash ? 1 : 0;
    }
    out_.n_empty += m.is_empty ? 1 : 0;
    out_.n_repetitive += m.ratio_alone > kRepetitiveRatio ? 1 : 0;
    alone_.push_back(m.ratio_alone);
    bytes_.push_back(static_cast<double>(m.text.size()));
    if (m.explained) explained_.push_back(*m.explained);
  }

  SetStatistics finish() {
    out_.ratio_alone = median(alone_);
    out_.median_bytes = median(bytes_);
    out_.answer_explained = median(explained_);
    if (out_.n_samples > 0)
      out_.ratio = static_cast<double>(out_.n_bytes + out_.n_samples) / static_cast<double>(stream_->size_with(""));
    return out_;
  }

 private:
  SetStatistics out_;
  std::unique_ptr<PrefixSizer> stream_ = make_deflate_sizer(9);
  std::unordered_set<std::string> texts_, forms_;
  std::unordered_map<std::string, std::string> answers_;  // by prompt, the first one
  std::vector<double> alone_, bytes_, explained_;
};

}  // namespace

SetStatistics analyse_set(const std::string& path, const std::filesystem::path& spool, const SampleTemplate& how,
                          int n_threads, Progress& progress) {
  const Pool pool(path, spool);
  std::error_code none;
  std::filesystem::remove(spool, none);  // it stays open
  Tally tally(std::filesystem::path(path).filename().string());
  progress.begin({.label = path, .unit = "samples", .total = pool.size()});
  for (std::int64_t begin = 0; begin < pool.size(); begin += kBatch) {
    std::vector<Measured> batch(static_cast<std::size_t>(std::min(kBatch, pool.size() - begin)));
    parallel_for(std::ssize(batch), n_threads,
                 [&](std::int64_t i) { batch[static_cast<std::size_t>(i)] = measure(pool.record(begin + i), how); });
    for (const Measured& m : batch) tally.add(m);
    progress.advance(std::ssize(batch));
  }
  progress.end();
  return tally.finish();
}

std::vector<std::vector<double>> redundancy_matrix(const std::vector<std::string>& texts, const CostModel& model) {
  const auto text = [&](std::int64_t i) { return texts[static_cast<std::size_t>(i)]; };
  const auto stored_bytes_of = [](StoredSet& set) {
    return set.sizes_with(1, [](std::int64_t) { return std::string(); })[0].stored_bytes;
  };
  const auto nothing = model.empty_set();
  const double of_nothing = stored_bytes_of(*nothing);  // zlib's header and checksum are no text's
  const std::vector<StoredSize> alone = nothing->sizes_with(std::ssize(texts), text);
  std::vector<std::vector<double>> saved;
  for (const std::string& first : texts) {
    const auto set = model.empty_set();
    set->append(first);
    const double before = stored_bytes_of(*set);
    std::vector<double> row;
    const std::vector<StoredSize> both = set->sizes_with(std::ssize(texts), text);
    for (std::size_t j = 0; j < texts.size(); ++j)
      row.push_back(1 - (both[j].stored_bytes - before) / (alone[j].stored_bytes - of_nothing));
    saved.push_back(std::move(row));
  }
  return saved;
}

SampleMatrix matrix_of_first(const std::string& path, const std::filesystem::path& spool, const SampleTemplate& how,
                             std::int64_t n_samples, const CostModel& model) {
  const Pool pool(path, spool);
  SampleMatrix matrix;
  matrix.n_records = pool.size();
  std::vector<std::string> texts;
  for (std::int64_t i = 0; i < pool.size() && std::ssize(texts) < n_samples; ++i) {
    try {
      const Sample sample = parse_sample(pool.record(i), how);
      texts.push_back(sample_text(sample) + "\n");
      matrix.names.push_back(sample.id.empty() ? pool.place(i) : sample.id);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kData) throw;
    }
  }
  if (texts.empty())
    throw Error(ErrorKind::kData, path + ": no sample that can be used", "look at the records, or name their --field");
  matrix.saved = redundancy_matrix(texts, model);
  return matrix;
}

}  // namespace lmbits
