#!/usr/bin/env python3
"""README.md says what is true: its commands run, its links lead somewhere.

usage: readme.py PROGRAM SOURCE_DIR

The commands run in order in a scratch copy of the checkout with texts of 8 KiB, so that a test takes seconds: what they
print is README.md's only after scripts/refresh_readme, whose reading of the file is used here.
"""
import importlib.machinery
import importlib.util
import pathlib
import re
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

    def test_every_subcommand_named_exists(self):
        names = set(re.findall(r"`lmbits ([a-z-]+)", README))
        self.assertGreater(len(names), 2)
        for name in names:
            with self.subTest(name=name):
                done = subprocess.run([PROGRAM, name, "--help"], timeout=PATIENCE_S, capture_output=True, text=True)
                self.assertIn(f"Usage: lmbits {name} ", done.stdout, done.stderr)

    def test_every_flag_named_exists(self):
        known = "".join(subprocess.run([PROGRAM, name, "--help"], timeout=PATIENCE_S, capture_output=True, text=True).stdout
                        for name in set(re.findall(r"`lmbits ([a-z-]+)", README)))
        known += "".join((SOURCE / "scripts" / name).read_text() for name in ("setup", "demo", "test"))
        for flag in set(re.findall(r"`(--[a-z][a-z-]*)", README)):
            with self.subTest(flag=flag):
                self.assertRegex(known, re.escape(flag) + r"(?![a-z-])")

    def test_every_link_and_script_exists(self):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README) + re.findall(r"\bscripts/[a-z_]+", README):
            with self.subTest(target=target):
                self.assertTrue((SOURCE / target).exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
