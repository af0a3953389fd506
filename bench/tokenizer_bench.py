#!/usr/bin/env python3
"""MB/s of lmbits' tokenizers beside the libraries from PyPI, on the same text and vocabulary, in one run: cold and warm, one thread
and all.

usage: tokenizer_bench.py PROGRAM VOCABULARY TEXT... [--rounds 5] [--threads 1,2] [--only NAME,...]
VOCABULARY: a tokenizer.json, GPT-2's .tiktoken (the others get it as a tokenizer.json), or a SentencePiece .model
example: build/deps/tokenizers/bin/python bench/tokenizer_bench.py build/cpu/bench/tokenizer_bench 20B_tokenizer.json novel.txt

Each measurement is a process of its own: it loads the vocabulary, encodes the text (cold), and encodes it again (warm), in documents
of 64 KiB that end with a line. Programs are interleaved; medians of the rounds, with the smallest and largest. One thread: CPU
time. Several: wall time. Number and sum of the ids are compared; what differs is named and its times say nothing. Each encodes one character
before (the first call, told apart). For the others
the call that makes the ids counts, not what Python then does with them; for lmbits, the bytes of each token and the check that
they give the text back count too. A peer that cannot read a vocabulary is left out by name.
"""
import argparse
import base64
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
UNKNOWN_SPELLING = r"(?:)'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # goes through PCRE2
DOCUMENT_BYTES = 65536


def documents(path):
    text, all_texts = pathlib.Path(path).read_bytes(), []
    while text:
        end = text.find(b"\n", min(DOCUMENT_BYTES, len(text)) - 1)
        n = len(text) if end < 0 else end + 1
        all_texts.append(text[:n])
        text = text[n:]
    return all_texts


# ---- a measurement of a library: runs in a process of its own ----

def read_ranks(path):
    return {base64.b64decode(piece): int(rank) for piece, rank in (line.split() for line in open(path, "rb") if line.strip())}


def encoder(name, vocabulary):
    """A function from the documents' bytes to something, and one from that to lists of ids."""
    same = lambda result: result
    if name == "sentencepiece":
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=vocabulary)
        return (lambda texts: [processor.encode(text) for text in texts]), same
    if name == "tiktoken":
        import tiktoken

        encoding = tiktoken.Encoding("gpt2", pat_str=GPT2, mergeable_ranks=read_ranks(vocabulary), special_tokens={})
        return (lambda texts: encoding.encode_ordinary_batch(texts) if THREADS > 1 else [encoding.encode_ordinary(text) for text in texts]), same
    if name == "tokenizers":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(vocabulary)
        return (lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False)), lambda result: [e.ids for e in result]
    if name == "fastokens":
        import fastokens

        tokenizer = fastokens.Tokenizer.from_file(vocabulary)
        if THREADS == 1:
            return (lambda texts: [tokenizer.encode(text) for text in texts]), lambda result: [getattr(e, "ids", e) for e in result]
        return (lambda texts: tokenizer.encode_batch(texts)), lambda result: [getattr(e, "ids", e) for e in result]
    if name == "gigatoken":
        import gigatoken

        tokenizer = gigatoken.Tokenizer(vocabulary)
        return (lambda texts: tokenizer.encode_batch(texts, parallel=THREADS > 1)), same
    raise SystemExit(f"no library is called {name}")


def measure(name, vocabulary, path):
    import numpy

    texts = [text.decode() for text in documents(path)]
    if name == "gigatoken":
        texts = [text.encode() for text in texts]
    encode, ids_of = encoder(name, vocabulary)
    wall, cpu = time.perf_counter(), time.process_time()
    encode([texts[0][:1]])  # what a library makes on its first call is no part of its speed, and told apart
    result = {"first": {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}}
    for temperature in ("cold", "warm"):
        wall, cpu = time.perf_counter(), time.process_time()
        encoded = encode(texts)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        ids = numpy.concatenate([numpy.asarray(part, dtype=numpy.uint64) for part in ids_of(encoded)])
        places = numpy.arange(1, len(ids) + 1, dtype=numpy.uint64)
        result[temperature] = {"cpu_s": cpu, "wall_s": wall, "n_tokens": len(ids), "sum": int((ids * places).sum(dtype=numpy.uint64))}
    print(json.dumps(result))


# ---- all of them ----

def parts_of(piece, rank, ranks):
    """The two pieces that `piece` was merged from: what is left when only lower ranks merge."""
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 2:
        pairs = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
        i = min(range(len(pairs)), key=pairs.__getitem__)
        if pairs[i] >= rank:
            return None
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def json_of_ranks(path):
    """GPT-2's ranks as a tokenizer.json."""
    ranks = read_ranks(path)
    visible = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    hidden = [b for b in range(256) if b not in visible]
    character = {b: chr(b) for b in visible} | {b: chr(256 + k) for k, b in enumerate(hidden)}
    spell = lambda piece: "".join(character[b] for b in piece)
    merges = [[spell(part) for part in parts] for piece, rank in sorted(ranks.items(), key=lambda item: item[1])
              if len(piece) > 1 and (parts := parts_of(piece, rank, ranks))]
    by_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": by_bytes,
            "post_processor": None, "decoder": by_bytes,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {spell(piece): rank for piece, rank in ranks.items()}, "merges": merges}}


def variants(options):
    """name -> command for a number of threads"""
    own, vocabulary = [options.program], options.vocabulary
    child = lambda name, file: (lambda path, threads: [sys.executable, "-B", __file__, "--measure", name, file, path, "--threads", str(threads)])
    ours = lambda file, *flags: (lambda path, threads: [*own, file, path, "--threads", str(threads), *flags])
    if vocabulary.endswith(".model"):
        return {"lmbits": ours(vocabulary), "sentencepiece": child("sentencepiece", vocabulary)}
    if vocabulary.endswith(".json"):
        return {"lmbits": ours(vocabulary)} | {name: child(name, vocabulary) for name in ("tokenizers", "fastokens", "gigatoken")}
    converted = str(pathlib.Path(tempfile.mkdtemp(prefix="tokenizer-bench-"), "gpt2.json"))
    pathlib.Path(converted).write_text(json.dumps(json_of_ranks(vocabulary)))
    found = {"lmbits": ours(converted), "lmbits, PCRE2": ours(vocabulary, "--pattern", UNKNOWN_SPELLING)}
    found |= {name: child(name, converted) for name in ("tokenizers", "fastokens", "gigatoken")}
    return found | {"tiktoken": child("tiktoken", vocabulary)}


def rates(n_bytes, results, temperature, clock):
    values = sorted(n_bytes / 1e6 / result[temperature][clock] for result in results)
    return statistics.median(values), values[0], values[-1]


def compare(options, path, commands, threads):
    results, failed = {name: [] for name in commands}, {}
    for _ in range(options.rounds):
        for name, command in commands.items():
            if name in failed:
                continue
            environment = dict(os.environ, TOKENIZERS_PARALLELISM=str(threads > 1).lower(), RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
            done = subprocess.run(command(path, threads), capture_output=True, text=True, env=environment)
            if done.returncode:
                failed[name] = done.stderr.strip().split("\n")[-1]
                continue
            results[name].append(json.loads(done.stdout.strip().split("\n")[-1]))
    n_bytes = os.path.getsize(path)
    ours = results["lmbits"][0]["cold"]
    clock = "cpu_s" if threads == 1 else "wall_s"
    print(f"{pathlib.Path(path).name}: {n_bytes / 1e6:.1f} MB, {ours['n_tokens']} tokens, {threads} thread{'s' * (threads > 1)}, {options.rounds} rounds")
    for name in commands:
        if name in failed:
            print(f"  {name:14} left out: {failed[name]}")
            continue
        line = f"  {name:14}"
        for temperature in ("cold", "warm"):
            middle, low, high = rates(n_bytes, results[name], temperature, clock)
            factor = rates(n_bytes, results["lmbits"], temperature, clock)[0] / middle
            line += f"  {temperature} {middle:7.1f} MB/s [{low:.1f}, {high:.1f}], lmbits {factor:5.2f} times"
        line += f"  first call {statistics.median(result['first'][clock] for result in results[name]) * 1e3:.1f} ms"
        differs = any(result[t][key] != ours[key] for result in results[name] for t in ("cold", "warm") for key in ("n_tokens", "sum"))
        print(line + (f"  OTHER IDS: {results[name][0]['cold']['n_tokens']} tokens" if differs else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("vocabulary")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    commands = variants(options)
    if options.only:
        commands = {name: command for name, command in commands.items() if name in ["lmbits", *options.only.split(",")]}
    for path in options.texts:
        for threads in map(int, options.threads.split(",")):
            compare(options, path, commands, threads)


if sys.argv[1:2] == ["--measure"]:
    THREADS = int(sys.argv[6])
    measure(*sys.argv[2:5])
else:
    main()
