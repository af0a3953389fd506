"""`lmbits select` killed, stopped, resumed, starved and fed with adversarial pools.

usage: select_survives.py PROGRAM SOURCE_DIR

LMBITS_LARGE=1 adds a pool of 100,000 samples and one sample of 100 MB, and measures memory.
"""
import gzip
import json
import os
import random
import re
import signal
import subprocess
import time
import unittest

import harness

SMALL = ["--budget", "60", "--k1", "200", "--k2", "30", "--k3", "3"]


class SelectSurvives(harness.ProgramTest):
    def write_pool(self, texts, name="pool.jsonl"):
        path = self.folder / name
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return path

    def texts(self, n, seed=1, longest=150):
        draw, source = random.Random(seed), harness.words(n * longest, seed)
        return [" ".join(draw.choices(source, k=draw.randint(1, longest))) for _ in range(n)]

    def arguments(self, pool, out, *flags):
        return ["select", pool, "-o", out, "--quiet", *flags]

    def result(self, out):
        return out.read_bytes(), (out.parent / (out.name + ".choices.jsonl")).read_bytes()

    def select(self, pool, out, *flags, code=0):
        outcome = harness.run(self.arguments(pool, out, *flags))
        self.assertEqual(outcome.code, code, outcome.err)
        self.assertFalse((out.parent / (out.name + ".work")).exists(), "the work folder is left behind")
        return outcome

    def test_threads_change_no_byte_of_the_result(self):
        pool = self.write_pool(self.texts(300))
        results = []
        for threads in ("1", "2", "5"):
            self.select(pool, self.folder / f"out-{threads}.jsonl", *SMALL, "--threads", threads)
            results.append(self.result(self.folder / f"out-{threads}.jsonl"))
        self.assertEqual(results[0], results[1])
        self.assertEqual(results[0], results[2])

    def interrupt(self, pool, out, kind, after_s, *flags):
        """Sends the signal after a while; the exit code, or None where it was done before."""
        process = harness.start(self.arguments(pool, out, *flags))
        try:
            process.communicate(timeout=after_s)
            return None
        except subprocess.TimeoutExpired:
            process.send_signal(kind)
        process.communicate(timeout=harness.PATIENCE_S)
        return process.returncode

    def test_a_stopped_or_killed_selection_ends_as_if_it_had_not_been(self):
        pool = self.write_pool(self.texts(1500))
        flags = ["--budget", "300", "--k1", "1000", "--k2", "30", "--k3", "5", "--threads", "1"]
        began = time.monotonic()
        self.select(pool, self.folder / "whole.jsonl", *flags)
        took_s = time.monotonic() - began
        expected = self.result(self.folder / "whole.jsonl")
        draw = random.Random(1)
        n_interrupted = 0
        for kind, algorithm in ((signal.SIGTERM, "zip"), (signal.SIGKILL, "zip")):
            out = self.folder / f"out-{kind.name}.jsonl"
            for _ in range(4):
                code = self.interrupt(pool, out, kind, took_s * draw.uniform(0.2, 0.5), *flags, "--checkpoint-seconds", "0",
                                      "--algorithm", algorithm)
                if code in (None, 0) or out.exists():  # it was done before the signal struck
                    break
                self.assertEqual(code, 130 if kind == signal.SIGTERM else -signal.SIGKILL)
                n_interrupted += 1
            self.select(pool, out, *flags, "--algorithm", algorithm)
            self.assertEqual(self.result(out), expected)
        self.assertGreater(n_interrupted, 2)

    def test_a_kill_in_the_first_scoring_keeps_the_scores(self):
        pool, out = self.write_pool(self.texts(6000)), self.folder / "out.jsonl"
        flags = ["--budget", "20", "--k1", "40", "--k2", "10", "--k3", "5", "--threads", "1"]
        self.select(pool, self.folder / "whole.jsonl", *flags)
        process = harness.start(self.arguments(pool, out, *flags, "--checkpoint-seconds", "0"))
        checkpoint = out.parent / (out.name + ".work") / "checkpoint"
        self.wait_for(checkpoint.exists, process, "a checkpoint")  # the first is written after 16 samples
        process.kill()
        process.communicate()
        outcome = harness.run(["select", pool, "-o", out, *flags])
        scored = re.search(r"went on from ([\d,]+) samples scored and 0 choices", outcome.err)
        self.assertTrue(scored, outcome.err)
        self.assertGreaterEqual(int(scored[1].replace(",", "")), 16)
        self.assertEqual(self.result(out), self.result(self.folder / "whole.jsonl"))

    def interrupt_within_a_stage(self, pool, out, kind, flags):
        """Sends the signal once a choice is under way that no finished stage has; what the process went on to say."""
        checkpoint = out.parent / (out.name + ".work") / "checkpoint"
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0

        def in_stage():
            now = checkpoint.stat() if checkpoint.exists() else None
            return now and now.st_mtime_ns != before and now.st_size > self.size_of_scores(pool)

        process = harness.start(self.arguments(pool, out, *flags, "--checkpoint-seconds", "0"))
        self.wait_for(in_stage, process, "a stage")
        began = time.monotonic()
        process.send_signal(kind)
        process.communicate(timeout=harness.PATIENCE_S)
        self.assertEqual(process.returncode, 130 if kind == signal.SIGTERM else -signal.SIGKILL)
        return time.monotonic() - began

    def size_of_scores(self, pool):
        """Of a checkpoint with nothing but each sample's scores: 42 bytes a sample, and less than 2 KiB around."""
        return 42 * len(pool.read_text().splitlines()) + 2048

    def check_stops_within_a_stage(self, pool, n_samples, flags):
        for kind in (signal.SIGTERM, signal.SIGKILL):
            out = self.folder / f"out-{kind.name}.jsonl"
            for _ in range(2):
                self.assertLess(self.interrupt_within_a_stage(pool, out, kind, flags), 20)
            outcome = harness.run(["select", pool, "-o", out, *flags])
            self.assertIn(f"went on from {n_samples} samples scored", outcome.err)
            self.assertEqual(self.result(out), self.result(self.folder / "whole.jsonl"))

    def test_a_slow_cost_is_stopped_and_killed_within_a_stage(self):
        pool = self.write_pool(self.texts(400))
        flags = ["--budget", "60", "--k1", "300", "--k2", "60", "--k3", "60", "--threads", "1", "--cost", "zstd", "--level", "19"]
        self.select(pool, self.folder / "whole.jsonl", *flags)  # one stage
        self.check_stops_within_a_stage(pool, 400, flags)

    def test_a_models_cost_is_stopped_and_killed_within_a_stage(self):
        pool = self.write_pool(self.texts(60, longest=12))
        flags = ["--budget", "25", "--k1", "50", "--k2", "25", "--k3", "25", "--threads", "1", "--cost", "model",
                 "--model", harness.bundle("xs-byte-1000")]
        outcome = harness.run(self.arguments(pool, self.folder / "whole.jsonl", *flags))
        if outcome.code == 7:
            self.skipTest("built without libtorch: " + outcome.err)
        self.assertEqual(outcome.code, 0, outcome.err)
        self.check_stops_within_a_stage(pool, 60, flags)

    def test_other_settings_do_not_resume_and_say_which(self):
        pool, out = self.write_pool(self.texts(1500)), self.folder / "out.jsonl"
        flags = ["--budget", "300", "--k1", "1000", "--k2", "30", "--k3", "5", "--threads", "1"]  # k3 and threads last
        work = out.parent / (out.name + ".work") / "checkpoint"
        process = harness.start(self.arguments(pool, out, *flags, "--checkpoint-seconds", "0"))
        self.wait_for(work.exists, process, "a checkpoint")
        process.kill()
        process.communicate()
        self.assert_one_error(harness.run(self.arguments(pool, out, *flags[:-4], "--k3", "6")), 3, "k3 was 5 and is 6")
        self.assert_one_error(harness.run(self.arguments(pool, out, *flags, "--level", "6")), 3, "cost was")
        pool.write_text(pool.read_text() + '{"text": "one more"}\n')
        self.assert_one_error(harness.run(self.arguments(pool, out, *flags)), 3, "n_records was 1500 and is 1501")

    def test_a_finished_selection_is_not_computed_again_unless_its_output_changed(self):
        pool, out = self.write_pool(self.texts(300)), self.folder / "out.jsonl"
        self.select(pool, out, *SMALL)
        expected = self.result(out)
        again = harness.run(["select", pool, "-o", out, *SMALL])
        self.assertIn("finished before", again.err)
        out.write_text("spoilt")
        self.select(pool, out, *SMALL)
        self.assertEqual(self.result(out), expected)

    def test_two_at_once_do_not_mix(self):
        pool, out = self.write_pool(self.texts(1500)), self.folder / "out.jsonl"
        flags = ["--budget", "300", "--k1", "1000", "--k2", "30", "--k3", "2", "--threads", "1"]
        process = harness.start(self.arguments(pool, out, *flags))
        self.wait_for((out.parent / (out.name + ".work") / ".lock").exists, process, "the lock")
        self.assert_one_error(harness.run(self.arguments(pool, out, *flags)), 3, "is being written by process")
        process.kill()
        process.communicate()

    def test_the_output_is_the_pools_own_records(self):
        samples = [{"id": i, "text": text, "kept": ["as", "it", "is"]} for i, text in enumerate(self.texts(100))]
        pool = self.folder / "pool.json"
        pool.write_text(json.dumps(samples, indent=1))
        self.select(pool, self.folder / "out.json", *SMALL)
        chosen = json.loads((self.folder / "out.json").read_text())
        self.assertEqual(len(chosen), 60)
        for sample in chosen:
            self.assertEqual(sample, samples[sample["id"]])
        packed = self.folder / "pool.json.gz"
        packed.write_bytes(gzip.compress(pool.read_bytes()))
        self.select(packed, self.folder / "out2.jsonl", *SMALL)
        self.assertEqual([json.loads(line) for line in (self.folder / "out2.jsonl").read_text().splitlines()], chosen)

    def test_files_of_others_in_the_work_folder_stay(self):
        pool, out = self.write_pool(self.texts(100)), self.folder / "out.jsonl"
        work = self.folder / "out.jsonl.work"
        work.mkdir()
        (work / "thesis.txt").write_text("mine")
        self.assert_one_error(harness.run(self.arguments(self.folder / "missing.jsonl", out)), 4, "missing.jsonl")
        self.assertEqual(harness.run(self.arguments(pool, out, *SMALL)).code, 0)
        self.assertEqual([path.name for path in work.iterdir()], ["thesis.txt"])
        (work / "pool").write_text("mine, too")
        self.assert_one_error(harness.run(self.arguments(pool, out, *SMALL)), 2, "pool is not a selection's")
        self.assertEqual((work / "pool").read_text(), "mine, too")
        self.assertEqual((work / "thesis.txt").read_text(), "mine")

    def test_no_output_takes_the_place_of_the_pool_or_of_a_folder(self):
        for suffix in (".choices.jsonl", ".manifest.json"):
            pool = self.write_pool(self.texts(20), "p" + suffix)
            before = pool.read_bytes()
            self.assert_one_error(harness.run(self.arguments(pool, self.folder / "p")), 2, "is the pool itself")
            self.assertEqual(pool.read_bytes(), before)
        folder = self.folder / "results"
        folder.mkdir()
        self.assert_one_error(harness.run(self.arguments(pool, folder)), 2, "is a folder, and a file")
        self.assertFalse((self.folder / "results.work").exists())
        for ending in (".gz", ".zst"):
            out = self.folder / ("x.jsonl" + ending)
            self.assert_one_error(harness.run(self.arguments(pool, out)), 2, "are written uncompressed")
            self.assertFalse(out.exists())

    def test_the_law_that_is_printed_is_the_one_that_was_fitted(self):
        table = self.folder / "runs.csv"
        rows = ["a,2.0,1.10,7.1", "b,2.3,1.15,6.7", "c,2.6,1.22,6.6", "d,2.9,1.20,6.2", "e,3.3,,5.9"]
        table.write_text("\n".join(["name,ratio,loss,score", *rows]) + "\n")
        outcome = harness.run(["select", "analyse", "--law", table])
        self.assertIn("score = a + b ln R, 5 data sets", outcome.out)
        self.assertIn("losses were not checked: 1 of 5 data sets have none", outcome.out)
        law = json.loads(harness.run(["select", "analyse", "--law", table, "--json"]).out)["law"]
        self.assertEqual(law["formula"], "score = a + b ln R")
        table.write_text(table.read_text().replace("3.3,,", "3.3,1.31,"))
        self.assertIn("score = a + b ln R + c loss, 5", harness.run(["select", "analyse", "--law", table]).out)

    def test_a_finished_selection_keeps_its_failures(self):
        pool, out = self.write_pool(self.texts(100)), self.folder / "out.jsonl"
        pool.write_text(pool.read_text() + "not json\n")
        first = self.select(pool, out, *SMALL, code=10)
        again = self.select(pool, out, *SMALL, code=10)
        self.assertEqual(again.err, first.err)
        self.assertIn("lmbits: line 101: ", again.err)
        self.assertIn("finished before", harness.run(["select", pool, "-o", out, *SMALL]).err)

    def test_a_finished_selection_is_computed_again_for_what_is_missing(self):
        pool, out = self.write_pool(self.texts(300)), self.folder / "out.jsonl"
        self.select(pool, out, *SMALL)
        expected, choices = self.result(out), self.folder / "out.jsonl.choices.jsonl"
        for spoil in (choices.unlink, lambda: choices.write_text("spoilt")):
            spoil()
            self.select(pool, out, *SMALL)
            self.assertEqual(self.result(out), expected)
        ratios = [json.loads(self.select(pool, out, *SMALL, "--json", "--seed", seed).out)["random_ratios"] for seed in "12"]
        self.assertNotEqual(ratios[0], ratios[1])
        self.assertEqual(self.result(out), expected)

    def test_unusable_records_are_named_where_too_few_are_left(self):
        pool = self.write_pool(self.texts(10))
        pool.write_text(pool.read_text() + "not json\n")
        flags = ["--algorithm", "zip-reference", "--budget", "3", "--k1", "11", "--k2", "3", "--k3", "3"]
        outcome = harness.run(self.arguments(pool, self.folder / "out.jsonl", *flags))
        self.assertEqual(outcome.code, 3, outcome.err)
        self.assertIn("the pool has 10 samples", outcome.err)
        self.assertIn("lmbits: line 11: ", outcome.err)

    def test_blank_texts_are_left_out_and_counted(self):
        pool, out = self.write_pool(["", " \n\t", *self.texts(20), ""]), self.folder / "out.jsonl"
        outcome = harness.run(["select", pool, "-o", out, "--budget", "10"])
        self.assertIn("left out: 3 samples without a text", outcome.err)
        self.assertTrue(all(json.loads(line)["text"].strip() for line in out.read_text().splitlines()))
        self.assertEqual(json.loads((self.folder / "out.jsonl.manifest.json").read_text())["summary"]["n_blank"], 3)
        flags = ["--algorithm", "zip-reference", "--budget", "3", "--k1", "23", "--k2", "9", "--k3", "3"]
        self.select(pool, self.folder / "reference.jsonl", *flags)  # chooses them, as the released code does
        self.assertIn('""', (self.folder / "reference.jsonl").read_text())

    def test_a_budget_of_tokens_tells_its_tokens(self):
        pool, out = self.write_pool(self.texts(50)), self.folder / "out.jsonl"
        summary = json.loads(self.select(pool, out, "--budget-tokens", "3000", "--json").out)
        choices = [json.loads(line) for line in (self.folder / "out.jsonl.choices.jsonl").read_text().splitlines()]
        self.assertEqual(summary["n_tokens"], sum(choice["n_tokens"] for choice in choices))
        self.assertEqual(summary["n_tokens"], summary["n_bytes"])  # without a tokenizer bytes are tokens
        self.assertNotIn("n_tokens", json.loads(self.select(pool, out, "--budget", "5", "--json").out))
        for flags in (["--budget", "5", "--budget-bytes", "9"], ["--budget-bytes", "9", "--budget-tokens", "9"]):
            self.assert_one_error(harness.run(self.arguments(pool, out, *flags)), 2, "excludes")

    def test_length_bins_are_of_the_samples_that_are_offered(self):
        texts = [text for text in self.texts(200) if len(text) > 200]
        pool = self.write_pool(["short " + str(i) for i in range(300)] + texts)
        flags = ["--budget", "40", "--length-bins", "4", "--min-bytes", "200"]
        summary = json.loads(self.select(pool, self.folder / "out.jsonl", *flags, "--json").out)
        self.assertTrue(summary["budget_met"])
        lengths = sorted(len(text.encode()) for text in texts)
        rank = [lengths.index(len(json.loads(line)["text"].encode())) * 4 // len(lengths)
                for line in (self.folder / "out.jsonl").read_text().splitlines()]
        for quarter in range(4):
            self.assertAlmostEqual(rank.count(quarter), 10, delta=2)  # equal lengths may be told apart by their place

    def test_a_group_gets_no_more_than_its_share(self):
        pool, out = self.folder / "pool.jsonl", self.folder / "out.jsonl"
        samples = [{"text": text, "source": "ab"[i % 10 == 0]} for i, text in enumerate(self.texts(200))]
        pool.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
        self.select(pool, out, "--budget", "24", "--group", "source", "--max-share", "0.5")
        sources = [json.loads(line)["source"] for line in out.read_text().splitlines()]
        self.assertEqual((sources.count("a"), sources.count("b")), (12, 12))

    def test_analyse_tells_copies_contradictions_and_what_explains_what(self):
        words = self.texts(3, longest=60)
        turns = [{"instruction": words[0], "output": words[1]}, {"instruction": words[0], "output": words[2]}]
        pool = self.write_pool([words[0], words[0], words[0].upper(), words[1], words[2], "", words[0]], "set.jsonl")
        row = json.loads(harness.run(["select", "analyse", pool, "--json", "--quiet"]).out)["sets"][0]
        self.assertEqual([row[key] for key in ("n_samples", "n_copies", "n_same_form", "n_empty")], [7, 2, 3, 1])
        answers = self.folder / "answers.jsonl"
        answers.write_text("".join(json.dumps(turn) + "\n" for turn in turns))
        self.assertEqual(json.loads(harness.run(["select", "analyse", answers, "--json", "--quiet"]).out)["sets"][0]["n_contradictions"], 1)
        for name in ("map.csv", "map.svg"):
            outcome = harness.run(["select", "analyse", pool, "--heatmap", self.folder / name, "--heatmap-samples", "5", "--quiet"])
            self.assertEqual(outcome.code, 0, outcome.err)
        matrix = [line.split(",") for line in (self.folder / "map.csv").read_text().splitlines()]
        self.assertEqual((len(matrix), len(matrix[1])), (6, 6))
        self.assertGreater(float(matrix[1][2]), 0.8)  # the second is a copy of the first
        self.assertLess(float(matrix[1][5]), 0.5)
        self.assertIn("<svg", (self.folder / "map.svg").read_text())
        for part, *arguments in (("neither .svg nor .csv", pool, "--heatmap", "map.png"), ("--heatmap-samples requires --heatmap", pool, "--heatmap-samples", "9"),
                                 ("--level requires --law", pool, "--level", "0.9"), ("nothing to analyse",),
                                 ("there is none", "--law", "t.csv", "--model", "m.pt")):
            self.assert_one_error(harness.run(["select", "analyse", *arguments]), 2, part)
        self.assertFalse((self.folder / "map.png").exists())

    def test_adversarial_pools(self):
        empty = self.folder / "empty.jsonl"
        empty.write_text("")
        outcome = self.select(empty, self.folder / "e.jsonl")
        self.assertEqual((self.folder / "e.jsonl").read_text(), "")
        self.assertIn("chosen", outcome.out)
        one = self.write_pool(["only this"], "one.jsonl")
        self.select(one, self.folder / "o.jsonl")
        self.assertEqual((self.folder / "o.jsonl").read_text(), one.read_text())
        equal = self.write_pool(["the same"] * 500, "equal.jsonl")
        self.select(equal, self.folder / "q.jsonl", *SMALL)
        self.assertEqual(len((self.folder / "q.jsonl").read_text().splitlines()), 60)
        broken = self.folder / "broken.jsonl"
        broken.write_bytes(b'{"text": "good"}\n{"text": "\xff\xfe"}\nnot json\n\n{"other": 1}\n{"text": 5}\n{"text": "good too"}')
        outcome = self.select(broken, self.folder / "b.jsonl", code=10)
        self.assertEqual((self.folder / "b.jsonl").read_bytes().count(b"\n"), 2)
        for place in ("line 2", "line 3", "line 5", "line 6"):
            self.assertIn(f"lmbits: {place}: ", outcome.err)

    def test_what_is_wrong_with_a_request_is_said_in_one_line(self):
        pool, out = self.write_pool(self.texts(20)), self.folder / "out.jsonl"
        for code, part, *arguments in (
            (4, "missing.jsonl", self.folder / "missing.jsonl", "-o", out),
            (2, "is the pool itself", pool, "-o", pool),
            (2, "POOL is missing", "-o", out),
            (2, "-o is missing", pool),
            (3, "k1 is 10000", pool, "-o", out, "--algorithm", "zip-reference", "--budget", "5"),
            (2, "zip-reference knows", pool, "-o", out, "--algorithm", "zip-reference", "--min-new", "0.5"),
            (3, "Python \"2.7\"", pool, "-o", out, "--algorithm", "zip-reference", "--python", "2.7"),
            (2, "--max-share without groups", pool, "-o", out, "--max-share", "0.5"),
            (2, "--group without a --max-share", pool, "-o", out, "--group", "source"),
            (4, "no record of", pool, "-o", out, "--group", "txet", "--max-share", "0.5"),
            (2, "--tokenizer requires --budget-tokens", pool, "-o", out, "--tokenizer", "t.model"),
            (2, "--window is not used with --cost zlib", pool, "-o", out, "--window", "4096"),
            (2, "--by-zlib is not used with --cost zstd", pool, "-o", out, "--by-zlib", "--cost", "zstd"),
            (2, "--level is not used with --cost model", pool, "-o", out, "--level", "3", "--cost", "model", "--model", "m.pt"),
            (2, "--python is not used with --algorithm zip", pool, "-o", out, "--python", "3.12"),
            (2, "compresses whole records", pool, "-o", out, "--algorithm", "zip-reference", "--field", "body"),
            (2, "no text is both", pool, "-o", out, "--min-bytes", "9", "--max-bytes", "5"),
            (2, "zlib's levels are 0 to 9", pool, "-o", out, "--level", "10"),
            (2, "--budget: Value 0 is not above 0", pool, "-o", out, "--budget", "0"),
            (2, "--min-bytes: Value -1 is below 0", pool, "-o", out, "--min-bytes", "-1"),
            (2, "unknown sample format", pool, "-o", out, "--format", "sharegtp"),
        ):
            with self.subTest(part=part):
                self.assert_one_error(harness.run(["select", *arguments, "--quiet"]), code, part)
        (self.folder / "file.jsonl.work").write_text("mine")
        self.assert_one_error(harness.run(self.arguments(pool, self.folder / "file.jsonl")), 2, "file.jsonl.work is a file")
        self.assertEqual((self.folder / "file.jsonl.work").read_text(), "mine")
        (self.folder / "file.jsonl.work").unlink()
        text = self.folder / "pool.txt"
        text.write_text("words")
        self.assert_one_error(harness.run(["select", text, "-o", out]), 2, "a pool is .jsonl")
        array = self.folder / "pool.json"
        for content in ('{"text": 1}', '[{"text": 1}', '[{"text": 1}]x', '[{"text": 1},]', '[1}]'):
            array.write_text(content)
            self.assert_one_error(harness.run(["select", array, "-o", out]), 4, "pool.json")
        self.assertEqual(list(self.folder.glob("*.work")), [])

    @unittest.skipUnless(os.environ.get("LMBITS_LARGE"), "LMBITS_LARGE=1 runs it")
    def test_memory_is_bounded(self):
        draw = random.Random(1)
        words = harness.words(5000)
        pool = self.folder / "large.jsonl"
        with open(pool, "w") as file:
            for i in range(100_000):
                file.write(json.dumps({"id": i, "text": " ".join(draw.choices(words, k=250))}) + "\n")
        flags = ["--budget", "300", "--k1", "2000", "--k2", "100", "--k3", "50", "--threads", "2"]
        code, _, kib = harness.usage_of(self.arguments(pool, self.folder / "large-out.jsonl", *flags))
        self.assertEqual(code, 0)
        print(f"100,000 samples, {pool.stat().st_size >> 20} MiB: {kib >> 10} MiB resident")
        self.assertLess(kib, 120 << 10)
        huge = self.folder / "huge.jsonl"
        with open(huge, "w") as file:
            file.write(json.dumps({"text": " ".join(draw.choices(words, k=16_000_000))}) + "\n")
            for text in self.texts(50):
                file.write(json.dumps({"text": text}) + "\n")
        code, _, kib = harness.usage_of(self.arguments(huge, self.folder / "huge-out.jsonl", "--budget", "10", "--threads", "2"))
        self.assertEqual(code, 0)
        print(f"one sample of {huge.stat().st_size >> 20} MiB: {kib >> 10} MiB resident")
        self.assertLess(kib, 10 * huge.stat().st_size >> 10)


if __name__ == "__main__":
    harness.main()
