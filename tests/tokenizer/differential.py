#!/usr/bin/env python3
"""Ids against the libraries that tokenizers come from: tokenizers, tiktoken, sentencepiece, id for id.

usage: differential.py PROGRAM [TEXT | TOKENIZER.json | TOKENIZER.model]...

Runs in the environment that scripts/tokenizer_environment makes, on the texts in several languages that it fetches; without
these packages or texts it says so and is skipped (exit 77). PCRE2, which splits by patterns that are not written by hand, and utf8proc's lower case are behind on scripts newer
than Unicode 14: with these alone, texts that hold such a character may differ (and are counted). The texts are the repository's
held-out ones and code, manual pages in ten languages, TEXT... and random strings of all planes; vocabularies are trained here, and
read from $LMBITS_SHARED where that is set.
"""
import base64
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

try:
    import sentencepiece
    import tiktoken
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from tiktoken_ext import openai_public
except ImportError as e:
    print(f"skipped: {e}; scripts/tokenizer_environment makes an environment with the packages")
    sys.exit(77)

PROGRAM = sys.argv[1]
ROOT = pathlib.Path(__file__).resolve().parents[2]
N_RANDOM = int(os.environ.get("LMBITS_RANDOM_STRINGS", "10000"))
WORK = pathlib.Path(tempfile.mkdtemp(prefix="lmbits-differential-"))

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
            r"""\s*[\r\n]+|\s+(?!\S)|\s+""")


LANGUAGES = "de fr ru uk pl el ja zh_CN zh_TW es it pt_BR ro sr vi".split()
MIN_REAL_BYTES = 1_000_000


def pieces(text):
    lines, n = [], 0
    for line in text.splitlines(keepends=True):
        lines.append(line)
        n += len(line)
        if n > 30000:
            yield "".join(lines)
            lines, n = [], 0
    yield "".join(lines)


def real_texts():
    """Prose, maths and code of the repository, and up to 120 kB of manual pages a language."""
    files = sorted((ROOT / "models/heldout").glob("*.txt")) + [pathlib.Path(name) for name in sys.argv[2:] if not name.endswith((".json", ".model"))]
    files += [ROOT / "README.md", *sorted((ROOT / "src").rglob("*.cc"))[:40]]
    for file in files:
        yield from pieces(file.read_text(encoding="utf-8", errors="replace"))
    for language in LANGUAGES:
        text = ""
        for file in sorted((ROOT / "build/deps/tokenizer_texts/usr/share/man" / language).rglob("*.gz")):
            if len(text.encode()) < 120_000 and not file.is_symlink():
                text += gzip.open(file).read().decode("utf-8", "replace")[:40_000]
        yield from pieces(text)


def random_strings(n, newest=0x110000):
    rng = random.Random(7)
    pick = lambda limit: next(c for c in iter(lambda: rng.randrange(limit), None) if not 0xD800 <= c < 0xE000)
    pools = [
        lambda: chr(pick(newest)), lambda: chr(pick(0x250)), lambda: chr(pick(0x3100)), lambda: chr(rng.randrange(0x1F300, 0x1FAFF)),
        lambda: rng.choice(" \n\t\r\u00a0\u3000\u2028\u180e\x1c\x85\u200b'\u0301\0"), lambda: rng.choice(["\r\n", "\n\n", "\r\r", " \n "]),
        lambda: rng.choice("'s 't 're 've 'm 'll 'd 'S 'RE '\u017f a B 1 . / <|endoftext|> <s> </s> <| \u2581 <0x41> <l> <r> <w> <n>\u00c9 <|end|>".split(" ")),
        lambda: " " * rng.randrange(1, 40), lambda: chr(rng.choice([0x41, 0x61, 0x300, 0x301, 0x323, 0x338, 0x344, 0x958, 0x1161, 0x11A8, 0xAC00])),
        lambda: rng.choice("the of and Ein \u00fcber \u043f\u0440\u0438\u0432\u0435\u0442 \u4f60\u597d 123 4567 x_1 DeepL iPhone \u01c5ab".split(" ")),
    ]
    for _ in range(n):
        weights = [rng.random() ** 3 for _ in pools]
        yield "".join(rng.choices(pools, weights)[0]() for _ in range(rng.randrange(1, 60)))


def ours(path, texts, *flags):
    corpus = WORK / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = subprocess.run([PROGRAM, "tokenize", str(path), "--corpus", str(corpus), "--ids", *flags], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{path}: {done.stderr}")
    return [[int(i) for i in line.split()] for line in done.stdout.split("\n")[:-1]]


def bpe(normalizer, pre_tokenizer, texts, alphabet=(), vocab=3000, added=(), **model):
    tokenizer = Tokenizer(models.BPE(**model))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    special = ["<unk>", "<s>", "</s>", *([f"<0x{b:02X}>" for b in range(256)] if model.get("byte_fallback") else [])]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=vocab, show_progress=False, initial_alphabet=list(alphabet),
                                                             special_tokens=special))
    tokenizer.add_tokens(list(added))
    saved = json.loads(tokenizer.to_str())
    saved["added_tokens"] = [token for token in saved["added_tokens"] if not token["content"].startswith("<0x")]
    return json.dumps(saved)


def hugging_face(texts):
    """name -> tokenizer.json"""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    byte_level = lambda **kw: pre_tokenizers.ByteLevel(add_prefix_space=False, **kw)
    split = lambda pattern: pre_tokenizers.Split(Regex(pattern), "isolated")
    sequence, digits = pre_tokenizers.Sequence, pre_tokenizers.Digits
    llama = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    words = texts[:40]
    unfolded = ["".join(line) for text in words for line in text.splitlines(keepends=True)]
    yield "gpt2", bpe(None, byte_level(), words, alphabet)
    yield "neox", bpe(normalizers.NFC(), byte_level(), words, alphabet)
    yield "nfkc", bpe(normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]), byte_level(), words, alphabet)
    yield "llama3", bpe(None, sequence([split(LLAMA3), byte_level(use_regex=False)]), words, alphabet, ignore_merges=True)
    yield "qwen2", bpe(normalizers.NFC(), sequence([split(QWEN2), byte_level(use_regex=False)]), words, alphabet)
    yield "starcoder", bpe(None, sequence([digits(True), byte_level()]), words, alphabet)
    yield "falcon", bpe(None, sequence([pre_tokenizers.Punctuation("contiguous"), byte_level(), digits(False), split("[0-9][0-9][0-9]")]), words, alphabet)
    yield "deepseek", bpe(None, sequence([split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(DEEPSEEK),
                                          byte_level(use_regex=False)]), words, alphabet)
    flags = [AddedToken("<l>", lstrip=True, normalized=False), AddedToken("<r>", rstrip=True, normalized=False),
             AddedToken("<w>", single_word=True, normalized=False), AddedToken("<n>\u00c9", normalized=True),
             AddedToken("  ", normalized=True), AddedToken("    ", normalized=True), AddedToken("the", single_word=True, lstrip=True, normalized=True)]
    yield "added", bpe(normalizers.NFC(), byte_level(), words, alphabet, added=flags)
    yield "lowered", bpe(normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.Strip()]), byte_level(), words, alphabet)  # with added tokens the library panics
    yield "prefix", bpe(None, pre_tokenizers.ByteLevel(add_prefix_space=True), words, alphabet, added=flags[:3])
    yield "smollm2", bpe(None, sequence([digits(True), byte_level()]), words, alphabet, added=[AddedToken("<|end|>", special=True, normalized=False)])
    yield "o200k", bpe(None, sequence([split(patterns()["o200k"]), byte_level(use_regex=False)]), words, alphabet)
    phi3 = [AddedToken(name, rstrip=True, special=True, normalized=False) for name in ("<|end|>", "<|endoftext|>")]
    yield "phi3", bpe(llama, None, unfolded, vocab=2500, byte_fallback=True, fuse_unk=True, unk_token="<unk>", added=phi3)
    for behaviour in ("removed", "merged_with_next", "contiguous"):
        yield behaviour, bpe(None, sequence([pre_tokenizers.Split(Regex("[aeiou ]"), behaviour), pre_tokenizers.Split("\n", "isolated", invert=True), byte_level()]),
                             words, alphabet)
    yield "llama2", bpe(llama, None, unfolded, vocab=2500, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    yield "gemma", bpe(normalizers.Replace(" ", "\u2581"), pre_tokenizers.Split(" ", "merged_with_previous"), unfolded, vocab=2500,
                       byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    yield "metaspace", bpe(None, pre_tokenizers.Metaspace(), words, unk_token="<unk>", fuse_unk=True)
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.train_from_iterator(words, trainers.UnigramTrainer(vocab_size=2000, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"))
    # The library reads some decimal numbers a last bit off; those of nine digits it reads exactly, so that ties are ties here too.
    saved = json.loads(unigram.to_str())
    saved["model"]["vocab"] = [[piece, round(score, 9)] for piece, score in saved["model"]["vocab"]]
    yield "unigram", json.dumps(saved)
    level = Tokenizer(models.WordLevel(unk_token="<unk>"))
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    level.train_from_iterator(words, trainers.WordLevelTrainer(vocab_size=2000, show_progress=False, special_tokens=["<unk>"]))
    yield "wordlevel", level.to_str()


failures = 0
OLD_UNICODE = {"tokenizers deepseek", "tokenizers nfkc", "tokenizers lowered", "tiktoken any"}
assert unicodedata.unidata_version < "15", "the characters newer than Unicode 14 are told by Python 3.11's own tables"


def is_new(text):
    return any(unicodedata.category(c) == "Cn" for c in text)


def compare(name, texts, expected, got):
    global failures
    differ = [i for i, (a, b) in enumerate(zip(expected, got)) if a != b]
    excused = [i for i in differ if name in OLD_UNICODE and is_new(texts[i])]
    differ = [i for i in differ if i not in excused]
    failures += bool(differ) or len(expected) != len(got)
    note = f" (and {len(excused)} with characters newer than Unicode 14)" if excused else ""
    print(f"{name:24} {len(texts):6} texts, {sum(len(t.encode()) for t in texts):9} bytes: {len(differ)} differ{note}", flush=True)
    for i in differ[:3]:
        k = next((k for k, (a, b) in enumerate(zip(expected[i], got[i])) if a != b), min(len(expected[i]), len(got[i])))
        print(f"    {texts[i][:80]!r} at token {k}: {expected[i][k - 1 : k + 4]} is {got[i][k - 1 : k + 4]}")


def main():
    real, made = [text for text in real_texts() if text], list(random_strings(N_RANDOM))
    texts = real + made
    n_real = sum(len(text.encode()) for text in real)
    if n_real < MIN_REAL_BYTES:
        print(f"skipped: {n_real} bytes of real text, {MIN_REAL_BYTES} are asked for; scripts/tokenizer_environment fetches them")
        return 77
    shared = os.environ.get("LMBITS_SHARED")
    files = dict(hugging_face(real))
    if shared:
        files["20B"] = pathlib.Path(shared, "data/tokenizers/20B_tokenizer.json").read_text()
    for name in sys.argv[2:]:
        if name.endswith(".json"):
            files[name] = pathlib.Path(name).read_text()
    for name, content in files.items():
        name = pathlib.Path(name).name.removesuffix(".json")
        path = WORK / f"{name}.json"
        path.write_text(content)
        reference = Tokenizer.from_str(content)
        compare(f"tokenizers {name}", texts, [e.ids for e in reference.encode_batch(texts, add_special_tokens=False)], ours(path, texts))

    gpt2 = json.loads(files["gpt2"])["model"]["vocab"]
    to_byte = {c: b for b, c in byte_alphabet().items()}
    ranks = {bytes(to_byte[c] for c in piece): i for i, piece in enumerate(sorted((p for p in gpt2 if p not in ("<unk>", "<s>", "</s>")), key=lambda p: gpt2[p]))}
    path = WORK / "trained.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(piece) + b" %d\n" % rank for piece, rank in ranks.items()))
    for name, pattern in {**patterns(), "any": r"\w+|[^\w\s]+|\s+"}.items():
        encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        for flag in (name, pattern) if name in patterns() else (pattern,):
            compare(f"tiktoken {name}{'' if flag == name else ' (pattern)'}", texts, [encoding.encode_ordinary(t) for t in texts],
                    ours(path, texts, "--pattern", flag))

    for kind, settings in {"bpe": {}, "bpe-prefixless": {"add_dummy_prefix": False, "user_defined_symbols": ["\n", "<x>"]},
                           "unigram": {"model_type": "unigram"}, "unigram-unknown": {"model_type": "unigram", "byte_fallback": False},
                           "unigram-nfkc": {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
                           "unigram-suffix": {"model_type": "unigram", "normalization_rule_name": "nfkc_cf", "treat_whitespace_as_suffix": True},
                           "unigram-symbols": {"model_type": "unigram", "user_defined_symbols": ["\n", "<x>"]}}.items():
        prefix = WORK / kind
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([line for text in real for line in text.splitlines() if line]),
                                                 model_prefix=str(prefix), vocab_size=2048, minloglevel=2, max_sentence_length=100000,
                                                 num_threads=1,
                                                 **{"model_type": "bpe", "byte_fallback": True, "add_dummy_prefix": True,
                                                    "normalization_rule_name": "identity", "remove_extra_whitespaces": False, **settings})
        reference = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
        compare(f"sentencepiece {kind}", texts, [reference.encode(t) for t in texts], ours(f"{prefix}.model", texts))
    for path in [*[pathlib.Path(shared, "data/tokenizers/mistral-v1.model")] * bool(shared),
                 *[pathlib.Path(name) for name in sys.argv[2:] if name.endswith(".model")]]:
        reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
        compare(f"sentencepiece {path.stem}", texts, [reference.encode(t) for t in texts], ours(path, texts))
    if shared:
        folder = pathlib.Path(shared, "data/tokenizers")
        ranks = {base64.b64decode(piece): int(rank) for piece, rank in (line.split() for line in open(folder / "gpt2.tiktoken", "rb") if line.strip())}
        encoding = tiktoken.Encoding("gpt2", pat_str=openai_public.r50k_pat_str, mergeable_ranks=ranks, special_tokens={})
        expected = [encoding.encode_ordinary(t) for t in texts]
        compare("tiktoken gpt2's ranks", texts, expected, ours(folder / "gpt2.tiktoken", texts, "--pattern", "gpt2"))
        compare("tiktoken gpt2, .gguf", texts, expected, ours(folder / "ggml-vocab-gpt-2.gguf", texts))
    else:
        print("LMBITS_SHARED is not set: published vocabularies are not compared")
    return 1 if failures else 0


def byte_alphabet():
    table, k = {}, 0
    for b in range(256):
        if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174:
            table[b] = chr(b)
        else:
            table[b] = chr(256 + k)
            k += 1
    return table


def patterns():
    source = pathlib.Path(openai_public.__file__).read_text()
    cl100k = next(line.split('r"""', 1)[1].rsplit('"""', 1)[0] for line in source.splitlines() if "p{N}{1,3}+" in line)
    short = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    o200k = "|".join([r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+" + short,
                      r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*" + short,
                      r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
    return {"gpt2": openai_public.r50k_pat_str, "cl100k": cl100k, "o200k": o200k, "llama3": LLAMA3, "qwen2": QWEN2}


sys.exit(main())
