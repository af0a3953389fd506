"""compress and decompress: any file comes back, damage and strangers are refused, a kill leaves nothing half done."""

import json
import pathlib
import random
import signal
import time

import harness


class Compress(harness.ProgramTest):
    def store(self, data, model, *flags, name="file"):
        """Compresses `data`; (the compressed file, what was printed as JSON)."""
        plain, small = self.folder / name, self.folder / (name + ".lmb")
        plain.write_bytes(data)
        outcome = harness.run(["compress", plain, "-o", small, "--model", model, "--json", "--quiet", "--force", *flags])
        self.assertEqual(outcome.code, 0, outcome.err)
        return small, json.loads(outcome.out)

    def fetch(self, small, model, *flags, output="back"):
        return harness.run(["decompress", small, "-o", self.folder / output, "--model", model, "--quiet", "--force", *flags])

    def assert_comes_back(self, data, model, *flags):
        small, numbers = self.store(data, model, *flags)
        outcome = self.fetch(small, model)
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertEqual((self.folder / "back").read_bytes(), data)
        self.assertEqual(numbers["n_compressed"], small.stat().st_size)
        return numbers

    def test_any_file_comes_back(self):
        draw = random.Random(1)
        files = [b"", b"a", b"\0", b"\xff\xfe\0", draw.randbytes(1500), "a\u2581b \u2581".encode() * 200,
                 harness.text_of(3000).encode(), pathlib.Path(harness.PROGRAM).read_bytes()[:2000]]
        for model in (harness.bundle("xs-byte-100"), harness.bundle("s-sp-100")):
            for data in files:
                self.assert_comes_back(data, model, "--block", "700")
        self.assert_comes_back(harness.text_of(8000).encode(), harness.bundle("s-sp-100"), "--block", "0", "--mix", "--verify")
        self.assert_comes_back(harness.text_of(8000).encode(), harness.bundle("s-sp-100"), "--self-check", "--mix")
        bigram = "bigram:" + str(harness.SOURCE / "models" / "heldout" / "prose.txt")
        self.assert_comes_back(draw.randbytes(300000), bigram)
        self.assert_comes_back(harness.text_of(1000000).encode(), bigram, "--block", "100000")

    def test_other_arithmetic_runs_windows_again(self):
        numbers = self.assert_comes_back(harness.text_of(150).encode(), harness.bundle("xs-byte-100"), "--window", "40")
        self.assertTrue(numbers["steps"])
        small, numbers = self.store(harness.text_of(150).encode(), harness.bundle("xs-byte-100"), "--window", "40",
                                    "--dtype", "bfloat16", "--verify")
        self.assertFalse(numbers["steps"])
        self.assert_one_error(self.fetch(small, harness.bundle("xs-byte-100")), 5, "dtype was \"bfloat16\", is \"float32\"")

    def test_threads_change_nothing(self):
        data = harness.text_of(20000).encode()
        sizes = set()
        for threads in ("1", "3"):
            small, _ = self.store(data, harness.bundle("xs-byte-100"), "--threads", threads, "--block", "2000")
            sizes.add(small.read_bytes())
            outcome = self.fetch(small, harness.bundle("xs-byte-100"), "--threads", threads)
            self.assertEqual(((self.folder / "back").read_bytes(), outcome.code), (data, 0), outcome.err)
        self.assertEqual(len(sizes), 1)

    def test_the_numbers_are_evals(self):
        text = self.folder / "text.txt"
        text.write_text(harness.text_of(30000))
        for model in (harness.bundle("xs-byte-100"), harness.bundle("s-sp-100")):
            _, numbers = self.store(text.read_bytes(), model, "--block", "0")
            outcome = harness.run(["eval", "--model", model, "--corpus", text, "-o", self.folder / "runs", "--baselines", "none",
                                   "--json", "--quiet"])
            bits = json.loads(outcome.out)[-1]["bits"]
            self.assertLess(abs(numbers["model_bits"] - bits), 1e-6 * bits)
            self.assertLess(abs(numbers["coded_bits"] - bits), 1e-4 * numbers["n_tokens"] + 1e-6 * bits)
            payload = 8 * (numbers["n_compressed"] - numbers["n_container_bytes"])
            self.assertLess(payload, bits + 1e-4 * numbers["n_tokens"] + 8 + 24)  # the stream's end, the list of pieces
            self.assertGreater(payload, bits - 1)

    def test_damage_is_refused_and_nothing_is_written(self):
        draw = random.Random(2)
        model = "bigram:" + str(harness.SOURCE / "models" / "heldout" / "prose.txt")
        small, _ = self.store(harness.text_of(5000).encode(), model, "--block", "1000")
        sound = small.read_bytes()
        for i in range(25):
            data = bytearray(sound)
            if i % 3 == 0:
                del data[draw.randrange(len(data)):]
            elif i % 3 == 1:
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            else:
                data.insert(draw.randrange(len(data) + 1), draw.randrange(256))
            small.write_bytes(data)
            outcome = self.fetch(small, model, output="never")
            self.assertIn(outcome.code, (4, 7), outcome.err)
            self.assertFalse((self.folder / "never").exists())
        self.assertEqual([p.name for p in self.folder.iterdir() if "tmp" in p.name], [])

    def test_a_stranger_is_refused(self):
        small, _ = self.store(b"It was the best of times", harness.bundle("xs-byte-100"))
        self.assert_one_error(self.fetch(small, harness.bundle("xs-byte-1000")), 5, "was made otherwise: model was")
        self.assert_one_error(self.fetch(small, "uniform:256"), 5, "was made otherwise: model was")
        self.assert_one_error(self.fetch(harness.PROGRAM, "uniform:256"), 4, "no file that lmbits compress wrote")
        self.assertFalse((self.folder / "back").exists())

    def test_nothing_is_overwritten_unasked(self):
        small, _ = self.store(b"abc", "uniform:256")
        outcome = harness.run(["compress", self.folder / "file", "-o", small, "--model", "uniform:256"])
        self.assert_one_error(outcome, 3, "is there already")
        outcome = harness.run(["decompress", small, "--model", "uniform:256"])  # would be "file"
        self.assert_one_error(outcome, 3, "is there already")

    def test_a_kill_leaves_no_half_file(self):
        draw = random.Random(3)
        plain, small = self.folder / "plain", self.folder / "plain.lmb"
        plain.write_bytes(harness.text_of(150000).encode())
        arguments = ["compress", plain, "-o", small, "--model", harness.bundle("s-sp-100"), "--force", "--quiet"]
        n_killed = 0
        for _ in range(8):
            process = harness.start(arguments)
            time.sleep(draw.uniform(0.0, 1.2))
            process.send_signal(signal.SIGKILL)
            n_killed += harness.Outcome(process).code != 0
            if small.exists():  # then it is whole
                self.assertEqual(self.fetch(small, harness.bundle("s-sp-100")).code, 0)
                self.assertEqual((self.folder / "back").read_bytes(), plain.read_bytes())
                small.unlink()
        self.assertGreater(n_killed, 0)

    def test_inspect_says_what_it_was_made_with(self):
        small, _ = self.store(b"abc", harness.bundle("xs-byte-100"))
        outcome = harness.run(["inspect", small])
        self.assertEqual(outcome.code, 0, outcome.err)
        said = json.loads(outcome.out)
        self.assertEqual((said["n_bytes"], said["info"]["name"], said["info"]["identity"]["dtype"]), (3, "xs-byte-100", "float32"))
        self.assertIn("libtorch", said["info"]["environment"])


if __name__ == "__main__":
    harness.main()
