#!/usr/bin/env python3
"""MB/s of CPU time of `lmbits tokenize` beside the fastest libraries from PyPI, on the same text and vocabulary, one thread, in one run.

usage: tokenizer_bench.py PROGRAM TOKENIZER_JSON TEXT...       (byte-level BPE)
       tokenizer_bench.py PROGRAM SENTENCEPIECE_MODEL TEXT...
example: build/deps/tokenizers/bin/python bench/tokenizer_bench.py build/cpu/lmbits 20B_tokenizer.json novel.txt

Texts are cut into documents of 64 KiB at line ends. Cold: the first pass of a fresh process; ids are compared before any
time is taken. Runs of all programs are interleaved; the median of 5 is printed, with the spread. Everything a call does
counts, in lmbits the losslessness check and the bytes of each token, too; reading files does not.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1", OMP_NUM_THREADS="1")
PROGRAM, VOCABULARY, TEXTS = sys.argv[1], sys.argv[2], sys.argv[3:]
RUNS = 5


def documents(path, size=65536):
    part, n = [], 0
    for line in pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        part.append(line)
        n += len(line.encode())
        if n >= size:
            yield "".join(part)
            part, n = [], 0
    if part:
        yield "".join(part)


def lmbits(corpus):
    done = subprocess.run([PROGRAM, "tokenize", VOCABULARY, "--corpus", corpus, "--json"], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    return result["encode_cpu_s"], result["n_tokens"]


def libraries():
    """name -> function(texts) -> number of ids; each loads its vocabulary outside of the time."""
    if VOCABULARY.endswith(".model"):
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=VOCABULARY)
        return {"sentencepiece": lambda: (lambda texts: sum(len(processor.encode(text)) for text in texts))}
    from tokenizers import Tokenizer

    def hugging_face():
        tokenizer = Tokenizer.from_file(VOCABULARY)
        return lambda texts: sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False))

    found = {"tokenizers": hugging_face}
    try:
        import gigatoken

        def giga():
            tokenizer = gigatoken.Tokenizer(VOCABULARY)
            return lambda texts: sum(len(ids) for ids in tokenizer.encode_batch(texts))

        giga()
        found["gigatoken"] = giga
    except Exception as e:
        print(f"gigatoken is left out: {e}")
    return found


def main():
    for path in TEXTS:
        texts = list(documents(path))
        n_bytes = sum(len(text.encode()) for text in texts)
        times = {}
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as corpus:
            corpus.write("".join(json.dumps({"text": text}) + "\n" for text in texts))
            corpus.flush()
            for _ in range(RUNS):
                seconds, n_tokens = lmbits(corpus.name)
                times.setdefault("lmbits", []).append(seconds)
                for name, load in libraries().items():
                    encode = load()
                    begin = time.process_time()
                    n = encode(texts)
                    times.setdefault(name, []).append(time.process_time() - begin)
                    if n != n_tokens:
                        print(f"{name} makes {n} tokens, lmbits {n_tokens}: the times say nothing")
        print(f"{path}: {n_bytes / 1e6:.1f} MB in {len(texts)} documents, {n_tokens} tokens")
        ours = statistics.median(times["lmbits"])
        for name, seconds in times.items():
            rates = sorted(n_bytes / s / 1e6 for s in seconds)
            middle = statistics.median(seconds)
            print(f"  {name:14} {n_bytes / middle / 1e6:8.1f} MB/s ({rates[0]:.1f} to {rates[-1]:.1f}), cold; lmbits is {middle / ours:.1f} times as fast")


main()
