#!/usr/bin/env python3
"""Does docs/scale.md's plan hold? Measures how long documents take by their length, and simulates the hand-out with them.

usage: scale_simulation.py PROGRAM [--model BUNDLE] [--workers 8] [--gib 0.25] [--seconds-per-byte S] [--mtbf-hours H]

Measured here, with one thread: seconds of model time for documents of 0.5 to 32 KiB (a table of seconds per byte), reading,
bytes of a record. The simulation takes only the *shape* of that table: it is scaled so that a mean document costs
--seconds-per-byte (default: an assumed GPU). Lengths are log-normal, drawn afresh. Workers take blocks as they become free
(the rule of src/scoring/hand_out.h), stop for good with the stated mean time between failures, and what they had not
finished is handed out in another round.
"""

import argparse
import heapq
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

DEAD_S = 10.0  # until a worker without a heartbeat counts as dead (src/scoring/team.h)
SOURCE = pathlib.Path(__file__).resolve().parent.parent


def measure(program, model):
    """[(bytes, model seconds per byte)], read seconds per byte, bytes of a line of documents.jsonl."""
    text = (SOURCE / "models/heldout/prose.txt").read_text(encoding="utf-8")
    table, read_s, line_bytes = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for length in (512, 1024, 2048, 4096, 8192, 16384, 32768):
            corpus = folder / f"{length}.jsonl"
            with open(corpus, "w", encoding="utf-8") as file:
                for k in range(max(2, 98304 // length)):
                    file.write(json.dumps({"text": text[k * length:(k + 1) * length]}) + "\n")
            subprocess.run([program, "eval", "--model", model, "--corpus", corpus, "-o", folder / "runs", "--threads", "1",
                            "--baselines", "none", "--quiet"], check=True, stdout=subprocess.DEVNULL)
            [run] = (folder / "runs").glob(f"*__{length}__*")
            summary = json.loads((run / "summary.json").read_text())
            table.append((length, summary["profile"]["model_s"] / summary["n_bytes"]))
            read_s.append(summary["profile"]["read_s"] / summary["n_bytes"])
            line_bytes.append((run / "documents.jsonl").stat().st_size / summary["n_documents"])
    return table, sorted(read_s)[len(read_s) // 2], line_bytes[3]


def seconds_of(table):
    """Seconds of a document of n bytes, by the measured seconds per byte at the nearest lengths (log-linear between)."""
    def seconds(n):
        if n <= table[0][0]:
            return n * table[0][1]
        for (a, u), (b, v) in zip(table, table[1:]):
            if n <= b:
                share = math.log(n / a) / math.log(b / a)
                return n * (u + share * (v - u))
        return n * table[-1][1]
    return seconds


def plan(sizes, todo, workers):
    """Blocks of documents in the order of the hand-out: src/scoring/hand_out.h."""
    remaining = sum(max(1, sizes[i]) for i in todo)
    bounds = [b for b in (remaining // (part * workers) for part in (8, 64, 512)) if b > 1] + [0]
    smallest, blocks = max(1, remaining // (2048 * workers)), []
    members = [[] for _ in bounds]
    for i in todo:
        members[next(p for p, b in enumerate(bounds) if sizes[i] >= b)].append(i)
    for p, documents in enumerate(members):
        block, n = [], 0
        for i in documents:
            block.append(i)
            n += max(1, sizes[i])
            if n >= (1 if p == 0 and len(bounds) > 1 else max(smallest, remaining // (4 * workers))):
                blocks.append(block)
                remaining -= n
                block, n = [], 0
        if block:
            blocks.append(block)
            remaining -= n
    return blocks


def simulate(cost, sizes, workers, mtbf_s, draw):
    """(seconds until all documents have records, seconds of work that was lost, workers that died)."""
    now, lost, dead = 0.0, 0.0, 0
    dies = [draw.expovariate(1 / mtbf_s) for _ in range(workers)]
    alive, todo = list(range(workers)), list(range(len(sizes)))
    while todo:
        free = [(now, w) for w in alive]
        heapq.heapify(free)
        blocks, left, end = iter(plan(sizes, todo, workers)), [], now
        block, gone = next(blocks, None), []
        while free:
            at, w = heapq.heappop(free)
            if block is None:
                end = max(end, at)
                continue
            mine, block = block, next(blocks, None)
            for k, i in enumerate(mine):
                if at + cost[i] > dies[w]:  # its record is not there
                    lost += dies[w] - at
                    left += mine[k:]
                    gone.append(w)
                    end = max(end, dies[w] + DEAD_S)
                    break
                at += cost[i]
            else:
                heapq.heappush(free, (at, w))
        if gone:
            dead += len(gone)
            alive = [w for w in alive if w not in gone]
            if not alive:  # the job is requeued
                alive, end = list(range(workers)), end + 120.0
                dies = [end + draw.expovariate(1 / mtbf_s) for _ in range(workers)]
        now, todo = end, sorted(left)
    return now, lost, dead


def print_plan(a, read_s, line_bytes, overhead):
    """docs/scale.md's formulas, with what was measured here."""
    checkpoints, gpus, text, record_documents = 1000, 64, 10e9, 10e9 / 4096
    rate = 1 / a.seconds_per_byte
    score, read, load = text / (a.workers * rate), 2 * text * read_s, 30.0
    job = load + read + score * (1 + overhead)
    hours = checkpoints * job / (gpus / a.workers) / 3600
    print(f"plan: a job {job:.0f} s = load {load:.0f} + read {read:.0f} + score {score:.0f} + hand-out {score * overhead:.1f}; "
          f"{checkpoints} jobs on {gpus // a.workers} places: {hours:.0f} h = {hours / 24:.1f} days, {hours * gpus:.0f} GPU hours")
    print(f"plan: of them scoring {100 * score / job:.1f} %; records {record_documents * line_bytes / 1e9:.2f} GB a checkpoint, "
          f"{record_documents * line_bytes * checkpoints / 1e12:.2f} TB in all; workers that die {hours * gpus / a.mtbf_hours:.2f}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program")
    arguments.add_argument("--model", default=str(SOURCE / "models/demo/m-sp-3600.pt"))
    arguments.add_argument("--workers", type=int, default=8)
    arguments.add_argument("--gib", type=float, default=0.25, help="of text in a simulated job")
    arguments.add_argument("--seconds-per-byte", type=float, default=1 / 880e3)
    arguments.add_argument("--mtbf-hours", type=float, default=50.7e3, help="of one GPU")
    arguments.add_argument("--jobs", type=int, default=20)
    a = arguments.parse_args()
    table, read_s, line_bytes = measure(a.program, a.model)
    print("measured, one thread: " + ", ".join(f"{n} B {1 / s / 1e3:.1f} kB/s" for n, s in table))
    print(f"measured: reading JSONL {1 / read_s / 1e6:.0f} MB/s; a record {line_bytes:.0f} bytes (documents of 4 KiB)")
    seconds, results = seconds_of(table), []
    for k in range(a.jobs):
        draw = random.Random(k)
        sizes, n = [], 0
        while n < a.gib * 2**30:
            sizes.append(min(int(draw.lognormvariate(math.log(2200), 1.3)), 4 << 20))
            n += sizes[-1]
        cost = [seconds(max(1, s)) for s in sizes]
        scale = a.seconds_per_byte * n / sum(cost)
        cost = [scale * c for c in cost]
        took, lost, dead = simulate(cost, sizes, a.workers, a.mtbf_hours * 3600, draw)
        results.append((took * a.workers / sum(cost), lost, dead, sum(cost) / a.workers))
    overheads = sorted(r[0] - 1 for r in results)
    print(f"simulated: {a.jobs} jobs of {a.gib} GiB, {a.workers} workers, {results[0][3]:.0f} s at the ideal: "
          f"above it by {100 * overheads[len(overheads) // 2]:.2f} % (median), {100 * overheads[-1]:.2f} % (worst); "
          f"{sum(r[2] for r in results)} workers died, {sum(r[1] for r in results):.1f} s of work lost")
    print_plan(a, read_s, line_bytes, overheads[len(overheads) // 2])


if __name__ == "__main__":
    sys.exit(main())
