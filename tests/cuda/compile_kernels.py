#!/usr/bin/env python3
"""Compiles the CUDA kernels for every architecture, and reads ptxas' report and the PTX.

usage: compile_kernels.py SOURCE_DIR ARCHITECTURES FILE.cu...     (ARCHITECTURES as CMake's: 80-real;90-real;120)

Asked of every kernel on every architecture: no stack, no spills, registers that leave room for at least two blocks; in the
PTX: no local memory, no atomics on floating-point numbers. Of the kernels that read logits: 16-byte streaming loads, one
ex2.approx.ftz a logit in the hot loop and one a thread for what came before, and two more a logit at most for a softcap.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path()
ARCHITECTURES = []
FILES = []
MOST_REGISTERS = 128  # 65,536 in all: two blocks of 256 threads


def find_nvcc():
    for candidate in (os.environ.get("CUDACXX"), shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"):
        if candidate and pathlib.Path(candidate).exists():
            return candidate
    return None


def nvcc(*arguments):
    ccache = [shutil.which("ccache")] if shutil.which("ccache") else []
    command = [*ccache, find_nvcc(), "-std=c++17", "-O3", f"-I{SOURCE}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout + done.stderr


def gencodes():
    for architecture in ARCHITECTURES:
        number, _, kind = architecture.partition("-")
        if kind != "virtual":
            yield f"-gencode=arch=compute_{number},code=sm_{number}"
        if kind != "real":
            yield f"-gencode=arch=compute_{number},code=compute_{number}"


class Resources(unittest.TestCase):
    """What ptxas reports of each kernel on each architecture."""

    def test_no_kernel_spills_or_has_a_stack(self):
        real = [a.partition("-")[0] for a in ARCHITECTURES if not a.endswith("-virtual")]
        with tempfile.TemporaryDirectory() as folder:
            for file in FILES:
                report = nvcc(*gencodes(), "-Xptxas=-v", "-c", file, "-o", pathlib.Path(folder) / "kernel.o")
                seen = set()
                for name, target, rest in re.findall(
                        r"Compiling entry function '(\S+)' for 'sm_(\d+)'\n(.*?)(?=ptxas info    : Compiling|\Z)", report, re.S):
                    where = f"{name} on sm_{target}"
                    seen.add(target)
                    stack, stores, loads = map(int, re.search(
                        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", rest).groups())
                    registers = int(re.search(r"Used (\d+) registers", rest)[1])
                    self.assertEqual((stack, stores, loads), (0, 0, 0), f"{where}: stack, spill stores, spill loads")
                    self.assertLessEqual(registers, MOST_REGISTERS, where)
                    print(f"{file.name} sm_{target} {registers:3d} registers  {short_name(name)}")
                self.assertEqual(sorted(seen), sorted(real), f"architectures of {file.name}")


def short_name(mangled):
    kind = re.search(r"(nll_kernel|init_kernel|merge_kernel)", mangled)
    options = re.search(r"nll_kernelI(.*?)Lb([01])ELb([01])E", mangled)
    if not options:
        return kind[1] if kind else mangled
    return f"nll_kernel<{logit_type(options[1])}, {options[2]}, {options[3]}>"


def logit_type(mangled):
    return "BFloat16" if "BFloat16" in mangled else "Float16" if "Float16" in mangled else "float"


class Instructions(unittest.TestCase):
    """The PTX of the oldest architecture."""

    @classmethod
    def setUpClass(cls):
        cls.kernels = {}
        oldest = min(int(a.partition("-")[0]) for a in ARCHITECTURES)
        with tempfile.TemporaryDirectory() as folder:
            for file in FILES:
                out = pathlib.Path(folder) / "kernel.ptx"
                nvcc(f"-arch=compute_{oldest}", "--ptx", file, "-o", out)
                for name, body in re.findall(r"\.entry (\S+?)\(.*?\n\{\n(.*?)\n\}", out.read_text(), re.S):
                    cls.kernels[short_name(name)] = body

    def nll_kernels(self):
        for kind, per_thread in (("BFloat16", 32), ("Float16", 32), ("float", 16)):
            for extras in (0, 1):
                plain = self.kernels[f"nll_kernel<{kind}, 0, {extras}>"]
                mapped = self.kernels[f"nll_kernel<{kind}, 1, {extras}>"]
                yield f"{kind}, {'rank and entropy' if extras else 'bits'}", per_thread, plain, mapped

    def test_all_kernels_are_here(self):
        self.assertEqual(len(self.kernels), 14, sorted(self.kernels))

    def test_no_local_memory_and_no_atomics_on_floats(self):
        for name, body in self.kernels.items():
            self.assertNotRegex(body, r"\.local\b|__local_depot", name)
            self.assertNotRegex(body, r"\b(atom|red)\.[a-z_.]*\.(f16|bf16|f32|f64)", name)
            self.assertNotRegex(body, r"\b(call|call\.uni)\b", name + ": a function call")

    def test_logits_come_in_sixteen_bytes_at_a_time(self):
        for name, _, plain, mapped in self.nll_kernels():
            for body in (plain, mapped):
                self.assertGreaterEqual(len(re.findall(r"ld\.global\.cs\.v4\.(?:u32|b32)", body)), 5, name)

    def test_one_exponential_a_logit(self):
        for name, per_thread, plain, mapped in self.nll_kernels():
            self.assertNotRegex(plain + mapped, r"ex2\.approx\.f32|ex2\.approx\.ftz\.f16", name)
            loop = max((b.count("ex2.approx.ftz.f32") for b in re.split(r"\n\$L\S+:", plain)))
            self.assertIn(loop, (per_thread, per_thread + 1), f"{name}: of {per_thread} logits")
            more = mapped.count("ex2.approx.ftz.f32") - plain.count("ex2.approx.ftz.f32")
            self.assertGreaterEqual(more, per_thread, name)
            self.assertLessEqual(more, 2 * per_thread + 1, f"{name}: a softcap's, for {per_thread} logits and the target")


if __name__ == "__main__":
    SOURCE = pathlib.Path(sys.argv[1])
    ARCHITECTURES = sys.argv[2].split(";")
    FILES = [pathlib.Path(f) for f in sys.argv[3:]]
    if find_nvcc() is None:
        print("SKIPPED: there is no nvcc (CUDACXX, PATH, /usr/local/cuda): the CUDA kernels are not compiled here")
        sys.exit(0)
    unittest.main(argv=[sys.argv[0], "-v"])
