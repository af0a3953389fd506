#!/usr/bin/env python3
"""README.md says what is true: its commands run, its links lead somewhere.

usage: readme.py PROGRAM SOURCE_DIR

The commands run in order in a scratch copy of the checkout with texts of 8 KiB, so that a test takes seconds: what they
print is README.md's only after scripts/refresh_readme, whose reading of the file is used here.
"""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
README = (SOURCE / "README.md").read_text()
TEXT_BYTES = 8192
PATIENCE_S = 280  # a busy machine under a sanitizer is slow, only a hanging program is this slow


def refresh_readme():
    """scripts/refresh_readme as a module."""
    sys.dont_write_bytecode = True  # nothing is left behind in the checkout
    loader = importlib.machinery.SourceFileLoader("refresh_readme", str(SOURCE / "scripts" / "refresh_readme"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("refresh_readme", loader))
    loader.exec_module(module)
    return module


def make_checkout(root: pathlib.Path) -> None:
    """What README.md's commands find in a checkout after scripts/demo: the program, the models, shorter texts."""
    for folder in ("build/cpu", "models/heldout", "build/deps/corpora/train"):
        (root / folder).mkdir(parents=True)
    (root / "build/cpu/lmbits").symlink_to(PROGRAM)
    (root / "models/demo").symlink_to(SOURCE / "models/demo")
    for text in (SOURCE / "models/heldout").glob("*.txt"):
        content = text.read_bytes()
        (root / "models/heldout" / text.name).write_bytes(content[:TEXT_BYTES])
        (root / "build/deps/corpora/train" / text.name).write_bytes(content[TEXT_BYTES : 4 * TEXT_BYTES])
    make_demo(root)


def make_demo(root: pathlib.Path) -> None:
    """What the demo leaves in build/demo, of few models and questions."""
    models = [a for name in ("xs-byte-100", "xs-byte-1000", "xs-byte-3000", "s-byte-500") for a in ("--model", SOURCE / f"models/demo/{name}.pt")]
    corpora = [a for area in ("prose", "code", "maths") for a in ("--corpus", root / f"models/heldout/{area}.txt")]
    questions = [a for area in ("prose", "code", "maths") for a in ("--questions", SOURCE / f"models/benchmarks/cloze-{area}.jsonl")]
    for command in (["eval", *models, *corpora, "--baselines", "none", "-o", root / "build/demo/runs"],
                    ["choice", *models, *questions, "--limit", "5", "-o", root / "build/demo/scores"]):
        subprocess.run([PROGRAM, *map(str, command), "--quiet"], check=True, timeout=PATIENCE_S)


def commands_of(*command):
    """All commands that do something, with their --help."""
    text = subprocess.run([PROGRAM, *command, "--help"], timeout=PATIENCE_S, capture_output=True, text=True, check=True).stdout
    listed = text.split("\nExample:")[0].split("\nSubcommands:" if command else "\nMeasure:")[1:]
    names = re.findall(r"^  ([a-z][a-z0-9-]*)(?: |$)", listed[0], re.M) if listed else []
    below = [leaf for name in names for leaf in commands_of(*command, name)]
    return below if names and "[SUBCOMMAND]" not in text else [(" ".join(command), text), *below]


class Readme(unittest.TestCase):
    def test_every_command_runs(self):
        refresh = refresh_readme()
        commands = [command for block in refresh.BLOCK.finditer(README) for command in refresh.commands(block[2])]
        self.assertGreater(len(commands), 2)
        with tempfile.TemporaryDirectory(prefix="lmbits-readme-") as root:
            make_checkout(pathlib.Path(root))
            for command in commands:
                with self.subTest(command=command):
                    done = subprocess.run(["bash", "-o", "pipefail", "-c", command.removeprefix("$ ")], cwd=root, timeout=PATIENCE_S,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_console_block_is_run(self):
        self.assertEqual(README.count("```console"), len(refresh_readme().BLOCK.findall(README)))

    def test_every_command_has_an_example_and_json(self):
        leaves = commands_of()
        self.assertGreater(len(leaves), 40)
        without = {name for name, text in leaves if "--json" not in text}
        self.assertEqual(without, {"scores import", "corpus sample", "history rebuild", "serve"}, "what prints no results, or JSONL")
        for name, text in leaves:
            self.assertIn("Example:", text, name)

    def test_samples_are_selected_as_it_says(self):
        commands = [line.split("#")[0] for line in README.splitlines() if line.startswith("lmbits select ")]
        self.assertGreater(len(commands), 2)
        pool = [{"instruction": f"Name {i % 7} of the {i * i % 11} colours.", "input": "", "output": f"{i} red, {i * 7919 % 13} blue"}
                for i in range(60)]
        with tempfile.TemporaryDirectory(prefix="lmbits-readme-") as folder:
            (pathlib.Path(folder) / "pool.json").write_text(json.dumps(pool))
            (pathlib.Path(folder) / "pool.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in pool))
            for command in commands:
                with self.subTest(command=command):
                    words = command.split()[1:] + (["--k1", "60", "--k2", "20", "--k3", "10"] if "zip-reference" in command else [])
                    done = subprocess.run([PROGRAM, *words], cwd=folder, timeout=PATIENCE_S, capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)
            for name in ("chosen.jsonl", "chosen.json"):
                self.assertTrue((pathlib.Path(folder) / name).exists(), name)

    def test_what_is_installed_runs_from_where_it_is(self):
        if shutil.which("cmake") is None:
            self.skipTest("no cmake on PATH")
        with tempfile.TemporaryDirectory(prefix="lmbits-readme-") as folder:
            prefix = pathlib.Path(folder).resolve() / "prefix"
            subprocess.run(["cmake", "--install", PROGRAM.parent, "--prefix", prefix], timeout=PATIENCE_S, check=True,
                           capture_output=True)
            environment = {**os.environ, "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": f"{folder}/ld"}
            text = pathlib.Path(folder) / "text.txt"
            text.write_text("three words here")
            scoring = ["eval", "--model", "uniform:257", "--corpus", text, "--quiet", "--json", "-o", f"{folder}/runs"]
            for arguments in (["--version"], ["doctor"], scoring):
                done = subprocess.run([prefix / "bin/lmbits", *arguments], env=environment, timeout=PATIENCE_S, capture_output=True,
                                      text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertAlmostEqual(json.loads(done.stdout)[0]["bits"], 16 * 8.005624549193879, places=6)  # log2 257
            loaded = "".join(path.read_text(errors="replace") for path in pathlib.Path(folder).glob("ld.*"))
            ours = set(re.findall(r"calling init: (\S*liblmbits\S*)", loaded))
            self.assertGreaterEqual(len(ours), 3, loaded)
            for library in ours:
                self.assertTrue(pathlib.Path(library).resolve().is_relative_to(prefix), f"{library} is not what was installed")
            self.assertTrue(list(prefix.glob("share/doc/*/LICENSE")))

    def test_every_subcommand_named_exists(self):
        names = set(re.findall(r"`lmbits ([a-z-]+)", README))
        self.assertGreater(len(names), 2)
        for name in names:
            with self.subTest(name=name):
                done = subprocess.run([PROGRAM, name, "--help"], timeout=PATIENCE_S, capture_output=True, text=True)
                self.assertIn(f"Usage: lmbits {name} ", done.stdout, done.stderr)

    def test_every_flag_named_exists(self):
        known = "".join(subprocess.run([PROGRAM, *name.split(), "--help"], timeout=PATIENCE_S, capture_output=True, text=True).stdout
                        for name in set(re.findall(r"`lmbits ([a-z-]+(?: [a-z-]+)?)", README)))
        known += "".join((SOURCE / "scripts" / name).read_text() for name in ("setup", "demo", "test"))
        for flag in set(re.findall(r"`(--[a-z][a-z-]*)", README)):
            with self.subTest(flag=flag):
                self.assertRegex(known, re.escape(flag) + r"(?![a-z-])")

    def test_every_link_and_script_exists(self):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README) + re.findall(r"\bscripts/[a-z_]+(?:\.py)?", README):
            with self.subTest(target=target):
                self.assertTrue((SOURCE / target).exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
