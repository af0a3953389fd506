// The parts of `lmbits corpus`.
#pragma once

namespace lmbits::cli {

class Command;

void add_corpus_check(const Command& corpus, int& exit_code);
void add_corpus_sample(const Command& corpus, int& exit_code);
void add_corpus_stats(const Command& corpus, int& exit_code);

}  // namespace lmbits::cli
