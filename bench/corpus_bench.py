#!/usr/bin/env python3
"""`lmbits corpus check` beside plain Python and datasketch: CPU time on the same texts in one run, answers compared first.

usage: corpus_bench.py PROGRAM EVAL.txt TRAIN.txt [--repeats 3] [--large MIB]

overlap   the 50-byte shingles of EVAL that TRAIN has: a Python set of them, TRAIN passed over byte by byte
near      near copies among 4,000 made documents of 300 words: datasketch's MinHash (256 permutations) and MinHashLSH at 0.8
memory    peak resident MiB, with TRAIN as it is and repeated to MIB (default 1024)
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

SHINGLE = 50


def program(arguments):
    """What it printed, CPU seconds, peak MiB."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(arguments, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, arguments
        out.seek(0)
        return json.load(out), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def cpu(work):
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def plain_overlap(text, train):
    """Bytes of `text` in shingles that `train` has."""
    wanted = {text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)}
    seen = {train[i : i + SHINGLE] for i in range(len(train) - SHINGLE + 1) if train[i : i + SHINGLE] in wanted}
    covered = bytearray(len(text))
    for i in range(len(text) - SHINGLE + 1):
        if text[i : i + SHINGLE] in seen:
            covered[i : i + SHINGLE] = b"\1" * SHINGLE
    return sum(covered)


def overlap(options):
    text, train = pathlib.Path(options.EVAL).read_bytes(), pathlib.Path(options.TRAIN).read_bytes()
    command = [options.PROGRAM, "corpus", "check", options.EVAL, "--against", options.TRAIN, "--threads", "1", "--json", "--quiet"]
    without = [options.PROGRAM, "corpus", "check", options.EVAL, "--threads", "1", "--json", "--quiet"]
    ours, theirs = [], []
    for _ in range(options.repeats):
        found, seconds, _ = program(command)
        _, other_parts, _ = program(without)
        ours.append(seconds - other_parts)
        n_bytes, seconds = cpu(lambda: plain_overlap(text, train))
        theirs.append(seconds)
    row = found["against"]["corpora"][0]
    assert round(row["bytes_found"] * len(text) / 100) == n_bytes, (row, n_bytes)
    mine, plain = statistics.median(ours), statistics.median(theirs)
    print(f"overlap: {len(text)} bytes against {len(train)}; {n_bytes} bytes found by both")
    print(f"  lmbits {mine:.3f} s ({len(train) / mine / 1e6:.0f} MB/s of TRAIN), Python {plain:.2f} s: {plain / mine:.0f} times")


def words(n, draw):
    return [f"w{draw.randrange(20000)}" for _ in range(n)]


def made_documents():
    """4,000 documents; every eighth is the one before it with some words changed: similarity 0.4 to 0.97."""
    draw = random.Random(1)
    documents = []
    for i in range(4000):
        if i % 8 == 7:
            copy = documents[-1].split()
            for _ in range(1 + (i // 8) % 40):
                copy[draw.randrange(len(copy))] = f"x{draw.randrange(10**9)}"
            documents.append(" ".join(copy))
        else:
            documents.append(" ".join(words(300, draw)))
    return documents


def shingles(text):
    parts = text.split()
    return {" ".join(parts[i : i + 5]) for i in range(len(parts) - 4)}


def near(options):
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        print("near: no datasketch here (python3 -m pip install datasketch)")
        return
    documents = made_documents()
    sets = [shingles(text) for text in documents]
    truth = {i for i in range(1, len(sets)) if len(sets[i] & sets[i - 1]) >= 0.8 * len(sets[i] | sets[i - 1])}

    def by_datasketch():
        lsh, found = MinHashLSH(threshold=0.8, num_perm=256), set()
        for i, text in enumerate(documents):
            signature = MinHash(num_perm=256)
            signature.update_batch([shingle.encode() for shingle in shingles(text)])
            if any(abs(int(other) - i) >= 1 for other in lsh.query(signature)):
                found.add(i)
            lsh.insert(str(i), signature)
        return found

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "documents.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
        command = [options.PROGRAM, "corpus", "check", path, "--threads", "1", "--json", "--quiet", "--show", "100000"]
        ours, theirs = [], []
        for _ in range(options.repeats):
            report, seconds, _ = program(command)
            ours.append(seconds)
            found, seconds = cpu(by_datasketch)
            theirs.append(seconds)
    mine = {int(pair["b"].removeprefix("line-")) - 1 for pair in report["pairs"]}
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"near: {len(truth)} of {len(documents)} documents have a copy of similarity 0.8 or more")
    for name, answer in (("lmbits", mine), ("datasketch", found)):
        print(f"  {name} found {len(answer & truth)} of them, and {len(answer - truth)} below 0.8")
    print(f"  lmbits {a:.3f} s, datasketch {b:.2f} s: {b / a:.0f} times")


def memory(options):
    command = [options.PROGRAM, "corpus", "check", options.EVAL, "--json", "--quiet", "--threads", "1", "--against"]
    _, seconds, peak = program([*command, options.TRAIN])
    print(f"memory: {peak:.0f} MiB with {os.path.getsize(options.TRAIN) >> 20} MiB of TRAIN")
    train = pathlib.Path(options.TRAIN).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "large.txt"
        with open(path, "wb") as file:
            for _ in range((options.large << 20) // len(train)):
                file.write(train)
        _, seconds, peak = program([*command, path])
        print(f"  {peak:.0f} MiB with {path.stat().st_size >> 20} MiB ({path.stat().st_size / seconds / 1e6:.0f} MB/s, reading included)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("PROGRAM", "EVAL", "TRAIN"):
        parser.add_argument(name)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", type=int, default=1024)
    options = parser.parse_args()
    overlap(options)
    near(options)
    memory(options)


if __name__ == "__main__":
    main()
