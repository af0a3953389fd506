"""Commands that need no model never load libtorch, and so answer at once."""

import os
import random
import subprocess

import harness

CPU_S = 0.1  # a tenth of it on an idle machine
RESAMPLING_CPU_S = 0.3  # a third of it


class WithoutLibtorch(harness.ProgramTest):
    def loads_libtorch(self, arguments):
        env = dict(os.environ, LD_DEBUG="files", LD_DEBUG_OUTPUT=str(self.folder / "ld"))
        process = subprocess.run([harness.PROGRAM, *map(str, arguments)], env=env, capture_output=True, timeout=harness.PATIENCE_S)
        self.assertEqual(process.returncode, 0, process.stderr)
        logs = list(self.folder.glob("ld.*"))
        loaded = "".join(path.read_text(errors="replace") for path in logs)
        for path in logs:
            path.unlink()
        self.assertIn("liblmbits_core", loaded, "the loader's log names what it loads")
        return any(name in loaded for name in ("libtorch", "libc10", "liblmbits_eval"))

    def eighteen_models(self):
        """Bits and scores that go with them, more or less."""
        compression, scores = self.folder / "compression.csv", self.folder / "scores.csv"
        draw = random.Random(1)
        bits = [0.6 + 0.03 * i for i in range(18)]
        compression.write_text("model,bpb_text\n" + "".join(f"m{i},{b}\n" for i, b in enumerate(bits)))
        scores.write_text("model,benchmark,value,area\n" + "".join(
            f"m{i},adding,{0.9 - 0.4 * b + draw.gauss(0, 0.03)},sums\n" for i, b in enumerate(bits)))
        return compression, scores

    def test_commands_without_a_model(self):
        corpus = self.folder / "corpus.txt"
        corpus.write_text(harness.text_of(20_000))
        runs = self.folder / "runs"
        for model in ("uniform:256", "uniform:512"):
            arguments = self.eval_arguments(model, corpus, runs, "--split", "1000")
            self.assertTrue(self.loads_libtorch(arguments), "eval loads it: this test can tell")
        compression, scores = self.eighteen_models()
        resampling = (["rank", runs], ["rank", runs, "--json"], ["compare", "uniform-256", "uniform-512", "--dir", runs],
                      ["correlate", compression, "--scores", scores, "--area", "sums=text"],
                      ["report", runs, "-o", self.folder / "page.html"])
        for arguments in (["--help"], ["--version"], ["eval", "--help"], ["baseline", corpus, "--codec", "gzip-9"], *resampling):
            with self.subTest(" ".join(map(str, arguments))):
                self.assertFalse(self.loads_libtorch(arguments))
                tries = [harness.usage_of(arguments) for _ in range(5)]
                self.assertEqual({code for code, _, _ in tries}, {0})
                cpu_s = min(cpu_s for _, cpu_s, _ in tries)
                print(f"lmbits {arguments[0]}: {1000 * cpu_s:.0f} ms of CPU", flush=True)
                if "LMBITS_SANITIZED" not in os.environ:
                    self.assertLess(cpu_s, RESAMPLING_CPU_S if arguments in resampling else CPU_S)


if __name__ == "__main__":
    harness.main()
