#include "src/cli/eval_library.h"

#include <dlfcn.h>

#include <filesystem>

namespace lmbits::cli {
namespace {

// Beside the program (a build folder, a relocatable package) or in ../lib/lmbits (installed).
std::filesystem::path library_path() {
  namespace fs = std::filesystem;
  const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
  const fs::path beside = folder / "liblmbits_eval.so";
  return fs::exists(beside) ? beside : folder.parent_path() / LMBITS_LIBRARY_DIR / "lmbits" / "liblmbits_eval.so";
}

const EvalApi* open() {
  const std::string path = library_path().string();
  // Never closed: libtorch does not survive that.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(ErrorKind::kUnsupported, std::string("cannot load the evaluator: ") + dlerror(),
                "run scripts/setup and build again, or set LD_LIBRARY_PATH to libtorch's lib folder");
  }
  using Entry = const EvalApi*();
  auto* entry = reinterpret_cast<Entry*>(dlsym(library, kEvalApiSymbol));
  if (entry == nullptr) throw Error(ErrorKind::kUnsupported, path + " is of another version of lmbits");
  return entry();
}

}  // namespace

const EvalApi& eval_library() {
  static const EvalApi* api = open();
  return *api;
}

}  // namespace lmbits::cli
