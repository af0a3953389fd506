#!/usr/bin/env python3
"""lmbits against the loop everybody writes first: PyTorch, one window at a time, full logits, log_softmax.

usage: plain_loop.py PROGRAM BUNDLE.pt TEXT... [--paragraphs] [--repeats 5]     (needs torch, and sentencepiece for such bundles)
Each text is a document; --paragraphs: each of its paragraphs is one, as in most corpora. Where scoring takes no longer than
the start of a process, several texts give a steadier ratio.
Both score the same windows of the same documents (convention `default`) on one thread: CPU seconds from the text in memory to
the total, interleaved, medians. For lmbits that is a whole process less one that scores a single line of the text (start,
loading, probing the model: printed as well), and less the gzip size of each document, which it computes beside; Python's
start is not counted either. The totals must agree to 1e-5 before any time is printed.
"""
import argparse
import gzip
import json
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile
import time

import torch


def load(path):
    extra = {"lmbits.json": "", "tokenizer.model": ""}
    model = torch.jit.load(path, _extra_files=extra).float().eval()
    info = json.loads(extra["lmbits.json"])
    if info["tokenizer"]["kind"] == "bytes":
        return model, info, list
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_proto=extra["tokenizer.model"])
    return model, info, lambda data: sp.encode(data.decode())


@torch.inference_mode()
def plain_bits(model, info, ids) -> float:
    x = [info["bos_id"]] + ids
    window, n, scored, total = info["context_length"], len(x), 1, 0.0
    for begin in range(0, n, window // 2):
        if scored >= n:
            break
        end = min(begin + window, n - 1)
        logits = model(torch.tensor([x[begin:end]]))
        nll = -torch.log_softmax(logits[0], -1).gather(1, torch.tensor(x[begin + 1 : end + 1])[:, None])
        total += nll[scored - begin - 1 :].double().sum().item()
        scored = end + 1
    return total / 0.6931471805599453


def lmbits(program, bundle, documents):
    """(bits, CPU seconds of scoring)"""
    with tempfile.TemporaryDirectory() as out, tempfile.NamedTemporaryFile("w", suffix=".jsonl") as corpus:
        corpus.writelines(json.dumps({"text": document.decode()}) + "\n" for document in documents)
        corpus.flush()
        command = [program, "eval", "--model", bundle, "--corpus", corpus.name, "-o", out, "--threads", "1", "--quiet", "--json",
                   "--baselines", "none"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        start = time.process_time()
        for document in documents:
            gzip.compress(document, 9)
        gzip_s = time.process_time() - start
        return json.loads(result.stdout)[0]["bits"], cpu_s - gzip_s


def main() -> None:
    ap = argparse.ArgumentParser()
    for name in ("program", "bundle"):
        ap.add_argument(name)
    ap.add_argument("texts", nargs="+", metavar="TEXT")
    ap.add_argument("--paragraphs", action="store_true")
    ap.add_argument("--repeats", type=int, default=5)
    args = ap.parse_args()
    torch.set_num_threads(1)
    model, info, encode = load(args.bundle)
    texts = [pathlib.Path(text).read_bytes() for text in args.texts]
    documents = [d for text in texts for d in re.findall(rb".+?(?:\n\n+|$)", text, re.S)] if args.paragraphs else texts
    line = documents[0][: documents[0].index(b"\n") + 1]
    plain_s, ours_s, start_s = [], [], []
    for repeat in range(args.repeats + 1):
        start = time.process_time()
        plain = sum(plain_bits(model, info, encode(document)) for document in documents)
        plain_cpu = time.process_time() - start
        ours, ours_cpu = lmbits(args.program, args.bundle, documents)
        _, start_cpu = lmbits(args.program, args.bundle, [line])
        assert abs(ours / plain - 1) < 1e-5, (ours, plain)
        if repeat > 0:  # the first round warms up
            plain_s.append(plain_cpu)
            ours_s.append(ours_cpu - start_cpu)
            start_s.append(start_cpu)
    a, b, start = (statistics.median(x) for x in (plain_s, ours_s, start_s))
    print(f"{info['name']}: plain loop {a:.3f} CPU s [{min(plain_s):.3f}, {max(plain_s):.3f}], lmbits {b:.3f} "
          f"[{min(ours_s):.3f}, {max(ours_s):.3f}], ratio {a / b:.2f} (its start {start:.2f} s; with it {a / (b + start):.2f}); "
          f"torch {torch.__version__}, {sum(map(len, texts))} bytes, {len(documents)} documents")


if __name__ == "__main__":
    main()
