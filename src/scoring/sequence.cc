#include "src/scoring/sequence.h"

#include <algorithm>

#include "src/conventions/plan.h"
#include "src/core/error.h"
#include "src/model/language_model.h"

namespace lmbits {

Convention convention_for(const LanguageModel& model, const ConventionOptions& options) {
  const ModelInfo& info = model.info();
  return resolve_convention(options, {.context_length = info.context_length,
                                      .n_ids = std::max(info.vocab_size, model.tokenizer().vocab_size()),
                                      .n_predicted = info.vocab_size,
                                      .bos_id = info.bos_id,
                                      .eos_id = info.eos_id});
}

void Sequence::add_lead(const Convention& convention) {
  leads.push_back(static_cast<std::int64_t>(ids.size()));
  ids.push_back(convention.lead_id.value());
  n_bytes.push_back(0);
}

void Sequence::add(Tokens tokens) {
  ids.insert(ids.end(), tokens.ids.begin(), tokens.ids.end());
  std::vector<std::int32_t>().swap(tokens.ids);  // of a long document much, and as much again is asked for next
  n_bytes.insert(n_bytes.end(), tokens.n_bytes.begin(), tokens.n_bytes.end());
}

std::int64_t Sequence::count_tokens(std::int64_t begin, std::int64_t end) const {
  const auto n_leads_before = [&](std::int64_t i) {
    return std::lower_bound(leads.begin(), leads.end(), i) - leads.begin();
  };
  return end - begin - (n_leads_before(end) - n_leads_before(begin));
}

WindowCutter::WindowCutter(const Sequence& sequence, const Convention& convention, std::int64_t block_bytes,
                           std::int64_t n_blocks)
    : sequence_(sequence), convention_(convention), block_bytes_(block_bytes), n_blocks_(n_blocks) {}

std::int64_t WindowCutter::byte_at(std::int64_t i) {
  LMBITS_CHECK(i >= at_);
  for (; at_ < i; ++at_) byte_at_ += sequence_.n_bytes[static_cast<std::size_t>(at_)];
  return byte_at_;
}

std::int64_t WindowCutter::bytes_before(std::int64_t k) {
  if (k == 0) return 0;
  return byte_at(window_at(convention_, static_cast<std::int64_t>(sequence_.ids.size()), k - 1).score_end);
}

WindowTask WindowCutter::cut(std::int64_t k, std::shared_ptr<RecordBuilder> record, std::int64_t index) {
  const Window w = window_at(convention_, static_cast<std::int64_t>(sequence_.ids.size()), k);
  const std::int64_t first_byte = bytes_before(k);
  WindowTask task;
  task.record = std::move(record);
  task.index = index;
  const auto x = sequence_.ids.begin();
  if (w.lead == Lead::kInserted) task.input.push_back(convention_.lead_id.value());
  task.input.insert(task.input.end(), x + w.begin, x + w.end);
  if (w.lead == Lead::kReplaced) task.input.front() = convention_.lead_id.value();
  task.first_row = w.score_begin - w.begin - (w.lead == Lead::kInserted ? 0 : 1);
  task.targets.assign(x + w.score_begin, x + w.score_end);
  task.blocks.resize(task.targets.size(), 0);
  for (std::size_t i = 0; i < task.blocks.size() && block_bytes_ > 0; ++i) {
    const std::int64_t byte = byte_at(w.score_begin + static_cast<std::int64_t>(i));
    task.blocks[i] = static_cast<std::int32_t>(std::min(byte / block_bytes_, n_blocks_ - 1));
  }
  task.n_bytes = byte_at(w.score_end) - first_byte;
  return task;
}

}  // namespace lmbits
