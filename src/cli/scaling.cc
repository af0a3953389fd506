// lmbits scaling: laws of loss against size, data and compute.

#include "src/cli/command.h"
#include "src/cli/commands.h"
#include "src/cli/scaling_flags.h"

namespace lmbits::cli {

void add_scaling(const Command& app, int& /*exit_code*/) {
  const Command command = app.add_subcommand("scaling", "Scaling laws: fit, predict, plan, reconcile");
  command.require_subcommand();
  add_scaling_fit(command);
  add_scaling_predict(command);
  add_scaling_plan(command);
  add_scaling_isoflop(command);
  add_scaling_envelope(command);
  add_scaling_reconcile(command);
  add_scaling_runs(command);
  command.footer(
      "Example:\n"
      "  lmbits scaling fit runs.csv -o law.json\n"
      "  lmbits scaling plan law.json --flops 1e22\n"
      "\n"
      "Each has a --help of its own.");
}

}  // namespace lmbits::cli
