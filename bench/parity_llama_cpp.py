#!/usr/bin/env python3
"""llama.cpp's llama-perplexity on float32 weights beside --convention llama-ppl: its printed perplexity.

usage: build/deps/hf/bin/python bench/parity_llama_cpp.py --model BUNDLE.pt=FILE.gguf ... --text FILE ...
           --perplexity LLAMA_PERPLEXITY [--window 512]

LLAMA_PERPLEXITY: built from the source in PyPI's llama-cpp-python (pip download --no-deps --no-binary :all:), in
vendor/llama.cpp: cmake -S . -B B -DGGML_NATIVE=ON -DLLAMA_CURL=OFF && cmake --build B --target llama-perplexity
llama-quantize. FILE.gguf in F32: llama-quantize --allow-requantize IN.gguf OUT.gguf F32. Keys and values are kept in
F32 (-ctk f32 -ctv f32). llama.cpp prints four decimals.
"""
import math
import pathlib
import re
import subprocess
import tempfile

import parity

args = parity.arguments(__doc__.splitlines()[0], perplexity="", window=512)
if not args.perplexity or not pathlib.Path(args.perplexity).exists():
    raise SystemExit("skipped: --perplexity names no llama-perplexity; how to build it: --help")
table = parity.Table("llama.cpp's perplexity")
for bundle, gguf in args.models:
    for path in args.text:
        text = parity.read_text(path, args.bytes)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(text)
            file.flush()
            done = subprocess.run(
                [args.perplexity, "-m", gguf, "-f", file.name, "-c", str(args.window), "-b", str(args.window), "-ub",
                 str(args.window), "-t", "1", "-ctk", "f32", "-ctv", "f32", "-fa", "off"], capture_output=True, text=True)
        found = re.search(r"PPL = ([0-9.]+)", done.stdout + done.stderr)
        if not found:
            raise SystemExit(f"llama-perplexity printed no result: {(done.stdout + done.stderr)[-400:]}")
        summary, _ = parity.evaluate(args, bundle, [text], "--convention", "llama-ppl", "--window", str(args.window))
        printed, ours = float(found[1]), summary["headline"]["perplexity"]
        bits = math.log2(printed) * summary["n_scored"]
        table.row(bundle.stem, path.name, summary["n_bytes"], summary["n_scored"], bits, summary["bits"], bound=1e-4)
        table.note(f"perplexity {printed:.4f}, lmbits {ours:.4f}")
table.finish()
