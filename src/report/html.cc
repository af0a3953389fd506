#include "src/report/html.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "src/core/json.h"
#include "src/report/wording.h"

namespace lmbits {
namespace {

constexpr std::string_view kStyle = R"css(
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);font:15px/1.5 "Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif}
main,header,nav{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px}
h2{font-size:20px;margin:40px 0 10px;padding-top:14px;border-top:1px solid var(--grid)}
h3{font-size:16px;margin:26px 0 8px}
p{margin:8px 0;max-width:90ch}
.lead{font-size:16px}
.note,figcaption,nav{color:var(--muted);font-size:13.5px}
nav ul{list-style:none;margin:10px 0 0;padding:0;display:flex;flex-wrap:wrap;gap:4px 18px}
a{color:var(--series-0)}
.warnings{border-left:3px solid var(--series-1);margin:12px 0;padding:4px 14px 4px 30px;background:var(--faint)}
.wide{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
th{vertical-align:bottom;border-bottom:1px solid var(--axis);font-weight:600}
th.left,td.left{text-align:left}
td.long{white-space:normal;min-width:22ch}
tr.strong td{font-weight:600}
tr.faint td{color:var(--muted);background:var(--faint)}
tbody tr:hover td{background:var(--grid)}
.range{color:var(--muted);font-weight:400;display:inline-block}
th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer;text-align:inherit}
th button::after{content:"\2195";color:var(--axis);margin-left:4px;font-weight:400}
th[aria-sort=ascending] button::after{content:"\2191";color:var(--ink)}
th[aria-sort=descending] button::after{content:"\2193";color:var(--ink)}
button:focus-visible,input:focus-visible,summary:focus-visible{outline:2px solid var(--series-0);outline-offset:2px}
figure{margin:18px 0 26px}
figcaption{max-width:95ch;margin-top:6px}
.drawing{max-width:100%;height:auto}
td .drawing{display:block}
.filter{display:flex;flex-wrap:wrap;gap:8px 18px;align-items:center;margin:12px 0;font-size:14px}
.filter input[type=search]{font:inherit;color:inherit;background:var(--surface);border:1px solid var(--axis);border-radius:4px;padding:4px 8px;width:22ch}
details{margin:6px 0}
summary{cursor:pointer;font-size:13.5px}
pre{background:var(--faint);padding:10px 14px;overflow-x:auto;font-size:12px;line-height:1.4}
@media (max-width:760px){figure .drawing{max-width:none}}
footer{max-width:1180px;margin:50px auto 30px;padding:0 20px;color:var(--muted);font-size:13px}
@page{margin:12mm}
@media print{body,.lead{font-size:11px}table{font-size:9px}.note,figcaption{font-size:10px}main,header,nav{max-width:none;padding:0}nav,.filter,details{display:none}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}th button{display:contents}th button::after{content:""}.wide{overflow:visible}th,td{white-space:normal;padding:2px 4px}td.left:first-child,th.left:first-child{white-space:nowrap}}
)css";

// Sorting by a column's data-value (undefined ones stay last), and choosing rows by name and kind. Marks in the drawings
// whose names are not chosen fade.
constexpr std::string_view kScript = R"js(
"use strict";
(() => {
  const key = (row, i) => {
    const cell = row.cells[i];
    if ("value" in cell.dataset) return Number(cell.dataset.value);
    const text = cell.textContent.trim();
    return text === "" || text === "—" ? null : text;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", {numeric: true});
  const sort = (table, th, i) => {
    const falling = th.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row, at) => ({row, at, key: key(row, i)}));
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.at - b.at;
      return (falling ? -1 : 1) * compare(a.key, b.key) || a.at - b.at;
    });
    table.tBodies[0].append(...rows.map(r => r.row));
  };
  for (const table of document.querySelectorAll("table.data")) {
    [...table.tHead.rows[0].cells].forEach((th, i) => {
      if (!th.textContent.trim() || th.classList.contains("picture")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.title = "sort";
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => sort(table, th, i));
    });
  }
  const form = document.querySelector(".filter");
  if (!form) return;
  form.hidden = false;
  const name = form.querySelector("[type=search]"), others = form.querySelector("[type=checkbox]"), count = form.querySelector("output");
  const choose = () => {
    const wanted = name.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const fits = text => wanted.every(part => text.toLowerCase().includes(part));
    let shown = 0, all = 0;
    for (const row of document.querySelectorAll("table.data tr[data-name]")) {
      row.hidden = !fits(row.dataset.name) || (!others.checked && row.classList.contains("faint"));
      shown += !row.hidden;
      ++all;
    }
    for (const mark of document.querySelectorAll(".drawing [data-name]")) mark.style.opacity = fits(mark.dataset.name) ? "" : ".15";
    count.textContent = shown === all ? "" : shown + " of " + all + " rows";
  };
  form.addEventListener("input", choose);
  form.addEventListener("submit", event => event.preventDefault());
})();
)js";

struct CellView {
  std::size_t column;
  std::size_t joined_width = 0;  // not 0: the next column's texts are part of it, as wide as this, in characters
};

std::vector<CellView> views_of(const Table& table) {
  std::vector<CellView> views;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (!is_for(Audience::kPeople, table.columns[c])) continue;
    if (!table.columns[c].joined || views.empty()) {
      views.push_back({c});
      continue;
    }
    for (const TableRow& row : table.rows)
      views.back().joined_width =
          std::max(views.back().joined_width, display_width(cell_text(row.cells[c], table.columns[c])));
  }
  return views;
}

// Numbers here are read, not copied into other programs: long integers are grouped, huge numbers have three digits.
std::string text_of(const Cell& cell, const TableColumn& column) {
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return with_thousands(*integer);
  const auto* number = std::get_if<double>(&cell);
  if (number == nullptr || !(std::abs(*number) >= 1e9) || !std::isfinite(*number)) return cell_text(cell, column);
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2e", *number);
  return buffer;
}

// `width`, in digits, keeps what stands before it in line.
std::string in_span(const std::string& text, std::size_t width) {
  const std::string style = width > 0 ? " style=\"min-width:" + std::to_string(width) + "ch\"" : "";
  return "<span class=\"range\"" + style + ">" + escape_xml(text) + "</span>";
}

// What a column is sorted by, where that is not its text.
std::string data_value(const Cell& cell) {
  const auto as_number = [](double value) {
    return std::isfinite(value) ? " data-value=\"" + Json(value).dump() + "\"" : std::string();
  };
  if (const auto* number = std::get_if<double>(&cell)) return as_number(*number);
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) return as_number(static_cast<double>(*integer));
  return {};
}

std::string classes_of(const TableColumn& column, const std::string& text) {
  const bool is_long = text.size() > 60;
  if (column.align != Align::kLeft) return "";
  return is_long ? " class=\"left long\"" : " class=\"left\"";
}

std::string header_html(const Table& table, const std::vector<CellView>& views, bool pictures,
                        std::string_view pictures_title) {
  std::string html = "<thead><tr>";
  for (const CellView& view : views) {
    const TableColumn& column = table.columns[view.column];
    html += "<th scope=\"col\"" + classes_of(column, "") + ">" + escape_xml(column.title);
    if (view.joined_width > 0) html += " " + in_span(table.columns[view.column + 1].title, 0);
    html += "</th>";
  }
  if (pictures) html += "<th scope=\"col\" class=\"left picture\">" + escape_xml(pictures_title) + "</th>";
  return html + "</tr></thead>\n";
}

std::string row_html(const Table& table, const TableRow& row, const std::vector<CellView>& views,
                     const std::string* picture) {
  std::string cells, name;
  for (const CellView& view : views) {
    const TableColumn& column = table.columns[view.column];
    const std::string text = text_of(row.cells[view.column], column);
    if (name.empty() && column.align == Align::kLeft) name = text;
    cells += "<td" + classes_of(column, text) + data_value(row.cells[view.column]) + ">" + escape_xml(text);
    if (view.joined_width > 0)
      cells += " " + in_span(cell_text(row.cells[view.column + 1], table.columns[view.column + 1]), view.joined_width);
    cells += "</td>";
  }
  if (picture != nullptr) cells += "<td class=\"left\">" + *picture + "</td>";
  const char* emphasis = row.emphasis == Emphasis::kStrong  ? " class=\"strong\""
                         : row.emphasis == Emphasis::kFaint ? " class=\"faint\""
                                                            : "";
  return "<tr" + std::string(emphasis) + " data-name=\"" + escape_xml(name) + "\">" + cells + "</tr>\n";
}

std::string class_attribute(std::string_view classes) {
  return classes.empty() ? "" : " class=\"" + escape_xml(classes) + "\"";
}

// `printable` would replace line breaks, which are wanted here.
std::string escape_lines(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    escaped += escape_xml(text.substr(0, end));
    if (end == text.size()) break;
    escaped += '\n';
    text.remove_prefix(end + 1);
  }
  return escaped;
}

}  // namespace

HtmlPage::HtmlPage(std::string title) : title_(std::move(title)) {}

void HtmlPage::close_section() {
  if (n_sections_ > 0) body_ += "</section>\n";
}

void HtmlPage::section(std::string_view title) {
  close_section();
  const std::string id = "section-" + std::to_string(++n_sections_);
  body_ += "<section id=\"" + id + "\">\n";
  if (title.empty()) return;
  body_ += "<h2>" + escape_xml(title) + "</h2>\n";
  contents_ += "<li><a href=\"#" + id + "\">" + escape_xml(title) + "</a></li>\n";
}

void HtmlPage::subsection(std::string_view title) { body_ += "<h3>" + escape_xml(title) + "</h3>\n"; }

void HtmlPage::paragraph(std::string_view text, std::string_view classes) {
  body_ += "<p" + class_attribute(classes) + ">" + escape_xml(text) + "</p>\n";
}

void HtmlPage::list(const std::vector<std::string>& items, std::string_view classes) {
  body_ += "<ul" + class_attribute(classes) + ">\n";
  for (const std::string& item : items) body_ += "<li>" + escape_xml(item) + "</li>\n";
  body_ += "</ul>\n";
}

void HtmlPage::table(const Table& table, const std::vector<std::string>& pictures, std::string_view pictures_title) {
  const std::vector<CellView> views = views_of(table);
  body_ += "<div class=\"wide\"><table class=\"data\">\n" +
           header_html(table, views, !pictures.empty(), pictures_title) + "<tbody>\n";
  for (std::size_t r = 0; r < table.rows.size(); ++r)
    body_ += row_html(table, table.rows[r], views, pictures.empty() ? nullptr : &pictures.at(r));
  body_ += "</tbody></table></div>\n";
}

void HtmlPage::figure(const Drawing& drawing, std::string_view caption) {
  body_ += "<figure><div class=\"wide\">\n" + drawing.svg(Look::kInline) + "</div>";
  if (!caption.empty()) body_ += "<figcaption>" + escape_xml(caption) + "</figcaption>";
  body_ += "</figure>\n";
}

void HtmlPage::details(std::string_view summary, std::string_view preformatted) {
  body_ += "<details><summary>" + escape_xml(summary) + "</summary><pre>" + escape_lines(preformatted) +
           "</pre></details>\n";
}

void HtmlPage::filter(std::string_view label) {
  body_ +=
      "<form class=\"filter\" hidden><label>" + escape_xml(label) +
      " <input type=\"search\" name=\"name\" placeholder=\"part of a name\"></label>"
      "<label><input type=\"checkbox\" name=\"compressors\" checked> compressors</label><output></output></form>\n";
}

std::string HtmlPage::html() const {
  const std::string title = escape_xml(title_);
  // The policy lets the browser itself refuse anything from outside.
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
         "script-src 'unsafe-inline'; img-src data:\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
         title +
         "</title>\n"
         "<link rel=\"icon\" href=\"data:,\">\n<style>\n" +
         palette_css() + drawing_css() + std::string(kStyle) + "</style>\n</head>\n<body>\n<header><h1>" + title +
         "</h1></header>\n<nav aria-label=\"contents\"><ul>\n" + contents_ + "</ul></nav>\n<main>\n" + body_ +
         (n_sections_ > 0 ? "</section>\n" : "") + "</main>\n<script>" + std::string(kScript) +
         "</script>\n</body>\n</html>\n";
}

}  // namespace lmbits
