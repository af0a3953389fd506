// A scoring convention: what of a corpus is one sequence of ids, what leads it, and how windows are laid over it.
// docs/conventions.md says what each reproduces and what its quirks cost.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/conventions/windows.h"
#include "src/core/json_fwd.h"

namespace lmbits {

// What one sequence x of ids is made of.
enum class Scope {
  kDocument,    // each document: a record each; order, sharding and batches change nothing
  kStream,      // the whole corpus: windows cross documents; a record per block of windows
  kByteChunks,  // each chunk of `Convention::window` bytes of the corpus, tokenised and scored by itself
};

// As the user asked for it.
struct ConventionOptions {
  std::string name = "default";
  std::optional<std::int64_t> window;        // ids per forward pass (lmic: also the bytes of a chunk)
  std::optional<std::int64_t> stride;        // default and hkust only
  std::string bos = "auto";                  // auto | none | an id
  std::string uncheatable_mode = "add_bos";  // add_bos | replace_bos
  std::optional<std::int64_t> top_k;         // lmic only
  bool allow_beyond_context = false;         // feed windows that are longer than the model was built for
};

// Everything resolved: with the number of ids in x, it alone decides the windows.
struct Convention {
  std::string name = "default";
  Scope scope = Scope::kDocument;
  std::int64_t window = 2048;  // ids per forward pass (lmic: also the bytes of a chunk)
  std::int64_t stride = 1024;  // ids from one window to the next; not read by lm-eval, whose last window reaches back
  std::optional<std::int32_t> lead_id;  // the id fed as BOS or prefix, wherever the convention puts it
  bool prepend_lead = false;            // x = [lead_id] + tokens, once per x; x[0] is context, never scored
  bool lead_each_document = false;      // stream: lead_id before each document's tokens, scored like any id (but x[0])
  Lead window_lead = Lead::kNone;       // what lead_id does to the first id of every window
  bool tokenize_joined = false;  // stream: one text is tokenised once (else each document alone, ids concatenated)
  std::string joiner;            // stands between the documents' texts where tokenize_joined
  std::int64_t top_k = 0;  // predictions are renormalised over so many tokens (top_k.h); 0: all keep what they have
};

// "default", "lm-eval", ... in the order of docs/conventions.md.
std::vector<std::string> convention_names();

// What a model and its tokenizer allow.
struct ConventionLimits {
  std::int64_t context_length = 0;          // ids that the model was built for, >= 1
  std::int64_t n_ids = 0;                   // what it can be fed: ids in [0, n_ids)
  std::int64_t n_predicted = 0;             // what it has a probability for: ids in [0, n_predicted)
  std::optional<std::int32_t> bos_id = {};  // the tokenizer's
  std::optional<std::int32_t> eos_id = {};
};

// Fills in the defaults of the named convention. Throws Error(kConfig): an unknown name or bos or mode; a bos that the
// model does not know, or that it cannot predict where the convention scores it; an option which the convention does not
// have; a window that scores nothing; a stride outside [1, window]; a window longer than the context unless
// allow_beyond_context; no BOS for a convention that cannot do without.
Convention resolve_convention(const ConventionOptions& options, const ConventionLimits& limits);

// Every field: what the manifest records, so that a change of any refuses to resume.
Json to_json(const Convention& convention);

}  // namespace lmbits
