#!/usr/bin/env python3
"""scores import, correlate and reproduce as a user runs them: what they print, refuse and join.

usage: relate.py PROGRAM SOURCE_DIR
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
TABLES = SOURCE / "configs" / "published"


class Relate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lmbits-relate-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_program(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=self.folder, timeout=120, capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}{done.stderr}")
        return done

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def knowledge(self):
        """The knowledge panel of Huang et al. 2024, by way of scores import and correlate."""
        self.run_program("scores", "import", TABLES / "huang2024_table4_knowledge.csv", "--percent", "--area", "knowledge", "-o", "k.jsonl")
        return [TABLES / "huang2024_table4_knowledge.csv", "--scores", "k.jsonl", "--area", "knowledge=cc"]

    def test_published_table_through_import_and_correlate_has_the_printed_numbers(self):
        report = json.loads(self.run_program("correlate", *self.knowledge(), "--json").stdout)
        area = report["panels"][0]
        self.assertEqual(area["name"], "knowledge")
        self.assertEqual(area["association"]["n"], 19)
        self.assertEqual(round(area["association"]["pearson"]["value"], 3), -0.935)
        self.assertEqual(round(area["association"]["rmse"]["value"], 3), 0.019)
        text = self.run_program("correlate", *self.knowledge()).stdout
        self.assertIn("A very strong linear relation: r = -0.935", text)
        self.assertIn("-0.935 [-0.975, -0.836]", text)

    def test_formats_agree(self):
        arguments = self.knowledge()
        csv = self.run_program("correlate", *arguments, "--format", "csv").stdout.splitlines()
        report = json.loads(self.run_program("correlate", *arguments, "--format", "json").stdout)
        self.assertEqual(len(csv) - 1, 9 * len(report["panels"]))
        self.assertEqual(float(csv[1].split(",")[6]), report["panels"][0]["association"]["pearson"]["value"])
        self.assertIn("| Pearson r | -0.935 |", self.run_program("correlate", *arguments, "--format", "markdown").stdout)

    def test_names_map_joins_and_unmatched_names_are_listed(self):
        self.write("bits.csv", "model,bpb_x\na,1\nb,2\nc,3\nd,4\n")
        self.write("scores.csv", "model,q\norg/a,0.9\norg/b,0.8\norg/c,0.6\nother,0.1\n")
        refused = self.run_program("correlate", "bits.csv", "--scores", "scores.csv", code=4)
        self.assertIn("no model is on both sides: scores are of org/a, org/b, org/c, other; compression is of a, b, c, d", refused.stderr)
        self.assertIn("--names FILE", refused.stderr)
        self.write("names.csv", "score_name,model\norg/a,a\norg/b,b\norg/c,c\n")
        text = " ".join(self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--names", "names.csv").stdout.split())
        self.assertIn("! scores without compression (--names maps names): other", text)
        self.assertIn("! compression without scores: d", text)
        self.write("names.csv", "score_name,model\norg/a,a\norg/a,b\n")
        twice = self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--names", "names.csv", code=4)
        self.assertIn("names.csv, line 3: score_name org/a is there twice, as a and b", twice.stderr)

    def test_files_of_lm_eval_and_lighteval_are_told_apart(self):
        for name, tool in (("lm-eval-0.4.13.json", "lm-eval"), ("lighteval-0.13.0.json", "lighteval")):
            done = self.run_program("scores", "import", SOURCE / "tests" / "data" / "scores" / name)
            self.assertIn(tool, done.stderr)
            for line in done.stdout.splitlines():
                self.assertEqual(json.loads(line)["model"], "xs-byte-100")

    def test_odd_names_and_values(self):
        """Names with commas, quotes and markup; a name that looks like a size; one score missing."""
        self.write("bits.csv", 'model,bpb_x\n"a,1",1\n"b""q",2\n<script>alert(1)</script>,3\nd,4\n.b,5\n')
        self.write("scores.csv", 'model,q\n"a,1",0.9\n"b""q",0.8\n<script>alert(1)</script>,0.5\nd,0.4\n.b,nan\n')
        report = json.loads(self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--json").stdout)
        self.assertEqual([p["model"] for p in report["panels"][0]["points"]], ["<script>alert(1)</script>", "a,1", 'b"q', "d"])
        self.assertIn("compression without scores: .b", report["notes"])
        self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--figures", "figures")
        self.assertNotIn("<script>", (self.folder / "figures" / "scatter_all.svg").read_text())
        self.write("bits.csv", "model,bpb_x\na,-1\n")
        self.assertIn("bits.csv, line 2, column bpb_x: -1 is no compression", self.run_program("correlate", "bits.csv", "--scores", "scores.csv", code=4).stderr)

    def test_two_models_say_that_nothing_can_be_said(self):
        self.write("bits.csv", "model,bpb_x\na,1\nb,2\n")
        self.write("scores.csv", "model,q\na,0.9\nb,0.8\n")
        text = self.run_program("correlate", "bits.csv", "--scores", "scores.csv").stdout
        self.assertIn("only 2 models: nothing can be said", text)

    def test_metrics_of_which_less_is_better(self):
        self.write("bits.csv", "model,bpb_x\na,1\nb,2\nc,3\nd,4\ne,5\n")
        self.write("scores.csv", "model,benchmark,metric,value\n" + "".join(
            f"{m},wiki,word_perplexity,{9 + i + i % 2}\n{m},q,acc,{0.9 - 0.1 * i}\n" for i, m in enumerate("abcde")))
        text = " ".join(self.run_program("correlate", "bits.csv", "--scores", "scores.csv").stdout.split())
        self.assertIn("wiki is left out: it has word_perplexity (lower is better); choose with --metric", text)
        text = " ".join(self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--metric", "word_perplexity").stdout.split())
        self.assertIn("Models that compress better score lower, which is better here.", text)
        self.assertIn("--metric ac: no score is of that metric, they are of acc, word_perplexity",
                      self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--metric", "ac", code=2).stderr)
        self.assertIn("less is better", self.run_program("reproduce", "guo2024", "bits.csv", "--scores", "scores.csv", "--metric", "word_perplexity", code=2).stderr)

    def test_names_that_match_nothing_are_said(self):
        arguments = self.csv_with_ratios()
        refused = self.run_program("correlate", *arguments, "--leave-out", "aa", code=2)
        self.assertIn("--leave-out aa: no such model", refused.stderr)
        report = json.loads(self.run_program("correlate", *arguments, "--leave-out", "a", "--json").stdout)
        self.assertEqual([p["model"] for p in report["panels"][0]["points"]], ["b", "c", "d"])
        self.write("names.csv", "score_name,model\norg/z,d\n")
        self.write("families.csv", "model,family\na,x\nq,x\n")
        notes = json.loads(self.run_program("correlate", *arguments, "--names", "names.csv", "--families", "families.csv", "--json").stdout)["notes"]
        self.assertIn("--names maps names that no score has: org/z", notes)
        self.assertIn("--families names models without compression: q", notes)

    def test_malformed_files_are_refused_with_the_key(self):
        self.write("bad.json", '{"model_name": "m", "results": {"arc": {"acc,none": "high"}}}')
        refused = self.run_program("scores", "import", "bad.json", code=4)
        self.assertIn('bad.json: results.arc.acc,none is "high", not a number', refused.stderr)
        self.assertEqual(refused.stdout, "")

    def test_usage_errors_name_the_flag(self):
        self.write("bits.csv", "model,bpb_x\na,1\nb,2\nc,3\n")
        self.write("scores.csv", "model,q\na,0.9\nb,0.8\nc,0.6\n")
        self.assertIn("--area x is not AREA=CORPUS", self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--area", "x", code=2).stderr)
        self.assertIn("did you mean q?", self.run_program("correlate", "bits.csv", "--scores", "scores.csv", "--detail", "qq", code=2).stderr)
        self.assertIn("unknown flag --scoers", self.run_program("correlate", "bits.csv", "--scoers", "scores.csv", code=2).stderr)
        self.assertIn("unknown flag --percnt\n  hint: did you mean --percent? see lmbits scores import --help",
                      self.run_program("scores", "import", "scores.csv", "--percnt", code=2).stderr)
        self.assertIn("unknown command huang\n  hint: did you mean huang2024?", self.run_program("reproduce", "huang", code=2).stderr)
        self.assertIn("see lmbits scores --help", self.run_program("scores", code=2).stderr)

    def test_flags_are_keys_of_a_configuration_file(self):
        self.write("scores.csv", "model,q\na,90\n")
        for text in ('[scores.import]\npercent = true\narea = "x"\n', 'percent = true\narea = "x"\n'):
            self.write("lmbits.toml", text)
            line = json.loads(self.run_program("scores", "import", "scores.csv", "--config", "lmbits.toml").stdout)
            self.assertEqual((line["value"], line["area"]), (0.9, "x"))
        self.write("lmbits.toml", "[scores.imprt]\npercent = true\n")
        self.assertIn("unknown section [scores.imprt]\n  hint: did you mean scores.import?",
                      self.run_program("scores", "import", "scores.csv", "--config", "lmbits.toml", code=3).stderr)

    def test_reproductions_print_and_compute(self):
        text = self.run_program("reproduce", "huang2024").stdout
        self.assertIn("Of 23 printed fits 19 can be computed from the tables: 12 agree in all printed digits, 6 within", text)
        report = json.loads(self.run_program("reproduce", "huang2024", "--json").stdout)
        self.assertEqual(len(report["fits"]), 23)
        self.assertEqual(len(self.run_program("reproduce", "huang2024", "--format", "csv").stdout.splitlines()), 24)
        self.assertIn("Llama 2 (7B)", self.run_program("reproduce", "deletang2023").stdout)
        self.assertIn("The claim", self.run_program("reproduce", "guo2024", *self.csv_with_ratios()).stdout)

    def csv_with_ratios(self):
        self.write("ratios.csv", "model,ratio_x\na,5\nb,4\nc,3\nd,2\n")
        self.write("scores.csv", "model,q\na,0.9\nb,0.8\nc,0.6\nd,0.5\n")
        return ["ratios.csv", "--scores", "scores.csv"]

    def test_every_study_has_help(self):
        for study in ("huang2024", "guo2024", "deletang2023", "sample-size", "min-k"):
            self.assertIn(f"lmbits reproduce {study}", self.run_program("reproduce", study, "--help").stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
