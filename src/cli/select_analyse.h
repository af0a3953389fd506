// `lmbits select analyse`, a command below `lmbits select`.
#pragma once

namespace CLI {
class App;
}

namespace lmbits::cli {

void add_select_analyse(CLI::App& select);

}  // namespace lmbits::cli
