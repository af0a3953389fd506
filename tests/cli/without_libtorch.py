"""Commands that need no model never load libtorch, and so answer at once."""

import os
import subprocess

import harness

CPU_S = 0.3  # a tenth of a second on an idle machine


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

    def test_commands_without_a_model(self):
        corpus = self.folder / "corpus.txt"
        corpus.write_text(harness.text_of(20_000))
        runs = self.folder / "runs"
        for model in ("uniform:256", "uniform:512"):
            arguments = self.eval_arguments(model, corpus, runs, "--split", "1000")
            self.assertTrue(self.loads_libtorch(arguments), "eval loads it: this test can tell")
        for arguments in (["--help"], ["--version"], ["eval", "--help"], ["rank", runs], ["rank", runs, "--json"],
                          ["compare", "uniform-256", "uniform-512", "--dir", runs], ["baseline", corpus, "--codec", "gzip-9"]):
            with self.subTest(" ".join(map(str, arguments))):
                self.assertFalse(self.loads_libtorch(arguments))
                tries = [harness.usage_of(arguments) for _ in range(5)]
                self.assertEqual({code for code, _, _ in tries}, {0})
                cpu_s = min(cpu_s for _, cpu_s, _ in tries)
                print(f"lmbits {arguments[0]}: {1000 * cpu_s:.0f} ms of CPU", flush=True)
                self.assertLess(cpu_s, CPU_S)


if __name__ == "__main__":
    harness.main()
