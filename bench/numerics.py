#!/usr/bin/env python3
"""What does `--dtype` gain and what does it change? CPU time and memory of `lmbits eval`, and bits by document, beside float32.

Convention lm-eval at --window, documents of --document-bytes, one thread, --rounds interleaved rounds; CPU time less that of
starting and loading. The changes are relative; of a document of few bits, relative to 10.

usage: build/deps/hf/bin/python bench/numerics.py --model BUNDLE.pt=HF_DIR ... --text FILE [--bytes N] [--rounds 5]
           [--dtypes bfloat16-body,int8-body,bfloat16,float16]          (HF_DIR is not looked at)
"""
import statistics

import parity

args = parity.arguments(__doc__.splitlines()[0], window=512, rounds=5, dtypes="bfloat16-body,int8-body,bfloat16,float16")
flags = ("--convention", "lm-eval", "--window", str(args.window), "--dtype")
print(f"{'model':<24}{'text':<12}{'scored':>8} {'dtype':<15}{'tokens/s':>9}{'speed':>7}{'MiB':>7}{'total':>10}{'mean':>9}{'worst':>9}"
      f"  load {parity.os.getloadavg()[0]:.1f}")
for bundle, _ in args.models:
    for name, text in args.texts:
        documents = parity.documents_of(text, args.document_bytes)
        dtypes = ["float32", *args.dtypes.split(",")]
        seconds, memory, found = {d: [] for d in dtypes}, {}, {}
        for number in range(args.rounds):
            for dtype in dtypes if number % 2 == 0 else dtypes[::-1]:
                loading = parity.loading(args, bundle, dtype)
                all_of_it, memory[dtype], summary, bits = parity.timed_evaluate(args, bundle, documents, *flags, dtype)
                seconds[dtype].append(all_of_it - loading)
                found[dtype] = (summary, bits)
        exact, exact_bits = found["float32"]
        for dtype in dtypes:
            summary, bits = found[dtype]
            changes = [abs(bits[i] - exact_bits[i]) / max(exact_bits[i], 10.0) for i in bits]
            speed = statistics.median(a / b for a, b in zip(seconds["float32"], seconds[dtype]))
            print(f"{bundle.stem:<24}{name:<12}{summary['n_scored']:>8} {dtype:<15}"
                  f"{summary['n_scored'] / statistics.median(seconds[dtype]):>9.0f}{speed:>7.2f}{memory[dtype]:>7.0f}"
                  f"{summary['bits'] / exact['bits'] - 1:>+10.1e}{statistics.mean(changes):>9.1e}{max(changes):>9.1e}"
                  f"  {len(documents)} documents", flush=True)
