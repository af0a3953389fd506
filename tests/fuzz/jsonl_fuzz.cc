// A JSONL corpus: every document has a text or an error, and ids are unique.
#include <unistd.h>

#include <fstream>
#include <set>

#include "src/corpus/reader.h"
#include "tests/fuzz/fuzz.h"

using namespace lmbits;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/tmp/lmbits-fuzz-" + std::to_string(getpid()) + ".jsonl";
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  for (const char* split : {"none", "lines"}) {
    try {
      CorpusSpec spec = parse_corpus_spec(path);
      spec.split = split;
      const auto reader = open_corpus(spec);
      std::set<std::string> ids;
      while (const auto document = reader->next()) {
        fuzz::require(ids.insert(document->id).second);
        fuzz::require(document->error.empty() || document->bytes.empty());
      }
    } catch (const Error&) {
    }
  }
  std::remove(path.c_str());
  return 0;
}
