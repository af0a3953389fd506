#!/usr/bin/env python3
"""Bits and picks of the committed questions, by a second implementation: what `lmbits choice` is tested against.

usage: make_choice_reference.py OUT.json [BUNDLE ...]

Nothing of src/ or models/ is imported: plain PyTorch on the bundles as TorchScript, one continuation at a time, without
batches or shared rows, float64 log-softmax; sentencepiece for the tokens. The rule is lm-evaluation-harness' (0.4):
white space at the end of the context moves to the continuation, the two are encoded as a whole, as many tokens as the
context alone has are the context's; BOS before all; the last context_length + 1 ids count.
Needs torch and sentencepiece; their versions are in the file.
"""
import json
import math
import pathlib
import sys
import zipfile

import sentencepiece
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUNDLES = ("xs-byte-3000", "s-sp-4000")
PER_KIND = 20  # questions of each kind of each file, evenly spread


class Bundle:
    def __init__(self, name):
        path = ROOT / "models" / "demo" / f"{name}.pt"
        with zipfile.ZipFile(path) as archive:
            extra = {pathlib.PurePath(n).name: archive.read(n) for n in archive.namelist() if "/extra/" in n}
        metadata = json.loads(extra["lmbits.json"])
        self.bos, self.room = metadata["bos_id"], metadata["context_length"]
        self.pieces = None
        if metadata["tokenizer"]["kind"] == "sentencepiece":
            self.pieces = sentencepiece.SentencePieceProcessor(model_proto=extra[metadata["tokenizer"]["file"]])
        self.vocabulary = metadata["vocab_size"]
        self.module = torch.jit.load(str(path)).float().eval()

    def encode(self, text):
        return list(text.encode()) if self.pieces is None else self.pieces.encode(text)

    @torch.inference_mode()
    def answer(self, context, continuation):
        """(bits, tokens, is it the greedy continuation?)"""
        kept = context.rstrip()
        continuation = context[len(kept):] + continuation
        whole, n_context = self.encode(kept + continuation), len(self.encode(kept))
        targets = whole[n_context:]
        ids = ([self.bos] + whole)[-(self.room + 1):]
        logits = self.module(torch.tensor([ids[:-1]]))[0, -len(targets):, :self.vocabulary].double()
        nats = torch.log_softmax(logits, -1)
        bits = -sum(nats[i, target].item() for i, target in enumerate(targets)) / math.log(2)
        return bits, len(targets), all(logits[i].argmax().item() == target for i, target in enumerate(targets))


def sample(lines):
    by_kind = {}
    for line in lines:
        question = json.loads(line)
        by_kind.setdefault(question["kind"], []).append(question)
    return [q for questions in by_kind.values() for q in questions[::len(questions) // PER_KIND][:PER_KIND]]


def records(bundle):
    for path in sorted((ROOT / "models" / "benchmarks").glob("cloze-*.jsonl")):
        for question in sample(path.read_text().splitlines()):
            continuations = question["choices"] or [question["answer"]]
            answers = [bundle.answer(question["context"], c) for c in continuations]
            bits = [b for b, _, _ in answers]
            per_byte = [b / len(c.encode()) for b, c in zip(bits, continuations)]
            per_token = [b / n for b, n, _ in answers]
            picked = {"acc": bits.index(min(bits)), "acc_norm": per_byte.index(min(per_byte)), "acc_per_token": per_token.index(min(per_token))}
            yield {"file": path.stem, "id": question["id"], "bits": [round(b, 7) for b in bits], "n_tokens": [n for _, n, _ in answers],
                   "greedy": [g for _, _, g in answers], "picked": picked if question["choices"] else None}


def main():
    torch.set_num_threads(1)
    models = {name: list(records(Bundle(name))) for name in sys.argv[2:] or BUNDLES}
    versions = {"torch": torch.__version__, "sentencepiece": sentencepiece.__version__, "python": sys.version.split()[0]}
    text = ",\n".join(f" {json.dumps(name)}: [\n" + ",\n".join("  " + json.dumps(r) for r in rs) + "]" for name, rs in models.items())
    pathlib.Path(sys.argv[1]).write_text('{"versions": ' + json.dumps(versions) + ',\n"models": {\n' + text + "}}\n")


if __name__ == "__main__":
    main()
