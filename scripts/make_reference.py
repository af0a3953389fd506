#!/usr/bin/env python3
"""The independent scorer: what lmbits must report, worked out the slow way with PyTorch and nothing of lmbits.

usage: make_reference.py --model BUNDLE.pt --corpus FILE --convention NAME [--split none|lines|paragraphs|BYTES]
                         [--window L] [--stride S] [--bos auto|none|ID] [--mode add_bos|replace_bos] [--top-k K]
                         -o OUT.json

One window at a time (batch 1, no padding), full fp32 logits, log-softmax and sums in float64; windows as
docs/conventions.md words them. Needs torch, and sentencepiece for bundles that carry such a tokenizer.

convention   --window (its default)                        --stride     --bos auto
default      ids a forward, L (the context, at most 2048)  s (L/2)      BOS, else EOS, else none
lm-eval      targets a forward, L (the context)            -            BOS, else EOS
hkust        block (1900)                                  512          the tokenizer's BOS before each document, scored
llama-ppl    chunk c (512)                                 -            BOS: leads the file and each chunk
gptq         L (2048)                                      -            none (an ID: once, before the stream)
uncheatable  chunk (4000)                                  -            BOS, else EOS
lmic         bytes a chunk (2048)                          -            BOS, else EOS, else none

OUT.json: {model, corpus, split, convention, window, stride, bos, mode, versions, documents, windows, n_bytes, n_chars,
n_tokens, n_scored, total_bits, headline}. documents: {id, n_bytes, n_chars, n_tokens, n_scored, bits} by document, by
chunk for lmic, and one, "stream", for hkust, llama-ppl and gptq. windows: bits by forward pass of a stream. n_tokens are
those of the text; n_scored counts a scored BOS too (hkust). n_chars are the documents' code points, a maximal ill-formed
subpart of UTF-8 counting as one; a chunk of lmic has those that begin in it. headline: numbers as the convention's own
tool prints them, null where one is undefined or beyond a double.
"""
import argparse
import json
import math
import pathlib
import re
import sys
import zipfile

import torch

PER_DOCUMENT = ("default", "lm-eval", "uncheatable")
STREAMS = ("hkust", "llama-ppl", "gptq")
WINDOWS = {"hkust": 1900, "llama-ppl": 512, "gptq": 2048, "uncheatable": 4000, "lmic": 2048}
DEFAULT_CONTEXT = 2048  # at most, for `default`
LN2 = math.log(2)
LINE = re.compile(rb"[^\n]*\n|[^\n]+")  # with its end


# ---- the corpus ----


def paragraphs(data: bytes) -> list[bytes]:
    """Cut after each run of blank lines that follows text; a blank line is a line end alone, of either kind."""
    pieces, piece, seen_text, after_blank = [], b"", False, False
    for line in LINE.findall(data):
        blank = line in (b"\n", b"\r\n")
        if after_blank and not blank:
            pieces.append(piece)
            piece, seen_text, after_blank = b"", False, False
        piece += line
        seen_text = seen_text or not blank
        after_blank = blank and seen_text
    return pieces + [piece] if piece else pieces


def character_at(data: bytes, at: int) -> int:
    """Bytes of the valid UTF-8 character that starts at `at`, 0 where none does."""
    for n in (1, 2, 3, 4):
        try:
            data[at : at + n].decode()
            return n if at + n <= len(data) else 0
        except UnicodeDecodeError:
            pass
    return 0


def by_bytes(data: bytes, size: int) -> list[bytes]:
    pieces, begin = [], 0
    while begin < len(data):
        end = min(begin + size, len(data))
        for back in (1, 2, 3):  # does a character reach across the cut?
            start = end - back
            if start >= begin and start + character_at(data, start) > end:
                end = start if start > begin else start + character_at(data, start)
                break
        pieces.append(data[begin:end])
        begin = end
    return pieces


def split(data: bytes, how: str) -> list[bytes]:
    if how == "none":
        pieces = [data]
    elif how == "lines":
        pieces = LINE.findall(data)
    elif how == "paragraphs":
        pieces = paragraphs(data)
    else:
        pieces = by_bytes(data, int(how))
    assert b"".join(pieces) == data
    return pieces or [b""]


def n_chars(data: bytes) -> int:
    return len(data.decode(errors="replace"))


# ---- the model ----


class Bundle:
    def __init__(self, path: str):
        with zipfile.ZipFile(path) as z:
            extra = {name.split("/extra/")[1]: z.read(name) for name in z.namelist() if "/extra/" in name}
        self.info = json.loads(extra["lmbits.json"])
        self.module = torch.jit.load(path, map_location="cpu").float().eval()
        self.context = self.info["context_length"]
        self.bos, self.eos = self.info["bos_id"], self.info["eos_id"]
        self.sentencepiece = None
        if self.info["tokenizer"]["kind"] == "sentencepiece":
            import sentencepiece

            proto = extra[self.info["tokenizer"]["file"]]
            self.sentencepiece = sentencepiece.SentencePieceProcessor(model_proto=proto)
            # A message that comes twice is merged: normalizer_spec {add_dummy_prefix: false}.
            self.without_prefix = sentencepiece.SentencePieceProcessor(model_proto=proto + b"\x1a\x02\x18\x00")

    def encode(self, data: bytes) -> list[int]:
        """Without BOS or EOS. For SentencePiece each byte outside a valid character is its byte piece <0xNN>, and the
        space it may put before a text stands at the text's start only."""
        if self.sentencepiece is None:
            return list(data)
        ids, valid, at = [], 0, 0  # data[valid:at] is valid and not yet encoded
        while at < len(data):
            n = character_at(data, at)
            if n == 0:
                ids += self.encode_run(data[valid:at], valid)
                ids.append(self.sentencepiece.piece_to_id(f"<0x{data[at]:02X}>"))
                valid = at + 1
            at += max(n, 1)
        return ids + self.encode_run(data[valid:], valid)

    def encode_run(self, run: bytes, begin: int) -> list[int]:
        return (self.sentencepiece if begin == 0 else self.without_prefix).encode(run.decode()) if run else []

    @torch.inference_mode()
    def nll(self, ids: list[int], targets: list[int]) -> list[float]:
        """-ln p of `targets`, which are predicted by the last len(targets) rows of forward(ids)."""
        if len(ids) > self.context and not self.allow_beyond_context:
            raise SystemExit(f"a window of {len(ids)} ids, but the model's context is {self.context}: give a smaller "
                             "--window, or --allow-beyond-context")
        logits = self.module(torch.tensor([ids], dtype=torch.int64))
        logits = logits[0] if isinstance(logits, tuple) else logits  # [1,T,V]
        rows = logits[0, len(ids) - len(targets) :].double().log_softmax(-1)
        nats = -rows.gather(1, torch.tensor(targets).unsqueeze(1)).flatten()
        if self.top_k is not None and self.top_k < rows.shape[1]:  # lmic's: only the K most probable, renormalised
            best = rows.topk(self.top_k).values
            nats = torch.where(-nats >= best[:, -1], nats + best.logsumexp(-1), nats)  # one outside keeps what it has
        return nats.tolist()

    allow_beyond_context = False
    top_k = None


# ---- the conventions; each returns the nats of one document's (or stream's) windows, a list a forward pass ----


def default(model: Bundle, t: list[int], bos: int | None, L: int, s: int) -> list[list[float]]:
    x = t if bos is None else [bos] + t
    n = len(x)
    windows, scored, k = [], 1, 0  # x[0 .. scored) is scored, or never will be
    while scored < n:
        begin, end = k * s, min(k * s + L, n - 1)
        targets = x[scored : end + 1]  # x[begin+1 .. end+1) are predicted; those before `scored` have been scored
        windows.append(model.nll(x[begin:end], targets))
        scored = end + 1
        k += 1
    return windows


def lm_eval(model: Bundle, t: list[int], prefix: int, L: int) -> list[list[float]]:
    n = len(t)
    if n == 0:
        return []
    first = min(L, n)
    windows = [model.nll([prefix] + t[0 : first - 1], t[0:first])]
    predicted = first
    while predicted < n:
        k = min(n - predicted, L)
        e = predicted + k
        windows.append(model.nll(t[e - L - 1 : e - 1], t[e - k : e]))
        predicted += k
    return windows


def hkust(model: Bundle, x: list[int], block: int, stride: int) -> list[list[float]]:
    N = len(x)
    windows = []
    for i in range((N - block - 1) // stride + 1):
        window = x[stride * i : stride * i + block + 1]
        targets = window[1:] if i == 0 else window[-stride:]
        windows.append(model.nll(window[:-1], targets))
    return windows


def llama_ppl(model: Bundle, t: list[int], bos: int | None, c: int) -> list[list[float]]:
    if len(t) < 2 * c:
        return []
    windows = []
    for i in range(len(t) // c):
        chunk = t[i * c : (i + 1) * c]
        fed = chunk if bos is None else [bos] + chunk[1:]
        first = c // 2
        windows.append(model.nll(fed[: c - 1], [chunk[j + 1] for j in range(first, c - 1)]))
    return windows


def gptq(model: Bundle, t: list[int], L: int) -> list[list[float]]:
    return [model.nll(t[k * L : (k + 1) * L - 1], t[k * L + 1 : (k + 1) * L]) for k in range(len(t) // L)]


def uncheatable(model: Bundle, t: list[int], bos: int, size: int, mode: str) -> list[list[float]]:
    windows = []
    for begin in range(0, len(t), size):
        chunk = t[begin : begin + size]
        targets = chunk if mode == "add_bos" else chunk[1:]
        if targets:
            windows.append(model.nll([bos] + targets[:-1], targets))
    return windows


# ---- totals ----


def bits(windows: list[list[float]]) -> float:
    return math.fsum(nats for window in windows for nats in window) / LN2


def record(name: str, data: bytes, n_tokens: int, windows: list[list[float]]) -> dict:
    return dict(id=name, n_bytes=len(data), n_chars=n_chars(data), n_tokens=n_tokens,
                n_scored=sum(map(len, windows)), bits=bits(windows))


def ratio(a: float, b: float) -> float | None:
    return a / b if b else None


def perplexity(total_bits: float, n: int) -> float | None:
    return 2 ** (total_bits / n) if n and total_bits / n < 1024 else None


def headline(convention: str, result: dict, windows: list[list[float]], texts: list[bytes], model: Bundle) -> dict:
    total = result["total_bits"]
    if convention == "default":
        return dict(bits_per_byte=ratio(total, result["n_bytes"]), bits_per_char=ratio(total, result["n_chars"]),
                    bits_per_token=ratio(total, result["n_scored"]), ratio=ratio(8 * result["n_bytes"], total))
    if convention == "lm-eval":
        words = sum(len(re.split(r"\s+", text.decode(errors="replace"))) for text in texts)
        return dict(bits_per_byte=ratio(total, result["n_bytes"]), byte_perplexity=perplexity(total, result["n_bytes"]),
                    word_perplexity=perplexity(total, words))
    if convention == "hkust":
        return dict(bits_per_char=ratio(total, result["n_chars"]))
    if convention == "llama-ppl":
        nats = [x for window in windows for x in window]
        mean, square = math.fsum(nats) / len(nats), math.fsum(x * x for x in nats) / len(nats)
        ppl = math.exp(mean)
        variance = max(0.0, square - mean * mean) / (len(nats) - 1) if len(nats) > 1 else None
        return dict(perplexity=ppl, perplexity_standard_error=None if variance is None else ppl * math.sqrt(variance))
    if convention == "gptq":
        L = result["window"]
        sums = [math.fsum(window) / (L - 1) * L for window in windows]
        return dict(perplexity=math.exp(math.fsum(sums) / (len(windows) * L)))
    if convention == "uncheatable":
        bits_per_byte = ratio(total / len(texts), result["n_bytes"] / len(texts))
        return dict(bits_per_byte=bits_per_byte,
                    compression_rate_percent=None if bits_per_byte is None else bits_per_byte / 8 * 100)
    weights = 2 * model.info["parameters"]["total"]  # bytes
    return dict(compression_rate_percent=ratio(100 * total / 8, result["n_bytes"]),
                adjusted_rate_percent=ratio(100 * (total / 8 + weights), result["n_bytes"]))


def first_id(args, model: Bundle) -> int | None:
    """The id that stands before the text under --bos; `auto` depends on the convention."""
    if args.bos == "none":
        return None
    if args.bos != "auto":
        return int(args.bos)
    if args.convention in ("hkust", "llama-ppl"):
        return model.bos
    if args.convention == "gptq":
        return None
    return model.bos if model.bos is not None else model.eos


def score_documents(args, model: Bundle, texts: list[bytes], bos: int | None):
    """(records, windows) of the conventions that score documents, or lmic's chunks, one by one."""
    records, windows = [], []
    for number, text in enumerate(texts):
        t = model.encode(text)
        if args.convention == "default":
            here = default(model, t, bos, args.window, args.stride)
        elif args.convention == "lm-eval":
            here = lm_eval(model, t, bos, args.window)
        elif args.convention == "uncheatable":
            here = uncheatable(model, t, bos, args.window, args.mode)
        else:  # lmic: a chunk is a document; it has more ids than bytes, so than one window, only by a prefix space
            here = default(model, t, bos, args.window, max(1, args.window // 2))
        records.append(record(str(number), text, len(t), here))
        windows += here
    if args.convention == "lmic":
        data, end = b"".join(texts), 0
        for chunk in records:  # a prefix has the code points that begin in it
            begin, end = end, end + chunk["n_bytes"]
            chunk["n_chars"] = n_chars(data[:end]) - n_chars(data[:begin])
    return records, windows


def score_stream(args, model: Bundle, texts: list[bytes], bos: int | None):
    prefix = [] if bos is None else [bos]
    if args.convention == "hkust":
        documents = [model.encode(text) for text in texts]
        n_tokens = sum(map(len, documents))
        windows = hkust(model, [i for t in documents for i in prefix + t], args.window, args.stride)
    else:
        t = model.encode((b"\n\n" if args.convention == "gptq" else b"").join(texts))
        n_tokens = len(t)
        if args.convention == "gptq":
            windows = gptq(model, prefix + t, args.window)
        else:
            windows = llama_ppl(model, prefix + t, bos, args.window)
    if not windows:
        raise SystemExit(f"{args.convention} with a window of {args.window} finds none in the text's {n_tokens} tokens")
    stream = record("stream", b"".join(texts), n_tokens, windows)
    return [dict(stream, n_chars=sum(map(n_chars, texts)))], windows


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    ap = argparse.ArgumentParser(description="Scores a text the slow way: see the head of this file.")
    ap.add_argument("--model", required=True)
    ap.add_argument("--corpus", required=True)
    ap.add_argument("--split", default="none")
    ap.add_argument("--convention", required=True, choices=(*PER_DOCUMENT, *STREAMS, "lmic"))
    ap.add_argument("--window", type=int)
    ap.add_argument("--stride", type=int)
    ap.add_argument("--bos", default="auto")
    ap.add_argument("--mode", default="add_bos", choices=("add_bos", "replace_bos"))
    ap.add_argument("--top-k", type=int)
    ap.add_argument("--allow-beyond-context", action="store_true")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("-o", dest="out", required=True)
    return ap.parse_args(arguments)


def versions() -> dict:
    loaded = {name: sys.modules[name].__version__ for name in ("torch", "sentencepiece") if name in sys.modules}
    return dict(loaded, python=sys.version.split()[0])


def score(args: argparse.Namespace, model: Bundle) -> dict:
    """What OUT.json holds. SystemExit, with the reason, where the convention refuses."""
    model.allow_beyond_context, model.top_k = args.allow_beyond_context, args.top_k
    default_window = min(model.context, DEFAULT_CONTEXT) if args.convention == "default" else model.context
    args.window = args.window or WINDOWS.get(args.convention, default_window)
    if args.convention == "default":
        args.stride = args.stride or max(1, args.window // 2)
    elif args.convention == "hkust":
        args.stride = args.stride or 512
    else:
        args.stride = None
    if args.stride and args.stride > args.window:
        raise SystemExit(f"--stride {args.stride} is more than --window {args.window}: tokens between would not be scored")
    bos = first_id(args, model)
    if bos is None and args.convention in ("lm-eval", "uncheatable"):
        raise SystemExit(f"{args.convention} needs an id before the text, and there is no BOS or EOS: give --bos ID")
    data = pathlib.Path(args.corpus).read_bytes()
    texts = split(data, args.split)
    if args.convention == "lmic":  # cuts the bytes, wherever documents or characters end
        texts = [data[i : i + args.window] for i in range(0, len(data), args.window)]
    records, windows = (score_stream if args.convention in STREAMS else score_documents)(args, model, texts, bos)
    result = dict(
        model=model.info["name"], corpus=pathlib.Path(args.corpus).name, split=args.split, convention=args.convention,
        window=args.window, stride=args.stride, bos=bos, mode=args.mode if args.convention == "uncheatable" else None,
        versions=versions(), documents=records,
        windows=[bits([window]) for window in windows] if args.convention in STREAMS else None,
        n_bytes=len(data), n_chars=sum(r["n_chars"] for r in records), n_tokens=sum(r["n_tokens"] for r in records),
        n_scored=sum(r["n_scored"] for r in records), total_bits=bits(windows))
    result["headline"] = headline(args.convention, result, windows, texts, model)
    return result


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    result = score(args, Bundle(args.model))
    pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")
    print(f"{result['model']} {args.convention}: {result['total_bits']:.3f} bits, {result['headline']}")


if __name__ == "__main__":
    main()
