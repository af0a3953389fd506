// One selection from a pool's file to the files of its result: resumable, with a manifest.
//
//   OUT                 the chosen records as they stand in the pool, in the order of choice: an array where OUT ends in
//                       .json, else a record a line
//   OUT.choices.jsonl   a line a choice: its place in the pool, its scores
//   OUT.manifest.json   what was asked, what came out
//   OUT.work/           while it runs: the lock, a checkpoint, a compressed pool's copy
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/selection/sample.h"
#include "src/selection/select.h"

namespace lmbits {

struct SelectRequest {
  std::string pool;
  std::filesystem::path output;
  SelectOptions options;
  SampleTemplate sample;
  std::string python = "3.11";       // kZipReference: whose repr() it is
  std::string tokenizer;             // of Unit::kTokens: a SentencePiece model; empty: bytes are tokens
  double max_share = 0.0;            // of the budget's samples that one group (sample.group_field) may get; 0: no limit
  std::int64_t length_bins = 0;      // this many bins of equally many samples by length get equal shares; 0: none
  std::string command;               // as typed, for the manifest
  std::uint64_t seed = 1;            // of the random choices that the result is set beside
  double checkpoint_every_s = 10.0;  // at most so much work is lost by a kill, and the batch (half a second) it is in
};

struct SelectOutcome {
  Json summary;  // docs/formats.md
  bool is_interrupted = false;
  bool was_finished = false;          // by an earlier process: nothing was computed, the failures are those it had
  std::int64_t n_resumed = 0;         // choices taken over from an earlier process
  std::int64_t n_scored_before = 0;   // samples that it had scored alone
  std::vector<std::string> failures;  // records that could not be used, the first 20: "line 17: not JSON ..."
  std::int64_t n_failed = 0;
};

// Throws Error for what is wrong with the request (kUsage, kConfig), the pool (kData), an unfinished selection of other
// settings in the same place (kConfig). The failures are in `outcome` then, too.
void run_select(const SelectRequest& request, const CostModel& model, Progress& progress, SelectOutcome& outcome);

// What compares and compresses in a record, as `request` has it: Python's repr() of it, or its text by the template.
std::string scored_text(const SelectRequest& request, const std::string& record);

}  // namespace lmbits
