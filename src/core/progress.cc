#include "src/core/progress.h"

namespace lmbits {
namespace {

class NoProgress final : public Progress {
 public:
  void begin(const Work&) override {}
  void advance(std::int64_t) override {}
  void end() override {}
};

}  // namespace

Progress& no_progress() {
  static NoProgress instance;
  return instance;
}

}  // namespace lmbits
