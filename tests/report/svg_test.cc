#include "src/report/svg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>

namespace lmbits {
namespace {

TEST(Svg, TextOfUsersCannotLeaveItsElement) {
  Drawing drawing(100, 100, "a \"title\" & <b>");
  drawing.begin("</title><script>", "x\" onload=\"y");
  drawing.text({1, 2}, "<script>alert(1)</script>\x01\xff", {});
  drawing.end();
  const std::string svg = drawing.svg(Look::kAdaptive);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find("onload=\""), std::string::npos);
  EXPECT_NE(svg.find("aria-label=\"a &quot;title&quot; &amp; &lt;b&gt;\""), std::string::npos);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
}

TEST(Svg, EveryColourHasAPlainValueBeforeItsCustomProperty) {
  // librsvg knows no var(): the declaration before it must be enough.
  const std::string svg = Drawing(10, 10, "t").svg(Look::kAdaptive);
  const std::regex variable("(fill|stroke):#[0-9a-f]{6};\\1:var\\(--[a-z0-9-]+\\)");
  const auto count = [](const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  };
  const auto n_pairs = static_cast<std::size_t>(
      std::distance(std::sregex_iterator(svg.begin(), svg.end(), variable), std::sregex_iterator()));
  EXPECT_GT(n_pairs, 30u);
  EXPECT_EQ(n_pairs, count(svg, "var(--"));
}

TEST(Svg, FixedLooksNeedNoCustomProperty) {
  const Drawing drawing(10, 10, "t");
  for (const Look look : {Look::kLight, Look::kDark}) EXPECT_EQ(drawing.svg(look).find("var("), std::string::npos);
  EXPECT_NE(drawing.svg(Look::kLight), drawing.svg(Look::kDark));
  EXPECT_EQ(drawing.svg(Look::kInline).find("<style"), std::string::npos);
}

TEST(Svg, NothingUndefinedIsDrawn) {
  Drawing drawing(10, 10, "t");
  EXPECT_THROW(drawing.line({0, 0}, {std::nan(""), 1}, "ink-line"), std::logic_error);
  EXPECT_EQ(coordinate(-0.001), "0");
  EXPECT_EQ(coordinate(12.50), "12.5");
  EXPECT_EQ(coordinate(100), "100");
}

TEST(Svg, AnOpenGroupIsNoPicture) {
  Drawing drawing(10, 10, "t");
  drawing.begin("tip");
  EXPECT_THROW(drawing.svg(Look::kLight), std::logic_error);
  drawing.end();
  EXPECT_NO_THROW(drawing.svg(Look::kLight));
  EXPECT_THROW(drawing.end(), std::logic_error);
}

// WCAG 2.1: the relative luminance, and the contrast of two colours.
double luminance(const std::string& hex) {
  const auto channel = [&](std::size_t at) {
    const double c = std::stoi(hex.substr(at, 2), nullptr, 16) / 255.0;
    return c <= 0.03928 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

double contrast(const std::string& a, const std::string& b) {
  const double la = luminance(a), lb = luminance(b);
  return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

std::string colour_of(const std::string& css, const std::string& name) {
  std::smatch match;
  const std::regex pattern("--" + name + ":(#[0-9a-f]{6})");
  return std::regex_search(css, match, pattern) ? match[1].str() : "missing";
}

TEST(Palette, IsReadableInLightDarkAndPrint) {
  const std::string css = palette_css();
  const std::size_t dark = css.find("prefers-color-scheme:dark"), print = css.find("@media print");
  for (const std::string& theme : {css.substr(0, dark), css.substr(dark, print - dark), css.substr(print)}) {
    const std::string surface = colour_of(theme, "surface"), ink = colour_of(theme, "ink");
    EXPECT_GE(contrast(ink, surface), 12.0);
    EXPECT_GE(contrast(colour_of(theme, "muted"), surface), 4.5);
    for (int i = 0; i < kSeriesColours; ++i)
      EXPECT_GE(contrast(colour_of(theme, "series-" + std::to_string(i)), surface), 3.0) << i << theme;
    for (int i = 0; i < kHeatSteps; ++i) {
      EXPECT_GE(contrast(ink, colour_of(theme, "heat-" + std::to_string(i))), 4.5) << "heat " << i << theme;
      EXPECT_GE(contrast(ink, colour_of(theme, "diff-" + std::to_string(i))), 4.5) << "diff " << i << theme;
    }
  }
}

using Rgb = std::array<double, 3>;

Rgb linear_rgb(const std::string& hex) {
  Rgb rgb{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(hex.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    rgb[i] = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  }
  return rgb;
}

Rgb times(const std::array<Rgb, 3>& matrix, const Rgb& v) {
  Rgb product{};
  for (std::size_t i = 0; i < 3; ++i)
    product[i] = std::clamp(matrix[i][0] * v[0] + matrix[i][1] * v[1] + matrix[i][2] * v[2], 0.0, 1.0);
  return product;
}

// CIE 1976 L*a*b* of linear sRGB under D65.
Rgb lab(const Rgb& rgb) {
  const auto f = [](double t) { return t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16.0 / 116.0; };
  const double x = f((0.4124564 * rgb[0] + 0.3575761 * rgb[1] + 0.1804375 * rgb[2]) / 0.95047);
  const double y = f(0.2126729 * rgb[0] + 0.7151522 * rgb[1] + 0.0721750 * rgb[2]);
  const double z = f((0.0193339 * rgb[0] + 0.1191920 * rgb[1] + 0.9503041 * rgb[2]) / 1.08883);
  return {116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)};
}

double difference(const Rgb& a, const Rgb& b) { return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]); }

TEST(Palette, ColourBlindReadersTellTheSeriesApart) {
  // Machado, Oliveira & Fernandes 2009 (doi:10.1109/TVCG.2009.113), table 1, severity 1.
  const std::array<std::array<Rgb, 3>, 4> eyes = {{
      {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
      {{{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}},
      {{{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}},
      {{{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}},
  }};
  const std::string css = palette_css();
  const std::size_t dark = css.find("prefers-color-scheme:dark"), print = css.find("@media print");
  for (const std::string& theme : {css.substr(0, dark), css.substr(dark, print - dark)}) {
    for (const auto& eye : eyes) {
      for (int i = 0; i < kSeriesColours; ++i) {
        for (int k = 0; k < i; ++k) {
          const auto seen = [&](int n) {
            return lab(times(eye, linear_rgb(colour_of(theme, "series-" + std::to_string(n)))));
          };
          EXPECT_GT(difference(seen(i), seen(k)), 20.0) << i << " " << k;  // 2.3 can just be noticed
        }
      }
    }
  }
}

TEST(Palette, HeatGoesOneWay) {
  const std::string css = palette_css();
  for (int i = 1; i < kHeatSteps; ++i) {
    EXPECT_LT(luminance(colour_of(css, "heat-" + std::to_string(i))),
              luminance(colour_of(css, "heat-" + std::to_string(i - 1))));
  }
}

TEST(TextExtent, GrowsWithSizeBoldnessAndLength) {
  EXPECT_DOUBLE_EQ(text_extent("abc", 24), 2 * text_extent("abc", 12));
  EXPECT_GT(text_extent("abc", 12, true), text_extent("abc", 12));
  EXPECT_GT(text_extent("αβγ", 12), 0.0);
  EXPECT_DOUBLE_EQ(text_extent("e\u0301", 12), text_extent("e", 12));
  EXPECT_NEAR(text_extent("漢字", 10), 20.0, 1e-9);
}

}  // namespace
}  // namespace lmbits
