#!/usr/bin/env python3
"""`lmbits eval` gives what the independent scorer gives, for each convention, tokenizer and text.

usage: parity.py PROGRAM SOURCE_DIR [--fixtures FOLDER]
       parity.py PROGRAM SOURCE_DIR --live TEXTS [--seed N] [--keep FOLDER]

Compares with the fixtures under tests/data/reference, which scripts/make_reference_fixtures.py made: all counts exactly;
bits of each document (of each block of windows or chunks, for streams and lmic) and each headline number to 1e-6. Each
case runs one window at a time and in batches over two threads. --live makes that many random texts and random windows instead,
and the fixtures with them; it needs the Python packages torch and sentencepiece (of this Python, of LMBITS_PYTHON or of
scripts/hf_environment) and ends with 77 without them. --keep: where texts and fixtures go; bundles that lie there are tried as
well.
"""
import argparse
import hashlib
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 1e-6  # relative
# Logits between 8 and 16 are 1e-6 apart in float32, and change by that with the order of sums: a text of likely tokens has no
# millionth of its bits. What has fewer bits than this is compared as if it had so many; a part of a stream, of which the
# total is the number, as if it had two a token.
FLOOR_BITS, PART_BITS_PER_TOKEN = 10.0, 2.0
RUNS = (("--batch", "1", "--threads", "1"), ("--batch", "64", "--threads", "2"))
MOST_FAILURES_SHOWN = 30
COUNTS = ("n_bytes", "n_chars", "n_tokens", "n_scored")
PER_DOCUMENT = ("default", "lm-eval", "uncheatable")
CONVENTIONS = (*PER_DOCUMENT, "hkust", "llama-ppl", "gptq", "lmic")


def difference(a: float, b: float, floor: float) -> float:
    """Relative to the reference b, or to the floor; infinite where they differ and either is no number."""
    if a == b:
        return 0.0
    scale = max(abs(b), floor)
    return abs(a - b) / scale if scale and math.isfinite(a) and math.isfinite(b) else math.inf


class Comparison:
    def __init__(self):
        self.worst = 0.0
        self.where = ""
        self.n_numbers = 0
        self.failures = []

    def exact(self, where: str, ours, theirs) -> None:
        if ours != theirs:
            self.failures.append(f"{where}: lmbits has {ours}, the reference {theirs}")

    def close(self, where: str, ours: float | None, theirs: float | None, floor: float = 0.0) -> None:
        if ours is None or theirs is None:
            return self.exact(where, ours, theirs)
        relative = difference(ours, theirs, floor)
        self.n_numbers += 1
        if relative > self.worst:
            self.worst, self.where = relative, where
        if relative > TOLERANCE:
            self.failures.append(f"{where}: lmbits has {ours}, the reference {theirs}, {relative:.1e} apart")


def blocks(records: list[dict], parts: list[float]) -> list[float]:
    """The sums of `parts`, windows or chunks, that the records begin: their ids end in the number of their first."""
    first = [int(record["id"].rsplit("-", 1)[1]) for record in records] + [len(parts)]
    return [math.fsum(parts[begin:end]) for begin, end in zip(first, first[1:])]


def without_exp(headline: dict) -> dict:
    """Perplexities as bits, their errors as shares of them: exp magnifies, a word of 100 bits is 70 times as far apart."""
    error, perplexity = headline.get("perplexity_standard_error"), headline.get("perplexity")
    plain = {name: math.log2(x) if name.endswith("perplexity") and x else x for name, x in headline.items()}
    return plain | ({"perplexity_standard_error": error / perplexity} if error and perplexity else {})


def compare_run(run: pathlib.Path, convention: str, want: dict, where: str, to: Comparison) -> None:
    summary_file = run / "summary.json"
    if "refused" in want or not summary_file.exists():
        return to.exact(f"{where}: scored", summary_file.exists(), "refused" not in want)
    summary = json.loads(summary_file.read_text())
    records = [json.loads(line) for line in (run / "documents.jsonl").read_text().splitlines()]
    records.sort(key=lambda record: record["id"])
    documents = want["documents"]
    for record in records:
        to.exact(f"{where}: {record['id']}: status", record["status"], "ok")
    for i, count in enumerate(COUNTS):
        to.exact(f"{where}: {count}", summary[count], sum(document[i] for document in documents))
        to.exact(f"{where}: {count} of the records", sum(record[count] for record in records), summary[count])
    bits = [document[4] for document in documents]
    floors = [FLOOR_BITS] * len(records)
    if convention in PER_DOCUMENT:
        to.exact(f"{where}: documents", len(records), len(documents))
        for record, document in zip(records, documents):
            to.exact(f"{where}: {record['id']}: counts", [record[count] for count in COUNTS], document[:4])
    else:
        bits = blocks(records, bits if want["windows"] is None else want["windows"])
        floors = [max(FLOOR_BITS, PART_BITS_PER_TOKEN * record["n_scored"]) for record in records]
    for record, reference, floor in zip(records, bits, floors):
        to.close(f"{where}: {record['id']}: bits", record["bits"], reference, floor)
    to.close(f"{where}: bits", summary["bits"], math.fsum(bits), FLOOR_BITS)
    references = without_exp(want["headline"])
    for name, value in without_exp(summary["headline"]).items():
        # The spread of tokens that are nearly alike is that of their rounding, 1e-6 nats each.
        floor = summary["n_scored"] ** -0.5 if name == "perplexity_standard_error" and value else 0.0
        to.close(f"{where}: {name}", value, references[name], floor)


def evaluate(program: str, case: dict, models: list[pathlib.Path], texts: list[pathlib.Path], options, out) -> None:
    command = [program, "eval", "-o", str(out), "--dtype", "float32", "--baselines", "none", "--quiet", "--json", *options]
    command += [word for model in models for word in ("--model", str(model))]
    command += [word for text in texts for word in ("--corpus", str(text))]
    for name, value in case.items():
        command += ["--uncheatable-mode" if name == "mode" else f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 4, 10):  # 10: some refused, 4: all, as the reference may: each is compared
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")


def check_unchanged(fixture: dict, models: list[pathlib.Path], texts: list[pathlib.Path]) -> None:
    hashes = {**fixture["models"], **fixture["texts"]}
    for path in models + texts:
        if hashlib.sha256(path.read_bytes()).hexdigest() != hashes[path.stem]:
            sys.exit(f"{path} has changed since the fixtures were made: run scripts/make_reference_fixtures.py")


def find_bundle(name: str, beside: pathlib.Path, source: pathlib.Path) -> pathlib.Path:
    own = beside / f"{name}.pt"
    return own if own.exists() else source / "models" / "demo" / f"{name}.pt"


def compare_fixture(path: pathlib.Path, fixture: dict, program: str, source: pathlib.Path, runs) -> list[str]:
    """The failures; prints a line."""
    convention = fixture["case"]["convention"]
    models = [find_bundle(model, path.parent, source) for model in fixture["results"]]
    texts = [path.parent / f"{text}.txt" for text in fixture["texts"]]
    check_unchanged(fixture, models, texts)
    comparison, n_compared, n_refused = Comparison(), 0, 0
    for options in runs:
        with tempfile.TemporaryDirectory(prefix="lmbits-parity-") as out:
            evaluate(program, fixture["case"], models, texts, options, out)
            for model, by_text in fixture["results"].items():
                for text, want in by_text.items():
                    run = pathlib.Path(out) / f"{model}__{text}__{convention}"
                    compare_run(run, convention, want, " ".join((path.stem, *options, model, text)), comparison)
                    n_compared += 1
                    n_refused += "refused" in want
    comparison.exact(f"{path.stem}: runs compared", n_compared, len(models) * len(texts) * len(runs))
    if comparison.n_numbers == 0 and n_refused < n_compared:
        comparison.failures.append(f"{path.stem}: no number was compared")
    refused = f", {n_refused} refused by both" if n_refused else ""
    print(f"{path.stem:24} worst {comparison.worst:.1e} of {comparison.n_numbers} numbers in {n_compared} runs{refused}"
          f"  ({comparison.where})", flush=True)
    return comparison.failures


# ---- random texts ----


def random_character(rng: random.Random) -> bytes:
    low, high = rng.choice(((0x20, 0x7F), (0x80, 0x250), (0x2000, 0x2100), (0x3040, 0x9FFF), (0x1F300, 0x1FA00), (0, 0x20)))
    return chr(rng.randrange(low, high)).encode()


def random_piece(rng: random.Random, known: bytes) -> bytes:
    kind = rng.randrange(7)
    if kind < 2:
        begin = rng.randrange(len(known))
        return known[begin : begin + rng.randrange(400)]  # may cut a character at either end
    if kind == 2:
        return rng.randbytes(rng.randrange(120))
    if kind == 3:
        return b"".join(random_character(rng) for _ in range(rng.randrange(80)))
    if kind == 4:
        return rng.choice((b"\n", b"\r\n", b"\n\n", b"\r", b" ", b"\t", b"\0", b"\xef\xbb\xbf", b"\xe2\x96\x81"))
    if kind == 5:
        return random_character(rng) * rng.randrange(200)
    return random_character(rng)[: rng.randrange(4)] + rng.randbytes(rng.randrange(3))


def random_case(rng: random.Random, name: str) -> dict:
    window = rng.choice((rng.randrange(3, 65), rng.randrange(65, 200), rng.randrange(200, 513)))
    case = dict(convention=name, window=window, split=rng.choice(("none", "lines", "paragraphs", str(rng.randrange(1, 900)))))
    if name in ("default", "hkust"):
        case["stride"] = rng.randrange(max(1, window // 4), window + 1)
    if name not in ("lm-eval", "uncheatable"):
        case["bos"] = rng.choice(("auto", "auto", "none", "7"))
    if name == "uncheatable":
        case["mode"] = rng.choice(("add_bos", "replace_bos"))
    if name == "lmic":
        case["split"] = "none"
        case["top-k"] = rng.choice((1, 100, 3000))
    return case


def reference_python(source: pathlib.Path) -> str:
    """A Python that can run the independent scorer; none: exits with 77, which CTest calls skipped."""
    pythons = [os.environ.get("LMBITS_PYTHON"), sys.executable, str(source / "build" / "deps" / "hf" / "bin" / "python")]
    for python in filter(None, pythons):
        probe = [python, "-c", "import torch, sentencepiece"]
        if shutil.which(python) and subprocess.run(probe, capture_output=True).returncode == 0:
            return python
    print("skipped: no Python with torch and sentencepiece; LMBITS_PYTHON names one, scripts/hf_environment makes one")
    sys.exit(77)


def make_live_fixtures(python: str, source: pathlib.Path, folder: pathlib.Path, n_texts: int, seed: int) -> None:
    rng = random.Random(seed)
    known = b"".join(path.read_bytes() for path in sorted((source / "tests" / "data" / "reference").glob("*.txt")))
    for number in range(n_texts):
        size = rng.choice((rng.randrange(1, 100), rng.randrange(800, 2500)))
        text = b""
        while len(text) < size:
            text += random_piece(rng, known)
        (folder / f"random{number}.txt").write_bytes(text)
    cases = {f"{name}-{number}": random_case(rng, name) for number, name in enumerate(CONVENTIONS * 2)}
    (folder / "cases").write_text(json.dumps(cases))
    subprocess.run([python, str(source / "scripts" / "make_reference_fixtures.py"), "--texts", str(folder),
                    "--cases", str(folder / "cases"), "-o", str(folder)], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    ap = argparse.ArgumentParser(description="Compares lmbits with the independent scorer: see the head of this file.")
    ap.add_argument("program")
    ap.add_argument("source", type=pathlib.Path)
    ap.add_argument("--fixtures", type=pathlib.Path)
    ap.add_argument("--live", type=int, metavar="TEXTS")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--keep", type=pathlib.Path)
    args = ap.parse_args()
    with tempfile.TemporaryDirectory(prefix="lmbits-parity-") as temporary:
        folder = args.fixtures or args.source / "tests" / "data" / "reference"
        runs = RUNS
        if args.live:
            folder, runs = args.keep or pathlib.Path(temporary), ((),)
            folder.mkdir(parents=True, exist_ok=True)
            make_live_fixtures(reference_python(args.source), args.source, folder, args.live, args.seed)
        fixtures = {path: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
        missing = set(CONVENTIONS) - {fixture["case"]["convention"] for fixture in fixtures.values()}
        if missing:
            sys.exit(f"no fixture in {folder} for {', '.join(sorted(missing))}: run scripts/make_reference_fixtures.py")
        failures = [failure for path, fixture in fixtures.items()
                    for failure in compare_fixture(path, fixture, args.program, args.source, runs)]
    for failure in failures[:MOST_FAILURES_SHOWN]:
        print(failure)
    if failures:
        sys.exit(f"{len(failures)} differences")


if __name__ == "__main__":
    main()
