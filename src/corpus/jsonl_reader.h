// Reader of JSONL: a text in each line's object.
#pragma once
#include <memory>
#include <string>

#include "src/corpus/reader.h"
#include "src/corpus/splitter.h"

namespace lmbits {

std::unique_ptr<CorpusReader> make_jsonl_reader(const std::string& path, const std::string& field, Split split);

}  // namespace lmbits
