#!/usr/bin/env python3
"""Bits and picks of the committed questions, by a second implementation: what `lmbits choice` is tested against.

usage: make_choice_reference.py OUT.json [BUNDLE ...]
       make_choice_reference.py --check FOLDER [--shots N] [--hf] QUESTIONS.jsonl ...
       The second compares what `lmbits choice -o FOLDER` answered, for every model of models/demo in it, and exits with 1
       where a pick differs, or bits do by more than 1e-5 of them. --hf: transformers' Llama and tokenizer in the bundles' place,
       from the folders that demo_to_hf.py writes.

Nothing of src/ is imported, of models/ only what demo_to_hf.py needs: plain PyTorch on the bundles as TorchScript, one
continuation at a time, without batches or shared rows, float64 log-softmax; sentencepiece for the tokens. The rule is that
of lm-evaluation-harness (0.4):
white space at the end of the context moves to the continuation, the two are encoded as a whole, as many tokens as the
context alone has are the context's; BOS before all; the last context_length + 1 ids count.
Shots: the N questions of the same kind and area whose ids have the smallest XXH3-128, "context answer" each, a blank line
between.
Needs torch and sentencepiece (their versions are in the file), xxhash for shots, and transformers for --hf.
"""
import argparse
import json
import math
import pathlib
import sys
import tempfile
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

    def logits(self, ids):
        return self.module(ids)

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
        logits = self.logits(torch.tensor([ids[:-1]]))[0, -len(targets):, :self.vocabulary].double()
        nats = torch.log_softmax(logits, -1)
        bits = -sum(nats[i, target].item() for i, target in enumerate(targets)) / math.log(2)
        return bits, len(targets), all(logits[i].argmax().item() == target for i, target in enumerate(targets))


class HuggingFace(Bundle):
    """The bundle as a folder, and of the folder what transformers makes of it."""

    def __init__(self, name):
        import demo_to_hf
        import transformers

        transformers.utils.logging.disable_progress_bar()
        with tempfile.TemporaryDirectory() as folder:
            demo_to_hf.convert(ROOT / "models" / "demo" / f"{name}.pt", pathlib.Path(folder))
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.bos, self.room = self.tokenizer.bos_token_id, self.model.config.max_position_embeddings
        self.vocabulary = self.model.config.vocab_size

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def logits(self, ids):
        return self.model(ids).logits


def sample(lines):
    by_kind = {}
    for line in lines:
        question = json.loads(line)
        by_kind.setdefault(question["kind"], []).append(question)
    return [q for questions in by_kind.values() for q in questions[::len(questions) // PER_KIND][:PER_KIND]]


def gold(question):
    return question["choices"][question["answer"]] if question["choices"] else question["answer"]


def with_shots(questions, question, n):
    if n == 0:
        return question["context"]
    import xxhash

    others = [q for q in questions if q is not question and q["kind"] == question["kind"] and q["area"] == question["area"]]
    others.sort(key=lambda q: xxhash.xxh3_128_hexdigest(q["id"].encode()))
    return "".join(q["context"] + gold(q) + "\n\n" for q in others[:n]) + question["context"]


def record(bundle, question, context):
    continuations = question["choices"] or [question["answer"]]
    answers = [bundle.answer(context, c) for c in continuations]
    bits = [b for b, _, _ in answers]
    per_byte = [b / len(c.encode()) for b, c in zip(bits, continuations)]
    per_token = [b / n for b, n, _ in answers]
    picked = {"acc": bits.index(min(bits)), "acc_norm": per_byte.index(min(per_byte)), "acc_per_token": per_token.index(min(per_token))}
    return {"id": question["id"], "bits": [round(b, 7) for b in bits], "n_tokens": [n for _, n, _ in answers],
            "greedy": [g for _, _, g in answers], "picked": picked if question["choices"] else None}


def records(bundle):
    for path in sorted((ROOT / "models" / "benchmarks").glob("cloze-*.jsonl")):
        for question in sample(path.read_text().splitlines()):
            yield {"file": path.stem, **record(bundle, question, question["context"])}


def make(out, bundles):
    models = {name: list(records(Bundle(name))) for name in bundles or BUNDLES}
    versions = {"torch": torch.__version__, "sentencepiece": sentencepiece.__version__, "python": sys.version.split()[0]}
    text = ",\n".join(f" {json.dumps(name)}: [\n" + ",\n".join("  " + json.dumps(r) for r in rs) + "]" for name, rs in models.items())
    pathlib.Path(out).write_text('{"versions": ' + json.dumps(versions) + ',\n"models": {\n' + text + "}}\n")


def differences(ours, reference):
    for key in ("picked", "greedy", "n_tokens"):
        if ours.get(key) != reference[key]:
            yield f"{key} {ours.get(key)}, here {reference[key]}"
    for a, b in zip(ours["bits"], reference["bits"], strict=True):
        if abs(a - b) > 1e-5 * max(b, 1.0):
            yield f"bits {a}, here {b}"


def check(folder, shots, files, side):
    """A line a model; the number of differences."""
    n_wrong = n_models = n_picks = n_other = 0
    most = 0.0
    for path in sorted((ROOT / "models" / "demo").glob("*.pt")):
        logs = {f: folder / "answers" / f"{path.stem}__{f.stem}.jsonl" for f in files}
        if not all(log.exists() for log in logs.values()):
            continue
        bundle, n, worst, wrong = side(path.stem), 0, 0.0, []
        for file, log in logs.items():
            answers = {a["id"]: a for a in map(json.loads, log.read_text().splitlines()[1:])}
            questions = [json.loads(line) for line in file.read_text().splitlines()]
            for question in questions:
                reference = record(bundle, question, with_shots(questions, question, shots))
                ours = answers[question["id"]]
                wrong += [f"{question['id']}: {d}" for d in differences(ours, reference)]
                worst = max([worst] + [abs(a - b) for a, b in zip(ours["bits"], reference["bits"])])
                picks = reference["picked"] or {"greedy": reference["greedy"]}
                n_picks += len(picks)
                n_other += sum((ours.get("picked") or ours).get(kind) != pick for kind, pick in picks.items())
                n += 1
        print(f"{path.stem}: {n} questions, {shots} shots, {len(wrong)} differences, at most {worst:.1e} bits",
              *wrong[:5], sep="\n  ", flush=True)
        n_wrong += len(wrong)
        n_models += 1
        most = max(most, worst)
    print(f"{n_models} models, {n_picks} picks, {n_other} of them others; {n_wrong} differences, at most {most:.1e} bits")
    return n_wrong if n_models else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="*")
    parser.add_argument("--check", type=pathlib.Path)
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--hf", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.check:
        files, side = [pathlib.Path(f) for f in arguments.out], HuggingFace if arguments.hf else Bundle
        sys.exit(1 if check(arguments.check, arguments.shots, files, side) else 0)
    if not arguments.out:
        parser.error("give OUT.json, or --check")
    make(arguments.out[0], arguments.out[1:])


if __name__ == "__main__":
    main()
