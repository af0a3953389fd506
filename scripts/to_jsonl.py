#!/usr/bin/env python3
"""Parquet or Arrow (Feather) files -> JSON Lines, which lmbits reads: a row a line, columns as they are called.

usage: scripts/to_jsonl.py FILE ... [-o OUT.jsonl[.gz]] [--columns text,id,meta] [--where COLUMN=VALUE]

FILE may be a folder: all .parquet and .arrow files below it, in the order of their paths. Without -o to standard output.
Rows stream by, a batch at a time. Nested columns stay nested: `lmbits eval --field meta.text`. Needs pyarrow.
"""
import argparse
import base64
import contextlib
import datetime
import decimal
import gzip
import json
import os
import pathlib
import sys

ENDINGS = (".parquet", ".arrow", ".feather")
ROWS_AT_ONCE = 1024


def fail(message, hint):
    sys.exit(f"to_jsonl: {message}\n  hint: {hint}")


try:
    import pyarrow
    import pyarrow.ipc
    import pyarrow.parquet
except ImportError:
    fail("Parquet is read with the Python package pyarrow, which is not there", "python3 -m pip install pyarrow")


def plain(value):
    """What JSON has no type for. Bytes that are UTF-8 are text, others base64."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (decimal.Decimal, datetime.timedelta)):
        return str(value)
    raise TypeError(f"a value of type {type(value).__name__} is nothing that JSON has")


def files_of(arguments):
    for argument in map(pathlib.Path, arguments):
        if argument.is_dir():
            found = sorted(path for path in argument.rglob("*") if path.suffix in ENDINGS)
            if not found:
                fail(f"{argument} holds no file that ends in {', '.join(ENDINGS)}", "check the path")
            yield from found
        else:
            yield argument


def batches_of(path, columns):
    if path.suffix == ".parquet":
        with pyarrow.parquet.ParquetFile(path) as file:
            known = file.schema_arrow.names
            check_columns(path, columns, known)
            yield from file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns)
        return
    with pyarrow.memory_map(str(path)) as source:
        try:
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        except pyarrow.ArrowInvalid:
            reader = batches = pyarrow.ipc.open_stream(source)
        check_columns(path, columns, reader.schema.names)
        for batch in batches:
            yield batch.select(columns) if columns else batch


def check_columns(path, columns, known):
    for column in columns or []:
        if column not in known:
            fail(f"{path} has no column {column}", f"it has {', '.join(known)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("-o", "--output", help="written beside it and renamed when it is whole")
    parser.add_argument("--columns", type=lambda text: text.split(","), help="only these")
    parser.add_argument("--where", action="append", default=[], help="only rows whose COLUMN is VALUE, as text")
    options = parser.parse_args()
    conditions = [condition.partition("=")[::2] for condition in options.where]
    temporary = options.output and f"{options.output}.{os.getpid()}.tmp"
    n_rows = 0
    with contextlib.ExitStack() as stack:
        if not options.output:
            out = stack.enter_context(open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False))
        elif options.output.endswith(".gz"):
            out = stack.enter_context(gzip.open(temporary, "wt", encoding="utf-8"))
        else:
            out = stack.enter_context(open(temporary, "w", encoding="utf-8"))
        for path in files_of(options.files):
            try:
                for batch in batches_of(path, options.columns):
                    for row in batch.to_pylist():
                        if any(str(row.get(column)) != value for column, value in conditions):
                            continue
                        out.write(json.dumps(row, ensure_ascii=False, default=plain) + "\n")
                        n_rows += 1
            except (pyarrow.ArrowException, OSError) as error:
                with contextlib.suppress(OSError, TypeError):
                    os.unlink(temporary)
                missing = isinstance(error, FileNotFoundError)
                fail(f"{path}: {error}", "check the path" if missing else "is it a whole Parquet or Arrow file?")
    if options.output:
        os.replace(temporary, options.output)
        print(f"{n_rows} rows in {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
