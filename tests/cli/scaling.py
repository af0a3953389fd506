"""lmbits scaling, pcfg, gzip-complexity, corpus zipf and reproduce chinchilla as they are typed.

usage: scaling.py PROGRAM SOURCE
"""

import csv
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
SOURCE = pathlib.Path(sys.argv[2]).resolve()
PATIENCE_S = 280


def run(*arguments: str, cwd: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, *arguments], cwd=cwd, timeout=PATIENCE_S, capture_output=True, text=True)


def loss(n: float, d: float) -> float:
    return 1.8 + 480 * n**-0.35 + 2100 * d**-0.37


def isoflop_csv(noise: float = 0.005) -> str:
    draw = random.Random(1)
    rows = ["params,tokens,loss"]
    for flops in (1e19, 1e20, 1e21, 1e22):
        for k in range(9):
            n = 0.1 * flops**0.5 * 6 ** (k / 4 - 1)
            d = flops / (6 * n)
            rows.append(f"{n:.6g},{d:.6g},{loss(n, d) * (1 + draw.gauss(0, noise)):.6f}")
    return "\n".join(rows) + "\n"


class Scaling(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lmbits-scaling-")
        self.addCleanup(self.folder.cleanup)
        self.cwd = self.folder.name
        self.write("runs.csv", isoflop_csv())

    def write(self, name: str, text: str) -> None:
        (pathlib.Path(self.cwd) / name).write_text(text)

    def ok(self, *arguments: str) -> str:
        done = run(*arguments, cwd=self.cwd)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def fails(self, code: int, says: str, *arguments: str) -> None:
        done = run(*arguments, cwd=self.cwd)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(says, done.stderr)
        self.assertEqual(done.stderr.count("lmbits: "), 1, done.stderr)  # one clear error
        self.assertEqual(done.stdout, "")

    def test_a_fit_predicts_and_plans_from_its_file(self):
        fit = json.loads(self.ok("scaling", "fit", "runs.csv", "--predict", "N=70B,D=1.4T", "--resamples", "200", "-o", "law.json", "--json"))
        self.assertEqual(fit["objective"]["reduction"], "sum")
        self.assertEqual((fit["n_points"], fit["n_rows"], fit["identified"]), (36, 36, True))
        self.assertIsNotNone(fit["hold_out"])
        here = fit["predictions"][0]
        predicted = json.loads(self.ok("scaling", "predict", "law.json", "N=70B,D=1.4T", "--json"))[0]
        self.assertAlmostEqual(predicted["loss"], here["value"])
        self.assertAlmostEqual(predicted["interval"][0], here["bca"][0])
        plan = json.loads(self.ok("scaling", "plan", "law.json", "--flops", "1e21", "--json"))["budgets"][0]
        self.assertAlmostEqual(6 * plan["n"] * plan["d"] / 1e21, 1, 9)
        self.assertLess(plan["n_interval"][0], plan["n"])
        self.assertLess(plan["n"], plan["n_interval"][1])

    def test_every_fit_says_what_it_rests_on(self):
        text = self.ok("scaling", "fit", "runs.csv", "--exclude", "loss>3.2", "--interval", "all", "--resamples", "100")
        for part in ("of 36, excluded loss>3.2: ", "sum of Huber(0.001)", "starts", "condition", "hold-out", "95 % percentile", "95 % bca", "95 % profile", "C = 6 N D"):
            self.assertIn(part, text)

    def write_demo_runs(self) -> None:
        """The demo family as `lmbits eval -o runs` leaves it, as far as laws read it."""
        with open(SOURCE / "tests/data/scaling/demo_family.csv") as file:
            for row in csv.DictReader(file):
                path = pathlib.Path(self.cwd) / "runs" / f"{row['model']}__{row['corpus']}__default"
                path.mkdir(parents=True)
                metadata = {"parameters": {"total": int(row["N"]), "non_embedding": int(row["non_embedding"])},
                            "training": {"step": int(row["S"]), "tokens": int(row["D"]), "flops": int(row["C"])}}
                manifest = {"schema": 1, "identity": {}, "model": {"name": row["model"], "metadata": metadata}, "corpus": {"name": row["corpus"]},
                            "tokenizer": {"kind": row["tokenizer"]}, "convention": {"name": "default"}}
                (path / "manifest.json").write_text(json.dumps(manifest))
                (path / "summary.json").write_text(json.dumps({"schema": 1, "bits_per_byte": float(row["bits_per_byte"])}))

    def test_what_could_not_be_done_is_said(self):
        few = ("--resamples", "100")
        self.assertIn("none: no point has 1e+30 FLOP or more: the largest has", self.ok("scaling", "fit", "runs.csv", *few, "--hold-out", "1e30"))
        fit = json.loads(self.ok("scaling", "fit", "runs.csv", *few, "--hold-out", "1e10", "--json"))
        self.assertIsNone(fit["hold_out"])
        self.assertIn("there are 0 points", fit["no_hold_out"])
        budgets = json.loads(self.ok("scaling", "isoflop", "runs.csv", "--budget", "1e19", "1e20", "7e25", "--json"))["budgets"]
        self.assertEqual([b["refused"] for b in budgets], [None, None, "no run within the tolerance"], budgets)
        self.fails(2, "--delta is not used with --objective l1", "scaling", "fit", "runs.csv", "--objective", "l1", "--delta", "0.1")
        self.fails(2, "--sizes requires --sweep", "scaling", "plan", "besiroglu2024", "--flops", "1e20", "--sizes", "5")
        measured = json.loads(self.ok("pcfg", "30-400-10-8", "--documents", "20", "--grammars", "12", "--complexity", "--json"))
        n_measured = sum(grammar["median"] is not None for grammar in measured["grammars"])
        self.assertEqual((n_measured, len(measured["grammars"])), (12, 12 + measured["n_refused"]))

    def test_a_law_keeps_its_refits_whatever_intervals_were_asked_for(self):
        self.ok("scaling", "fit", "runs.csv", "--resamples", "100", "--interval", "profile", "-o", "profile.json")
        plan = json.loads(self.ok("scaling", "plan", "profile.json", "--flops", "1e21", "--json"))["budgets"][0]
        self.assertLess(plan["n_interval"][0], plan["n_interval"][1])

    def test_a_parameter_at_its_bound_is_said(self):
        rows = "".join(f"{n:.6g},{d:.6g},{d:.6g},{loss(n, d):.8f}\n" for n in (1e7, 1e8, 1e9) for d in (1e9, 1e10, 1e11))
        self.write("unique.csv", "N,D,U,loss\n" + rows)  # nothing repeats
        self.assertIn("nothing in these points depends on R_D*", self.ok("scaling", "fit", "unique.csv", "--law", "data-constrained", "--resamples", "100"))
        rows = "".join(f"{n:.6g},{d:.6g},1e9,{loss(n, d):.8f}\n" for n in (1e7, 1e8, 1e9) for d in (1e9, 1e10, 1e11))
        self.write("free.csv", "N,D,U,loss\n" + rows)  # repeats are worth as much as new tokens
        given = [f"{name}={value}" for name, value in (("E", 1.8), ("A", 480), ("B", 2100), ("alpha", 0.35), ("beta", 0.37), ("R_N*", 8e6))]
        text = self.ok("scaling", "fit", "free.csv", "--law", "data-constrained", "--resamples", "100", "--fix", *given)
        self.assertRegex(text, r"R_D\* ended at the bound of the search, 8\.89e\+?0?6")
        self.assertNotIn("nan", text)

    def test_laws_straight_from_runs_on_disk(self):
        self.write_demo_runs()
        self.assertIn("of 2 tokenizers (bytes", self.ok("scaling", "fit", "runs", "--law", "training", "--resamples", "100"))
        fit = json.loads(self.ok("scaling", "fit", "runs", "--law", "training", "--resamples", "100", "--json"))
        self.assertEqual((fit["n_points"], fit["unit"]), (18, "bits/byte"))  # the mean of the three corpora
        self.assertEqual(json.loads(self.ok("scaling", "fit", "runs", "--corpus", "code", "--exclude", "tokenizer=bytes", "--law", "training",
                                            "--resamples", "100", "--json"))["n_points"], 10)
        envelope = json.loads(self.ok("scaling", "envelope", "runs", "--corpus", "prose", "--json", "--figures", "figures"))
        self.assertEqual(envelope["n_curves"], 6)
        scores = str(SOURCE / "tests/data/scaling/demo_scores.csv")
        groups = json.loads(self.ok("scaling", "runs", "runs", "--tokenizer", "sentencepiece", "--scores", scores, "--predict", "l-sp-3300",
                                    "--csv", "family.csv", "--json", "--figures", "figures"))
        mean = next(group for group in groups if group["corpus"] == "mean")["prediction"]
        for what in ("score", "bits_per_byte"):
            low, high = mean[what + "_interval"]
            self.assertTrue(low < mean[what + "_seen"] < high, mean)
        self.assertEqual(len((pathlib.Path(self.cwd) / "family.csv").read_text().splitlines()), 55)
        self.fails(4, "no run in runs", "scaling", "fit", "runs", "--corpus", "poems")
        self.fails(2, "--corpus chooses among runs", "scaling", "fit", "family.csv", "--corpus", "prose")

    def test_coverage_is_measured_on_the_users_own_design(self):
        arguments = ("scaling", "fit", "runs.csv", "--resamples", "100", "--coverage", "40", "--predict", "N=1B,D=20B")
        coverage = json.loads(self.ok(*arguments, "--json"))["coverage"]
        self.assertEqual(coverage["quantities"], ["E", "A", "B", "alpha", "beta", "N=1B,D=20B"])
        for kind in ("percentile", "bca", "profile"):
            self.assertTrue(all(0.75 < share <= 1 for share in coverage["shares"][kind]), coverage)
        self.assertIn("40 made-up data sets at these points", self.ok(*arguments))

    def test_numpys_draws_are_a_named_mode(self):
        arguments = ("scaling", "fit", "runs.csv", "--resamples", "100", "--seed", "42", "--json")
        numpy = json.loads(self.ok(*arguments, "--draws", "numpy"))
        self.assertEqual(numpy["draws"], "numpy")
        self.assertNotEqual(numpy["parameters"], json.loads(self.ok(*arguments))["parameters"])
        self.fails(2, "NumPy's seeds", "scaling", "fit", "runs.csv", "--draws", "numpy", "--seed", "4294967296")

    def test_isoflop_and_figures(self):
        result = json.loads(self.ok("scaling", "isoflop", "runs.csv", "--json", "--figures", "figures"))
        self.assertEqual(len(result["budgets"]), 4)
        self.assertAlmostEqual(result["a_plus_b"], 1, 2)
        self.ok("scaling", "fit", "runs.csv", "--resamples", "100", "--figures", "figures")
        self.ok("scaling", "reconcile", "--figures", "figures")
        drawn = {path.name for path in (pathlib.Path(self.cwd) / "figures").iterdir()}
        self.assertEqual(drawn, {"isoflop.svg", "frontier.svg", "contours.svg", "residuals.svg", "reconcile.svg", "local_exponent.svg"})

    def test_bad_input_is_one_clear_error(self):
        header = "N,D,loss\n"
        good = "1e8,1e9,3.0\n1e8,2e9,2.9\n2e8,1e9,2.9\n2e8,2e9,2.8\n4e8,4e9,2.7\n8e8,4e9,2.6\n"
        for name, rows, code, says in (("few", "1e8,1e9,3\n2e8,2e9,2.9\n", 4, "5 free parameters, and there are 2 points"),
                                       ("one", "".join(f"1e8,{d}e9,{3 - d / 10}\n" for d in range(1, 9)), 4, "have N = 1e+08"),
                                       ("negative", good + "1e8,1e9,-3\n", 4, "the loss is -3"), ("nan", good + "1e8,1e9,nan\n", 4, "loss"),
                                       ("zero", good + "1e8,0,3\n", 4, "D is 0"), ("mixed", good + "70,1e9,3\n", 4, "mixed units")):
            with self.subTest(name):
                self.write(name + ".csv", header + rows)
                self.fails(code, says, "scaling", "fit", name + ".csv")
        self.fails(2, "fit", "scaling", "fitt", "runs.csv")
        self.fails(2, "no parameter", "scaling", "fit", "runs.csv", "--fix", "gamma=1")
        self.fails(2, "alpha cannot be 9", "scaling", "fit", "runs.csv", "--fix", "alpha=9")
        self.fails(2, "alpha cannot be tied to A", "scaling", "fit", "runs.csv", "--tie", "alpha=A")
        self.fails(2, "\"N=0,D=1e9\": N is 0", "scaling", "predict", "besiroglu2024", "N=0,D=1e9")
        self.fails(2, "--flops -1 is not above 0", "scaling", "plan", "besiroglu2024", "--flops", "-1")
        self.fails(2, "did you mean 3-20-2-2?", "pcfg", "3-20-2-x")
        self.fails(2, "neither a file", "scaling", "plan", "chinchila", "--flops", "1e20")

    def test_design_that_cannot_tell_is_said_in_words(self):
        rows = "".join(f"{n:.6g},{20 * n:.6g},{loss(n, 20 * n):.8f}\n" for n in (1e7 * 2**k for k in range(12)))
        self.write("ladder.csv", "N,D,loss\n" + rows)
        self.assertIn("alpha and beta cannot be told apart by this grid", self.ok("scaling", "fit", "ladder.csv", "--resamples", "100"))

    def test_grammars_are_seeded_and_measured(self):
        first = self.ok("pcfg", "30-400-10-8", "--documents", "20")
        self.assertEqual(first, self.ok("pcfg", "30-400-10-8", "--documents", "20"))
        self.assertNotEqual(first, self.ok("pcfg", "30-400-10-8", "--documents", "20", "--seed", "2"))
        self.ok("pcfg", "30-400-10-8", "--documents", "20", "-o", "h.jsonl", "--quiet")
        measured = json.loads(self.ok("gzip-complexity", "h.jsonl", "--ids", "decimal", "--json"))[0]
        self.assertEqual(measured["pieces"], 20)
        self.assertIn("256 ids, int32 big-endian", measured["unit"])
        self.fails(3, "branching factor", "pcfg", "50-100-20-15")
        self.fails(2, "no unit", "gzip-complexity", "h.jsonl")
        zipf = json.loads(self.ok("corpus", "zipf", "h.jsonl", "--json"))[0]
        self.assertGreater(zipf["exponent"], 0)

    def test_reproduction_without_data_leaves_out_what_needs_it(self):
        result = json.loads(self.ok("reproduce", "chinchilla", "--json"))
        self.assertEqual(len(result["left_out"]), 2)
        self.assertTrue(all(number["ok"] for number in result["numbers"]))

    @unittest.skipUnless(os.environ.get("LMBITS_SHARED"), "LMBITS_SHARED is not set: no published points to fit")
    def test_reproduction_of_the_published_fits(self):
        done = run("reproduce", "chinchilla", "--data", os.environ["LMBITS_SHARED"] + "/data/scaling", "--json", cwd=self.cwd)
        result = json.loads(done.stdout)
        self.assertEqual(result["left_out"], [])
        self.assertEqual([n["name"] for n in result["numbers"] if not n["ok"]], [])
        self.assertEqual(done.returncode, 0)
        # 286.1 is found where 285 is printed: further off than rounding, nearer than other draws would be. All else is near.
        self.assertEqual([n["name"] for n in result["numbers"] if "Monte-Carlo" in n["why"]], ["A 2.5 %"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
