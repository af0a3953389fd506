"""The same folder with another model, corpus, tokenizer or convention: refused, with what changed and both values."""

import json
import shutil

import harness


class ChangedInputs(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.jsonl"
        harness.write_jsonl(self.corpus, 20)
        self.output = self.folder / "runs"

    def identity(self):
        return json.loads((self.only_run(self.output) / "manifest.json").read_text())["identity"]

    def assert_refused(self, key, was, now, model, corpus, *flags):
        run = self.only_run(self.output)
        before = {path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}
        outcome = harness.run(self.eval_arguments(model, corpus, self.output, *flags))
        self.assert_one_error(outcome, 3, f"{key} was {was}, is now {now}")
        self.assertIn("  hint: ", outcome.err)
        self.assertEqual({path.name: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}, before, "nothing changed on disk")

    def values_of(self, key, model, corpus, *flags):
        """The identity's value when the same is evaluated elsewhere."""
        other = self.folder / "elsewhere"
        shutil.rmtree(other, ignore_errors=True)
        run = self.finish(model, corpus, other, *flags)
        return json.dumps(json.loads((run / "manifest.json").read_text())["identity"][key])

    def test_model(self):
        first, second = self.folder / "a.txt", self.folder / "b.txt"
        first.write_text("one text")
        second.write_text("another")
        self.finish(f"m=bigram:{first}", self.corpus, self.output)
        was = json.dumps(self.identity()["model"])
        now = self.values_of("model", f"m=bigram:{second}", self.corpus)
        self.assert_refused("model", was, now, f"m=bigram:{second}", self.corpus)

    def test_corpus(self):
        self.finish("uniform:256", self.corpus, self.output)
        was = json.dumps(self.identity()["corpus"])
        self.corpus.write_bytes(self.corpus.read_bytes().replace(b"a", b"b", 1))
        now = self.values_of("corpus", "uniform:256", self.corpus)
        self.assert_refused("corpus", was, now, "uniform:256", self.corpus)

    def test_split_and_field(self):
        text = self.folder / "text.txt"
        text.write_text("one\ntwo\n")
        self.finish("uniform:256", text, self.output)
        was = json.dumps(self.identity()["corpus"])
        now = self.values_of("corpus", "uniform:256", text, "--split", "lines")
        self.assert_refused("corpus", was, now, "uniform:256", text, "--split", "lines")

    def test_window_stride_and_bos(self):
        self.finish("uniform:256", self.corpus, self.output, "--window", "64")
        self.assert_refused("convention.window", 64, 32, "uniform:256", self.corpus, "--window", "32", "--stride", "32")
        self.assert_refused("convention.stride", 32, 16, "uniform:256", self.corpus, "--window", "64", "--stride", "16")
        self.assert_refused("convention.lead_id", 256, "null", "uniform:256", self.corpus, "--window", "64", "--bos", "none")

    def test_dtype(self):
        model = harness.bundle("xs-byte-100")
        self.finish(model, self.corpus, self.output, "--dtype", "float32")
        self.assert_refused("dtype", '"float32"', '"bfloat16"', model, self.corpus, "--dtype", "bfloat16")

    def test_another_bundle_of_the_name_with_another_tokenizer(self):
        few = self.folder / "few.jsonl"
        harness.write_jsonl(few, 2)
        self.finish("m=" + harness.bundle("xs-byte-100"), few, self.output)
        was, other = self.identity(), "m=" + harness.bundle("s-sp-100")
        for key in ("model", "tokenizer"):
            self.assert_refused(key, json.dumps(was[key]), self.values_of(key, other, few), other, few)

    def test_another_dictionary_is_measured_again(self):
        dictionary = self.folder / "seen.txt"
        sizes = []
        for text in (self.corpus.read_text(), "nothing like it " * 500):
            dictionary.write_text(text)
            run = self.finish("uniform:256", self.corpus, self.output, "--dictionary", f"corpus={dictionary}")
            sizes.append(harness.summary_of(run)["baselines"]["zstd-22-dict"]["bytes"])
        self.assertGreater(sizes[1], 2 * sizes[0])
        outcome = harness.run(self.eval_arguments("uniform:256", self.corpus, self.output, "--dictionary", f"other={dictionary}"))
        self.assert_one_error(outcome, 2, "for a corpus that is not scored: other")

    def test_a_bos_that_is_no_id_is_refused(self):
        for model, bos in (("uniform:256", 257), (harness.bundle("xs-byte-100"), 257), (harness.bundle("s-sp-100"), 2048)):
            outcome = harness.run(self.eval_arguments(model, self.corpus, self.output, "--bos", str(bos)))
            self.assertEqual(outcome.code, 3)
            self.assertIn(f"bos is {bos}, but the model's ids end at {bos - 1}", outcome.err)

    def test_another_convention_is_another_folder(self):
        self.finish("uniform:256", self.corpus, self.output)
        outcome = harness.run(self.eval_arguments("uniform:256", self.corpus, self.output, "--convention", "lm-eval"))
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertEqual(len(list(self.output.glob("*__*"))), 2)

    def test_a_moved_corpus_is_the_same_corpus(self):
        run = self.finish("uniform:256", self.corpus, self.output)
        expected = self.folder / "expected"
        shutil.copytree(run, expected)
        moved = self.folder / "moved"
        moved.mkdir()
        shutil.move(self.corpus, moved / "corpus.jsonl")
        (run / "summary.json").unlink()
        self.assert_same_run(self.finish("uniform:256", moved / "corpus.jsonl", self.output), expected)


if __name__ == "__main__":
    harness.main()
