// A tokenizer put together from its parts: added tokens, normalisers, pre-tokenizers, a model of words, and the way back.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/pre_tokenizer.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/word_model.h"

namespace lmbits {

struct Pipeline {
  std::string kind, fingerprint;
  std::optional<std::int32_t> bos_id, eos_id;
  std::vector<AddedToken> added_tokens;
  std::vector<std::unique_ptr<Normalizer>> normalizers;
  PreTokenization pre_tokenization;
  std::unique_ptr<WordModel> model;
  std::vector<std::string> surfaces;  // of each id: what decode() puts
  std::vector<bool> is_named;         // special ids: people see their name, <name>
  bool strips_first_space = false;    // decode() drops one space at the start
};

std::unique_ptr<Tokenizer> make_pipeline_tokenizer(Pipeline pipeline);

// Workspaces for a model, which threads take and give back: each keeps its cache.
class WorkspacePool {
 public:
  class Lease {
   public:
    Lease(WorkspacePool& pool, const WordModel* model) : pool_(pool), workspace_(pool.take(model)) {}
    ~Lease() { pool_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() const { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take(const WordModel* model);
  void give_back(std::unique_ptr<Workspace> workspace);
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

}  // namespace lmbits
