#include "src/scaling/points.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/core/error.h"

namespace lmbits {
namespace {

double n_of(const Points& points, std::size_t i) { return *points.points.at(i).at(Variable::kParams); }

TEST(ReadPoints, FindsColumnsByTheirUsualNames) {
  const Points points = read_points(
      "run,Num_Params,training-tokens,Val Loss,dataset\na,7B,\"1.4T\",2.1,web\nb,400 M,2e10,2.9,code\n", "f.csv", {});
  ASSERT_EQ(points.points.size(), 2u);
  EXPECT_DOUBLE_EQ(n_of(points, 0), 7e9);
  EXPECT_DOUBLE_EQ(*points.points[0].at(Variable::kTokens), 1.4e12);
  EXPECT_DOUBLE_EQ(n_of(points, 1), 4e8);
  EXPECT_DOUBLE_EQ(*points.points[1].at(Variable::kFlops), 6.0 * 4e8 * 2e10);  // beyond int64 at larger sizes
  EXPECT_EQ(points.runs, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(points.sets, (std::vector<std::string>{"web", "code"}));
  EXPECT_EQ(points.notes, (std::vector<std::string>{"C = 6 N D"}));
}

TEST(ReadPoints, TakesColumnsAndScalesByName) {
  PointsRequest request;
  request.columns = {{"N", "millions"}, {"loss", "final"}};
  request.scale = {{"N", 1e6}};
  const Points points = read_points("millions,N,D,final\n70,1,1e9,3\n", "f.csv", request);
  EXPECT_DOUBLE_EQ(n_of(points, 0), 7e7);
}

TEST(ReadPoints, ConvertsBitsPerByteOnlyAtAStatedRate) {
  const std::string csv = "N,D,bpb\n1e8,1e9,1.0\n";
  EXPECT_DOUBLE_EQ(read_points(csv, "f", {}).points[0].loss, 1.0);
  EXPECT_EQ(read_points(csv, "f", {}).unit, LossUnit::kBitsPerByte);
  PointsRequest request;
  request.bytes_per_token = 4.0;
  const Points converted = read_points(csv, "f", request);
  EXPECT_DOUBLE_EQ(converted.points[0].loss, 4.0 * 0.6931471805599453);
  EXPECT_EQ(converted.unit, LossUnit::kNatsPerToken);
  EXPECT_EQ(converted.notes.size(), 2u);
}

TEST(ReadPoints, TakesTheUnitFromItsColumn) {
  PointsRequest request;
  EXPECT_EQ(read_points("N,D,loss,unit\n1e8,1e9,1,bits/byte\n", "f", request).unit, LossUnit::kBitsPerByte);
  EXPECT_EQ(read_points("N,D,loss,unit\n1e8,1e9,1,nats/token\n", "f", request).unit, LossUnit::kNatsPerToken);
  EXPECT_DOUBLE_EQ(read_points("N,D,loss,unit\n1e8,1e9,1,bits/token\n", "f", request).points[0].loss,
                   0.6931471805599453);
  request.exclude = {"unit=bits/byte"};
  EXPECT_EQ(read_points("N,D,loss,unit\n1e8,1e9,1,bits/byte\n1e8,1e9,3,nats/token\n", "f", request).points.size(), 1u);
}

TEST(ReadPoints, LeavesOutLossesThatAreNoNumber) {
  PointsRequest request;
  request.exclude = {"loss=nan"};
  const Points points = read_points("N,D,loss\n1e8,1e9,3\n1e8,2e9,NaN\n", "f", request);
  EXPECT_EQ(points.points.size(), 1u);
  EXPECT_EQ(points.excluded[0].second, 1u);
}

TEST(ReadPoints, LeavesOutByRuleAndCounts) {
  PointsRequest request;
  request.exclude = {"loss>=4", "run=bad", "N<1e7"};
  const Points points =
      read_points("run,N,D,loss\na,1e8,1e9,3\nbad,1e8,1e9,-1\nc,1e8,1e9,4\nd,1e6,1e9,3\n", "f.csv", request);
  EXPECT_EQ(points.points.size(), 1u);
  EXPECT_EQ(points.n_rows, 4u);
  EXPECT_EQ(points.excluded,
            (std::vector<std::pair<std::string, std::size_t>>{{"loss>=4", 1}, {"run=bad", 1}, {"N<1e7", 1}}));
}

void expect_error(const std::string& csv, const PointsRequest& request, ErrorKind kind, const std::string& says) {
  try {
    read_points(csv, "f.csv", request);
    FAIL() << "no error: " << says;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), kind);
    EXPECT_NE(std::string(e.what()).find(says), std::string::npos) << e.what();
  }
}

TEST(ReadPoints, RefusesBadInputWithFileAndLine) {
  expect_error("N,D,loss\n1e8,1e9,3\n1e8,0,3\n", {}, ErrorKind::kData, "f.csv, line 3: D is 0");
  expect_error("N,D,loss\n1e8,1e9,-3\n", {}, ErrorKind::kData, "f.csv, line 2: the loss is -3");
  expect_error("N,D,loss\n1e8,1e9,nan\n", {}, ErrorKind::kData, "f.csv, line 2: the loss is nan");
  expect_error("N,D,loss\n1e8,1e9,\n", {}, ErrorKind::kData, "f.csv, line 2: no loss");
  expect_error("N,D\n1e8,1e9\n", {}, ErrorKind::kData, "no column with the loss");
  expect_error("N,D,loss\nmany,1e9,3\n", {}, ErrorKind::kData, "f.csv, line 2");
  PointsRequest request;
  request.columns = {{"M", "N"}};
  expect_error("N,D,loss\n1e8,1e9,3\n", request, ErrorKind::kUsage, "no quantity");
  request.columns = {{"N", "size"}};
  expect_error("N,D,loss\n1e8,1e9,3\n", request, ErrorKind::kUsage, "no column \"size\"");
  request = {};
  request.exclude = {"loss"};
  expect_error("N,D,loss\n1e8,1e9,3\n", request, ErrorKind::kUsage, "no rule");
  request.exclude = {"lost>3"};
  expect_error("N,D,loss\n1e8,1e9,3\n", request, ErrorKind::kUsage, "\"lost\"");
}

TEST(ReadPoints, RefusesMixedUnits) {
  expect_error("N,D,loss,unit\n1e8,1e9,3,nats\n1e8,2e9,3,bits\n", {}, ErrorKind::kData,
               "the unit is \"bits\" and \"nats\"");
  expect_error("N,D,loss,unit\n1e8,1e9,3,furlongs\n", {}, ErrorKind::kData, "f.csv, line 2: the unit is \"furlongs\"");
  PointsRequest request;
  request.unit = LossUnit::kNatsPerToken;
  expect_error("N,D,loss,unit\n1e8,1e9,1,bits/byte\n", request, ErrorKind::kData, "--loss-unit says nats/token");
  expect_error("N,D,loss\n70,1e9,3\n7e9,1e9,3\n", {}, ErrorKind::kData, "mixed units");
  expect_error("N,D,loss\n70,1e9,3\n400,1e9,3\n7e9,1e9,3\n8e9,1e9,3\n", {}, ErrorKind::kData, "gap of 1.75e+07 times");
  expect_error("N,D,C,loss\n1e8,1e9,6e17,3\n1e8,1e9,0.00694,3\n", {}, ErrorKind::kData, "6 N D is 6e+17: mixed units");
}

// Pearce and Song 2024's grid begins at 794 parameters.
TEST(ReadPoints, TakesSmallSizesThatOthersLeadUpTo) {
  std::string csv = "N,D,loss\n";
  for (int i = 0; i < 20; ++i) csv += std::to_string(std::pow(10.0, 2.9 + 6.3 * i / 19)) + ",1e9,3\n";
  EXPECT_EQ(read_points(csv, "f.csv", {}).points.size(), 20u);
}

TEST(ReadPoints, DoesNotMixTokenizersUnsaid) {
  const std::string rows = "1e8,1e9,3,bytes\n1e8,2e9,2,sp\n";
  expect_error("N,D,loss,tokenizer\n" + rows, {}, ErrorKind::kData, "2 tokenizers (bytes 1, sp 1)");
  PointsRequest request;
  request.exclude = {"tokenizer=sp"};
  EXPECT_EQ(read_points("N,D,loss,tokenizer\n" + rows, "f.csv", request).points.size(), 1u);
  const Points mixed = read_points("N,D,bits_per_byte,tokenizer\n" + rows, "f.csv", {});
  ASSERT_FALSE(mixed.notes.empty());
  EXPECT_NE(mixed.notes[0].find("2 tokenizers (bytes 1, sp 1)"), std::string::npos) << mixed.notes[0];
}

}  // namespace
}  // namespace lmbits
