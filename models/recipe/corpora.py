#!/usr/bin/env python3
"""Free texts from Debian packages -> OUT/train/AREA.txt, OUT/heldout/AREA.txt and OUT/rest/AREA.txt.

usage: corpora.py ROOT OUT      ROOT: where r-cran-janeaustenr, libpython3.11-{stdlib,minimal} and
                                metamath-databases were unpacked (dpkg -x)

area    training text                                        held out
prose   five novels of Jane Austen                           Persuasion
code    Python 3.11's standard library                       its asyncio and email packages
maths   iset.mm (intuitionistic set theory), no proofs       statements of nf.mm that share no 50-byte shingle with it

heldout/AREA.txt is the first SLICE bytes of the held-out text, cut at a blank line or a line end: what is committed and
measured. rest/AREA.txt is what follows: the cloze questions come from there, so no question was ever scored as text.
"""
import gzip
import lzma
import pathlib
import re
import struct
import sys
import zlib

SLICE = 196_000  # bytes of held-out text a corpus
SHINGLE = 50  # bytes
AREAS = ("prose", "code", "maths")


class RObject:
    """Just enough of R's serialize() format (XDR, versions 2 and 3) to read a lazy-load database of character vectors."""

    def __init__(self, data: bytes):
        assert data[:2] == b"X\n", data[:4]
        self.data, self.at, self.references = data, 2, []
        version = self.integer()
        self.integer(), self.integer()
        if version == 3:
            length = self.integer()  # of the native encoding's name
            self.at += length
        self.value = self.item()

    def integer(self) -> int:
        (value,) = struct.unpack_from(">i", self.data, self.at)
        self.at += 4
        return value

    def pairs(self, flags: int):
        attributes = flags & 0x200
        if attributes:
            self.item()
        tag = self.item() if flags & 0x400 else None
        head = self.item()
        return [(tag, head)] + (self.item() or [])

    def item(self):
        flags = self.integer()
        kind = flags & 255
        if kind in (241, 242, 251, 252, 253, 254):  # nil and the special environments
            return None
        if kind == 255:  # a reference to an earlier symbol
            return self.references[((flags >> 8) or self.integer()) - 1]
        if kind == 1:  # symbol
            name = self.item()
            self.references.append(name)
            return name
        if kind == 2:
            return self.pairs(flags)
        if kind == 9:  # one string
            n = self.integer()
            if n == -1:
                return None
            text = self.data[self.at : self.at + n]
            self.at += n
            return text.decode("utf8")
        if kind in (10, 13):  # logical, integer
            value = [self.integer() for _ in range(self.integer())]
        elif kind == 14:  # double
            n = self.integer()
            value = list(struct.unpack_from(f">{n}d", self.data, self.at))
            self.at += 8 * n
        elif kind in (16, 19):  # character vector, list
            value = [self.item() for _ in range(self.integer())]
        elif kind == 238:  # a compact representation: (class, state, attributes)
            self.item()
            state = self.item()
            self.item()
            return state[0] if isinstance(state, tuple) else state
        else:
            raise ValueError(f"R object of type {kind} at byte {self.at}: not known to this reader")
        return (value, self.item()) if flags & 0x200 else value


def plain(value):
    while isinstance(value, tuple):
        value = value[0]
    return value


def novels(base: pathlib.Path) -> dict[str, str]:
    """The novels in janeaustenr's lazy-load database, by name, lines joined by newlines."""
    index = RObject(gzip.decompress(base.with_suffix(".rdx").read_bytes())).value
    blob = base.with_suffix(".rdb").read_bytes()
    (places, attributes) = plain(index)[0]
    names = dict(attributes)["names"]
    result = {}
    for name, place in zip(names, places):
        offset, length = plain(place)
        packed = blob[offset : offset + length]
        if packed[4:5] == b"Z":
            filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
            raw = lzma.decompress(packed[5:], format=lzma.FORMAT_RAW, filters=filters)
        else:
            raw = zlib.decompress(packed[4:])
        result[name] = "\n".join(line or "" for line in plain(RObject(raw).value))
    return result


def shingles(text: bytes) -> set[bytes]:
    return {text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)}


def shares_shingle(text: bytes, seen: set[bytes]) -> bool:
    return any(text[i : i + SHINGLE] in seen for i in range(len(text) - SHINGLE + 1))


def prose(root: pathlib.Path):
    books = novels(root / "usr/lib/R/site-library/janeaustenr/data/Rdata")
    assert len(books) == 6, sorted(books)
    return "\n\n".join(books[name] for name in sorted(books) if name != "persuasion"), books["persuasion"]


def code(root: pathlib.Path):
    library = root / "usr/lib/python3.11"
    train, held_out = [], []
    for path in sorted(library.rglob("*.py")):
        if path.stat().st_size < 400_000:  # larger ones are tables
            ours = path.relative_to(library).parts[0] in ("asyncio", "email")
            (held_out if ours else train).append(path.read_bytes().decode("utf8", "replace"))
    return "\n\n".join(train), "\n\n".join(held_out)


def maths(root: pathlib.Path):
    databases = root / "usr/share/metamath/databases"

    def statements(name):  # proofs are references to other labels, not text: dropped
        return re.sub(r"\$=.*?\$\.", "$.", (databases / name).read_bytes().decode("utf8"), flags=re.S)

    train = statements("iset.mm")
    seen = shingles(train.encode())
    # nf.mm and iset.mm both descend from set.mm: 56 % of nf.mm's shingles occur in iset.mm. A statement is dropped when
    # it, or its seam with what was kept before it, holds one of them.
    kept = ""
    for statement in re.split(r"(?<=\$\.)\n", statements("nf.mm")):
        line = statement + "\n"
        if not shares_shingle((kept[1 - SHINGLE :] + line).encode(), seen):
            kept += line
    return train, kept


def cut(text: bytes) -> int:
    """Where to end the committed slice: after the last blank line before SLICE, else the last line end."""
    at = text.rfind(b"\n\n", SLICE // 2, SLICE)
    return at + 2 if at >= 0 else text.rindex(b"\n", 0, SLICE) + 1


def main() -> None:
    root, out = map(pathlib.Path, sys.argv[1:3])
    for name in ("train", "heldout", "rest"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for area, make in zip(AREAS, (prose, code, maths)):
        train, held_out = (text.encode() for text in make(root))
        end = cut(held_out)
        parts = {"train": train, "heldout": held_out[:end], "rest": held_out[end:]}
        for name, data in parts.items():
            (out / name / f"{area}.txt").write_bytes(data)
        seen = shingles(train)
        sample = range(0, end - SHINGLE, 25)
        overlap = sum(held_out[i : i + SHINGLE] in seen for i in sample) / len(sample)
        sizes = ", ".join(f"{name} {len(data)} bytes" for name, data in parts.items())
        print(f"{area}: {sizes}; {overlap:.1%} of the held-out shingles occur in the training text")


if __name__ == "__main__":
    main()
