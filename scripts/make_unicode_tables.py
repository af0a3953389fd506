#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_tables.inc: what the splitters and normalisers know of each code point.

usage: make_unicode_tables.py > src/tokenizer/unicode_tables.inc

Needs the Python package unicodedata2 16.0.0 (general categories of Unicode 16.0, which the regular expressions of both
tokenizers 0.23 and tiktoken 0.14 follow) and Debian's unicode-data (DerivedAge.txt, DerivedCoreProperties.txt). Ages count
because the normalisers of tokenizers know Unicode 9.0 only and its Punctuation knows Unicode 8.0 only.
"""
import unicodedata2 as ud

FOLDER = "/usr/share/unicode/"
CLASSES = {"Lu": 1, "Ll": 2, "Lt": 3, "Lm": 4, "Lo": 5, "Mn": 6, "Mc": 6, "Me": 6, "Nd": 7, "Nl": 7, "No": 7}
SPACE, SPACES = 8, {*range(9, 14), 0x85}
UNSTABLE, YOUNG, WORD, PUNCTUATION = 0x10, 0x20, 0x40, 0x80
assert ud.unidata_version == "16.0.0", ud.unidata_version


def properties(name):
    """(code point, value) of a file of the Unicode character database."""
    for line in open(FOLDER + name, encoding="utf-8"):
        fields = [field.strip() for field in line.split("#")[0].split(";")]
        if len(fields) < 2:
            continue
        ends = [int(end, 16) for end in fields[0].split("..")]
        for c in range(ends[0], ends[-1] + 1):
            yield c, fields[1]


AGE = {c: tuple(map(int, age.split("."))) for c, age in properties("DerivedAge.txt")}
ALPHABETIC = {c for c, name in properties("DerivedCoreProperties.txt") if name == "Alphabetic"}
CANONICAL = (ud.decomposition(chr(c)).split() for c in range(0x110000))
SECONDS = {int(part, 16) for parts in CANONICAL if parts and not parts[0].startswith("<") for part in parts[1:]}
SECONDS |= {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # Hangul vowels and finals compose with what stands before


def entry(c):
    ch, category = chr(c), ud.category(chr(c))
    value = SPACE if c in SPACES or category[0] == "Z" else CLASSES.get(category, 0)
    if 0xD800 <= c < 0xE000:
        return 0
    first = ud.normalize("NFKD", ch)[0]  # a half-width voiced mark becomes one that combines
    moves = any(ud.combining(x) != 0 or ord(x) in SECONDS for x in (ch, first)) or ud.normalize("NFC", ch) != ch
    changes = moves or any(ud.normalize(form, ch) != ch for form in ("NFD", "NFKC", "NFKD"))
    if moves:
        value |= UNSTABLE
    if changes and AGE.get(c, (99, 0)) > (9, 0):
        value |= YOUNG
    if c in ALPHABETIC or category[0] in "LM" or category in ("Nd", "Pc") or c in (0x200C, 0x200D):
        value |= WORD
    ascii_punctuation = c < 128 and ch.isprintable() and not ch.isalnum() and ch != " "
    if ascii_punctuation or (category[0] == "P" and AGE.get(c, (99, 0)) <= (8, 0)):
        value |= PUNCTUATION
    return value


print("// Made by scripts/make_unicode_tables.py from Unicode", ud.unidata_version + ": each range's first code point and what holds in it.")
previous, line = None, ""
for c in range(0x110000):
    value = entry(c)
    if value != previous:
        item = f"{{0x{c:X},{value}}},"
        if len(line) + len(item) > 118:
            print(line)
            line = ""
        line += item
        previous = value
print(line)
