#include "src/scoring/record_builder.h"

#include <cmath>

#include "src/core/error.h"
#include "src/core/json.h"

namespace lmbits {

RecordBuilder::RecordBuilder(DocumentRecord record, std::int64_t n_windows)
    : record_(std::move(record)), n_windows_(n_windows) {
  LMBITS_CHECK(n_windows >= 1);
}

bool RecordBuilder::fold(std::int64_t index, const std::vector<double>& bits, const std::vector<std::int32_t>& blocks,
                         std::int64_t n_forward) {
  LMBITS_CHECK(bits.size() == blocks.size());
  Sums sums;
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (!std::isfinite(bits[i]) && sums.first_bad < 0) sums.first_bad = static_cast<std::int64_t>(i);
    sums.bits += bits[i];
    sums.bits_squared += bits[i] * bits[i];
    if (sums.blocks.empty() || sums.blocks.back().first != blocks[i]) sums.blocks.emplace_back(blocks[i], 0.0);
    sums.blocks.back().second += bits[i];
  }
  sums.n_scored = static_cast<std::int64_t>(bits.size());
  sums.n_forward = n_forward;
  return take(index, std::move(sums));
}

bool RecordBuilder::fold(std::int64_t index, const std::vector<BlockSum>& block_sums, std::int64_t n_forward) {
  Sums sums;
  for (const BlockSum& s : block_sums) {
    if (s.first_bad >= 0 && sums.first_bad < 0) sums.first_bad = sums.n_scored + s.first_bad;
    sums.bits += s.bits;
    sums.bits_squared += s.bits_squared;
    sums.blocks.emplace_back(s.block, s.bits);
    sums.n_scored += s.n_scored;
  }
  sums.n_forward = n_forward;
  return take(index, std::move(sums));
}

bool RecordBuilder::take(std::int64_t index, Sums sums) {
  LMBITS_CHECK(index >= next_ && index < n_windows_);
  waiting_.emplace(index, std::move(sums));
  for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_; first = waiting_.begin()) {
    fold(first->second);
    waiting_.erase(first);
    ++next_;
  }
  if (next_ < n_windows_) return false;
  if (!record_.error.empty()) {  // sums with a NaN in them mean nothing
    record_.bits = record_.bits_squared = 0.0;
    record_.block_bits.clear();
    record_.block_bytes = 0;
  }
  return true;
}

void RecordBuilder::fold(const Sums& sums) {
  if (sums.first_bad >= 0 && record_.error.empty()) {
    record_.error =
        "the model gave no finite probability for scored token " + std::to_string(record_.n_scored + sums.first_bad);
  }
  record_.bits += sums.bits;
  record_.bits_squared += sums.bits_squared;
  record_.n_scored += sums.n_scored;
  record_.n_forward += sums.n_forward;
  if (record_.block_bits.empty()) return;
  for (const auto& [block, bits] : sums.blocks) record_.block_bits.at(static_cast<std::size_t>(block)) += bits;
}

Json RecordBuilder::checkpoint() const {
  return {{"id", record_.id},
          {"next_window", next_},
          {"n_windows", n_windows_},
          {"n_scored", record_.n_scored},
          {"n_forward", record_.n_forward},
          {"bits", record_.bits},
          {"bits_squared", record_.bits_squared},
          {"block_bits", record_.block_bits},
          {"error", record_.error}};
}

void RecordBuilder::restore(const Json& checkpoint) {
  if (checkpoint.at("id") != record_.id || checkpoint.at("n_windows") != n_windows_) return;  // of something else
  checkpoint.at("next_window").get_to(next_);
  checkpoint.at("n_scored").get_to(record_.n_scored);
  checkpoint.at("n_forward").get_to(record_.n_forward);
  checkpoint.at("bits").get_to(record_.bits);
  checkpoint.at("bits_squared").get_to(record_.bits_squared);
  checkpoint.at("block_bits").get_to(record_.block_bits);
  checkpoint.at("error").get_to(record_.error);
}

}  // namespace lmbits
