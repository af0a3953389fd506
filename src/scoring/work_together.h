// One run, scored by all workers of a team.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "src/core/json.h"
#include "src/corpus/reader.h"
#include "src/scoring/team.h"
#include "src/store/run_directory.h"

namespace lmbits {

struct SharedRun {
  std::string work;  // its name in the team's store
  std::filesystem::path path;
  Json manifest;
  bool by_documents = true;  // else its leader scores it alone: a stream has no documents to hand out
  std::function<std::unique_ptr<CorpusReader>()> open;

  // True where an earlier process has finished the run, and what is left to do was done.
  std::function<bool()> finish_known;
  // Scores what `open_some` gives (empty: all) into `writer`: its profile, nullopt when interrupted.
  std::function<std::optional<Json>(RunWriter& writer, std::function<std::unique_ptr<CorpusReader>()> open_some)> score;
  // All records are there: writes the summary; false when interrupted. `profile` is the workers' sum.
  std::function<bool(RunWriter& writer, const Json& profile)> complete;
};

// Rounds. The leader holds the run's lock, folds the parts that are there into it, and publishes the documents that have
// no record yet as blocks; every worker, the leader too, takes blocks from a counter in the store until none is left and
// writes records to a part of its own (the leader: to the run). What a dead worker did not finish has no record when
// all others have, so it is in the next round. Nothing left to plan ends the run; more rounds in a row without a new record
// than there are workers to die in them are an Error(kData). A leader that dies is followed by
// another worker, which does the same from what is on disk. A record's bits depend on its document alone, so the
// totals do not depend on who did what.
//
// Returns when the run has its summary; false when interrupted. An error of this worker is thrown, and the others go on.
bool score_together(Team& team, const SharedRun& run);

}  // namespace lmbits
