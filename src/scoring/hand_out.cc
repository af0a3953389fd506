#include "src/scoring/hand_out.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "src/core/error.h"
#include "src/core/json.h"
#include "src/core/stop.h"

namespace lmbits {
namespace {

// Parts of a worker's share of the bytes: where passes begin, and the smallest block.
constexpr std::int64_t kPassParts[] = {8, 64, 512};
constexpr std::int64_t kGuidedParts = 4, kSmallestPart = 2048;

std::int64_t weight(std::int64_t n_bytes) { return std::max<std::int64_t>(n_bytes, 1); }

class HandedOutReader final : public CorpusReader {
 public:
  HandedOutReader(std::function<std::unique_ptr<CorpusReader>()> open, WorkPlan plan,
                  std::function<std::int64_t()> next_block)
      : open_(std::move(open)), plan_(std::move(plan)), next_block_(std::move(next_block)) {}

  std::optional<Document> next() override {
    while (!stop_requested() && find_block()) {
      std::optional<Document> document = reader_->next();
      if (!document)
        throw Error(ErrorKind::kData, "the corpus has fewer documents than when the work began",
                    "leave it as it is while it is scored, and run the same command again");
      const std::int64_t number = at_++;
      if (number >= block_->begin && plan_.is_todo(number) &&
          plan_.pass_of(static_cast<std::int64_t>(document->bytes.size())) == block_->pass)
        return document;
    }
    return std::nullopt;
  }

 private:
  // The block that document at_ may belong to; false where there is none any more.
  bool find_block() {
    while (block_ == nullptr || at_ >= block_->end) {
      const std::int64_t k = next_block_();
      if (k >= static_cast<std::int64_t>(plan_.blocks.size())) return false;
      const WorkBlock& block = plan_.blocks[static_cast<std::size_t>(k)];
      if (block_ == nullptr || block.pass != block_->pass) {
        reader_ = open_();
        at_ = 0;
      }
      block_ = &block;
    }
    return true;
  }

  std::function<std::unique_ptr<CorpusReader>()> open_;
  WorkPlan plan_;
  std::function<std::int64_t()> next_block_;
  std::unique_ptr<CorpusReader> reader_;
  std::int64_t at_ = 0;  // the number of the document that reader_ gives next
  const WorkBlock* block_ = nullptr;
};

}  // namespace

bool WorkPlan::is_todo(std::int64_t number) const {
  const auto byte = static_cast<std::size_t>(number / 8);
  return byte < todo.size() && ((static_cast<unsigned char>(todo[byte]) >> (number % 8)) & 1) != 0;
}

int WorkPlan::pass_of(std::int64_t n_bytes) const {
  int pass = 0;
  while (n_bytes < at_least[static_cast<std::size_t>(pass)]) ++pass;
  return pass;
}

WorkPlan plan_work(const std::vector<std::int64_t>& n_bytes, const std::vector<bool>& todo, int n_workers) {
  LMBITS_CHECK(n_bytes.size() == todo.size() && n_workers >= 1);
  WorkPlan plan;
  plan.todo.assign((todo.size() + 7) / 8, '\0');
  std::int64_t remaining = 0;
  for (std::size_t i = 0; i < todo.size(); ++i) {
    if (!todo[i]) continue;
    plan.todo[i / 8] = static_cast<char>(static_cast<unsigned char>(plan.todo[i / 8]) | (1U << (i % 8)));
    remaining += weight(n_bytes[i]);
  }
  for (const std::int64_t part : kPassParts) {
    const std::int64_t bound = remaining / (part * n_workers);
    if (bound > 1) plan.at_least.push_back(bound);
  }
  plan.at_least.push_back(0);
  const std::int64_t smallest = std::max<std::int64_t>(1, remaining / (kSmallestPart * n_workers));
  for (int pass = 0; pass < static_cast<int>(plan.at_least.size()); ++pass) {
    WorkBlock block{.pass = pass};
    const auto close = [&](std::int64_t end) {
      if (block.n_bytes > 0) {
        block.end = end;
        remaining -= block.n_bytes;
        plan.blocks.push_back(block);
      }
      block = {.pass = pass, .begin = end};
    };
    for (std::size_t i = 0; i < todo.size(); ++i) {
      if (!todo[i] || plan.pass_of(n_bytes[i]) != pass) continue;
      block.n_bytes += weight(n_bytes[i]);
      const std::int64_t enough =
          pass == 0 && plan.at_least.size() > 1 ? 1 : std::max(smallest, remaining / (kGuidedParts * n_workers));
      if (block.n_bytes >= enough) close(static_cast<std::int64_t>(i) + 1);
    }
    close(static_cast<std::int64_t>(todo.size()));
  }
  return plan;
}

std::string to_bytes(const WorkPlan& plan) {
  Json json = {{"at_least", plan.at_least}, {"blocks", Json::array()}};
  for (const WorkBlock& b : plan.blocks) json["blocks"].push_back({b.pass, b.begin, b.end, b.n_bytes});
  return json.dump() + "\n" + plan.todo;
}

WorkPlan plan_from_bytes(const std::string& bytes) {
  const std::size_t end = std::min(bytes.find('\n'), bytes.size());
  try {
    const Json json = Json::parse(bytes.substr(0, end));
    WorkPlan plan;
    plan.at_least = json.at("at_least").get<std::vector<std::int64_t>>();
    for (const Json& b : json.at("blocks"))
      plan.blocks.push_back(
          {b.at(0).get<int>(), b.at(1).get<std::int64_t>(), b.at(2).get<std::int64_t>(), b.at(3).get<std::int64_t>()});
    plan.todo = bytes.substr(std::min(end + 1, bytes.size()));
    return plan;
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData, std::string("the plan of the work cannot be read: ") + e.what(),
                "all workers must run the same version of lmbits");
  }
}

std::unique_ptr<CorpusReader> hand_out(std::function<std::unique_ptr<CorpusReader>()> open, WorkPlan plan,
                                       std::function<std::int64_t()> next_block) {
  return std::make_unique<HandedOutReader>(std::move(open), std::move(plan), std::move(next_block));
}

}  // namespace lmbits
