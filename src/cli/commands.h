// The commands of the program, one file each. A command adds its subcommand to `app`; its callback does the work and
// sets `exit_code` where that is not 0. Errors are thrown, and reported once, in main.
#pragma once

namespace lmbits::cli {

class Command;

void add_baseline(const Command& app, int& exit_code);
void add_choice(const Command& app, int& exit_code);
void add_compare(const Command& app, int& exit_code);
void add_compress(const Command& app, int& exit_code);
void add_corpus(const Command& app, int& exit_code);
void add_correlate(const Command& app, int& exit_code);
void add_decompress(const Command& app, int& exit_code);
void add_doctor(const Command& app, int& exit_code);
void add_eval(const Command& app, int& exit_code);
void add_gzip_complexity(const Command& app, int& exit_code);
void add_history(const Command& app, int& exit_code);
void add_inspect(const Command& app, int& exit_code);
void add_merge(const Command& app, int& exit_code);
void add_nightly(const Command& app, int& exit_code);
void add_pcfg(const Command& app, int& exit_code);
void add_rank(const Command& app, int& exit_code);
void add_report(const Command& app, int& exit_code);
void add_reproduce(const Command& app, int& exit_code);
void add_scaling(const Command& app, int& exit_code);
void add_scores(const Command& app, int& exit_code);
void add_select(const Command& app, int& exit_code);
void add_serve(const Command& app, int& exit_code);
void add_tokenize(const Command& app, int& exit_code);

// Part of `reproduce`.
void add_reproduce_chinchilla(const Command& reproduce, int& exit_code);

}  // namespace lmbits::cli
