// A document: the unit of scoring, of failure and of the bootstrap.
#pragma once
#include <string>

namespace lmbits {

struct Document {
  std::string id;             // unique in its corpus and stable between runs: resume depends on it
  std::string bytes;          // exactly as the source holds them: no newline, BOM or normalisation is touched
  std::string error;          // not empty: this document could not be read (why); `bytes` is then empty
  std::string category = {};  // what a corpus.json says it is of; empty: nothing
  bool continues = false;     // a later piece of the source that the document before is a piece of
};

}  // namespace lmbits
