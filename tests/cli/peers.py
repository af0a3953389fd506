"""The scripts that set other programs beside lmbits: they say what is missing, and where everything is there they agree.

Whole only where scripts/hf_environment --peers has been run (and scripts/llama_cpp_environment, for llama.cpp).
usage: peers.py PROGRAM SOURCE_DIR [unittest's arguments]
"""

import os
import shutil
import subprocess
import sys
import unittest

import harness

BENCHES = ["parity_lm_eval", "parity_uncheatable", "parity_hkust", "parity_gptq", "parity_llama_cpp", "peers", "numerics",
           "sweep"]
SKIPPED = 77  # the exit code; 1 is that something differs


class Missing(harness.ProgramTest):
    def test_a_bench_without_its_packages_says_so(self):
        for name in BENCHES:
            done = subprocess.run([sys.executable, "-S", "-B", harness.SOURCE / f"bench/{name}.py", "--model", "a=b", "--text",
                                   "c"], capture_output=True, text=True)
            self.assertEqual(done.returncode, SKIPPED, name)
            self.assertIn("skipped: ", done.stderr, name)
            self.assertIn("scripts/hf_environment --peers", done.stderr, name)

    def llama_cpp(self, **environment):
        """scripts/llama_cpp_environment of a tree of its own."""
        scripts = self.folder / "scripts"
        if not scripts.exists():
            scripts.mkdir()
            for name in ("common.sh", "llama_cpp_environment"):
                shutil.copy(harness.SOURCE / "scripts" / name, scripts)
        return subprocess.run([scripts / "llama_cpp_environment"], capture_output=True, text=True,
                              env=os.environ | environment)

    def test_llama_cpp_is_built_once_and_a_failure_leaves_it_to_be_built(self):
        tools = self.folder / "tools"
        tools.mkdir()
        (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
        (tools / "python3").chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        failed = self.llama_cpp(PATH=path)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("pip could not get the source of llama-cpp-python", failed.stderr)
        folder = self.folder / "build/deps/llama_cpp"
        self.assertFalse((folder / ".package").exists())
        package = next(line for line in (self.folder / "scripts/llama_cpp_environment").read_text().splitlines()
                       if line.startswith("PACKAGE="))
        (folder / ".package").write_text(package.removeprefix("PACKAGE=") + "\n")
        again = self.llama_cpp(PATH=path)
        self.assertEqual((again.returncode, again.stdout), (0, "-- llama.cpp: build/deps/llama_cpp/bin\n"), again.stderr)
        (folder / ".package").write_text("llama-cpp-python==0.0.1\n")  # another version: to be built again
        self.assertEqual(self.llama_cpp(PATH=path).returncode, 1)


class SideBySide(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.python = harness.SOURCE / "build/deps/hf/bin/python"
        if not self.python.exists():
            self.skipTest("there is no build/deps/hf: scripts/hf_environment --peers")

    def bench(self, name, *arguments):
        done = subprocess.run([self.python, "-B", harness.SOURCE / f"bench/{name}.py", "--lmbits", harness.PROGRAM, "--bytes",
                               "9000", "--text", harness.SOURCE / "models/heldout/prose.txt", *map(str, arguments)],
                              capture_output=True, text=True)
        if done.returncode == SKIPPED:
            self.skipTest(done.stderr.strip())
        return done

    def folder_of(self, name):
        out = self.folder / name
        subprocess.run([self.python, "-B", harness.SOURCE / "scripts/demo_to_hf.py", harness.bundle(name), out], check=True,
                       capture_output=True)
        return out

    def test_protocols_agree_on_a_demo_model(self):
        model = f"{harness.bundle('s-sp-4000')}={self.folder_of('s-sp-4000')}"
        for name in ("lm_eval", "uncheatable", "hkust", "gptq"):
            done = self.bench(f"parity_{name}", "--model", model)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("s-sp-4000", done.stdout)
        # of another model, the same comparison fails
        other = f"{harness.bundle('s-sp-500')}={self.folder / 's-sp-4000'}"
        self.assertEqual(self.bench("parity_gptq", "--model", other).returncode, 1)
        # and a program that is not there is no difference
        done = subprocess.run([self.python, "-B", harness.SOURCE / "bench/parity_llama_cpp.py", "--perplexity", self.folder / "nothing",
                               "--model", model, "--text", harness.SOURCE / "models/heldout/prose.txt"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr[:9]), (SKIPPED, "skipped: "))

    def test_llama_cpp_agrees_on_a_demo_model(self):
        converter, out = harness.SOURCE / "build/deps/llama_cpp/source/convert_hf_to_gguf.py", self.folder / "model.gguf"
        if not converter.exists():
            self.skipTest("there is no build/deps/llama_cpp: scripts/llama_cpp_environment")
        subprocess.run([self.python, "-B", converter, self.folder_of("s-sp-4000"), "--outtype", "f32", "--outfile", out],
                       check=True, capture_output=True)
        done = self.bench("parity_llama_cpp", "--model", f"{harness.bundle('s-sp-4000')}={out}", "--window", 256)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    harness.main()
