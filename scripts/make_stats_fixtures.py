#!/usr/bin/env python3
"""Writes what tests/stats compares with: values of scipy and statsmodels on samples with and without ties.

usage: make_stats_fixtures.py [-o tests/data/stats/association.json]

Versions are recorded inside. Two-sided permutation p-values count |statistic| >= |observed|, by brute force here.
"""
import argparse
import itertools
import json
import pathlib

import numpy
import scipy
import scipy.stats
import statsmodels
import statsmodels.api
from statsmodels.stats.outliers_influence import OLSInfluence

ROOT = pathlib.Path(__file__).resolve().parent.parent


def samples():
    random = numpy.random.default_rng(2024)
    for n, r, step in [(5, 0.5, None), (7, -0.8, None), (8, 0.3, 0.5), (19, -0.93, None), (20, 0.0, None), (28, -0.9, 0.25), (60, 0.4, 0.5), (200, -0.99, None)]:
        x, e = random.normal(size=n), random.normal(size=n)
        y = r * x + numpy.sqrt(1 - r * r) * e
        z = 0.6 * x - 0.3 * y + random.normal(size=n)
        if step:  # ties
            x, y = numpy.round(x / step) * step, numpy.round(y / step) * step
        yield 0.5 + 0.1 * x, 0.4 + 0.2 * y, z


def brute_force_p(statistic, x, y):
    observed = abs(statistic(x, y))
    values = [abs(statistic(x, numpy.array(p))) for p in itertools.permutations(y)]
    return float(numpy.mean(numpy.array(values) >= observed - 1e-12))


def partial(x, y, z):
    rest = [v - numpy.polynomial.Polynomial.fit(z, v, 1)(z) for v in (x, y)]
    return float(numpy.corrcoef(rest)[0, 1])


def case(x, y, z):
    level = 0.9 if len(x) % 2 else 0.95
    pearson = scipy.stats.pearsonr(x, y)
    interval = pearson.confidence_interval(level)
    ols = statsmodels.api.OLS(y, statsmodels.api.add_constant(x)).fit()
    influence = OLSInfluence(ols)
    theil = scipy.stats.theilslopes(y, x, level)
    t = scipy.stats.t.ppf(0.5 + level / 2, len(x) - 2)
    x_new = float(x.max() + 0.05)
    prediction = ols.get_prediction([[1.0, x_new]])
    result = {
        "level": level, "x": x.tolist(), "y": y.tolist(), "z": z.tolist(),
        "pearson": pearson.statistic, "pearson_p": pearson.pvalue, "pearson_interval": [interval.low, interval.high],
        "spearman": scipy.stats.spearmanr(x, y).statistic, "kendall": scipy.stats.kendalltau(x, y).statistic,
        "partial": partial(x, y, z), "ranks": scipy.stats.rankdata(x).tolist(),
        "intercept": ols.params[0], "slope": ols.params[1], "r_squared": ols.rsquared,
        "rmse": float(numpy.sqrt(numpy.mean(ols.resid ** 2))),
        "rmse_interval": [float(numpy.sqrt((ols.resid ** 2).sum() / scipy.stats.chi2.ppf(q, len(x) - 2))) for q in (0.5 + level / 2, 0.5 - level / 2)],
        "intercept_interval": ols.conf_int(1 - level)[0].tolist(), "slope_interval": ols.conf_int(1 - level)[1].tolist(),
        "x_new": x_new, "line_interval": prediction.conf_int(alpha=1 - level)[0].tolist(),
        "prediction_interval": prediction.conf_int(obs=True, alpha=1 - level)[0].tolist(),
        "leverage": influence.hat_matrix_diag.tolist(), "cooks_distance": influence.cooks_distance[0].tolist(),
        "left_out_residual": influence.resid_press.tolist(), "t": t,
        "theil_sen": [theil.slope, theil.intercept, theil.low_slope, theil.high_slope],
    }
    if len(set(x)) == len(x) and len(set(y)) == len(y):
        result["kendall_exact_p"] = scipy.stats.kendalltau(x, y, method="exact").pvalue
    if len(x) <= 8:
        result["pearson_permutation_p"] = brute_force_p(lambda a, b: scipy.stats.pearsonr(a, b).statistic, x, y) if len(x) <= 5 else \
            brute_force_p(lambda a, b: float(numpy.dot(a - a.mean(), b - b.mean())), x, y)
        rx, ry = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
        result["spearman_permutation_p"] = brute_force_p(lambda a, b: float(numpy.dot(a - a.mean(), b - b.mean())), rx, ry)
        score = lambda a, b: float((numpy.sign(a[:, None] - a) * numpy.sign(b[:, None] - b)).sum())
        result["kendall_permutation_p"] = brute_force_p(score, x, y)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=ROOT / "tests" / "data" / "stats" / "association.json")
    output = parser.parse_args().output
    t = [{"t": x, "df": df, "two_sided": float(2 * scipy.stats.t.sf(x, df)), "quantile": float(scipy.stats.t.ppf(p, df)), "p": p}
         for df in (1, 2, 3, 4.5, 10, 17, 26, 100, 1e4) for x, p in ((0.1, 0.55), (1.0, 0.8), (2.5, 0.975), (8.0, 0.995), (40.0, 0.99995))]
    fixture = {"versions": {"numpy": numpy.__version__, "scipy": scipy.__version__, "statsmodels": statsmodels.__version__},
               "cases": [case(*sample) for sample in samples()], "student_t": t}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(fixture, indent=0) + "\n")


if __name__ == "__main__":
    main()
