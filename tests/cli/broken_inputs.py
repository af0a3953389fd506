"""Broken corpora and broken bundles: one clear line and the right exit code; what is sound beside them is scored."""

import gzip
import json
import pathlib
import random
import zipfile

import harness


class BrokenCorpora(harness.ProgramTest):
    def evaluate(self, corpus, *flags):
        return harness.run(self.eval_arguments("uniform:256", corpus, self.folder / "runs", *flags))

    def test_missing(self):
        self.assert_one_error(self.evaluate(self.folder / "nowhere.txt"), 4, "nowhere.txt", "No such file or directory")

    def test_truncated_compression(self):
        good = self.folder / "good.jsonl"
        harness.write_jsonl(good, 100)
        packed = gzip.compress(good.read_bytes())
        flipped = bytearray(packed)
        flipped[-6] ^= 1  # of the checksum that the file carries
        for name, data in (("cut", packed[:-100]), ("head", packed[:5]), ("flipped", bytes(flipped)), ("none", b"this is no gzip")):
            path = self.folder / f"{name}.jsonl.gz"
            path.write_bytes(data)
            with self.subTest(name):
                self.assert_one_error(self.evaluate(path), 4, path.name)

    def test_bad_jsonl_lines_are_recorded_and_the_rest_is_scored(self):
        path = self.folder / "some.jsonl"
        bad = ['{"text": "never closed', "17", '{"txet": "ab"}', '{"text": 5}', '{"text": "\\ud800"}']
        path.write_text("\n".join(['{"text": "good"}', *bad, '{"text": "also"}']) + "\n")
        outcome = self.evaluate(path)
        self.assertEqual(outcome.code, 10, outcome.err)
        run = self.only_run(self.folder / "runs")
        records = harness.records_of(run)
        self.assertNotIn(None, records)
        self.assertEqual(sorted(r["status"] for r in records), ["failed"] * len(bad) + ["ok"] * 2)
        self.assertTrue(all(r["error"] and r["bits"] is None for r in records if r["status"] == "failed"))
        summary = harness.summary_of(run)
        self.assertEqual((summary["n_documents"], summary["n_failed"], summary["n_bytes"], summary["bits"]), (2, len(bad), 8, 64.0))
        self.assertTrue(any("failed" in warning for warning in summary["warnings"]))
        again = self.evaluate(path)  # failed ones are tried again, good ones are not
        self.assertEqual(again.code, 10, again.err)
        self.assertEqual(harness.summary_of(run), summary)
        self.assertEqual(len(harness.records_of(run)), len(bad) + 2)

    def test_mended_documents_are_another_corpus(self):
        path = self.folder / "some.jsonl"
        path.write_text('{"text": "good"}\n{"text": \n')
        self.assertEqual(self.evaluate(path).code, 10)
        path.write_text('{"text": "good"}\n{"text": "mended"}\n')
        self.assert_one_error(self.evaluate(path), 3, "corpus was ")

    def test_empty_files(self):
        for name in ("empty.txt", "none.jsonl"):
            path = self.folder / name
            path.write_text("")
            with self.subTest(name):
                outcome = self.evaluate(path)
                self.assertEqual(outcome.code, 0, outcome.err)
                summary = harness.summary_of(self.folder / "runs" / f"uniform-256__{path.stem}__default")
                self.assertIsNone(summary["bits_per_byte"], "undefined, not 0")
                self.assertIsNone(summary["interval"])

    def test_an_empty_folder(self):
        (self.folder / "none").mkdir()
        self.assert_one_error(self.evaluate(self.folder / "none"), 4, self.folder / "none")

    def test_a_stream_too_short_for_a_window(self):
        path = self.folder / "short.txt"
        path.write_text("short")
        self.assert_one_error(self.evaluate(path, "--convention", "hkust"), 4, "hkust")


class BrokenBundles(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.jsonl"
        harness.write_jsonl(self.corpus, 5)
        self.good = pathlib.Path(harness.bundle("xs-byte-100"))

    def broken(self):
        """(name, path) of bundles that are broken in one way each."""
        data = self.good.read_bytes()
        made = {"cut": data[: len(data) // 2], "head": data[:100], "tail": data[-5000:], "empty": b"",
                "random": random.Random(1).randbytes(50_000), "text": b"not a model\n" * 100,
                "flipped": with_flipped_weight(self.good)}
        for name, content in made.items():
            path = self.folder / f"{name}.pt"
            path.write_bytes(content)
            yield name, path
        nothing = self.folder / "nothing.pt"
        with zipfile.ZipFile(nothing, "w") as archive:
            archive.writestr("nothing/readme", "an archive, but no TorchScript")
        yield "nothing", nothing
        codeless = self.folder / "codeless.pt"
        copy_archive(self.good, codeless, lambda name, content: None if "/code/" in name else content)
        yield "codeless", codeless
        nameless = self.folder / "nameless.pt"
        copy_archive(self.good, nameless, lambda name, content: b"{" if name.endswith("lmbits.json") else content)
        yield "no metadata", nameless

    def test_each_is_one_line(self):
        for name, path in self.broken():
            outcome = harness.run(self.eval_arguments(path, self.corpus, self.folder / "runs"))
            with self.subTest(name):
                self.assert_one_error(outcome, 5, path.name)
                failures = [json.loads(p.read_text()) for p in (self.folder / "runs" / "failures").glob("*.json")]
                self.assertTrue(any(path.name in failure["error"] for failure in failures))

    def test_missing(self):
        outcome = harness.run(self.eval_arguments(self.folder / "nowhere.pt", self.corpus, self.folder / "runs"))
        self.assert_one_error(outcome, 5, "nowhere.pt")

    def test_a_good_model_beside_broken_ones_is_scored(self):
        flags = [flag for name, path in self.broken() if name in ("cut", "flipped", "random") for flag in ("--model", path)]
        output = self.folder / "runs"
        arguments = self.eval_arguments(self.good, self.corpus, output)
        outcome = harness.run(arguments[:1] + flags + arguments[1:])
        self.assertEqual(outcome.code, 10, outcome.err)
        self.assertEqual(sum(line.startswith("lmbits: ") for line in outcome.err.splitlines()), 3, outcome.err)
        expected = self.finish(self.good, self.corpus, self.folder / "alone")
        self.assert_same_run(output / expected.name, expected)

    def test_a_missing_model_beside_a_good_one_stops_nothing(self):
        arguments = self.eval_arguments(self.good, self.corpus, self.folder / "runs")
        for missing in (self.folder / "nowhere.pt", f"bigram:{self.folder / 'nowhere.txt'}"):
            outcome = harness.run(arguments[:1] + ["--model", missing] + arguments[1:])
            with self.subTest(missing):
                self.assert_one_error(outcome, 10, "nowhere")


def copy_archive(source, target, change):
    """Copies a zip archive member by member."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = change(info.filename, old.read(info))
            if content is not None:
                new.writestr(zipfile.ZipInfo(info.filename), content)


def with_flipped_weight(path):
    """The archive's bytes with one bit of its largest tensor flipped, its zip checksum left as it was."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        largest = max((info for info in archive.infolist() if "/data/" in info.filename), key=lambda info: info.file_size)
    header = largest.header_offset
    begin = header + 30 + int.from_bytes(data[header + 26:header + 28], "little") + int.from_bytes(data[header + 28:header + 30], "little")
    data[begin + largest.file_size // 2] ^= 0x10
    return bytes(data)


if __name__ == "__main__":
    harness.main()
