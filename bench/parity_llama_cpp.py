#!/usr/bin/env python3
"""llama.cpp's llama-perplexity on float32 weights beside --convention llama-ppl: its printed perplexity.

usage: build/deps/hf/bin/python bench/parity_llama_cpp.py --model BUNDLE.pt=FILE.gguf ... --text FILE ... [--window 512]

scripts/llama_cpp_environment builds llama.cpp. A GGUF file in float32 comes from another one by llama-quantize
--allow-requantize IN.gguf OUT.gguf F32, from a Hugging Face folder by source/convert_hf_to_gguf.py FOLDER --outtype f32
--outfile OUT.gguf. Keys and values are kept in float32. llama.cpp prints four decimals.
"""
import math
import pathlib

import parity

args = parity.arguments(__doc__.splitlines()[0], perplexity=str(parity.LLAMA_CPP), window=512)
if not pathlib.Path(args.perplexity).exists():
    parity.skip(f"there is no {args.perplexity}; scripts/llama_cpp_environment builds it")
table = parity.Table("llama.cpp's perplexity")
for bundle, gguf in args.models:
    for name, text in args.texts:
        text = text.removesuffix("\n")
        _, printed = parity.llama_perplexity(args, gguf, text, args.window, *parity.EXACT_CACHE)
        summary, _ = parity.evaluate(args, bundle, [text], "--convention", "llama-ppl", "--window", str(args.window))
        bits = math.log2(printed) * summary["n_scored"]
        table.row(bundle.stem, name, summary["n_bytes"], summary["n_scored"], bits, summary["bits"], bound=1e-4)
        table.note(f"perplexity {printed:.4f}, lmbits {summary['headline']['perplexity']:.4f}")
table.finish()
