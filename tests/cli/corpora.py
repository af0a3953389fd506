"""Corpora of many files, the token cache under kills and company, contamination: through the program itself."""

import importlib.util
import json, pathlib
import random
import signal
import subprocess
import sys
import unittest

import harness


def line(**values):
    return json.dumps(values, ensure_ascii=False) + "\n"


class Tokenize(harness.ProgramTest):
    def test_a_document_that_fails_is_named_and_keeps_its_line(self):
        tokenizer = self.folder / "words.json"
        tokenizer.write_text(json.dumps({"pre_tokenizer": {"type": "WhitespaceSplit"}, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"a": 3, "b": 4}}}))
        corpus = self.folder / "c.jsonl"
        corpus.write_text(line(text="a b") + line(text="a z") + line(text="b"))
        outcome = harness.run(["tokenize", tokenizer, "--corpus", corpus, "--ids"])
        self.assertEqual(outcome.code, 10, outcome.err)
        self.assertEqual(outcome.out, "3 4\n\n4\n")
        self.assertIn("line-2: a word is not in the vocabulary", outcome.err)
        self.assertEqual(outcome.err.count("\n"), 1)


class Pictures(harness.ProgramTest):
    """Every command that reads pictures takes --patch, and means the same by it."""

    def setUp(self):
        super().setUp()
        self.picture = self.folder / "a.pgm"
        self.picture.write_bytes(b"P5 4 4 255 " + bytes(range(65, 81)))

    def ok(self, *arguments):
        outcome = harness.run(arguments)
        self.assertEqual(outcome.code, 0, outcome.err)
        return outcome.out

    def test_tokens_are_of_pixels_in_their_order(self):
        arguments = ["tokenize", "bytes", "--corpus", self.picture, "--ids"]
        self.assertEqual(self.ok(*arguments).split(), [str(i) for i in range(65, 81)])
        rows = [self.ok(*arguments, "--patch", "2x2", "--split", "4").splitlines(), ["65 66 69 70", "67 68 71 72"]]
        self.assertEqual(rows[0][:2], rows[1])
        self.assert_one_error(harness.run([*arguments, "--patch", "2"]), 3, "patch is \"2\"")

    def test_gzip_complexity_and_zipf(self):
        side = 64  # rows of 64 different values: what repeats is 64 bytes away, in patches of a column one
        self.picture.write_bytes(b"P5 %d %d 255 " % (side, side) + bytes(range(side)) * side)
        h = [json.loads(self.ok("gzip-complexity", self.picture, "--chunk", "64", "--json", "--patch", patch))[0]["median"]
             for patch in ("64x64", "64x1")]
        self.assertGreater(h[0], 2 * h[1])
        outcome = harness.run(["corpus", "zipf", self.picture, "--patch", "6"])
        self.assert_one_error(outcome, 3, "patch is \"6\"")

    def test_a_race_is_over_pixels_in_their_order(self):
        draw = random.Random(5)
        self.picture.write_bytes(b"P5 64 64 255 " + bytes(min(255, 3 * x + draw.randrange(5)) for x in range(64) for _ in range(64)))
        models = [harness.bundle("xs-byte-100"), harness.bundle("xs-byte-1000")]
        said = []
        for patch in ("32x64", "64x1"):
            said.append(json.loads(self.ok("rank", "--adaptive", self.folder / patch, "--model", *models, "--text", self.picture,
                                           "--split", "512", "--json", "--zone", "50%", "--patch", patch)))
            manifests = list((self.folder / patch).glob("*__a__*/manifest.json"))
            self.assertEqual([json.loads(m.read_text())["corpus"]["patch"] for m in manifests], [patch] * 2)
        self.assertNotEqual(*[[m["bits_per_byte"] for m in outcome["models"]] for outcome in said])


class TokenCache(harness.ProgramTest):
    """Scored with a SentencePiece bundle: its tokens are worth keeping."""

    def setUp(self):
        super().setUp()
        self.model = harness.bundle("s-sp-100")
        self.corpus = self.folder / "c.jsonl"
        self.ids = harness.write_jsonl(self.corpus, 150)

    def tokens(self, output):
        return [path for path in (output / ".tokens").iterdir()]

    def profile(self, output):
        return json.loads((self.only_run(output) / "summary.json").read_text())["profile"]

    def test_other_models_and_other_nights_tokenise_nothing(self):
        output = self.folder / "runs"
        outcome = harness.run(["eval", "--model", self.model, "--model", harness.bundle("s-sp-500"), "--corpus", self.corpus, "-o",
                               output, "--baselines", "none", "--quiet", "--json"])
        self.assertEqual(outcome.code, 0, outcome.err)
        first, second = (summary["profile"] for summary in json.loads(outcome.out))
        self.assertEqual((first["n_texts_cached"], first["n_texts_encoded"]), (0, 150))
        self.assertEqual((second["n_texts_cached"], second["n_texts_encoded"]), (150, 0))
        self.assertEqual(len(self.tokens(output)), 1)
        night = self.folder / "night"
        self.finish(self.model, self.corpus, night, "--cache", str(output / ".tokens"))
        self.assertEqual(self.profile(night)["n_texts_encoded"], 0)
        self.assertFalse((night / ".tokens").exists())
        plain = self.folder / "plain"
        self.finish(self.model, self.corpus, plain, "--no-cache")
        self.assertFalse((plain / ".tokens").exists())
        self.assert_same_run(self.only_run(night), self.only_run(plain))
        table = harness.run(["eval", "--model", self.model, "--corpus", self.corpus, "-o", night, "--profile", "--quiet",
                             "--baselines", "none", "--cache", output / ".tokens"])
        self.assertIn("cached %", table.out)
        self.assertRegex(table.out, r"peak memory [1-9][0-9]+ MiB")

    def test_a_killed_writer_harms_nobody(self):
        plain = self.folder / "plain"
        expected = self.finish(self.model, self.corpus, plain, "--no-cache")
        for i, n_records in enumerate((1, 40, 100)):
            output = self.folder / f"killed-{i}"
            process = harness.start(self.eval_arguments(self.model, self.corpus, output, "--batch", "1"))
            log = output / "s-sp-100__c__default" / "documents.jsonl"
            self.wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= n_records, process, "records")
            process.send_signal(signal.SIGKILL)
            process.communicate()
            run = self.finish(self.model, self.corpus, output, "--batch", "1")
            others = self.finish(self.model, self.corpus, self.folder / f"again-{i}", "--cache", str(output / ".tokens"), "--batch", "1")
            self.assertEqual([path.suffix for path in self.tokens(output)], [".tokens"], "no temporary file stays")
            bits = [{record["id"]: record["bits"] for record in harness.records_of(one)} for one in (run, others)]
            self.assertEqual(bits[0], bits[1])
            for record in harness.records_of(expected):
                self.assertAlmostEqual(bits[0][record["id"]], record["bits"], delta=1e-6 * max(10, record["bits"]))

    def test_two_processes_at_once(self):
        expected = self.finish(self.model, self.corpus, self.folder / "plain", "--no-cache")
        cache = self.folder / "cache"
        for attempt in range(3):
            outputs = [self.folder / f"{attempt}-{i}" for i in range(2)]
            processes = [harness.start(self.eval_arguments(self.model, self.corpus, output, "--cache", cache)) for output in outputs]
            for process, output in zip(processes, outputs):
                outcome = harness.Outcome(process)
                self.assertEqual((outcome.code, outcome.err), (0, ""))
                self.assert_same_run(self.only_run(output), expected)
            self.assertEqual([path.suffix for path in cache.iterdir()], [".tokens"])
            if attempt == 0:  # and with a damaged file
                path = next(cache.iterdir())
                damaged = bytearray(path.read_bytes())
                damaged[len(damaged) // 2] ^= 1
                path.write_bytes(damaged)

    def test_a_damaged_cache_is_told_of_and_made_again(self):
        cache = self.folder / "cache"
        expected = self.finish(self.model, self.corpus, self.folder / "first", "--cache", str(cache))
        path = next(cache.iterdir())
        whole = path.read_bytes()
        for i, damaged in enumerate((whole[:-1], whole[:100], b"", whole[:200] + b"\xff\xff" + whole[202:], b"x" * len(whole))):
            path.write_bytes(damaged)
            output = self.folder / f"damaged-{i}"
            arguments = [flag for flag in self.eval_arguments(self.model, self.corpus, output, "--cache", cache) if flag != "--quiet"]
            outcome = harness.run(arguments)
            self.assertEqual(outcome.code, 0, outcome.err)
            self.assertIn("damaged", outcome.err)
            bits = [{record["id"]: record["bits"] for record in harness.records_of(one)} for one in (self.only_run(output), expected)]
            self.assertEqual(*bits)
            again = self.finish(self.model, self.corpus, self.folder / f"mended-{i}", "--cache", str(cache))
            self.assertEqual(json.loads((again / "summary.json").read_text())["profile"]["n_texts_encoded"], 0, "whole again")

    def test_a_full_disk_costs_only_the_cache(self):
        cache = self.folder / "cache"
        cache.write_text("a file where a folder should be")
        expected = self.finish(self.model, self.corpus, self.folder / "plain", "--no-cache")
        run = self.finish(self.model, self.corpus, self.folder / "full", "--cache", str(cache))
        self.assert_same_run(run, expected)


class Corpora(harness.ProgramTest):
    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def json_of(self, *arguments, code=0):
        outcome = harness.run([*arguments, "--json"])
        self.assertEqual(outcome.code, code, outcome.err)
        return json.loads(outcome.out)

    def mixed(self):
        for i in range(4):
            self.write(f"news/{i}.jsonl", "".join(line(body={"text": harness.text_of(300 + 50 * k, 10 * i + k)}, lang="en" if k else "de")
                                                  for k in range(6)))
        self.write("code/a.py", harness.text_of(900, 77))
        return self.write("corpus.json", json.dumps({
            "format": "lmbits-corpus-1", "name": "mix", "licence": "CC0",
            "sources": [{"path": "news/*.jsonl", "field": "body.text", "category": "news", "filters": {"where": {"lang": "en"}}},
                        {"path": "code", "category": "code", "split": "200"}]}))

    def test_categories_in_eval_rank_summary_and_report(self):
        output = self.folder / "runs"
        training = self.write("training.txt", harness.text_of(3000))
        outcome = harness.run(["eval", "--model", f"a=bigram:{training}", "--model", "b=uniform:300", "--corpus", self.mixed(), "-o",
                               output, "--quiet"])
        self.assertEqual(outcome.code, 0, outcome.err)
        for words in ("news", "code", "micro", "macro"):
            self.assertIn(words, outcome.out)
        summary = json.loads((output / "a__mix__default" / "summary.json").read_text())
        news, code = summary["categories"]["news"], summary["categories"]["code"]
        self.assertEqual((news["n_documents"], code["n_documents"]), (20, 5))
        self.assertAlmostEqual(summary["macro"]["bits_per_byte"], (news["bits_per_byte"] + code["bits_per_byte"]) / 2, places=12)
        self.assertAlmostEqual(summary["bits_per_byte"], (news["bits"] + code["bits"]) / (news["n_bytes"] + code["n_bytes"]), places=12)
        tables = self.json_of("rank", output, "--categories")["tables"]
        self.assertEqual([table["corpus"] for table in tables], ["mix/code", "mix/news", "mix", "mix"])
        self.assertEqual([table["pooling"] for table in tables], [None, None, "micro", "macro"])
        macro = next(row for row in tables[3]["rows"] if row["name"] == "a")
        self.assertAlmostEqual(macro["bits_per_byte"], summary["macro"]["bits_per_byte"], places=12)
        page = self.folder / "page.html"
        self.assertEqual(harness.run(["report", output, "-o", page]).code, 0)
        self.assertIn("mix/news", page.read_text())
        self.assertIn("first question anyone asks", page.read_text())
        manifest = json.loads((output / "a__mix__default" / "manifest.json").read_text())
        self.assertEqual(manifest["corpus"]["licence"], "CC0")

    def test_stats(self):
        rows = self.json_of("corpus", "stats", self.mixed(), "--quiet")
        by_category = {row["category"]: row for row in rows}
        self.assertEqual(by_category["news"]["n_documents"], 20)
        self.assertEqual(by_category[""]["n_documents"], 25)
        self.assertEqual(by_category[""]["n_bytes"], by_category["news"]["n_bytes"] + 900)
        bad = self.folder / "bad.txt"
        bad.write_bytes(b"\xff\n\nok")
        row, = self.json_of("corpus", "stats", bad, "--split", "lines", "--quiet")
        self.assertEqual((row["n_documents"], row["n_invalid"], row["n_chars"], row["size_max"]), (3, 1, 5, 2))

    def test_a_sample_is_the_same_as_a_file_and_in_eval(self):
        corpus, drawn, output = self.mixed(), self.folder / "drawn.jsonl", self.folder / "runs"
        flags = ("--sample", "2K chars", "--sample-seed", "5")
        outcome = harness.run(["corpus", "sample", corpus, *flags, "-o", drawn])
        self.assertEqual(outcome.code, 0, outcome.err)
        sample = [json.loads(text) for text in drawn.read_text().splitlines()]
        n_chars = [len(document["text"]) for document in sample]
        self.assertGreaterEqual(sum(n_chars), 2000)
        self.assertLess(sum(n_chars) - max(n_chars), 2000)
        outcome = harness.run(self.eval_arguments("uniform:256", corpus, output, *flags))
        self.assertEqual(outcome.code, 0, outcome.err)
        records = harness.records_of(self.only_run(output))
        self.assertEqual({record["id"] for record in records}, {document["id"] for document in sample})
        again = harness.run(self.eval_arguments("uniform:256", corpus, output, "--sample", "2K chars", "--sample-seed", "6"))
        self.assert_one_error(again, 3, "corpus")

    def test_a_pattern_is_one_corpus_and_an_unknown_key_is_named(self):
        self.mixed()
        output = self.folder / "runs"
        outcome = harness.run(self.eval_arguments("uniform:256", f"n={self.folder}/news/*.jsonl", output, "--field", "body.text"))
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertEqual(len(harness.records_of(self.only_run(output))), 24)
        self.assert_one_error(harness.run(self.eval_arguments("uniform:256", f"{self.folder}/*.csv", output)), 4, "no file matches")
        bad = self.write("bad.corpus.json", json.dumps({"format": "lmbits-corpus-1", "sources": ["code"], "licenze": "x"}))
        outcome = harness.run(self.eval_arguments("uniform:256", bad, output))
        self.assert_one_error(outcome, 3, "licenze")
        self.assertIn("did you mean licence?", outcome.err)

    def planted(self):
        """Twenty documents, of which 4 stands whole in the training text, 9 by half and 13 by a line."""
        texts = [harness.text_of(800, 100 + i) for i in range(20)]
        corpus = self.write("eval.jsonl", "".join(line(id=f"d{i}", text=text) for i, text in enumerate(texts)))
        seen = (texts[4], texts[9][:400], texts[13][100:170])
        training = self.write("train/a.txt", harness.text_of(5000, 900) + "|".join(seen[:2]) + harness.text_of(5000, 901))
        self.write("train/b.jsonl", line(text="x" + seen[2]))
        return texts, corpus, training

    def test_check_finds_what_was_planted(self):
        texts, corpus, training = self.planted()
        n_bytes = [len(text.encode()) for text in (*texts, texts[4], texts[9][:400], texts[13][100:170])]
        found = self.json_of("corpus", "check", corpus, "--against", f"{self.folder}/train/*", "--quiet")["against"]
        self.assertEqual(found["n_train_bytes"], pathlib.Path(training).stat().st_size + 1 + n_bytes[22])
        (row,) = found["corpora"]
        self.assertEqual((row["n_documents"], row["n_contaminated"], row["longest_found"]), (20, 2, n_bytes[20]))
        self.assertAlmostEqual(row["bytes_found"], 100 * sum(n_bytes[20:]) / sum(n_bytes[:20]), places=9)
        self.assertEqual([worst["id"] for worst in found["worst"]], ["d4", "d9", "d13"])
        words = self.json_of("corpus", "check", corpus, "--against", f"{self.folder}/train/*", "--ngram", "13w", "--quiet")["against"]
        self.assertEqual(words["worst"][0]["id"], "d4")
        few = self.json_of("corpus", "check", corpus, "--against", f"{self.folder}/train/*", "--memory", "50K", "--quiet")["against"]
        self.assertGreater(few["n_passes"], 5)
        self.assertEqual(few["worst"], found["worst"])

    def test_check_finds_copies(self):
        texts = [harness.text_of(600, 300 + i) for i in range(30)]
        near = texts[5].replace(" ", ", ", 3).upper() + " and a bit"
        a = self.write("a.jsonl", "".join(line(text=text) for text in texts + texts[:3]))
        b = self.write("b.jsonl", "".join(line(text=text) for text in (texts[7], near, harness.text_of(600, 999))))
        rows = {(row["corpus"], row["in"]): row for row in self.json_of("corpus", "check", a, b, "--quiet")["copies"]}
        self.assertEqual((rows["a", "itself"]["n_equal"], rows["a", "b"]["n_equal"], rows["b", "a"]["n_equal"]), (3, 1, 1))
        self.assertEqual((rows["a", "b"]["n_near"], rows["b", "a"]["n_near"], rows["b", "itself"]["n_near"]), (1, 1, 0))

    def test_eval_against_training_text(self):
        texts, corpus, training = self.planted()
        model, output = f"bigram:{training}", self.folder / "runs"
        outcome = harness.run([*self.eval_arguments(model, corpus, output)[:-1], "--against", f"web={self.folder}/train/*"])
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertIn("contamination", outcome.err)
        run = self.only_run(output)
        found = json.loads((run / "summary.json").read_text())["contamination"]
        self.assertEqual(found["n_contaminated"], 2)
        self.assertEqual(found["against"][0]["name"], "web")
        clean = [record for record in harness.records_of(run) if record["id"] not in ("d4", "d9")]
        self.assertAlmostEqual(found["bits_per_byte_clean"], sum(r["bits"] for r in clean) / sum(r["n_bytes"] for r in clean), places=12)
        cached = list((output / ".contamination").iterdir())
        self.assertEqual(len(cached), 1)
        damaged = bytearray(cached[0].read_bytes())
        damaged[50] ^= 1
        cached[0].write_bytes(damaged)
        (run / "summary.json").unlink()
        self.assertEqual(harness.run(self.eval_arguments(model, corpus, output, "--against", f"web={self.folder}/train/*")).code, 0)
        self.assertEqual(json.loads((run / "summary.json").read_text())["contamination"], found)
        page = self.folder / "page.json"
        harness.run(["report", output, "-o", page])
        self.assertEqual(json.loads(page.read_text())["contamination"][0]["n_contaminated"], 2)


class ToJsonl(harness.ProgramTest):
    def script(self, *arguments):
        return subprocess.run([sys.executable, harness.SOURCE / "scripts" / "to_jsonl.py", *map(str, arguments)],
                              capture_output=True, text=True, check=False)

    @unittest.skipIf(importlib.util.find_spec("pyarrow"), "pyarrow is there")
    def test_says_what_is_missing(self):
        outcome = self.script("x.parquet")
        self.assertEqual(outcome.returncode, 1)
        self.assertIn("pip install pyarrow", outcome.stderr)
        self.assertNotIn("Traceback", outcome.stderr)

    @unittest.skipUnless(importlib.util.find_spec("pyarrow"), "no pyarrow here: python3 -m pip install pyarrow")
    def test_rows_come_out_as_they_are_and_can_be_scored(self):
        import datetime

        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet

        rows = [{"text": f"text {i}\n\u00e9\U0001f600", "meta": {"lang": "en", "n": i}, "blob": b"\xff", "day": datetime.date(2024, 1, 2)}
                for i in range(3000)]
        table = pyarrow.Table.from_pylist(rows)
        (self.folder / "d" / "e").mkdir(parents=True)
        pyarrow.parquet.write_table(table, self.folder / "d" / "a.parquet", row_group_size=500)
        pyarrow.feather.write_feather(table.slice(0, 10), str(self.folder / "d" / "e" / "b.arrow"))
        out = self.folder / "out.jsonl"
        outcome = self.script(self.folder / "d", "-o", out)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        read = [json.loads(text) for text in out.read_text(encoding="utf-8").splitlines()]
        self.assertEqual(len(read), 3010)
        self.assertEqual(read[7]["text"], rows[7]["text"])
        self.assertEqual((read[7]["meta"], read[7]["blob"], read[7]["day"]), ({"lang": "en", "n": 7}, "/w==", "2024-01-02"))
        run = self.finish("uniform:256", out, self.folder / "runs", "--field", "meta.lang")
        self.assertEqual(sum(record["n_bytes"] for record in harness.records_of(run)), 2 * 3010)
        few = self.script(self.folder / "d" / "a.parquet", "--columns", "text")
        self.assertEqual(json.loads(few.stdout.splitlines()[0]), {"text": rows[0]["text"]})
        bad = self.folder / "bad.parquet"
        bad.write_bytes((self.folder / "d" / "a.parquet").read_bytes()[:-5])
        outcome = self.script(bad, "-o", self.folder / "none.jsonl")
        self.assertEqual(outcome.returncode, 1)
        self.assertNotIn("Traceback", outcome.stderr)
        self.assertFalse((self.folder / "none.jsonl").exists())
        self.assertIn("no column txt", self.script(self.folder / "d" / "a.parquet", "--columns", "txt").stderr)


if __name__ == "__main__":
    harness.main()
