#!/usr/bin/env python3
"""The range coder of lmbits against PyPI's `constriction` (Rust): symbols a CPU second, one thread, the same distribution.

usage: coder_bench.py build/cpu/bench/coder_bench [ROUNDS]         (pip install constriction numpy)

`known`: one distribution for all symbols, made before the clock starts: the coder, and on decoding the search, alone.
`rows`:  a new row for every symbol, as a language model gives: logits to integers, then the coder. constriction is given
         softmax probabilities in float64, which is less work than logits.
Programs take turns, round by round; medians. What comes back is compared before anything counts.
"""
import json
import statistics
import subprocess
import sys
import time

import constriction
import numpy as np

PROGRAM, ROUNDS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
queue, Categorical = constriction.stream.queue, constriction.stream.model.Categorical


def cpu_s(work):
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def constriction_round(p, symbols, n_rows):
    model = Categorical(p, perfect=False)

    def encode():
        encoder = queue.RangeEncoder()
        encoder.encode(symbols, model)
        return encoder.get_compressed()

    encode_s, coded = cpu_s(encode)
    decode_s, decoded = cpu_s(lambda: queue.RangeDecoder(coded).decode(model, len(symbols)))
    assert np.array_equal(decoded, symbols), "constriction: other symbols came back"
    family, rows = Categorical(perfect=False), np.tile(p, (n_rows, 1))

    def encode_rows():
        encoder = queue.RangeEncoder()
        encoder.encode(symbols[:n_rows], family, rows)
        return encoder.get_compressed()

    encode_rows_s, coded_rows = cpu_s(encode_rows)
    decode_rows_s, decoded = cpu_s(lambda: queue.RangeDecoder(coded_rows).decode(family, rows))
    assert np.array_equal(decoded, symbols[:n_rows]), "constriction: other symbols came back"
    n = len(symbols)
    return {"encode": n / encode_s, "decode": n / decode_s, "encode_rows": n_rows / encode_rows_s,
            "decode_rows": n_rows / decode_rows_s}


def main():
    print(f"constriction {constriction.__version__ if hasattr(constriction, '__version__') else ''}, numpy {np.__version__}")
    for vocab, n in ((256, 1_000_000), (2048, 500_000), (50257, 200_000)):
        rng = np.random.default_rng(3)
        p = np.arange(1, vocab + 1) ** -1.2
        p = rng.permutation(p / p.sum())
        symbols = rng.choice(vocab, size=n, p=p).astype(np.int32)
        n_rows = min(n, 20_000_000 // vocab)
        ours, theirs = [], []
        for round in range(ROUNDS + 1):
            done = subprocess.run([PROGRAM, "coder", str(vocab), str(n), "1"], check=True, capture_output=True, text=True)
            result = constriction_round(p, symbols, n_rows)
            if round > 0:
                ours.append(json.loads(done.stdout))
                theirs.append(result)
        for key in ("encode", "decode", "encode_rows", "decode_rows"):
            a, b = (statistics.median(r[key] for r in results) for results in (ours, theirs))
            print(f"V {vocab:6d}  {key:12s} lmbits {a / 1e6:8.3f} M/s   constriction {b / 1e6:8.3f} M/s   {a / b:6.2f} times", flush=True)


if __name__ == "__main__":
    main()
