#!/usr/bin/env python3
"""How much CPU time do other programs need for the same windows of the same model? One thread each, rounds interleaved.

Paths: lm-eval's loglikelihood_rolling at batch 1 and at --batch, and plain PyTorch runs of the protocols of
uncheatable_eval and Huang et al. 2024; beside each, `lmbits eval` under the convention that reproduces it. What lmbits
needs to start and load is measured on a text of one line and taken off; the peers are loaded before the clock starts.
Ratios are of CPU seconds, medians over the rounds, with the smallest and largest. The bits must agree, or nothing is printed.

usage: build/deps/hf/bin/python bench/peers.py --model BUNDLE.pt=HF_DIR --text FILE [--bytes N] [--rounds 5] [--batch 4]
           [--paths lm-eval,lm-eval-batch,uncheatable,hkust] [--dtype bfloat16: of lmbits]
"""
import logging
import random
import resource
import statistics
import time

import parity

parity.os.environ["OMP_NUM_THREADS"] = "1"
import torch

args = parity.arguments(__doc__.splitlines()[0], rounds=5, batch=4, window=1024, dtype="float32",
                        paths="lm-eval,lm-eval-batch,uncheatable,hkust", tolerance=1e-5)
torch.set_num_threads(1)
logging.disable(logging.WARNING)
bundle, folder = args.models[0]
peer = parity.Peer(folder)
bos = peer.tokenizer.bos_token_id
text = parity.read_text(args.text[0], args.bytes)


def mixed_documents(text):
    """Whole lines, 300 to 8,000 bytes: lengths of which a batch has to pad the shorter ones."""
    draw, documents, rest = random.Random(1), [], text.splitlines(keepends=True)
    while rest:
        want, document = int(300 * (8000 / 300) ** draw.random()), ""
        while rest and len(document) < want:
            document += rest.pop(0)
        documents.append(document)
    return documents


documents = mixed_documents(text)


def lm_eval(batch):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=peer.model, tokenizer=peer.tokenizer, backend="causal", batch_size=batch,
                   max_length=args.window, add_bos_token=False, device="cpu")
    requests = [Instance(request_type="loglikelihood_rolling", doc={}, arguments=(d,), idx=i)
                for i, d in enumerate(documents)]
    return lambda: -sum(harness.loglikelihood_rolling(requests, disable_tqdm=True)) / parity.LN2


def uncheatable():
    total = 0.0
    for document in documents:
        ids = peer.encode(document)
        for begin in range(0, len(ids), args.window):
            targets = ids[begin : begin + args.window]
            total += parity.nats(peer.logits(([bos] + targets)[:-1]), targets).double().sum().item()
    return total / parity.LN2


def hkust():
    stream, total = [t for d in documents for t in [bos] + peer.encode(d)], 0.0
    for begin in range(0, len(stream) - 1900, 512):
        window, first = stream[begin : begin + 1901], 0 if begin == 0 else 1900 - 512
        total += parity.nats(peer.logits(window[:-1])[first:], window[first + 1 :]).double().sum().item()
    return total / parity.LN2


def lmbits(texts, flags):
    """(CPU seconds, bits, scored tokens) of a whole process"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary, _ = parity.evaluate(args, bundle, texts, *flags, "--dtype", args.dtype)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, summary["bits"], summary["n_scored"]


def cpu(f):
    begin = time.process_time()
    value = f()
    return time.process_time() - begin, value


def sgemm():
    a = torch.randn(2048, 2048)
    seconds, _ = cpu(lambda: [torch.mm(a, a) for _ in range(3)])
    return 3 * 2 * 2048**3 / seconds / 1e9


window = ("--window", str(args.window))
PATHS = {
    "lm-eval": (lambda: lm_eval(1), ("--convention", "lm-eval", *window)),
    "lm-eval-batch": (lambda: lm_eval(args.batch), ("--convention", "lm-eval", *window)),
    "uncheatable": (lambda: uncheatable, ("--convention", "uncheatable", *window)),
    "hkust": (lambda: hkust, ("--convention", "hkust")),
}
paths = {name: (PATHS[name][0](), PATHS[name][1]) for name in args.paths.split(",")}
print(f"{bundle.stem}, {args.text[0].name}: {len(documents)} documents, {len(text.encode())} bytes; lmbits in {args.dtype}; "
      f"torch {torch.__version__}, one thread; sgemm {sgemm():.1f} GFLOP/s", flush=True)
ratios, times = {n: [] for n in paths}, {n: [] for n in paths}
for number in range(args.rounds):
    for name, (run, flags) in (list(paths.items()) if number % 2 == 0 else list(paths.items())[::-1]):
        loading, _, _ = lmbits(["x" * 40], ("--convention", "lm-eval", *window))
        ours, bits, scored = lmbits(documents, flags)
        theirs, expected = cpu(run)
        bound = args.tolerance if args.dtype == "float32" else 1e-3
        if abs(bits / expected - 1) > bound:
            raise SystemExit(f"{name}: {expected} bits, lmbits {bits}: not the same work")
        ratios[name].append(theirs / (ours - loading))
        times[name].append((theirs, ours - loading, scored, bits / expected - 1))
    print(f"round {number + 1}: " + ", ".join(f"{n} {r[-1]:.3f}" for n, r in ratios.items()), flush=True)
print(f"{'peer':<16}{'tokens':>8}{'its tok/s':>11}{'ours':>9}{'ratio':>8}  [spread]        bits")
for name in paths:
    theirs, ours = (statistics.median(t[i] for t in times[name]) for i in (0, 1))
    scored, change = times[name][0][2:]
    print(f"{name:<16}{scored:>8}{scored / theirs:>11.1f}{scored / ours:>9.1f}{statistics.median(ratios[name]):>8.3f}  "
          f"[{min(ratios[name]):.3f}, {max(ratios[name]):.3f}]  {change:+.1e}")
