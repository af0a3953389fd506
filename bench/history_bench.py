#!/usr/bin/env python3
"""How long do questions to a large history take? 10,000 checkpoints in 100 training runs, 100 documents each: 1 M documents.

usage: history_bench.py PROGRAM [--checkpoints 10000] [--documents 100] [--keep FILE]

The program itself makes the schema from one run that it scored; its rows are then repeated with other names, fingerprints
and bits by plain SQL. Each question is a process of its own, cold and then warm: wall seconds, the median of 5.
"""

import argparse
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def columns(database, table):
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def repeat(database, table, key, rows):
    """Inserts copies of the row with key 1, changed by each dictionary of `rows`."""
    names = columns(database, table)
    base = dict(zip(names, database.execute(f"SELECT * FROM {table} WHERE {key} = 1").fetchone()))
    places = ", ".join("?" for _ in names)
    database.executemany(f"INSERT INTO {table} VALUES ({places})", ([{**base, **row}[n] for n in names] for row in rows))


def fill(file, n_checkpoints):
    draw = random.Random(1)
    database = sqlite3.connect(file)
    (model, started, manifest), = database.execute("SELECT models.name, started, manifest FROM runs JOIN models ON model_id = models.id")
    level = [2.0 - 0.4 * (k % 100) / 100 + draw.gauss(0, 0.01) for k in range(n_checkpoints)]
    name = lambda k: f"run{k // 100:03d}-{k % 100 * 100:05d}"
    repeat(database, "models", "id", ({"id": k, "fingerprint": f"m{k}", "name": name(k), "step": k % 100 * 100} for k in range(2, n_checkpoints + 1)))
    repeat(database, "runs", "id", ({"id": k, "fingerprint": f"r{k}", "model_id": k, "path": f"/runs/{k}",
                                    "manifest": manifest.replace(f'"{model}"', f'"{name(k)}"'),
                                    "started": f"2030-{1 + k // 840:02d}-{1 + k // 30 % 28:02d}T{k % 24:02d}:00:00Z"} for k in range(2, n_checkpoints + 1)))
    repeat(database, "totals", "run_id", ({"run_id": k, "bits_per_byte": level[k - 1], "lo": level[k - 1] - 0.01, "hi": level[k - 1] + 0.01}
                                          for k in range(2, n_checkpoints + 1)))
    names = columns(database, "documents")
    documents = database.execute("SELECT * FROM documents WHERE run_id = 1").fetchall()
    run_at, bits_at = names.index("run_id"), names.index("bits")
    def copies():
        for k in range(2, n_checkpoints + 1):
            for row in documents:
                copy = list(row)
                copy[run_at], copy[bits_at] = k, row[bits_at] * level[k - 1] / 8
                yield copy
    database.executemany(f"INSERT INTO documents VALUES ({', '.join('?' for _ in names)})", copies())
    database.commit()
    n = database.execute("SELECT count(*) FROM documents").fetchone()[0]
    database.close()
    return n


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program")
    arguments.add_argument("--checkpoints", type=int, default=10000)
    arguments.add_argument("--documents", type=int, default=100)
    arguments.add_argument("--keep")
    a = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        text = "It is a truth universally acknowledged. " * 400
        (folder / "text.txt").write_text(text[: 128 * a.documents])
        run(a.program, "eval", "--model", "first=uniform:256", "--corpus", folder / "text.txt", "--split", "128", "-o", folder / "runs",
            "--baselines", "none", "--quiet")
        file = folder / "history.sqlite"
        run(a.program, "history", "--db", file, "import", folder / "runs")
        n_documents = fill(file, a.checkpoints)
        print(f"{a.checkpoints} checkpoints, {n_documents} documents, {file.stat().st_size / 2**20:.0f} MiB")
        questions = {"list all": ["list", "--format", "csv"], "list the last 50": ["list", "--last", "50"],
                     "list a training run": ["list", "--model", "run050-*"], "diff two checkpoints": ["diff", "run007-00100", "run007-09900"],
                     "export JSON": ["export", "--format", "json"]}
        for title, question in questions.items():
            times = []
            for _ in range(5):
                start = time.perf_counter()
                answer = run(a.program, "history", "--db", file, *question)
                times.append(time.perf_counter() - start)
            print(f"{title:24s} first {times[0]:.2f} s, median {sorted(times)[2]:.2f} s, {answer.count(chr(10))} lines")
        if a.keep:
            shutil.copy(file, a.keep)


if __name__ == "__main__":
    sys.exit(main())
