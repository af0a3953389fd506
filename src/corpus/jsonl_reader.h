// Reader of JSONL: a text in each line's object.
#pragma once
#include <memory>
#include <string>

#include "src/corpus/manifest.h"
#include "src/corpus/reader.h"

namespace lmbits {

// Of `source` count field, split, category, category_field and filters.where; lines that do not meet that are no
// documents, but are counted for "line-N".
std::unique_ptr<CorpusReader> make_jsonl_reader(const std::string& path, const CorpusSource& source);

}  // namespace lmbits
