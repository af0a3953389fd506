#!/usr/bin/env python3
"""Write a checkpoint of the demo family as a TorchScript bundle: fp16, level 3 of the contract (docs/formats.md).

usage: export.py CHECKPOINT.pt OUT.pt|OUT.pt2 [--tokenizer bpe2048.model] [--name NAME]
       CHECKPOINT is what train.py kept, or a bundle made earlier, which is then written anew from its own weights. OUT.pt2
       is a package of machine code for this version of torch, with the weights in OUT.safetensors.

The archive is a zip of stored entries, ROOT/...; its extra files are ROOT/extra/lmbits.json and, for SentencePiece,
ROOT/extra/tokenizer.model. Two exports of the same weights by the same torch are the same bytes: entries keep one
order and one date, and debug entries (source positions, with the paths of the machine that scripted them) are left out.

Before the file gets its name, it is loaded again and must show: the weights' logits, head(hidden(ids)) == forward(ids),
step after step == hidden(ids), causality, padding invariance, and a right hash. One line says so.
"""
import argparse
import io
import json
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from bundle_file import FORMAT, METADATA, archive_entries, content_hash, fix_hash_seed, read_entries, write_entries
from package_file import refuse_to_overwrite, write_package
from tinylm import SIZES, TinyLM, build

TOKENIZER = "extra/tokenizer.model"
SOURCE = ("models/recipe: trained from random weights on texts of the Debian packages r-cran-janeaustenr, "
          "libpython3.11-stdlib, libpython3.11-minimal and metamath-databases")
SHAPES = ((1, 1), (2, 7), (3, 64), (1, 512))  # [B,T] of the proof
MOST_STEPS = 64  # of the proof
LOGPROB_TOLERANCE = 0.1  # nats, worst of all logits on random ids: what rounding the weights to fp16 may cost
EXACT_TOLERANCE = 2e-4  # nats, the same weights by another path of fp32 sums


def is_bundle(path: pathlib.Path) -> bool:
    return METADATA in read_entries(path)


def from_checkpoint(path: pathlib.Path, tokenizer: bytes | None):
    """(the model in fp32, the facts that the weights do not tell, the tokenizer's file)"""
    saved = torch.load(path)
    facts = saved["facts"]
    model = build(facts["size"], facts["vocab"])
    model.load_state_dict(saved["state"])
    kind = {"byte": "bytes", "sp": "sentencepiece"}[facts["tokenizer"]]
    if kind == "sentencepiece" and tokenizer is None:
        raise SystemExit(f"{path} was trained with SentencePiece: give its model with --tokenizer")
    return model, dict(
        name=f"{facts['size']}-{facts['tokenizer']}-{facts['step']}",
        context_length=facts["context"], bos_id=facts["bos"], eos_id=None, tokenizer_kind=kind,
        step=facts["step"], of_steps=facts["of_steps"], tokens=facts["tokens"], source=facts.get("source", SOURCE),
    ), tokenizer if kind == "sentencepiece" else None


def from_bundle(path: pathlib.Path, tokenizer: bytes | None):
    """As from_checkpoint; the weights are then already rounded to fp16."""
    entries = read_entries(path)
    old = json.loads(entries[METADATA])
    if old["content_hash"] != content_hash(entries):
        raise SystemExit(f"{path}: content_hash is {old['content_hash']} in lmbits.json but the entries hash to "
                         f"{content_hash(entries)}: the file is damaged")
    state = torch.jit.load(str(path), map_location="cpu").float().state_dict()
    vocab, dim = state["embedding.weight"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    heads = {(d, n): h for d, n, h in SIZES.values()}[dim, layers]
    model = TinyLM(vocab, dim, layers, heads)
    model.load_state_dict(state)
    training = old["training"]
    return model, dict(
        name=old["name"], context_length=old["context_length"], bos_id=old["bos_id"], eos_id=old["eos_id"],
        tokenizer_kind=old["tokenizer"]["kind"], step=training["step"], of_steps=training["of_steps"],
        tokens=training["tokens"], source=old["source"],
    ), entries.get(TOKENIZER, tokenizer)


def metadata(model: TinyLM, facts: dict) -> dict:
    vocab, dim = model.embedding.weight.shape
    total = sum(p.numel() for p in model.parameters())
    embedding = vocab * dim  # tied with the head: counted once
    # Forward and backward, 2 + 4 FLOP a multiply-add of a weight: 6 (N_non_embedding + V D) a token. V D is the head's
    # product (tied or not); looking an embedding up costs nothing, attention's T-dependent products are left out.
    flops = 6 * (total - embedding + vocab * dim) * facts["tokens"]
    sentencepiece = facts["tokenizer_kind"] == "sentencepiece"
    return {
        "format": FORMAT,
        "name": facts["name"],
        "context_length": facts["context_length"],
        "vocab_size": vocab,
        "padded_vocab_size": vocab,
        "bos_id": facts["bos_id"],
        "eos_id": facts["eos_id"],
        "tokenizer": {"kind": facts["tokenizer_kind"], "file": "tokenizer.model" if sentencepiece else None},
        "parameters": {"total": total, "non_embedding": total - embedding, "embedding": embedding},
        "shape": {"hidden": dim, "layers": len(model.blocks), "heads": model.blocks[0].n_heads},
        "training": {"step": facts["step"], "of_steps": facts["of_steps"], "tokens": facts["tokens"], "flops": flops},
        "dtype": "float16",
        "logit_softcap": None,
        "logit_scale": None,
        "licence": "as lmbits itself (LICENSE)",
        "source": facts["source"],
    }


def check_tokenizer(facts: dict, vocab: int, tokenizer: bytes | None) -> None:
    if facts["tokenizer_kind"] != "sentencepiece":
        return
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    if sp.get_piece_size() != vocab or sp.bos_id() != facts["bos_id"]:
        raise SystemExit(f"the tokenizer has {sp.get_piece_size()} pieces and BOS {sp.bos_id()}, the model {vocab} "
                         f"rows and BOS {facts['bos_id']}: not the tokenizer it was trained with")


def in_fp16(model: TinyLM) -> TinyLM:
    copy = TinyLM(*model.embedding.weight.shape, len(model.blocks), model.blocks[0].n_heads)
    copy.load_state_dict(model.state_dict())
    return copy.to(torch.float16).eval()


@torch.inference_mode()
def prove(path: pathlib.Path, model: TinyLM) -> float:
    """Checks the file at `path` against the fp32 weights; returns the worst change of a log-probability, in nats."""
    entries = read_entries(path)
    info = json.loads(entries[METADATA])
    assert info["content_hash"] == content_hash(entries), "the hash does not survive the second write"
    loaded = torch.jit.load(str(path), map_location="cpu")
    assert all(p.dtype == torch.float16 for p in loaded.parameters()), "weights are not fp16"
    loaded = loaded.float().eval()
    model.eval()
    assert loaded.head_weight().shape == (info["padded_vocab_size"], model.dim)
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for B, T in SHAPES:
        ids = torch.randint(0, info["vocab_size"], (B, T), generator=generator)
        logits = loaded(ids)  # [B,T,V]
        assert logits.shape == (B, T, info["vocab_size"]) and logits.isfinite().all()
        change = (logits.log_softmax(-1) - model(ids).log_softmax(-1)).abs().max().item()
        worst = max(worst, change)
        assert change < LOGPROB_TOLERANCE, f"fp16 weights change a log-probability by {change:.2g} nats at B={B} T={T}"
        h = loaded.hidden(ids)  # [B,T,D]
        rows = loaded.head(h.flatten(0, 1))  # [B*T,V]
        assert (rows - logits.flatten(0, 1)).abs().max() < EXACT_TOLERANCE, "head(hidden(ids)) is not forward(ids)"
        assert (h @ loaded.head_weight().T - logits).abs().max() < EXACT_TOLERANCE, "head_weight is not head"
        state: list[torch.Tensor] = []
        for t in range(min(T, MOST_STEPS)):
            stepped, state = loaded.step(ids[:, t : t + 1], state)  # [B,1,D]
            assert (stepped[:, 0] - h[:, t]).abs().max() < EXACT_TOLERANCE, f"step {t} is not hidden(ids)[:, {t}]"
        if T > 1:
            later = ids.clone()
            later[:, T // 2 :] = (later[:, T // 2 :] + 1) % info["vocab_size"]
            difference = (loaded(later)[:, : T // 2] - logits[:, : T // 2]).abs().max()
            assert difference < EXACT_TOLERANCE, f"not causal: a later id changes an earlier row by {difference:.2g}"
            assert (loaded(later)[:, T // 2] - logits[:, T // 2]).abs().max() > EXACT_TOLERANCE, "ids are ignored"
        padded = torch.nn.functional.pad(ids, (0, 5), value=0)
        difference = (loaded(padded)[:, :T] - logits).abs().max()
        assert difference < EXACT_TOLERANCE, f"right padding changes a logit by {difference:.2g}"
    return worst


def write_bundle(out: pathlib.Path, model: TinyLM, facts: dict, tokenizer: bytes | None) -> None:
    """The bundle, proved, under its name; says so in one line."""
    entries = archive_entries(torch.jit.script(in_fp16(model)), io.BytesIO())
    if tokenizer is not None:
        entries[TOKENIZER] = tokenizer
    info = metadata(model, facts)
    info["content_hash"] = content_hash(entries)
    entries[METADATA] = (json.dumps(info, indent=1) + "\n").encode()
    partial = out.with_suffix(".partial")
    write_entries(partial, facts["name"], entries)
    worst = prove(partial, model)
    partial.rename(out)
    overhead = out.stat().st_size - 2 * info["parameters"]["total"] - len(tokenizer or b"")
    print(f"{out.name}: {info['parameters']['total']} parameters, {out.stat().st_size} bytes ({overhead} not "
          f"weights or tokenizer), fp16 changes log-probabilities by at most {worst:.1e} nats, {info['content_hash']}")


@torch.no_grad()
def write_pt2(out: pathlib.Path, model: TinyLM, facts: dict, tokenizer: bytes | None) -> None:
    """The same as a package of machine code."""
    rounded, info = in_fp16(model).float(), metadata(model, facts)
    names = {"tensors": {f"model.{n}": n for n, _ in rounded.named_parameters()}, "unused": []}

    def prove_it(hidden, head):
        for B, T in SHAPES:
            ids = torch.arange(B * T).reshape(B, T) * 7919 % info["vocab_size"]
            logits = head(hidden(ids).flatten(0, 1)).view(B, T, -1)
            difference = (logits.log_softmax(-1) - rounded(ids).log_softmax(-1)).abs().max().item()
            assert difference < EXACT_TOLERANCE, f"compiled, a log-probability differs by {difference:.2g} at B={B} T={T}"

    how = write_package(out, rounded, lambda m, ids: m.hidden(ids), lambda m, h: m.head(h), "embedding.weight", None, info,
                        names, torch.float16, {} if tokenizer is None else {TOKENIZER: tokenizer}, prove_it)
    print(f"{out.name}: {info['parameters']['total']} parameters, {how}")


def main() -> None:
    fix_hash_seed()
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("checkpoint", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path)
    ap.add_argument("--tokenizer", type=pathlib.Path, help="the SentencePiece model a checkpoint was trained with")
    ap.add_argument("--name", help="default: SIZE-KIND-STEP, or the given bundle's own")
    args = ap.parse_args()
    if args.out.suffix == ".pt2":
        refuse_to_overwrite(args.out, args.checkpoint)
    torch.set_num_threads(1)
    given = args.tokenizer.read_bytes() if args.tokenizer else None
    read = from_bundle if is_bundle(args.checkpoint) else from_checkpoint
    model, facts, tokenizer = read(args.checkpoint, given)
    facts["name"] = args.name or facts["name"]
    check_tokenizer(facts, model.embedding.weight.shape[0], tokenizer)
    write = write_pt2 if args.out.suffix == ".pt2" else write_bundle
    write(args.out, model, facts, tokenizer)


if __name__ == "__main__":
    main()
