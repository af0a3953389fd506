// The progress of scoring one run, as eval and nightly show it.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "src/cli/progress_line.h"
#include "src/scoring/score_corpus.h"

namespace lmbits::cli {

class RunProgress {
 public:
  explicit RunProgress(bool quiet) : progress_(make_progress(quiet)) {}

  // `n_bytes_done` of `n_bytes` (nullopt: unknown) by earlier processes.
  void begin(const std::string& name, std::optional<std::int64_t> n_bytes, std::int64_t n_bytes_done) {
    now_ = 0;
    before_ = n_bytes_done;
    progress_->begin({.label = name, .unit = "B", .total = n_bytes, .already_done = n_bytes_done});
  }
  void update(const ScoreProgress& progress) {
    const std::int64_t before = progress.n_bytes - progress.n_bytes_now;  // grows where a long document was under way
    progress_->skip(before - before_);
    progress_->advance(progress.n_bytes_now - now_);
    before_ = before;
    now_ = progress.n_bytes_now;
  }
  void end() { progress_->end(); }

 private:
  std::unique_ptr<Progress> progress_;
  std::int64_t now_ = 0, before_ = 0;  // bytes done by this process, and before it
};

}  // namespace lmbits::cli
