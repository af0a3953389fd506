#!/usr/bin/env python3
"""Domain adaptation: a bundle of the demo family trained on for each domain, against itself as it was, domain by domain.

usage: adapt.py LMBITS BASE.pt DATA BUILD_DIR [--steps 300]
       DATA holds train/AREA.txt (`models/recipe/make --data` makes it in build/recipe/data); BUILD_DIR takes bundles and
       runs. Needs what `make` needs.

The domains are the areas that the base was trained on (models/heldout is what is scored) and one that it never saw,
German sentences of the Debian package fortunes-de (every 15th is held out). Each adapted bundle is scored on all of them:
what it gains on its own, and what that costs elsewhere. Muon and AdamW as in train.py at a quarter of the rates.
"""
import argparse
import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import train
from bundle_file import fix_hash_seed
from export import from_bundle, write_bundle
from media import run, unpacked

HELDOUT = pathlib.Path(__file__).resolve().parents[1] / "heldout"
SEEN = train.AREAS
DOMAINS = (*SEEN, "german")
RATES = dict(lr=0.005, adam_lr=0.001)


def german(build_dir: pathlib.Path):
    """(training text, held-out text)."""
    root = unpacked(build_dir, "fortunes-de") / "usr/share/games/fortunes/de"
    files = sorted(p for p in root.iterdir() if p.is_file() and p.suffix == "")
    fortunes = [f for p in files for f in p.read_bytes().decode("utf8", "replace").split("\n%\n") if f.strip()]
    return ("\n".join(f for i, f in enumerate(fortunes) if i % 15 != 14),
            "\n".join(f for i, f in enumerate(fortunes) if i % 15 == 14))


def texts(data: pathlib.Path, build_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """Writes BUILD_DIR/train/DOMAIN.txt; the held-out files by domain."""
    for name in ("train", "heldout"):
        (build_dir / name).mkdir(parents=True, exist_ok=True)
    for area in SEEN:
        (build_dir / "train" / f"{area}.txt").write_bytes((data / "train" / f"{area}.txt").read_bytes())
    for name, text in zip(("train", "heldout"), german(build_dir)):
        (build_dir / name / "german.txt").write_text(text, encoding="utf8")
    return {area: HELDOUT / f"{area}.txt" for area in SEEN} | {"german": build_dir / "heldout/german.txt"}


def adapt(base: pathlib.Path, build_dir: pathlib.Path, steps: int) -> dict[str, pathlib.Path]:
    """The bundle of each domain."""
    train.AREAS = DOMAINS  # whose texts train.encode reads
    model, facts, tokenizer = from_bundle(base, None)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if tokenizer is not None:
        (build_dir / "tokenizer.model").write_bytes(tokenizer)
    _, _, bos, streams = train.encode(build_dir, build_dir, "byte" if tokenizer is None else str(build_dir / "tokenizer.model"))
    bundles = {}
    for domain, stream in zip(DOMAINS, streams):
        bundles[domain] = build_dir / f"{facts['name']}-{domain}-{steps}.pt"
        if bundles[domain].exists():
            continue
        torch.manual_seed(0)
        model.load_state_dict(weights)
        train.fit(model, [stream], bos, steps, domain, **RATES)
        changed = dict(name=bundles[domain].stem, step=facts["step"] + steps, of_steps=facts["of_steps"] + steps,
                       tokens=facts["tokens"] + steps * train.TOKENS_PER_STEP,
                       source=f"{facts['source']}; then models/recipe/adapt.py on {domain}")
        write_bundle(bundles[domain], model, facts | changed, tokenizer)
    return bundles


def main() -> None:
    fix_hash_seed()
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("lmbits")
    for name in ("base", "data", "build_dir"):
        ap.add_argument(name, type=pathlib.Path)
    ap.add_argument("--steps", type=int, default=300)
    args = ap.parse_args()
    torch.set_num_threads(1)
    held_out = texts(args.data, args.build_dir)
    bundles = {"base": args.base} | adapt(args.base, args.build_dir, args.steps)
    models = [argument for name, bundle in bundles.items() for argument in ("--model", f"{name}={bundle}")]
    corpora = [argument for name, path in held_out.items() for argument in ("--corpus", f"{name}={path}")]
    runs = args.build_dir / f"runs-{args.steps}"
    run(args.lmbits, "eval", *models, *corpora, "-o", runs, "--baselines", "none", "--quiet")
    print("\n| bits/byte on | " + " | ".join(["base"] + [f"after {d}" for d in DOMAINS]) + " | gain of its own [95 %] |")
    print("| --- |" + " ---: |" * (len(DOMAINS) + 2))
    for domain in DOMAINS:
        rates = [json.loads((runs / f"{name}__{domain}__default/summary.json").read_text())["bits_per_byte"]
                 for name in bundles]
        pair = [runs / f"{name}__{domain}__default" for name in ("base", domain)]
        said = json.loads(run(args.lmbits, "compare", *pair, "--json"))["comparisons"][0]
        low, high = said["difference_interval"]
        print(f"| {domain} | " + " | ".join(f"{rate:.4f}" for rate in rates) +
              f" | {-said['difference']:+.4f} [{-high:+.4f}, {-low:+.4f}] |")


if __name__ == "__main__":
    main()
