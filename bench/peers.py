#!/usr/bin/env python3
"""How much CPU time do other programs need for the same windows of the same model? One thread each, rounds interleaved.

Paths: lm-eval's loglikelihood_rolling at batch 1 and at --batch, plain PyTorch runs of the protocols of uncheatable_eval and
Huang et al. 2024, and llama.cpp's llama-perplexity on float32 and bfloat16 weights; beside each, `lmbits eval` under the
convention that reproduces it. --keep FILE keeps what rounds measured, and later calls for the same work add theirs: five rounds
of 20,000 tokens take longer than a machine is quiet.

What lmbits needs to start and load is measured on a text of one line and taken off; llama-perplexity's on its first window;
the other peers are loaded before the clock starts. Ratios are of CPU seconds, medians over the rounds, with the smallest and
largest. The bits must agree, or nothing is printed: to 1e-5, with llama.cpp's four decimals to 1e-4, where either side
rounds its weights to 1e-3 of lmbits' in float32.

usage: build/deps/hf/bin/python bench/peers.py --model BUNDLE.pt=HF_DIR --text FILE [--bytes N] [--rounds 5] [--batch 4]
           [--paths lm-eval,lm-eval-batch,uncheatable,hkust,llama-f32,llama-bf16] [--f32 FILE.gguf] [--bf16 FILE.gguf]
           [--dtype D: of lmbits, against llama-bf16] [--llama-flags '-fa on'] [--keep FILE]
"""
import json
import logging
import math
import pathlib
import random
import statistics
import subprocess
import time

import parity

parity.os.environ["OMP_NUM_THREADS"] = "1"
import torch

args = parity.arguments(__doc__.splitlines()[0], rounds=5, batch=4, window=1024, dtype="bfloat16-body",
                        paths="lm-eval,lm-eval-batch,uncheatable,hkust", f32="", bf16="", llama_flags="",
                        perplexity=str(parity.LLAMA_CPP), keep="")
logging.disable(logging.WARNING)
bundle, folder = args.models[0]
names = args.paths.split(",")
if any(name.startswith("llama") for name in names) and not pathlib.Path(args.perplexity).exists():
    parity.skip(f"there is no {args.perplexity}; scripts/llama_cpp_environment builds it")
python_peers = [name for name in names if not name.startswith("llama")]
peer = parity.Peer(folder) if python_peers else None
bos = peer.tokenizer.bos_token_id if peer else None


def mixed_documents(text):
    """Whole lines, 300 to 8,000 bytes: lengths of which a batch has to pad the shorter ones."""
    draw, documents, rest = random.Random(1), [], text.splitlines(keepends=True)
    while rest:
        want, document = int(300 * (8000 / 300) ** draw.random()), ""
        while rest and len(document) < want:
            document += rest.pop(0)
        documents.append(document)
    return documents


def lm_eval(batch):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=peer.model, tokenizer=peer.tokenizer, backend="causal", batch_size=batch,
                   max_length=args.window, add_bos_token=False, device="cpu")

    def score(documents):
        requests = [Instance(request_type="loglikelihood_rolling", doc={}, arguments=(d,), idx=i)
                    for i, d in enumerate(documents)]
        return -sum(harness.loglikelihood_rolling(requests, disable_tqdm=True)) / parity.LN2

    return score


def uncheatable(documents):
    total = 0.0
    for document in documents:
        ids = peer.encode(document)
        for begin in range(0, len(ids), args.window):
            targets = ids[begin : begin + args.window]
            total += parity.nats(peer.logits(([bos] + targets)[:-1]), targets).double().sum().item()
    return total / parity.LN2


def hkust(documents):
    stream, total = [t for d in documents for t in [bos] + peer.encode(d)], 0.0
    for begin in range(0, len(stream) - 1900, 512):
        window, first = stream[begin : begin + 1901], 0 if begin == 0 else 1900 - 512
        total += parity.nats(peer.logits(window[:-1])[first:], window[first + 1 :]).double().sum().item()
    return total / parity.LN2


def timed(score):
    """documents -> (CPU seconds, bits)"""

    def run(documents, scored):
        begin = time.process_time()
        bits = score(documents)
        return time.process_time() - begin, bits

    return run


def llama_cpp(gguf, *flags):
    def run(documents, scored):
        text = "".join(documents).removesuffix("\n")
        n_windows = scored // (args.window - 1 - args.window // 2)
        if n_windows < 2:
            raise SystemExit("one window of llama-perplexity's is loading: give two windows of text or more (--bytes)")
        first, _ = parity.llama_perplexity(args, gguf, text, args.window, "--chunks", 1, *flags)
        seconds, printed = parity.llama_perplexity(args, gguf, text, args.window, *flags)
        return (seconds - first) * n_windows / (n_windows - 1), math.log2(printed) * scored

    return run


class Path:
    def __init__(self, run, flags, dtype="float32", bound=1e-5, joined=False):
        self.run, self.flags, self.dtype, self.bound, self.joined = run, (*flags, "--dtype"), dtype, bound, joined
        self.ratios, self.times, self.changes, self.tokens = [], [], [], 0

    def round(self, documents):
        texts = ["".join(documents).removesuffix("\n")] if self.joined else documents
        loading = parity.loading(args, bundle, self.dtype)
        seconds, _, summary, _ = parity.timed_evaluate(args, bundle, texts, *self.flags, self.dtype)
        theirs, expected = self.run(documents, summary["n_scored"])
        if self.dtype != "float32":  # each beside the exact
            exact = parity.timed_evaluate(args, bundle, texts, *self.flags, "float32")[2]["bits"]
            self.changes.append((summary["bits"] / exact - 1, expected / exact - 1))
        else:
            self.changes.append((summary["bits"] / expected - 1, 0.0))
        if max(map(abs, self.changes[-1])) > self.bound:
            raise SystemExit(f"{expected} bits, lmbits {summary['bits']}, {self.changes[-1]}: not the same work")
        self.add(theirs, seconds - loading, summary["n_scored"])
        return {"theirs": theirs, "ours": seconds - loading, "tokens": summary["n_scored"], "change": self.changes[-1]}

    def add(self, theirs, ours, tokens):
        self.times.append((theirs, ours))
        self.ratios.append(theirs / ours)
        self.tokens = tokens

    def line(self, name):
        theirs, ours = (statistics.median(t[i] for t in self.times) for i in (0, 1))
        change, other = (max((c[i] for c in self.changes), key=abs) for i in (0, 1))
        return (f"{name:<16}{self.dtype:<16}{self.tokens:>8}{self.tokens / theirs:>11.1f}{self.tokens / ours:>9.1f}"
                f"{statistics.median(self.ratios):>8.3f}  [{min(self.ratios):.3f}, {max(self.ratios):.3f}]{len(self.ratios):>7}  "
                f"{change:+.1e}"
                + (f", its {other:+.1e}" if other else ""))


def sgemm():
    a = torch.randn(2048, 2048)
    begin = time.process_time()
    for _ in range(3):
        torch.mm(a, a)
    return 3 * 2 * 2048**3 / (time.process_time() - begin) / 1e9


window, llama_flags = ("--window", str(args.window)), args.llama_flags.split()
llama_ppl = ("--convention", "llama-ppl", *window)
PATHS = {
    "lm-eval": lambda: Path(timed(lm_eval(1)), ("--convention", "lm-eval", *window)),
    "lm-eval-batch": lambda: Path(timed(lm_eval(args.batch)), ("--convention", "lm-eval", *window)),
    "uncheatable": lambda: Path(timed(uncheatable), ("--convention", "uncheatable", *window)),
    "hkust": lambda: Path(timed(hkust), ("--convention", "hkust")),
    "llama-f32": lambda: Path(llama_cpp(args.f32, *llama_flags), llama_ppl, bound=1e-4, joined=True),
    "llama-bf16": lambda: Path(llama_cpp(args.bf16, *llama_flags), llama_ppl, args.dtype, 1e-3, joined=True),
}
paths = {name: PATHS[name]() for name in names}
(text_name, text), = args.texts
documents = mixed_documents(text)
work = [bundle.stem, text_name, args.bytes, args.window, args.batch, llama_flags]


def keep(name, numbers):
    if args.keep:
        with open(args.keep, "a") as file:
            line = {"work": [*work, name, paths[name].dtype], **numbers, "sgemm": round(rate, 1),
                    "load": parity.os.getloadavg()[0], "commit": commit}
            file.write(json.dumps(line) + "\n")


for line in open(args.keep).readlines() if args.keep and pathlib.Path(args.keep).exists() else []:
    kept = json.loads(line)
    for name, path in paths.items():
        if kept["work"] == [*work, name, path.dtype]:
            path.add(kept["theirs"], kept["ours"], kept["tokens"])
            path.changes.append(kept["change"])
rate = sgemm()
commit = subprocess.run(["git", "-C", parity.ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
print(f"{bundle.stem}, {text_name}: {len(text.encode())} bytes, {len(documents)} documents; torch {torch.__version__}, "
      f"one thread; sgemm {rate:.1f} GFLOP/s; load {parity.os.getloadavg()[0]:.1f}", flush=True)
for number in range(args.rounds):
    for name, path in list(paths.items())[:: 1 if number % 2 == 0 else -1]:
        keep(name, path.round(documents))
    print(f"round {number + 1}: " + ", ".join(f"{n} {p.ratios[-1]:.3f}" for n, p in paths.items()), flush=True)
print(f"{'peer':<16}{'lmbits in':<16}{'tokens':>8}{'its tok/s':>11}{'ours':>9}{'ratio':>8}  [spread]      rounds  bits")
for name, path in paths.items():
    print(path.line(name))
