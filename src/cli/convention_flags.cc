#include "src/cli/convention_flags.h"

#include "src/cli/command.h"

namespace lmbits::cli {

void add_convention_flags(const Command& command, ConventionOptions& options) {
  command.add_option("--convention", options.name, "default, lm-eval, hkust, llama-ppl, gptq, uncheatable or lmic")
      .capture_default_str();
  command.add_option("--window", options.window,
                     "ids in a forward pass (lmic: bytes in a chunk); default: the convention's");
  command.add_option("--stride", options.stride, "ids from one window to the next; default: the convention's");
  command.add_option("--bos", options.bos, "auto, none or an id").capture_default_str();
  command.add_option("--uncheatable-mode", options.uncheatable_mode, "add_bos or replace_bos").capture_default_str();
  command.add_option("--top-k", options.top_k, "lmic: renormalise each prediction over its K most probable ids");
  command.add_flag("--allow-beyond-context", options.allow_beyond_context,
                   "windows longer than the model was built for");
}

}  // namespace lmbits::cli
