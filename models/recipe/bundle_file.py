"""A bundle as a file: a zip of stored entries, and the hash over them (docs/formats.md, "A model bundle").

content_hash in lmbits.json guards every other byte, because damaged weights load without complaint. It is the XXH3-128
(seed 0, canonical, 32 hex digits) of one stream: for each entry but extra/lmbits.json and .data/serialization_id, in
ascending byte order of its name without the root folder (the text up to and including the first "/"):
    name in UTF-8 | one zero byte | number of bytes, 8 bytes little-endian | the entry's uncompressed bytes
"""
import collections
import collections.abc
import os
import pathlib
import re
import sys
import zipfile

import torch
import xxhash

FORMAT = "lmbits-bundle-1"
METADATA = "extra/lmbits.json"
ALIGNMENT = 64  # bytes: where torch itself puts an entry's data


class ZipEntries(collections.abc.Mapping):
    """The entries of an archive by name without its root folder; one is in memory while it is looked at, no more."""

    def __init__(self, archive, skip: str = "(?!)"):
        try:
            self.zip = zipfile.ZipFile(archive)
        except (zipfile.BadZipFile, FileNotFoundError) as e:
            raise SystemExit(f"{archive}: {e}")
        names = {name.partition("/")[2]: name for name in self.zip.namelist()}
        self.names = {short: name for short, name in names.items() if not re.fullmatch(skip, short)}

    def __getitem__(self, name: str) -> bytes:
        return self.zip.read(self.names[name])

    def __iter__(self):
        return iter(self.names)

    def __len__(self):
        return len(self.names)


def read_entries(archive) -> collections.ChainMap:
    """What is put into it stays beside the archive's own entries, and hides those of the same name."""
    return collections.ChainMap({}, ZipEntries(archive))


def content_hash(entries: collections.abc.Mapping) -> str:
    h = xxhash.xxh3_128()
    for name in sorted(entries, key=str.encode):
        if name not in (METADATA, ".data/serialization_id"):
            data = entries[name]
            h.update(name.encode() + b"\0" + len(data).to_bytes(8, "little"))
            h.update(data)
    return h.hexdigest()


def write_entries(path: pathlib.Path, root: str, entries: collections.abc.Mapping) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for name in sorted(entries):
            info = zipfile.ZipInfo(f"{root}/{name}", (1980, 1, 1, 0, 0, 0))
            # A local header is 30 bytes, then the name, then the extra field that pads the data to its alignment.
            bare = z.fp.tell() + 30 + len(info.filename.encode()) + 4
            padding = -bare % ALIGNMENT
            info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            z.writestr(info, entries[name])


def archive_entries(module: torch.jit.ScriptModule, scratch) -> collections.ChainMap:
    """What torch.jit.save writes to `scratch` (a path or a buffer), less the debug entries (source positions, with the
    paths of the machine) and an identity that is a checksum over those too."""
    torch.jit.save(module, scratch)
    return collections.ChainMap({}, ZipEntries(scratch, skip=r".*\.debug_pkl|\.data/serialization_id"))


def fix_hash_seed() -> None:
    """Runs this program again with a fixed seed: torch writes a module's constants in the order of a set."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
