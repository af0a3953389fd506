// lmbits scaling reconcile: why Kaplan et al. and Hoffmann et al. disagree, and what counts as N and C.
#include <cmath>
#include <memory>

#include "src/cli/command.h"
#include "src/cli/figure_files.h"
#include "src/cli/scaling_flags.h"
#include "src/cli/stdout_style.h"
#include "src/core/error.h"
#include "src/core/json.h"
#include "src/report/fit_report.h"
#include "src/report/scaling_figures.h"
#include "src/scaling/accounting.h"
#include "src/scaling/published.h"
#include "src/scaling/reconcile.h"

namespace lmbits::cli {
namespace {

struct ReconcileFlags {
  std::string law = "besiroglu2024", vocab = "32000";
  double aspect = 39.2252;
  Architecture architecture;
  bool untied = false, json = false;
  std::string figures;
  std::vector<std::string> figure_formats = {"svg"};
  ReconcileGrid grid;
};

constexpr const char* kReconcileHelp =
    "Example:\n"
    "  lmbits scaling reconcile\n"
    "  lmbits scaling reconcile --law law.json --vocab 50257 --aspect 64\n"
    "  lmbits scaling reconcile --layers 12 --width 768 --context 1024 --vocab 50257 --learnt-positions\n"
    "\n"
    "Kaplan et al. counted parameters and compute without embeddings, and fitted small models; Hoffmann et al. "
    "counted\n"
    "all. Pearce & Song 2024 take one chinchilla law, redraw its frontier in both ways over the sizes that Kaplan et "
    "al.\n"
    "had, and fit a line to each: about 0.78 (Kaplan et al.: 0.73) and 0.51 (Hoffmann et al.: 0.50). The grid and its\n"
    "range move the second digit. With --layers and --width the counts of that architecture follow instead.";

Table frontier_table(const Reconciliation& r) {
  Table table;
  table.columns = {{.key = "counted", .title = "counted", .align = Align::kLeft},
                   {.key = "n", .title = "N* ~ C^", .decimals = 3},
                   {.key = "d", .title = "D* ~ C^", .decimals = 3},
                   {.key = "loss", .title = "L ~ C^", .decimals = 3},
                   {.key = "published", .title = "published", .align = Align::kLeft}};
  table.rows = {{{"without embeddings", r.non_embedding.n_exponent, r.non_embedding.d_exponent,
                  r.non_embedding.loss_exponent, "Pearce & Song .78, loss -.069; Kaplan .73, -.057"}},
                {{"all parameters", r.total.n_exponent, r.total.d_exponent, r.total.loss_exponent,
                  "Pearce & Song .51; Hoffmann .50"}}};
  return table;
}

Table local_table(const Parameters& p, const ReconcileGrid& grid) {
  Table table;
  table.columns = {{.key = "n", .title = "N without emb."},
                   {.key = "total", .title = "N total"},
                   {.key = "share", .title = "embeddings %", .decimals = 1},
                   {.key = "flops", .title = "C without emb."},
                   {.key = "g", .title = "g(N)", .decimals = 3}};
  for (double log_n = 3.0; log_n <= 12.0; log_n += 1.0) {
    const double n = std::pow(10.0, log_n), total = total_params(n, grid.omega);
    table.rows.push_back({{significant(n, 3), significant(total, 3), 100.0 * (1.0 - n / total),
                           significant(flops_of_optimum(p, n, grid.omega), 3), local_exponent(p, n, grid.omega)}});
  }
  return table;
}

std::string counts_text(const Architecture& a, bool json) {
  const ParameterCounts n = count_parameters(a);
  const FlopCounts c = count_flops(a);
  const std::vector<std::tuple<const char*, const char*, double>> rows = {
      {"non_embedding", "N without embeddings (Kaplan)", n.non_embedding},
      {"embedding", "embeddings", n.embedding},
      {"head", a.tied ? "head (tied: counted as embedding)" : "head", n.head},
      {"with_head", "N without embeddings + head", n.with_head},
      {"total", "N total (Hoffmann)", n.total},
      {"flops_6n_non_embedding", "6 N without embeddings, FLOP/token", c.six_n_non_embedding},
      {"flops_6n_with_head", "6 (N + head), FLOP/token", c.six_n_with_head},
      {"flops_6n_total", "6 N total, FLOP/token", c.six_n_total},
      {"flops_attention", "attention's scores and sums, FLOP/token", c.attention},
      {"flops_6n_with_head_and_attention", "6 (N + head) + attention, FLOP/token", c.six_n_with_head + c.attention}};
  if (json) {
    Json object;
    for (const auto& [key, title, value] : rows) object[key] = value;
    return object.dump(2) + "\n";
  }
  Table table;
  table.columns = {{.key = "count", .title = "count", .align = Align::kLeft},
                   {.key = "value", .title = "value"},
                   {.key = "share", .title = "of 6 N total %", .decimals = 1}};
  for (const auto& [key, title, value] : rows)
    table.rows.push_back({{title, significant(value, 5),
                           std::string(key).starts_with("flops") ? Cell(100.0 * value / c.six_n_total) : Cell()}});
  return to_text(table, stdout_style());
}

void run_reconcile(ReconcileFlags flags) {
  const double vocab = parse_number(flags.vocab, "--vocab");
  if (flags.architecture.n_layer > 0 || flags.architecture.d_model > 0) {
    if (!(flags.architecture.n_layer > 0 && flags.architecture.d_model > 0))
      throw Error(ErrorKind::kUsage, "--layers and --width describe an architecture together", "give both");
    flags.architecture.vocab = vocab;
    flags.architecture.tied = !flags.untied;
    return print(counts_text(flags.architecture, flags.json));
  }
  const KnownLaw law = lmbits::find_law(flags.law);
  if (law.law->name() != "chinchilla")
    throw Error(ErrorKind::kUsage, "--law is " + law.law->name() + ", and this is about the chinchilla form",
                "give a chinchilla law");
  flags.grid.omega = vocab * std::cbrt(flags.aspect / 12.0);
  const Reconciliation result = reconcile(law.p, flags.grid);
  if (!flags.figures.empty())
    write_figures(reconcile_figures(result, law.p, flags.grid.omega), flags.figures, flags.figure_formats);
  if (flags.json) {
    const auto of = [](const Frontier& f) {
      return Json{{"n_exponent", f.n_exponent}, {"d_exponent", f.d_exponent}, {"loss_exponent", f.loss_exponent}};
    };
    Json json{{"law", law.source},
              {"omega", flags.grid.omega},
              {"non_embedding", of(result.non_embedding)},
              {"total", of(result.total)},
              {"local", Json::array()}};
    for (double log_n = 2.0; log_n <= 13.0; log_n += 0.25) {
      const double n = std::pow(10.0, log_n);
      json["local"].push_back({{"non_embedding", n},
                               {"total", total_params(n, flags.grid.omega)},
                               {"flops", flops_of_optimum(law.p, n, flags.grid.omega)},
                               {"exponent", local_exponent(law.p, n, flags.grid.omega)}});
    }
    return print(json.dump(2) + "\n");
  }
  std::string text = "law: " + printable(law.source) + "\nN total = N + " + significant(flags.grid.omega, 5) +
                     " N^(1/3), N without embeddings (" + significant(vocab, 6) + " tokens, width / depth " +
                     significant(flags.aspect, 6) + ")\n\n" + to_text(frontier_table(result), stdout_style()) +
                     "\nFrontier of " + std::to_string(flags.grid.n_sizes) + " sizes, 10^" +
                     significant(flags.grid.log10_n_lo, 3) + " to 10^" + significant(flags.grid.log10_n_hi, 3) +
                     " without embeddings; C from 10^" + significant(flags.grid.log10_ce_lo, 4) + " (10^" +
                     significant(flags.grid.log10_ct_lo, 4) + ") to 10^" + significant(flags.grid.log10_ce_hi, 4) +
                     " FLOP.\n\nthe exact local exponent without embeddings, g = d log N* / d log C:\n\n" +
                     to_text(local_table(law.p, flags.grid), stdout_style()) +
                     "\nAdvice of Pearce & Song: count all parameters, and fit a law with an offset E.\n";
  print(text);
}

}  // namespace

void add_scaling_reconcile(const Command& scaling) {
  const auto flags = std::make_shared<ReconcileFlags>();
  const Command command =
      scaling.add_subcommand("reconcile", "Kaplan's exponents from Chinchilla's law; parameter and FLOP accounting");
  command.add_option("--law", flags->law, "A chinchilla law: a fit's file or a published one (default besiroglu2024)");
  command.add_option("--vocab", flags->vocab, "Vocabulary size (default 32000)");
  command.add_option("--aspect", flags->aspect, "Width / depth (default 39.2252)").positive();
  command.add_option("--sizes", flags->grid.n_sizes, "Sizes of the grid (default 20)").in_range(3, 100000);
  command.add_option("--tokens", flags->grid.n_tokens, "Token counts of the grid (default 1000)").in_range(3, 1000000);
  command.add_option("--layers", flags->architecture.n_layer, "Counts of an architecture: its blocks").positive();
  command.add_option("--width", flags->architecture.d_model, "its width").positive();
  command.add_option("--context", flags->architecture.n_ctx, "its context, for the attention's FLOP").not_negative();
  command.add_option("--ff", flags->architecture.d_ff, "its feed-forward width (default 4 x width)").positive();
  command.add_option("--attention-width", flags->architecture.d_attn, "heads x head size (default the width)")
      .positive();
  command.add_flag("--untied", flags->untied, "the head has weights of its own");
  command.add_flag("--learnt-positions", flags->architecture.positions, "a learnt vector for each position");
  command.add_flag("--json", flags->json, "JSON instead of text");
  add_figure_flags(command, flags->figures, flags->figure_formats);
  command.footer(kReconcileHelp);
  command.callback([flags] { run_reconcile(*flags); });
}

}  // namespace lmbits::cli
