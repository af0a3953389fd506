// From a corpus to windows: reads documents, encodes them, cuts them as the convention says. One thread.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "src/conventions/convention.h"
#include "src/corpus/reader.h"
#include "src/metrics/record.h"
#include "src/scoring/record_builder.h"
#include "src/scoring/score_corpus.h"
#include "src/scoring/window_task.h"
#include "src/tokenizer/tokenizer.h"

namespace lmbits {

// Where windows and records go.
struct ProducerSinks {
  std::function<bool(WindowTask)> submit;             // false once there is no point in going on
  std::function<void(const DocumentRecord&)> append;  // a record without windows: failed, or too short for one
  std::function<void(RecordBuilder&)> restore;        // takes up what an earlier process left of a long document
  std::function<void(std::int64_t)> restored;         // so many of its bytes
};

// A text's tokens: Tokenizer::encode, or what a cache has of it. Error(kData) fails the document.
using Encoder = std::function<Tokens(std::string_view)>;

// Goes through `corpus` until its end, a stop, or a sink that wants no more. Records in `done` are passed over. Adds to the
// times of `profile` that are spent here. Error(kData) where a stream convention meets a document that cannot be read.
void produce_windows(CorpusReader& corpus, const Encoder& encode, const Convention& convention,
                     const std::unordered_set<std::string>& done, const ProducerSinks& sinks, Profile& profile);

}  // namespace lmbits
