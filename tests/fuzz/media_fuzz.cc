// libFuzzer: any bytes are no picture, sound or video, which is an error, or come back once their samples were put in order,
// whatever the patch.
#include <algorithm>

#include "src/corpus/media.h"
#include "tests/fuzz/fuzz.h"

namespace {

void check(std::string_view file, const lmbits::Patch& patch) {
  using lmbits::fuzz::require;
  std::string arranged, stream;
  try {
    arranged = arrange_media(file, patch, "fuzz");
    stream = media_stream(file, patch, "fuzz");
  } catch (const lmbits::Error& e) {
    require(e.kind() == lmbits::ErrorKind::kData);
    return;
  }
  require(arranged.size() == file.size() && stream.size() <= file.size());
  require(restore_media(arranged, patch, "fuzz") == file);  // what was taken comes back: no error here
  std::string sorted_file(file);
  std::sort(sorted_file.begin(), sorted_file.end());
  std::sort(arranged.begin(), arranged.end());
  require(arranged == sorted_file);  // each byte stands somewhere, once
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const lmbits::Patch& patch : {lmbits::Patch{}, lmbits::Patch{2, 3, 2}})
    check(lmbits::fuzz::bytes_of(data, size), patch);
  return 0;
}
