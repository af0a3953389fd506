#!/usr/bin/env python3
"""tokenizer.json files put together at random, against the tokenizers library, id for id.

usage: random_files.py PROGRAM [N_FILES] [SEED]

Normalizers, pre-tokenizers with all behaviours, models and their flags, and added tokens are drawn together, as no published
file has them; the texts are short strings of characters that the parts treat in different ways. A file that the library
refuses is no file; one that lmbits refuses by name (exit 7) is counted; a text that the library fails on must fail. Runs in the
environment that scripts/tokenizer_environment makes; without it it is skipped (exit 77).
"""
import collections
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    from tokenizers import Tokenizer
except ImportError as e:
    print(f"skipped: {e}; scripts/tokenizer_environment makes an environment with the packages")
    sys.exit(77)

PROGRAM = sys.argv[1]
N_FILES = int(sys.argv[2]) if len(sys.argv) > 2 else 400
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
WORK = pathlib.Path(tempfile.mkdtemp(prefix="lmbits-random-files-"))
META = "\u2581"
CHARACTERS = list("abcdefgABCxyzs012 9  \n\t.,!?-_'\u00e9\u00c9\u0301\u0323\u00df\u4f60\u597d\u0130\u01c5\u00a0\u3000\u0660\u2167\u00bd\ufb01$+<|>\r\u2581\u00b7\U0001f600\0")
REGEXES = [r"\s+", r"\d+", r"\w+", r"\W", r"[aeiou ]", r"[^\s\w]+", r"(?=[A-Z])", r"(?<=[.!?])", r"^\w", r"\w$", r"\p{Lu}", r"[\p{L}&&[^a-e]]+",
           r"[a-c[x-z]]", r"\h+", r"[[:punct:]]", r"[[:alpha:]]+", r"(?i:ab)", r".", r"\n$", r"\b", r"\B", r"a{,2}b", r"(?m:a.b)", r"\p{Han}+",
           r" ?[^(\s|[.,!?\u2026\u3002\uff0c\u3001])]+", r"[\s\S]", r"\S+\s?", r"\w*", r"[^a-z]?", r"\r\n|\n", r"[\W&&[^\s]]+", r"x*", r"\A.", r".\z", r"[]a]",
           r"'s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", r"\p{N}{1,3}", r"[[:^alpha:]]", r"[[:space:]]", r"[[:upper:]]+|[[:digit:]]", r"\u00e9|\v"]
EMPTY = [r"(?=[A-Z])", r"(?<=[.!?])", r"\b", r"\B", r"\w*", r"[^a-z]?", r"x*"]  # between characters Replace inserts in ways of its own: lmbits fails there
BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


class Files:
    def __init__(self, rng):
        self.rng = rng
        self.contents = []

    def text(self):
        pool = self.rng.sample(CHARACTERS, self.rng.randrange(3, 25)) + self.contents
        return "".join(self.rng.choice(pool) for _ in range(self.rng.randrange(1, 30)))

    def pattern(self, without=()):
        regexes = [regex for regex in REGEXES if regex not in without]
        return self.rng.choice([{"Regex": self.rng.choice(regexes)}, {"Regex": self.rng.choice(regexes)}, {"String": self.rng.choice([" ", "a", "ab", ".", META, "\n"])}])

    def normalizer(self):
        r = self.rng
        kinds = {"NFC": {}, "NFD": {}, "NFKC": {}, "NFKD": {}, "Lowercase": {}, "Prepend": {"prepend": r.choice([META, "x", "ab"])},
                 "Replace": {"pattern": self.pattern(EMPTY), "content": r.choice(["", META, "b", "aa", " "])},
                 "Strip": {"strip_left": r.random() < .5, "strip_right": r.random() < .5}}
        kind = r.choice(list(kinds))
        return {"type": kind, **kinds[kind]}

    def pre_tokenizer(self, kinds):
        r = self.rng
        kind = r.choice(kinds)
        settings = {"ByteLevel": {"add_prefix_space": r.random() < .3, "trim_offsets": True, "use_regex": r.random() < .7},
                    "Split": {"pattern": self.pattern(), "behavior": r.choice(BEHAVIOURS), "invert": r.random() < .3},
                    "Digits": {"individual_digits": r.random() < .5},
                    "Metaspace": {"replacement": META, "prepend_scheme": r.choice(["always", "never", "first"]), "split": r.random() < .7},
                    "Whitespace": {}, "WhitespaceSplit": {}, "Punctuation": {"behavior": r.choice(BEHAVIOURS)},
                    "CharDelimiterSplit": {"delimiter": r.choice([" ", "a", "."])}}
        return {"type": kind, **settings[kind]}

    def sequence(self, name, parts):
        if not parts:
            return None
        return parts[0] if len(parts) == 1 and self.rng.random() < .5 else {"type": "Sequence", name: parts}

    def merges(self, alphabet, n):
        """Pairs of what is there already, in an order that each can be made."""
        pieces, merges = list(alphabet), []
        for _ in range(n):
            left, right = self.rng.choice(pieces), self.rng.choice(pieces)
            if left + right not in pieces and len(left + right) < 8:
                pieces.append(left + right)
                merges.append([left, right])
        return pieces, merges

    def bpe(self, byte_level):
        r = self.rng
        alphabet = [c for c in CHARACTERS if r.random() < .8] + [META]
        fallback = r.random() < .4
        if byte_level:
            table = byte_alphabet()
            alphabet = [table[b] for b in range(256) if r.random() < .9 or b < 128]
            fallback = fallback and r.random() < .2
        pieces, merges = self.merges(sorted(set(alphabet)), r.randrange(0, 300))
        if fallback:
            pieces += [f"<0x{b:02X}>" for b in range(256)]
        unk = r.choice([None, "<unk>", "<unk>", "<missing>" if r.random() < .2 else "<unk>"])
        pieces = ["<unk>"] + pieces
        return {"type": "BPE", "dropout": None, "unk_token": unk, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                "fuse_unk": r.random() < .5, "byte_fallback": fallback, "ignore_merges": r.random() < .3,
                "vocab": {piece: i for i, piece in enumerate(dict.fromkeys(pieces))},
                "merges": merges if r.random() < .5 else [" ".join(m) for m in merges if " " not in m[0] + m[1]]}

    def unigram(self):
        r = self.rng
        alphabet = [c for c in CHARACTERS if r.random() < .8] + [META]
        pieces, _ = self.merges(sorted(set(alphabet)), r.randrange(0, 300))
        fallback = r.random() < .4
        vocab = [["<unk>", 0.0]] + [[piece, r.choice([-r.random() * 12, -float(r.randrange(1, 12))])] for piece in pieces]
        if fallback:
            vocab += [[f"<0x{b:02X}>", -20.0] for b in range(256)]
        return {"type": "Unigram", "unk_id": 0 if r.random() < .9 else None, "vocab": vocab, "byte_fallback": fallback}

    def word_level(self):
        r = self.rng
        words = {"".join(r.choice(CHARACTERS) for _ in range(r.randrange(1, 3))) for _ in range(400)} | set(CHARACTERS)
        return {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(["<unk>", *sorted(words)])}, "unk_token": "<unk>" if r.random() < .9 else "<missing>"}

    def file(self):
        r = self.rng
        model_kind = r.choice(["bytes", "bytes", "bpe", "bpe", "unigram", "wordlevel"])
        kinds = ["Split", "Split", "Digits", "Metaspace", "Whitespace", "WhitespaceSplit", "Punctuation", "CharDelimiterSplit"]
        parts = [self.pre_tokenizer(kinds) for _ in range(r.choice([0, 0, 1, 1, 2]))]
        if model_kind == "bytes":
            parts = [p for p in parts if p["type"] != "Metaspace" or r.random() < .3] + [self.pre_tokenizer(["ByteLevel"])]
            parts += [self.pre_tokenizer(["Split", "Digits", "Punctuation"]) for _ in range(r.choice([0, 0, 1]))]
        model = {"bytes": lambda: self.bpe(True), "bpe": lambda: self.bpe(False), "unigram": self.unigram, "wordlevel": self.word_level}[model_kind]()
        contents = ["<|end|>", "<s>", "ab", "  ", "A", "\n\n", "<unk>", "e\u0301", "b c", META + "a"]
        n_vocab = len(model["vocab"])
        vocabulary = model["vocab"] if isinstance(model["vocab"], dict) else {piece: i for i, (piece, _) in enumerate(model["vocab"])}
        added, taken = [], n_vocab
        for content in r.sample(contents, r.choice([0, 0, 1, 3])):
            known = vocabulary.get(content)
            added.append({"id": taken if known is None else known, "content": content, "single_word": r.random() < .3, "lstrip": r.random() < .3,
                          "rstrip": r.random() < .3, "normalized": r.random() < .5, "special": r.random() < .5})
            taken += known is None
        self.contents = [token["content"] for token in added] * 2
        added.sort(key=lambda token: token["id"])
        return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
                "normalizer": self.sequence("normalizers", [self.normalizer() for _ in range(r.choice([0, 0, 1, 1, 2, 3]))]),
                "pre_tokenizer": self.sequence("pretokenizers", parts), "post_processor": None, "decoder": None, "model": model}


def byte_alphabet():
    table, k = {}, 0
    for b in range(256):
        table[b] = chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else chr(256 + k)
        k += 0 if table[b] == chr(b) else 1
    return table


def expected_ids(reference, text):
    try:
        return reference.encode(text, add_special_tokens=False).ids
    except BaseException as e:  # a panic of the library is no Exception
        if isinstance(e, KeyboardInterrupt):
            raise
        return "panic" if "Panic" in type(e).__name__ else None


def ours(path, texts):
    corpus = WORK / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = subprocess.run([PROGRAM, "tokenize", str(path), "--corpus", str(corpus), "--ids"], capture_output=True, text=True)
    if done.returncode == 7:
        return done.stderr.split(": ", 2)[-1].split("\n")[0]
    if done.returncode not in (0, 10):
        raise SystemExit(f"{path}: exit {done.returncode}: {done.stderr}")
    failed = {int(line.split("line-")[1].split(":")[0]) - 1 for line in done.stderr.splitlines() if "line-" in line}
    lines = done.stdout.split("\n")[:-1]
    return [None if i in failed else [int(n) for n in line.split()] for i, line in enumerate(lines)]


def main():
    counts, refusals, n_wrong = collections.Counter(), collections.Counter(), 0
    for i in range(N_FILES):
        files = Files(random.Random(SEED * 1_000_003 + i))
        content = files.file()
        try:
            reference = Tokenizer.from_str(json.dumps(content))
        except BaseException as e:
            counts["refused by the library"] += 1
            continue
        texts = [files.text() for _ in range(60)]
        path = WORK / f"{i}.json"
        path.write_text(json.dumps(content))
        got = ours(path, texts)
        if isinstance(got, str):
            counts["refused by lmbits"] += 1
            refusals[got[:100]] += 1
            continue
        expected = [expected_ids(reference, text) for text in texts]
        counts["files"] += 1
        counts["texts"] += sum(e != "panic" for e in expected)
        counts["texts that fail"] += sum(e is None for e in expected)
        differ = [k for k, (a, b) in enumerate(zip(expected, got)) if a != "panic" and a != b]
        if len(got) != len(expected):
            differ = [0]
        if differ:
            n_wrong += 1
            k = min(differ, key=lambda k: len(texts[k]))
            model = {key: value for key, value in content["model"].items() if key not in ("vocab", "merges")}
            print(f"file {i}: {len(differ)} of {len(texts)} differ\n  normalizer {json.dumps(content['normalizer'], ensure_ascii=False)}\n  pre_tokenizer "
                  f"{json.dumps(content['pre_tokenizer'], ensure_ascii=False)}\n  model {model}\n  added "
                  f"{[{key: v for key, v in t.items() if v} for t in content['added_tokens']]}\n  {texts[k]!r}\n  {expected[k]}\n  {got[k]}")
        else:
            path.unlink()
    print(", ".join(f"{n} {what}" for what, n in counts.items()), f"; {n_wrong} files differ")
    for what, n in refusals.most_common():
        print(f"  {n:4} refused: {what}")
    return 1 if n_wrong else 0


sys.exit(main())
