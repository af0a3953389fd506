// The parts of `lmbits corpus`.
#pragma once

namespace CLI {
class App;
}

namespace lmbits::cli {

void add_corpus_check(CLI::App& corpus, int& exit_code);
void add_corpus_sample(CLI::App& corpus, int& exit_code);
void add_corpus_stats(CLI::App& corpus, int& exit_code);

}  // namespace lmbits::cli
