"""What the tests of the program share: running it, texts to score, and an independent look at what it left on disk.

Each test is run as `python3 X.py PROGRAM SOURCE_DIR [unittest's arguments]` and needs nothing but the standard library.
"""

import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
SOURCE = pathlib.Path()
PATIENCE_S = 280  # for one process; a busy machine is slow, only a hanging one is this slow


def bundle(name):
    return str(SOURCE / "models" / "demo" / (name + ".pt"))


def main():
    global PROGRAM, SOURCE
    if len(sys.argv) < 3:
        sys.exit(f"usage: {sys.argv[0]} PROGRAM SOURCE_DIR [test ...]")
    PROGRAM, SOURCE = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[3:]])


# ---- Texts: the same on every machine, compressible like words, with characters of more than one byte.


def words(n, seed=1):
    draw = random.Random(seed)
    lexicon = ["".join(draw.choices("etaoinshrdlucmfwypvbgkqjxz", k=draw.randint(1, 9))) for _ in range(2000)] + ["naïve", "été"]
    return draw.choices(lexicon, k=n)


def text_of(n_bytes, seed=1):
    text = " ".join(words(n_bytes // 3, seed)).encode()
    return text[:n_bytes].decode("utf-8", "ignore")


def write_jsonl(path, n, seed=1, longest=60):
    """`n` documents of up to `longest` words, some of them empty; returns their ids."""
    draw, source = random.Random(seed), iter(words(n * longest, seed))
    ids = [f"doc-{i}" for i in range(n)]
    with open(path, "w", encoding="utf-8") as file:
        for name in ids:
            length = 0 if draw.random() < 0.02 else draw.randint(1, longest)
            file.write(json.dumps({"id": name, "text": " ".join(next(source) for _ in range(length))}) + "\n")
    return ids


# ---- What is on disk.


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial, reflected (RFC 3720)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's CRC


def checked(line):
    """The record of a line of documents.jsonl (bytes, without its newline), or None where its checksum is wrong."""
    try:
        record = json.loads(line)
        tail = b',"crc":"' + record["crc"].encode() + b'"}'
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not line.endswith(tail) or f"{crc32c(line[: -len(tail)] + b'}'):08x}" != record["crc"]:
        return None
    return record


def lines_of(run):
    """The complete lines of documents.jsonl, and what follows the last newline."""
    path = run / "documents.jsonl"
    *lines, torn = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return lines, torn


def records_of(run):
    return [checked(line) for line in lines_of(run)[0]]


def summary_of(run):
    """summary.json without the times that the run took: equal in every bit, or something went wrong."""
    summary = json.loads((run / "summary.json").read_bytes())
    summary.pop("profile")
    return summary


# ---- Running.


def start(arguments, **options):
    return subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


class Outcome:
    def __init__(self, process):
        try:
            self.out, self.err = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        self.code = process.returncode


def run(arguments, **options):
    return Outcome(start(arguments, **options))


def usage_of(arguments, env=None):
    """Exit code, CPU seconds and peak resident KiB of a run whose output nobody reads."""
    process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
    return process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def limit_file_size(n_bytes):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lmbits_cli_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def eval_arguments(self, model, corpus, output, *flags):
        return ["eval", "--model", model, "--corpus", corpus, "-o", output, "--threads", "1", "--baselines", "none", "--quiet",
                *flags]

    def only_run(self, output):
        """The folder of the only run below `output`."""
        runs = [path for path in output.iterdir() if "__" in path.name]
        self.assertEqual(len(runs), 1, runs)
        return runs[0]

    def finish(self, model, corpus, output, *flags):
        """Evaluates to the end; the run's folder."""
        outcome = run(self.eval_arguments(model, corpus, output, *flags))
        self.assertEqual(outcome.code, 0, outcome.err)
        return self.only_run(output)

    def wait_for(self, condition, process, what):
        """Polls until `condition()`; fails when `process` ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if process.poll() is not None and not condition():
                self.fail(f"the process ended before {what}: {process.communicate()}")
            self.assertLess(time.monotonic(), deadline, f"no sign of {what}")
            time.sleep(0.0005)

    def assert_one_error(self, outcome, code, *parts):
        """One `lmbits:` line that holds `parts`, hints, nothing else: no stack trace, no library's own words."""
        self.assertEqual(outcome.code, code, outcome.err)
        lines = outcome.err.splitlines()
        errors = [line for line in lines if line.startswith("lmbits: ")]
        others = [line for line in lines if not line.startswith(("lmbits: ", "  hint: "))]
        self.assertEqual((len(errors), others), (1, []), outcome.err)
        for part in parts:
            self.assertIn(str(part), errors[0])

    def assert_same_run(self, actual, expected):
        """Bit-equal summaries and records, whatever the order they were written in; every checksum right, no id twice."""
        lines, torn = lines_of(actual)
        self.assertEqual(torn, b"")
        records = [checked(line) for line in lines]
        self.assertNotIn(None, records, "a checksum is wrong")
        ids = [record["id"] for record in records]
        self.assertEqual(len(ids), len(set(ids)), "a document has two records")
        self.assertEqual({r["id"]: r for r in records}, {r["id"]: r for r in records_of(expected)})
        self.assertEqual(summary_of(actual), summary_of(expected))
        left = sorted(path.name for path in actual.iterdir())
        self.assertEqual(left, sorted(path.name for path in expected.iterdir()), "files are left over")
