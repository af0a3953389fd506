#!/usr/bin/env python3
"""lmbits' fit of the 240 points of Hoffmann et al.'s figure 4 beside scipy's L-BFGS-B from the published 4500 starts.

usage: scaling_fit.py BUILD_DIR/bench/scaling_fit chinchilla_runs.csv [--starts N] [--tight]   (needs numpy and scipy)

Both minimise the sum of Huber(0.001) of the residuals of log loss, scipy with the analytic gradient. --starts N takes
every k-th start and scales the time up; 4500, all of them, is the default. scipy stops by its own default tolerances, or, with
--tight, by ones that leave nothing to gain, which takes it many times longer.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy: threads that wait for each other cost CPU

import numpy
from scipy.optimize import minimize

DELTA = 1e-3


def objective(parameters, log_n, log_d, log_loss):
    a, b, e, alpha, beta = parameters
    terms = numpy.stack([a - alpha * log_n, b - beta * log_d, numpy.full_like(log_n, e)])
    top = terms.max(axis=0)
    shares = numpy.exp(terms - top)
    total = shares.sum(axis=0)
    shares /= total
    residual = top + numpy.log(total) - log_loss
    size = numpy.abs(residual)
    value = numpy.where(size <= DELTA, 0.5 * residual**2, DELTA * (size - 0.5 * DELTA)).sum()
    slope = numpy.clip(residual, -DELTA, DELTA)
    weighted = slope * shares
    gradient = [weighted[0].sum(), weighted[1].sum(), weighted[2].sum(), -(weighted[0] * log_n).sum(), -(weighted[1] * log_d).sum()]
    return value, numpy.array(gradient)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("points")
    parser.add_argument("--starts", type=int, default=4500)
    parser.add_argument("--tight", action="store_true")
    arguments = parser.parse_args()
    rows = [row for row in csv.DictReader(open(arguments.points)) if row["in_published_fit"] == "1"]
    data = [numpy.log([float(row[column]) for row in rows]) for column in ("N", "D", "loss")]
    grid = list(itertools.product(range(0, 30, 5), range(0, 30, 5), (-1, -0.5, 0, 0.5, 1), (0, 0.5, 1, 1.5, 2), (0, 0.5, 1, 1.5, 2)))
    starts = grid[:: max(1, len(grid) // arguments.starts)][: arguments.starts]

    ours = [json.loads(line) for line in subprocess.run([arguments.program, arguments.points], check=True, capture_output=True, text=True).stdout.splitlines()]
    options = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 10000, "maxfun": 100000} if arguments.tight else {}
    begin = time.thread_time()
    ends = [minimize(objective, start, args=tuple(data), jac=True, method="L-BFGS-B", options=options) for start in starts]
    seconds = (time.thread_time() - begin) * len(grid) / len(starts)
    best = min(ends, key=lambda end: end.fun)

    fit = next(line for line in ours if line["what"] == "fit" and line["objective"] == "huber")
    a, b, e, alpha, beta = best.x
    print(f"{len(rows)} points, sum of Huber({DELTA}) of log-loss residuals; CPU seconds of one thread")
    print(f"scipy L-BFGS-B, {len(starts)} of {len(grid)} starts: {seconds:.1f} s for all, objective {best.fun:.12g}, E {numpy.exp(e):.5f} A {numpy.exp(a):.2f} B {numpy.exp(b):.2f} alpha {alpha:.5f} beta {beta:.5f}")
    print(f"lmbits: {1e3 * fit['cpu_s']:.2f} ms [{1e3 * fit['least']:.2f}, {1e3 * fit['most']:.2f}], objective {fit['value']:.12g}, E {fit['E']:.5f} A {fit['A']:.2f} B {fit['B']:.2f} alpha {fit['alpha']:.5f} beta {fit['beta']:.5f}")
    print(f"{seconds / fit['cpu_s']:.0f} times faster, objective {'not higher' if fit['value'] <= best.fun * (1 + 1e-9) else 'HIGHER'}")
    for line in ours:
        if line["what"] == "4000 refits":
            print(f"4,000 refits, {line['objective']}: {line['wall_s']:.1f} s on {line['threads']} threads")


if __name__ == "__main__":
    main()
