// A self-contained HTML page: no network, readable without scripts.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "src/report/svg.h"
#include "src/report/table.h"

namespace lmbits {

class HtmlPage {
 public:
  explicit HtmlPage(std::string title);

  // Starts a section, listed in the page's contents where it has a title.
  void section(std::string_view title);
  void subsection(std::string_view title);
  void paragraph(std::string_view text, std::string_view classes = {});
  void list(const std::vector<std::string>& items, std::string_view classes = {});
  // `pictures`: an inline drawing for each row, the last column; none: no such column. Readers sort by any column and
  // filter rows by their first left-aligned cell. A joined column shares the cell and the heading of the one before.
  void table(const Table& table, const std::vector<std::string>& pictures = {}, std::string_view pictures_title = {});
  void figure(const Drawing& drawing, std::string_view caption);
  // Folded away until asked for.
  void details(std::string_view summary, std::string_view preformatted);
  // Where readers choose the rows of all tables; seen only where scripts run.
  void filter(std::string_view label);

  std::string html() const;

 private:
  void close_section();

  std::string title_, body_, contents_;
  int n_sections_ = 0;
};

}  // namespace lmbits
