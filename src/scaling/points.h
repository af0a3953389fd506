// Trained models as points of a scaling law, from any CSV with such columns.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/scaling/law.h"

namespace lmbits {

enum class LossUnit { kNatsPerToken, kBitsPerToken, kBitsPerByte };
std::string name_of(LossUnit unit);  // "nats/token"
// Also "nats per token", "Bits/Byte", "bpb"; nullopt where the text is no unit of a loss.
std::optional<LossUnit> loss_unit_of(const std::string& text);

struct PointsRequest {
  std::map<std::string, std::string> columns =
      {};  // "N" -> the file's name for it; keys: N D C U H S loss weight run set unit tokenizer
  std::map<std::string, double> scale = {};  // "N" -> what 1 in the file stands for
  std::vector<std::string> exclude = {};     // "COLUMN<VALUE" with < <= > >= = !=: rows that are left out
  std::optional<LossUnit> unit =
      {};  // of the file's losses; nullopt: what a column `unit` says, else what the column's
           // name says, else nats/token
  std::optional<double> bytes_per_token = {};  // turns bits/byte into nats/token
};

struct Points {
  std::vector<ScalingPoint> points;
  std::vector<std::string> sets;            // of each point: the column `set` or `dataset`; else empty
  std::vector<std::string> runs;            // of each point: the column `run` or `name`; else empty
  LossUnit unit = LossUnit::kNatsPerToken;  // of the points' losses
  std::size_t n_rows = 0;                   // of the file
  std::vector<std::pair<std::string, std::size_t>> excluded;  // by rule, how many rows
  std::vector<std::string> notes;                             // what was converted or derived
};

// Column names are compared without case and punctuation; each quantity has the usual aliases ("n_params", "tokens").
// Numbers may end in K, M, B, G or T. Of N, D and C a missing one is C = 6 N D. Throws Error(kUsage) for a rule, a key
// or a column that is not one; Error(kData) with file and line for what is no number, not above 0, or given in mixed
// units: two values of a column `unit`, sizes below 1000 beside others above a million with a gap of a factor of 100
// somewhere between, or C further than a factor of ten from 6 N D. So does a column `unit` that says no unit of a loss,
// or another than the request, and a column `tokenizer` with two values where losses are a token's; where they are
// bits/byte, a note says so.
Points read_points(std::string_view csv, const std::string& source, const PointsRequest& request);

}  // namespace lmbits
