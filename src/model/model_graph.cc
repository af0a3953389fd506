#include "src/model/model_graph.h"

#include <algorithm>
#include <string_view>

namespace lmbits {

std::string torch_reason(const std::exception& e) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&e);
  std::string_view text = torch_error ? torch_error->what_without_backtrace() : e.what();
  const auto last = text.rfind("RuntimeError: ");
  if (last != std::string_view::npos) text = text.substr(last + 14);
  return std::string(text.substr(0, std::min(text.find('\n'), std::size_t{300})));
}

at::Tensor ModelGraph::positions(const at::Tensor& ids) const {
  const at::Tensor all = level_ == 0 ? forward(ids) : hidden(ids);
  if (all.dim() != 3 || all.size(0) != ids.size(0) || all.size(1) != ids.size(1)) {
    throw Error(ErrorKind::kModel, path_ + ": " + (level_ == 0 ? "forward" : "hidden") + " returned " +
                                       c10::str(all.sizes()) + " for ids " + c10::str(ids.sizes()));
  }
  return all;
}

at::Tensor ModelGraph::rows(const at::Tensor& ids, const at::Tensor& rows, const at::Tensor& /*branches*/) const {
  return positions(ids).flatten(0, 1).index_select(0, rows);
}

}  // namespace lmbits
