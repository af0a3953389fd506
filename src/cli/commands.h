// The commands of the program, one file each. A command adds its subcommand to `app`; its callback does the work and
// sets `exit_code` where that is not 0. Errors are thrown, and reported once, in main.
#pragma once

namespace CLI {
class App;
}

namespace lmbits::cli {

void add_baseline(CLI::App& app, int& exit_code);
void add_choice(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_compress(CLI::App& app, int& exit_code);
void add_corpus(CLI::App& app, int& exit_code);
void add_correlate(CLI::App& app, int& exit_code);
void add_decompress(CLI::App& app, int& exit_code);
void add_doctor(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app, int& exit_code);
void add_gzip_complexity(CLI::App& app, int& exit_code);
void add_history(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_merge(CLI::App& app, int& exit_code);
void add_nightly(CLI::App& app, int& exit_code);
void add_pcfg(CLI::App& app, int& exit_code);
void add_rank(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_reproduce(CLI::App& app, int& exit_code);
void add_scaling(CLI::App& app, int& exit_code);
void add_scores(CLI::App& app, int& exit_code);
void add_select(CLI::App& app, int& exit_code);
void add_serve(CLI::App& app, int& exit_code);
void add_tokenize(CLI::App& app, int& exit_code);

// Part of `reproduce`.
void add_reproduce_chinchilla(CLI::App& reproduce, int& exit_code);

}  // namespace lmbits::cli
