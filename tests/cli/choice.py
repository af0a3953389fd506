#!/usr/bin/env python3
"""`lmbits choice` killed, stopped and resumed: every answer once, the same to the last bit; and its picks are another's.

usage: choice.py PROGRAM SOURCE_DIR [test ...]

LMBITS_KILLS=N: that many kills (4). LMBITS_CHOICE_REFERENCE=N: the picks of every demo model, of N questions of each kind and
area (N/3 with shots, N/3 with a space to move), against scripts/make_choice_reference.py, which needs the Python packages torch,
sentencepiece and xxhash (LMBITS_PYTHON: the interpreter that has them); through transformers where it has that too
(scripts/hf_environment makes one).
"""
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest

import harness

KILLS = int(os.environ.get("LMBITS_KILLS", "4"))
PYTHON = os.environ.get("LMBITS_PYTHON", sys.executable)


def lines_of(file):
    """The complete lines after the header, and what follows the last newline."""
    *lines, torn = file.read_bytes().split(b"\n") if file.exists() else [b""]
    return lines[1:], torn


class Choice(harness.ProgramTest):
    def questions(self, per_kind):
        return [harness.SOURCE / "models" / "benchmarks" / f"cloze-{area}.jsonl" for area in ("code", "prose")], ["--limit", per_kind]

    def arguments(self, output, per_kind=60, threads=2, model="xs-byte-3000"):
        files, limit = self.questions(per_kind)
        return ["choice", "--model", harness.bundle(model), *[a for f in files for a in ("--questions", f)], *limit, "-o", output,
                "--threads", threads, "--batch", 512, "--quiet"]

    def answers(self, output):
        """Every answer below `output` by file and id; its checksum right, no id twice, no torn line."""
        found = {}
        for file in (output / "answers").glob("*.jsonl"):
            lines, torn = lines_of(file)
            self.assertEqual(torn, b"")
            for line in lines:
                record = harness.checked(line)
                self.assertIsNotNone(record, line)
                key = (file.name, record["id"])
                self.assertNotIn(key, found)
                found[key] = record
        return found

    def assert_same(self, output, expected):
        self.assertEqual(self.answers(output), self.answers(expected))
        for name in ("scores.jsonl", "results_xs-byte-3000.json"):
            text = [(folder / name).read_text().replace(str(folder), "") for folder in (output, expected)]
            self.assertEqual(text[0], text[1])
        self.assertEqual(sorted(p.name for p in output.rglob("*")), sorted(p.name for p in expected.rglob("*")))

    def n_lines(self, output):
        return sum(len(lines_of(file)[0]) for file in (output / "answers").glob("*.jsonl"))

    def finished(self, output, **how):
        outcome = harness.run(self.arguments(output, **how))
        self.assertEqual(outcome.code, 0, outcome.err)
        return output

    def test_kills_lose_nothing_and_a_resume_computes_nothing_twice(self):
        draw = random.Random(KILLS)
        expected = self.finished(self.folder / "undisturbed")
        total, n_amid, n_runs, kills = self.n_lines(expected), 0, 0, KILLS
        output = self.folder / "killed-0"
        while kills > 0:
            before, process = self.n_lines(output), harness.start(self.arguments(output))
            goal = min(total - 1, before + draw.randint(0, total // 3))
            while process.poll() is None and self.n_lines(output) <= goal:
                time.sleep(0.0002)
            process.send_signal(signal.SIGKILL)
            killed = harness.Outcome(process).code == -signal.SIGKILL
            kept = self.n_lines(output)
            self.assertGreaterEqual(kept, before)
            kills -= killed
            n_amid += killed and before < kept < total
            if not killed:
                self.assert_same(output, expected)
                n_runs += 1
                output = self.folder / f"killed-{n_runs}"
        whole = {f.name: lines_of(f)[0] for f in (output / "answers").glob("*.jsonl")}
        self.assert_same(self.finished(output), expected)
        for name, lines in whole.items():  # what was whole stands where it stood: it was not answered again
            self.assertEqual(lines_of(output / "answers" / name)[0][: len(lines)], lines)
        print(f"{n_amid} of {KILLS} kills amid the answers", flush=True)
        self.assertGreater(n_amid, 0, "no kill struck where it matters")

    def test_a_signal_stops_it_and_the_same_command_goes_on(self):
        output = self.folder / "stopped"
        process = harness.start(self.arguments(output))
        self.wait_for(lambda: self.n_lines(output) > 0, process, "an answer")
        process.send_signal(signal.SIGINT)
        outcome = harness.Outcome(process)
        self.assertEqual(outcome.code, 130, outcome.err)
        self.assertFalse((output / "scores.jsonl").exists())
        self.assert_same(self.finished(output), self.finished(self.folder / "undisturbed"))

    def test_threads_and_company_change_no_bit(self):
        expected = self.answers(self.finished(self.folder / "two"))
        self.assertEqual(self.answers(self.finished(self.folder / "one", threads=1)), expected)
        fewer = self.answers(self.finished(self.folder / "fewer", per_kind=7))
        self.assertEqual(fewer, {key: expected[key] for key in fewer})

    def test_accuracies_are_those_that_lm_eval_measured(self):
        """On the first 20 questions of each kind; lm-eval wrote the committed file (scripts/lm_eval_cloze.py)."""
        theirs = json.loads((harness.SOURCE / "tests" / "data" / "scores" / "lm-eval-0.4.13.json").read_text())["results"]
        files = [harness.SOURCE / "models" / "benchmarks" / f"cloze-{area}.jsonl" for area in ("prose", "code", "maths")]
        output = self.folder / "scores"
        outcome = harness.run(["choice", "--model", harness.bundle("xs-byte-100"), *[a for f in files for a in ("--questions", f)],
                               "--limit", 20, "-o", output, "--quiet"])
        self.assertEqual(outcome.code, 0, outcome.err)
        ours = json.loads((output / "results_xs-byte-100.json").read_text())["results"]
        for task in [f"cloze_{area}_{kind}" for area in ("prose", "code", "maths") for kind in ("shuf", "sub1")]:
            for metric in ("acc,none", "acc_stderr,none", "acc_norm,none", "acc_norm_stderr,none"):
                self.assertAlmostEqual(ours[task.replace("_", "-")][metric], theirs[task][metric], places=12, msg=f"{task} {metric}")

    @unittest.skipUnless(os.environ.get("LMBITS_CHOICE_REFERENCE"), "a long test: LMBITS_CHOICE_REFERENCE=30 runs it")
    def test_every_demo_model_picks_what_an_independent_implementation_picks(self):
        if subprocess.run([PYTHON, "-c", "import torch, sentencepiece, xxhash"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest(f"{PYTHON} lacks the packages torch, sentencepiece and xxhash (LMBITS_PYTHON names another)")
        has_transformers = subprocess.run([PYTHON, "-c", "import transformers"], stderr=subprocess.DEVNULL).returncode == 0
        side = ["--hf"] if has_transformers else []
        print("through transformers" if side else f"{PYTHON} lacks transformers: PyTorch on the bundles instead", flush=True)
        most = int(os.environ["LMBITS_CHOICE_REFERENCE"])
        models = sorted((harness.SOURCE / "models" / "demo").glob("*.pt"))
        script = harness.SOURCE / "scripts" / "make_choice_reference.py"
        for shots, n, end in ((0, most, ""), (2, (most + 2) // 3, ""), (0, (most + 2) // 3, " ")):
            files = [self.folder / f"cloze-{area}.jsonl" for area in ("code", "maths", "prose")]
            output = self.folder / f"{shots}{end}shots"
            for file in files:
                by_kind = {}
                for line in (harness.SOURCE / "models" / "benchmarks" / file.name).read_text().splitlines():
                    question = json.loads(line)
                    question["context"] += end  # no committed one ends in a space, which the rule moves
                    by_kind.setdefault(question["kind"], []).append(json.dumps(question))
                file.write_text("".join(line + "\n" for lines in by_kind.values() for line in lines[:: len(lines) // n][:n]))
            for model in models:  # one at a time: a busy machine has its patience for each
                outcome = harness.run(["choice", "--model", model, *[a for f in files for a in ("--questions", f)],
                                       "--shots", shots, "-o", output, "--quiet"])
                self.assertEqual(outcome.code, 0, outcome.err)
            done = subprocess.run([PYTHON, script, "--check", output, "--shots", str(shots), *side, *map(str, files)],
                                  capture_output=True, text=True)
            print(done.stdout, flush=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main()
