#include "src/report/html.h"

#include <gtest/gtest.h>

namespace lmbits {
namespace {

Table some_table() {
  Table table;
  table.columns = {{.key = "name", .title = "model", .align = Align::kLeft},
                   {.key = "value", .title = "bits/byte"},
                   {.key = "interval", .title = "[95 %]", .interval = true, .joined = true},
                   {.key = "hidden", .title = "hidden", .audience = Audience::kMachines},
                   {.key = "n", .title = "n"}};
  table.rows.push_back(
      {{std::string("<b>&\"x"), 1.25, Interval{1.0, 1.5}, true, std::int64_t{12345}}, Emphasis::kStrong});
  table.rows.push_back(
      {{std::string("gzip-9"), std::monostate{}, std::monostate{}, true, std::monostate{}}, Emphasis::kFaint});
  return table;
}

std::string page_of(const Table& table) {
  HtmlPage page("a <title>");
  page.section("first & last");
  page.filter("Models:");
  page.table(table);
  page.figure(Drawing(10, 10, "a drawing"), "its caption");
  page.details("more", "{\n  \"a\": \"<\"\n}");
  return page.html();
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Html, EscapesWhatUsersNamed) {
  const std::string html = page_of(some_table());
  EXPECT_NE(html.find("<td class=\"left\">&lt;b&gt;&amp;&quot;x</td>"), std::string::npos);
  EXPECT_NE(html.find("<title>a &lt;title&gt;</title>"), std::string::npos);
  EXPECT_EQ(html.find("<b>"), std::string::npos);
}

TEST(Html, HasWhatSortingNeedsAndWhatPeopleRead) {
  const std::string html = page_of(some_table());
  EXPECT_NE(
      html.find("data-value=\"1.25\">1.2500 <span class=\"range\" style=\"min-width:16ch\">[1.0000, 1.5000]</span>"),
      std::string::npos)
      << html;
  EXPECT_NE(html.find("data-value=\"12345.0\">12,345<"), std::string::npos);
  EXPECT_NE(html.find("<td>— <span class=\"range\" style=\"min-width:16ch\">—</span></td>"), std::string::npos);
  EXPECT_EQ(html.find("hidden</th>"), std::string::npos);
  EXPECT_NE(html.find("<tr class=\"faint\" data-name=\"gzip-9\">"), std::string::npos);
}

TEST(Html, HugeNumbersHaveThreeDigitsAndSortByAllOfThem) {
  Table table;
  table.columns = {{.key = "flops", .title = "FLOP", .decimals = 0}};
  table.rows.push_back({{3931176960000.0}});
  EXPECT_NE(page_of(table).find("<td data-value=\"3931176960000.0\">3.93e+12</td>"), std::string::npos);
}

TEST(Html, ReadsNothingFromElsewhere) {
  const std::string html = page_of(some_table());
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("https:"), std::string::npos);
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
}

TEST(Html, ControlsAreHiddenUntilAScriptRuns) {
  EXPECT_NE(page_of(some_table()).find("<form class=\"filter\" hidden>"), std::string::npos);
}

TEST(Html, KeepsLineBreaksInWhatIsPreformatted) {
  EXPECT_NE(page_of(some_table()).find("<pre>{\n  &quot;a&quot;: &quot;&lt;&quot;\n}</pre>"), std::string::npos);
}

TEST(Html, EverySectionIsInTheContentsAndClosed) {
  HtmlPage page("t");
  page.section("");
  page.section("one");
  page.section("two");
  const std::string html = page.html();
  EXPECT_EQ(count(html, "<section"), 3u);
  EXPECT_EQ(count(html, "</section>"), 3u);
  EXPECT_EQ(count(html, "<li><a href=\"#section-"), 2u);
  EXPECT_NE(html.find("href=\"#section-3\">two"), std::string::npos);
}

}  // namespace
}  // namespace lmbits
