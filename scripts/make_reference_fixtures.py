#!/usr/bin/env python3
"""Writes what tests/cli/parity.py compares `lmbits eval` with: make_reference.py over models, texts and conventions.

usage: make_reference_fixtures.py [--texts FOLDER] [--cases CASES.json] [-o FOLDER]
       make_reference_fixtures.py --cut-texts

Without arguments: the committed texts and cases below, into tests/data/reference. Run it again when a bundle under
models/demo changes; the fixtures keep the hashes of bundles and texts. Bundles that lie beside the texts are scored too.
--cut-texts writes the texts themselves.

A fixture, NAME.json: {case, versions, models: {name: sha256}, texts: {name: sha256}, results}. case: the options of
make_reference.py but for model and corpus. results: {model: {text: result}}; result is {refused: why} or {documents:
[[n_bytes, n_chars, n_tokens, n_scored, bits], ...], windows: [bits, ...] or null, headline: {name: number}}, in the order
of the text. The windows of the published tools are scaled down to the demo models' context of 512 ids.
"""
import argparse
import hashlib
import json
import pathlib

import make_reference
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "tests" / "data" / "reference"
MODELS = ("xs-byte-1000", "s-sp-500")
CASES = {
    "default": dict(convention="default", split="none"),
    "default-100-37": dict(convention="default", window=100, stride=37, split="paragraphs"),
    "default-64-64-no-bos": dict(convention="default", window=64, stride=64, bos="none", split="lines"),
    "lm-eval-128": dict(convention="lm-eval", window=128, split="none"),
    "lm-eval-512": dict(convention="lm-eval", window=512, split="700"),
    "hkust-190-51": dict(convention="hkust", window=190, stride=51, split="paragraphs"),
    "hkust-190-51-no-bos": dict(convention="hkust", window=190, stride=51, bos="none", split="none"),
    "llama-ppl-128": dict(convention="llama-ppl", window=128, split="lines"),
    "llama-ppl-99-no-bos": dict(convention="llama-ppl", window=99, bos="none", split="none"),
    "gptq-128": dict(convention="gptq", window=128, split="paragraphs"),
    "gptq-128-bos": dict(convention="gptq", window=128, bos="1", split="none"),
    "uncheatable-300-add": dict(convention="uncheatable", window=300, mode="add_bos", split="1500"),
    "uncheatable-300-replace": dict(convention="uncheatable", window=300, mode="replace_bos", split="1500"),
    "lmic-512": dict(convention="lmic", window=512, split="none"),
    "lmic-40": dict(convention="lmic", window=40, split="none"),
    "lmic-300-top-100": {"convention": "lmic", "window": 300, "split": "none", "top-k": 100},
}

# Whatever a corpus may hold that a scorer could stumble over.
NASTY = b"".join([
    b"\xef\xbb\xbfA byte order mark, then lines of both kinds:\r\n\r\n\r\ncarriage return\rin the middle \r\n\n \t \n\n",
    b"NUL \x00 and \x01\x02\x7f, \x00\x00 twice; stray \x80\x81\xbf, overlong \xc0\xaf \xe0\x80\xaf, surrogate \xed\xa0\x80",
    b", too high \xf5\x90\x80\x80 and \xf4\x90\x80\x80; cut \xe2\x82 \xf0\x9f\x98 \xc3\n\xff\xfe\xff\n\n",
    "emoji 😀👩‍👩‍👧‍👦🏳️‍🌈🇫🇷 é e\u0301 ﬁ ½ \u00a0\u2003\u2028\u200b \u2581 ▁▁ \ufffd \ufeff\n\n".encode(),
    "言語モデルは文章を何ビットで記憶できるか。压缩即智能。 한국어 Ελληνικά עברית\n\n".encode() * 3,
    b"a" * 300 + b" " * 70 + b"0123456789" * 20 + b"\t" * 30 + b"\n" * 12,
    "長い列".encode() * 60 + b"\n" + bytes(range(256)) + b"\n\n",
    b"  two spaces lead, and none ends the last line  \n" + "👍".encode() * 40 + b"end \xe2\x96",
])


def cut_texts() -> None:
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for name, begin in (("prose", 20000), ("code", 50000), ("maths", 90000)):
        data = (ROOT / "models" / "heldout" / f"{name}.txt").read_bytes()
        begin = data.index(b"\n\n", begin) + 2
        (FIXTURES / f"{name}.txt").write_bytes(data[begin : data.index(b"\n", begin + 3000) + 1])
    (FIXTURES / "nasty.txt").write_bytes(NASTY)


def short(x: float | None) -> float | None:
    return None if x is None else float(f"{x:.13g}")


def reference(case: dict, model: make_reference.Bundle, text: pathlib.Path) -> dict:
    options = [word for name, value in case.items() for word in (f"--{name}", str(value))]
    try:
        result = make_reference.score(
            make_reference.parse(["--model", "", "--corpus", str(text), "-o", "", *options]), model)
    except SystemExit as refusal:
        return dict(refused=str(refusal))
    counts = ("n_bytes", "n_chars", "n_tokens", "n_scored")
    return dict(documents=[[*(d[key] for key in counts), short(d["bits"])] for d in result["documents"]],
                windows=result["windows"] and list(map(short, result["windows"])),
                headline={name: short(value) for name, value in result["headline"].items()})


def sha256(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    ap = argparse.ArgumentParser(description="Writes the fixtures of tests/cli/parity.py: see the head of this file.")
    ap.add_argument("--cut-texts", action="store_true")
    ap.add_argument("--texts", type=pathlib.Path, default=FIXTURES)
    ap.add_argument("--cases", type=pathlib.Path)
    ap.add_argument("-o", dest="out", type=pathlib.Path, default=FIXTURES)
    args = ap.parse_args()
    if args.cut_texts:
        return cut_texts()
    torch.set_num_threads(1)
    cases = json.loads(args.cases.read_text()) if args.cases else CASES
    paths = [ROOT / "models" / "demo" / f"{name}.pt" for name in MODELS] + sorted(args.texts.glob("*.pt"))
    bundles = {path.stem: make_reference.Bundle(str(path)) for path in paths}
    texts = sorted(args.texts.glob("*.txt"))
    for name, case in cases.items():
        results = {model: {text.stem: reference(case, bundle, text) for text in texts}
                   for model, bundle in bundles.items()}
        fixture = dict(case=case, versions=make_reference.versions(),
                       models={path.stem: sha256(path) for path in paths},
                       texts={text.stem: sha256(text) for text in texts}, results=results)
        (args.out / f"{name}.json").write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
        print(name, flush=True)


if __name__ == "__main__":
    main()
