#include "src/scaling/known_law.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/json.h"
#include "src/core/suggest.h"
#include "src/scaling/published.h"

namespace lmbits {
namespace {

std::size_t parameter_index(const Law& law, const std::string& name) {
  const auto parameters = law.parameters();
  std::vector<std::string> names;
  for (std::size_t j = 0; j < parameters.size(); ++j) {
    if (parameters[j].name == name) return j;
    names.push_back(parameters[j].name);
  }
  throw Error(ErrorKind::kUsage, law.name() + " has no parameter \"" + name + "\"", suggestion(name, names));
}

KnownLaw parse_parameters(const std::string& text) {
  const std::size_t colon = text.find(':');
  KnownLaw known;
  known.law = make_law(colon == std::string::npos ? "chinchilla" : text.substr(0, colon));
  known.source = "given";
  std::vector<bool> seen(known.law->parameters().size());
  std::string rest = colon == std::string::npos ? text : text.substr(colon + 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size()), equals = rest.find('=');
    const std::string name = rest.substr(0, std::min(equals, comma));
    const std::size_t j = parameter_index(*known.law, name);
    double value = 0.0;
    const char* end = rest.data() + comma;
    const auto [stop, failure] = std::from_chars(rest.data() + std::min(equals + 1, comma), end, value);
    if (equals > comma || failure != std::errc() || stop != end)
      throw Error(ErrorKind::kUsage, "\"" + rest.substr(0, comma) + "\" gives no number",
                  "write NAME=VALUE,NAME=VALUE");
    known.p[j] = known.law->parameters()[j].fitted(value);
    seen[j] = true;
    rest = comma == rest.size() ? "" : rest.substr(comma + 1);
  }
  for (std::size_t j = 0; j < seen.size(); ++j) {
    if (!seen[j] && known.law->default_constraints()[j].fixed)
      known.p[j] = *known.law->default_constraints()[j].fixed;
    else if (!seen[j])
      throw Error(ErrorKind::kUsage, known.law->name() + " needs " + known.law->parameters()[j].name,
                  "write NAME=VALUE for each: " + known.law->equation());
  }
  return known;
}

Json row_of(const Parameters& p, std::size_t m) {
  return Json(std::vector<double>(p.begin(), p.begin() + static_cast<std::ptrdiff_t>(m)));
}

Parameters parameters_from(const Json& row, std::size_t m) {
  Parameters p{};
  if (!row.is_array() || row.size() != m) throw std::invalid_argument("wrong number of parameters");
  for (std::size_t j = 0; j < m; ++j) p[j] = row[j].get<double>();
  return p;
}

}  // namespace

double KnownLaw::loss(const ScalingPoint& point) const { return std::exp(law->log_loss(p, observe(point))); }

std::optional<Interval> KnownLaw::interval(const Quantity& quantity, double level) const {
  if (refits.resampled.empty()) return std::nullopt;
  Fit fit;
  fit.p = p;
  return bootstrap_interval(refits, fit, quantity, level,
                            refits.left_out.empty() ? IntervalMethod::kPercentile : IntervalMethod::kBca);
}

KnownLaw find_law(const std::string& text) {
  if (const PublishedLaw* published = find_published(text)) {
    KnownLaw known;
    known.law = make_law(published->law);
    known.p = published->p;
    known.source = published->source;
    return known;
  }
  if (std::filesystem::exists(text)) {
    const Json json = Json::parse(read_file(text), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object())
      throw Error(ErrorKind::kData, text + " is no fit", "give a file that `lmbits scaling fit -o` wrote");
    return known_law_from_json(json, text);
  }
  if (text.find('=') != std::string::npos) return parse_parameters(text);
  std::vector<std::string> names;
  for (const PublishedLaw& law : published_laws()) names.push_back(law.name);
  throw Error(ErrorKind::kUsage, text + " is neither a file, a published law nor NAME=VALUE,...",
              suggestion(text, names));
}

KnownLaw known_law(const Fit& fit, const Refits& refits, const Points& points, const std::string& source) {
  return {fit.law, fit.p, refits, source, points.unit};
}

Json to_json(const KnownLaw& known) {
  const auto parameters = known.law->parameters();
  Json json{{"schema", kFitSchema},
            {"law", known.law->name()},
            {"equation", known.law->equation()},
            {"unit", name_of(known.unit)},
            {"source", known.source}};
  for (std::size_t j = 0; j < parameters.size(); ++j)
    json["parameters"][parameters[j].name] = parameters[j].shown(known.p[j]);
  json["fitted"] = row_of(known.p, parameters.size());
  json["resampled"] = Json::array();
  json["left_out"] = Json::array();
  for (const Parameters& p : known.refits.resampled) json["resampled"].push_back(row_of(p, parameters.size()));
  for (const Parameters& p : known.refits.left_out) json["left_out"].push_back(row_of(p, parameters.size()));
  json["centre"] = known.refits.centre ? row_of(*known.refits.centre, parameters.size()) : Json(nullptr);
  return json;
}

KnownLaw known_law_from_json(const Json& json, const std::string& source) {
  const auto refuse = [&](const std::string& what) {
    return Error(ErrorKind::kData, source + ": " + what, "give a file that `lmbits scaling fit -o` wrote");
  };
  try {
    if (json.at("schema") != kFitSchema)
      throw refuse("schema " + json.at("schema").dump() + ", this version reads " + std::to_string(kFitSchema));
    KnownLaw known;
    known.law = make_law(json.at("law").get<std::string>(), /*with_offset=*/true);
    known.source = json.at("source").get<std::string>();
    const std::string unit = json.at("unit").get<std::string>();
    const auto known_unit = loss_unit_of(unit);
    if (!known_unit) throw refuse("losses in \"" + unit + "\", which is no unit of a loss");
    known.unit = *known_unit;
    const std::size_t m = known.law->parameters().size();
    known.p = parameters_from(json.at("fitted"), m);
    for (const Json& row : json.at("resampled")) known.refits.resampled.push_back(parameters_from(row, m));
    for (const Json& row : json.at("left_out")) known.refits.left_out.push_back(parameters_from(row, m));
    if (const Json centre = json.value("centre", Json()); !centre.is_null())  // files of earlier versions have none
      known.refits.centre = parameters_from(centre, m);
    return known;
  } catch (const Json::exception& e) {
    throw refuse(std::string("not a fit: ") + e.what());
  } catch (const std::invalid_argument& e) {
    throw refuse(e.what());
  }
}

KnownLaw at_complexity(const KnownLaw& gzip, double h) {
  if (gzip.law->name() != "gzip")
    throw Error(ErrorKind::kUsage, "a " + gzip.law->name() + " law does not depend on H", "leave out --complexity");
  const std::shared_ptr<const Law> law = make_law("chinchilla");
  const auto parameters = law->parameters();
  const auto at = [&](const Parameters& lines, bool check) {
    Parameters p{};
    for (std::size_t j = 0; j < 5; ++j) {
      const double value = lines[j] + h * lines[5 + j];
      if (check && !(value > 0.0))
        throw Error(ErrorKind::kData,
                    parameters[j].name + "(H) is " + std::to_string(value) + " at H = " + std::to_string(h),
                    "ask for an H nearer to those of the fit");
      p[j] = parameters[j].fitted(value);
    }
    return p;
  };
  KnownLaw known{law, at(gzip.p, true), {}, gzip.source + " at H = " + std::to_string(h), gzip.unit};
  for (const Parameters& p : gzip.refits.resampled) known.refits.resampled.push_back(at(p, false));
  for (const Parameters& p : gzip.refits.left_out) known.refits.left_out.push_back(at(p, false));
  if (gzip.refits.centre) known.refits.centre = at(*gzip.refits.centre, false);
  return known;
}

KnownLaw blended(const KnownLaw& law, const KnownLaw& other, double share) {
  for (const KnownLaw* known : {&law, &other}) {
    if (known->law->name() != "chinchilla")
      throw Error(ErrorKind::kUsage, "a " + known->law->name() + " law cannot be blended",
                  "blend chinchilla laws, or a gzip law at --complexity H");
  }
  if (law.unit != other.unit)
    throw Error(ErrorKind::kUsage,
                "losses of " + law.source + " are in " + name_of(law.unit) + ", of " + other.source + " in " +
                    name_of(other.unit) + ": laws of two units cannot be blended",
                "fit both in one unit: --bytes-per-token turns bits/byte into nats/token");
  const auto parameters = law.law->parameters();
  const auto mix = [&](const Parameters& a, const Parameters& b) {
    Parameters p{};
    for (std::size_t j = 0; j < 5; ++j)
      p[j] = parameters[j].fitted((1.0 - share) * parameters[j].shown(a[j]) + share * parameters[j].shown(b[j]));
    return p;
  };
  // Fits of equally many points with one seed drew the same places, so that refits of one number would go together: each is
  // paired with the next one's.
  const auto mix_resampled = [&](const std::vector<Parameters>& a, const std::vector<Parameters>& b) {
    std::vector<Parameters> all;
    const std::size_t n = a.empty() || b.empty() ? std::max(a.size(), b.size()) : std::min(a.size(), b.size());
    for (std::size_t i = 0; i < n; ++i)
      all.push_back(mix(a.empty() ? law.p : a[i], b.empty() ? other.p : b[(i + 1) % n]));
    return all;
  };
  KnownLaw known{
      law.law,
      mix(law.p, other.p),
      {},
      std::to_string(1.0 - share) + " of " + law.source + ", " + std::to_string(share) + " of " + other.source,
      law.unit};
  known.refits.resampled = mix_resampled(law.refits.resampled, other.refits.resampled);
  const Parameters centre = law.refits.centre.value_or(law.p), of_other = other.refits.centre.value_or(other.p);
  for (const Parameters& p : law.refits.left_out) known.refits.left_out.push_back(mix(p, of_other));
  for (const Parameters& p : other.refits.left_out) known.refits.left_out.push_back(mix(centre, p));
  known.refits.centre = mix(centre, of_other);
  return known;
}

double optimal_exponent(const Parameters& p) { return p[4] / (p[3] + p[4]); }

Allocation compute_optimal(const Parameters& p, double flops) {
  const double log_g = (std::log(p[3]) + p[1] - std::log(p[4]) - p[2]) / (p[3] + p[4]);
  const double log_nd = std::log(flops / 6.0), log_n = log_g + optimal_exponent(p) * log_nd;
  const double log_d = log_nd - log_n;
  return {std::exp(log_n), std::exp(log_d),
          std::exp(p[0]) + std::exp(p[1] - p[3] * log_n) + std::exp(p[2] - p[4] * log_d)};
}

Allocation compute_optimal(const Law& law, const Parameters& p, double flops, std::optional<double> unique_tokens) {
  const auto loss_at = [&](double log_n) {
    ScalingPoint point;
    point.at(Variable::kParams) = std::exp(log_n);
    point.at(Variable::kTokens) = flops / (6.0 * std::exp(log_n));
    point.at(Variable::kFlops) = flops;
    point.at(Variable::kUniqueTokens) = unique_tokens.value_or(*point.at(Variable::kTokens));
    return law.log_loss(p, observe(point));
  };
  // A coarse pass first: the data-constrained form has a kink, so no assumption that one slope leads to the minimum.
  const double lo = 0.0, hi = std::log(flops / 6.0);
  constexpr int kSteps = 400;
  int best = 0;
  for (int i = 1; i <= kSteps; ++i) {
    if (loss_at(lo + (hi - lo) * i / kSteps) < loss_at(lo + (hi - lo) * best / kSteps)) best = i;
  }
  double a = lo + (hi - lo) * std::max(best - 1, 0) / kSteps, b = lo + (hi - lo) * std::min(best + 1, kSteps) / kSteps;
  const double golden = 0.5 * (std::sqrt(5.0) - 1.0);
  for (int i = 0; i < 100; ++i) {
    const double left = b - golden * (b - a), right = a + golden * (b - a);
    (loss_at(left) < loss_at(right) ? b : a) = loss_at(left) < loss_at(right) ? right : left;
  }
  const double log_n = 0.5 * (a + b);
  return {std::exp(log_n), flops / (6.0 * std::exp(log_n)), std::exp(loss_at(log_n))};
}

}  // namespace lmbits
