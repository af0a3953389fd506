"""compress and decompress: any file comes back, damage and strangers are refused, a kill leaves nothing half done."""

import json
import os
import pathlib
import random
import signal
import time
import unittest

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

    def assert_comes_back(self, data, model, *flags, **options):
        small, numbers = self.store(data, model, *flags, **options)
        outcome = self.fetch(small, model)
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertEqual((self.folder / "back").read_bytes(), data)
        self.assertEqual(numbers["n_compressed"], small.stat().st_size)
        return numbers

    def test_any_file_comes_back(self):
        draw = random.Random(1)
        of_all_kinds = b"".join([b"\xff\xfe\0", draw.randbytes(900), "a\u2581b \u2581".encode() * 150, harness.text_of(2000).encode(),
                                 pathlib.Path(harness.PROGRAM).read_bytes()[:1500]])
        for data in (b"", b"\xff", of_all_kinds):
            self.assert_comes_back(data, harness.bundle("s-sp-100"), "--block", "700")
        numbers = self.assert_comes_back(of_all_kinds, harness.bundle("xs-byte-100"), "--block", "0", "--mix", "--verify",
                                         "--self-check")
        self.assertEqual(numbers["decoding"], "cached")
        self.assertLess(numbers["ideal_bits"], numbers["model_bits"])
        bigram = "bigram:" + str(harness.SOURCE / "models" / "heldout" / "prose.txt")
        self.assert_comes_back(draw.randbytes(50000) + harness.text_of(1000000).encode(), bigram, "--block", "100000")

    def test_each_way_of_decoding(self):
        text, model = harness.text_of(400).encode(), harness.bundle("xs-byte-100")
        for decoding in ("step", "window"):
            numbers = self.assert_comes_back(text, model, "--window", "40", "--decoding", decoding, "--block", "150")
            self.assertEqual(numbers["decoding"], decoding)
        # Libtorch's bfloat16: a bundle of level 3 steps.
        small, numbers = self.store(text, model, "--window", "40", "--dtype", "bfloat16", "--verify")
        self.assertEqual(numbers["decoding"], "step")
        self.assert_one_error(self.fetch(small, model), 5, "dtype was \"bfloat16\", is \"float32\"")
        outcome = harness.run(["compress", self.folder / "file", "-o", self.folder / "x", "--model", "uniform:256", "--decoding", "step"])
        self.assert_one_error(outcome, 7, "has no weights")

    def test_other_arithmetic_is_refused_before_anything_is_decoded(self):
        model = harness.bundle("xs-byte-100")
        small, _ = self.store(harness.text_of(300).encode(), model, "--decoding", "step")
        environment = json.loads(harness.run(["inspect", small]).out)["info"]["environment"]
        self.assertRegex(environment["kernels"], "^(scalar|avx2|avx512) [0-9a-f]{16}$")
        arguments = ["decompress", small, "-o", self.folder / "never", "--model", model, "--quiet"]
        if environment["cpu_capability"] != "DEFAULT":  # libtorch's vectors of another width round otherwise
            outcome = harness.run(arguments, env=os.environ | {"ATEN_CPU_CAPABILITY": "default"})
            self.assert_one_error(outcome, 5, "cannot be decoded here: xs-byte-100 gives other numbers")
            self.assertIn('cpu_capability was "' + environment["cpu_capability"], outcome.err)
        data = bytearray(small.read_bytes())  # one digit of it, and the checksum put right: as of a changed kernel
        at, end = data.index(b'"arithmetic":"') + 14, 24 + int.from_bytes(data[12:16], "little") + int.from_bytes(data[16:24], "little")
        data[at] = ord("0") if data[at] != ord("0") else ord("1")
        data[end:end + 4] = harness.crc32c(data[:end]).to_bytes(4, "little")
        small.write_bytes(data)
        self.assert_one_error(harness.run(arguments), 5, "cannot be decoded here")
        self.assertFalse((self.folder / "never").exists())

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
        for i in range(9):
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
        plain.write_bytes(harness.text_of(100000).encode())
        arguments = ["compress", plain, "-o", small, "--model", harness.bundle("s-sp-100"), "--force", "--quiet"]
        n_killed = 0
        for _ in range(3):
            process = harness.start(arguments)
            time.sleep(draw.uniform(0.0, 1.0))
            process.send_signal(signal.SIGKILL)
            n_killed += harness.Outcome(process).code != 0
            if small.exists():  # then it is whole
                self.assertEqual(self.fetch(small, harness.bundle("s-sp-100")).code, 0)
                self.assertEqual((self.folder / "back").read_bytes(), plain.read_bytes())
                small.unlink()
        self.assertGreater(n_killed, 0)

    @unittest.skipUnless("LMBITS_FAULTS" in os.environ, "LMBITS_FAULTS names no library to preload")
    def test_a_fault_at_any_write_leaves_the_old_file_or_all_of_the_new_one(self):
        data = harness.text_of(30000).encode()
        small, _ = self.store(data, "uniform:256")
        stored, back = small.read_bytes(), self.folder / "back"
        copy = self.folder / "copy.lmb"
        copy.write_bytes(stored)
        n_old = n_whole = 0
        for command, source, target, whole in (("compress", self.folder / "file", small, stored), ("decompress", copy, back, data)):
            arguments = [command, source, "-o", target, "--model", "uniform:256", "--force", "--quiet"]
            environment = os.environ | {"LD_PRELOAD": os.environ["LMBITS_FAULTS"], "LMBITS_FAULT_DIR": str(self.folder)}
            count = self.folder / "count"
            self.assertEqual(harness.run(arguments, env=environment | {"LMBITS_FAULT_COUNT": str(count)}).code, 0)
            n_calls = int(count.read_text())
            self.assertGreaterEqual(n_calls, 3)  # write, fsync, rename
            for kind in ("kill", "short") if command == "compress" else ("kill",):
                for at in range(1, n_calls + 1):
                    target.write_bytes(b"old")
                    outcome = harness.run(arguments, env=environment | {"LMBITS_FAULT": kind, "LMBITS_FAULT_AT": str(at)})
                    with self.subTest(command=command, kind=kind, at=at):
                        self.assertIn(outcome.code, (-signal.SIGKILL,) if kind == "kill" else (0, 4), outcome.err)
                        self.assertIn(target.read_bytes(), (b"old", whole))
                    n_old, n_whole = n_old + (target.read_bytes() == b"old"), n_whole + (target.read_bytes() == whole)
        self.assertGreater(n_old, 6)
        self.assertGreater(n_whole, 0)

    def picture(self, rows, columns, n_components=3):
        draw = random.Random(4)
        return bytes(min(255, max(0, 2 * x + 3 * y + 40 * c + draw.randrange(9))) for y in range(rows) for x in range(columns)
                     for c in range(n_components))

    def test_pictures_sound_and_video_are_coded_in_the_order_of_their_patches(self):
        rows, columns = 21, 37
        pixels = self.picture(rows, columns)
        frames = [self.picture(6, 10, 1) + bytes(range(30)) for _ in range(3)]  # Y, then U and V of half the rows and columns
        sound = b"".join(int(900 * (i % 50 - 25)).to_bytes(2, "little", signed=True) for i in range(700))
        files = {
            "a.ppm": b"P6\n# made\n%d %d 255\n" % (columns, rows) + pixels,
            "a.pgm": b"P5 10 8 65535 " + bytes(range(160)),
            "a.y4m": b"YUV4MPEG2 W10 H6 F25:1 C420jpeg\n" + b"".join(b"FRAME\n" + f for f in frames),
            "a.wav": b"RIFF" + (36 + len(sound)).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\1\0\1\0" + bytes(8) + b"\2\0\x10\0data" +
                     len(sound).to_bytes(4, "little") + sound,
        }
        model = "bigram:" + str(harness.SOURCE / "models" / "heldout" / "prose.txt")
        for name, data in files.items():
            numbers = self.assert_comes_back(data, model, "--patch", "8x16x2", "--block", "500", name=name)
            self.assertEqual(numbers["patch"], "8x16x2")
        plain = self.assert_comes_back(files["a.ppm"], model, "--patch", "none", name="a.ppm")
        small, numbers = self.store(files["a.ppm"], model, "--patch", "8x16", "--block", "0", name="a.ppm")
        self.assertNotEqual(plain["model_bits"], numbers["model_bits"])
        # What eval scores are these bytes, in this order, without the header.
        stream = b"".join(pixels[3 * (y * columns + x):3 * (y * columns + min(x + 16, columns))] for top in range(0, rows, 8)
                          for x in range(0, columns, 16) for y in range(top, min(top + 8, rows)))
        (self.folder / "stream.bin").write_bytes(stream)
        bits = []
        for corpus, flags in (("a.ppm", ["--patch", "8x16"]), ("stream.bin", [])):
            outcome = harness.run([*self.eval_arguments(model, self.folder / corpus, self.folder / "runs"), "--json", *flags])
            self.assertEqual(outcome.code, 0, outcome.err)
            said = json.loads(outcome.out)[-1]
            self.assertEqual(said["n_bytes"], len(stream))
            bits.append(said["bits"])
        self.assertEqual(bits[0], bits[1])
        self.assertLess(abs(numbers["model_bits"] - bits[0]), 20 * (len(files["a.ppm"]) - len(stream) + 1))
        # What is called so and is none is a file like any other; to eval it is an error.
        numbers = self.assert_comes_back(b"P6 no picture", model, name="b.ppm")
        self.assertIsNone(numbers["patch"])
        outcome = harness.run(self.eval_arguments(model, self.folder / "b.ppm", self.folder / "none"))
        self.assert_one_error(outcome, 4, "b.ppm", "has no number at byte")
        outcome = harness.run(["compress", self.folder / "file", "-o", self.folder / "y", "--model", model, "--patch", "8"])
        self.assert_one_error(outcome, 3, "patch is \"8\"")

    def test_baselines_are_kept_and_programs_are_found(self):
        text, tools, kept = self.folder / "text.txt", self.folder / "tools", self.folder / "kept"
        text.write_text(harness.text_of(9000))
        tools.mkdir()
        program = tools / "bzip3"  # -V, or: -e -b 511 IN OUT
        program.write_text("#!/bin/sh\nif [ $1 = -V ]; then echo bzip3 9.8.7; else /usr/bin/head -c 4321 \"$4\" > \"$5\"; fi\n")
        program.chmod(0o755)

        def sizes(*flags):
            outcome = harness.run(["baseline", text, "--codec", "gzip-9", "--codec", "cm", "--chunk", "2048", "--cache", kept, "--json",
                                   "--quiet", *flags], env=os.environ | {"PATH": str(tools)})
            self.assertEqual(outcome.code, 0, outcome.err)
            said = json.loads(outcome.out)
            return said["codec_versions"], said["corpora"][0]["baselines"]

        versions, first = sizes("--external")
        self.assertEqual((versions["bzip3"], versions["zpaq"], first["bzip3"]["bytes"]), ("bzip3 9.8.7", None, 4321))
        n_chunks, header = 5, 20  # gzip's, and its trailer, of nothing
        self.assertEqual(first["gzip-9/2048"]["bytes"] - first["gzip-9/2048-one-header"]["bytes"], (n_chunks - 1) * header)
        self.assertLess(first["cm"]["bytes"], first["gzip-9"]["bytes"])
        self.assertEqual(sizes("--external")[1], first)  # the CPU seconds too: of the first time
        self.assertEqual(len(list(kept.iterdir())), 1)
        program.write_text("#!/bin/sh\nif [ $1 = -V ]; then echo bzip3 9.8.8; else /usr/bin/head -c 4000 \"$4\" > \"$5\"; fi\n")
        again = sizes("--external")[1]  # another version: its size alone is new
        self.assertEqual(again.pop("bzip3")["bytes"], 4000)
        self.assertEqual(again, {name: row for name, row in first.items() if name != "bzip3"})
        program.write_text("#!/bin/sh\nif [ $1 = -V ]; then echo bzip3 9.8.9; else echo no room; exit 3; fi\n")
        outcome = harness.run(["baseline", text, "--codec", "gzip-9", "--external", "--quiet"], env=os.environ | {"PATH": str(tools)})
        self.assert_one_error(outcome, 4, "bzip3 failed: no room")
        text.write_text(harness.text_of(9000, seed=2))
        self.assertNotEqual(sizes()[1]["gzip-9"]["bytes"], first["gzip-9"]["bytes"])

    def test_inspect_says_what_it_was_made_with(self):
        small, _ = self.store(b"abc", harness.bundle("xs-byte-100"))
        outcome = harness.run(["inspect", small])
        self.assertEqual(outcome.code, 0, outcome.err)
        said = json.loads(outcome.out)
        self.assertEqual((said["n_bytes"], said["info"]["name"], said["info"]["identity"]["dtype"]), (3, "xs-byte-100", "float32"))
        self.assertIn("libtorch", said["info"]["environment"])


if __name__ == "__main__":
    harness.main()
