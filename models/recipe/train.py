#!/usr/bin/env python3
"""Train one run of the demo family and keep checkpoints along the way.

usage: train.py DATA OUT SIZE TOKENIZER STEPS [--keep 100,1000] [--lr 0.02] ...
       TOKENIZER is `byte` or a SentencePiece .model; OUT/SIZE-KIND-STEP.pt are state dicts with their facts.

Muon (orthogonalised momentum; Jordan et al. 2024) on the blocks' matrices, AdamW on the embedding and the norms.
Warm-up, constant, linear decay over the last third: until the decay begins a run does not depend on STEPS, so
OUT/SIZE-KIND.state, saved as it goes, lets it be stopped, resumed, shortened or prolonged. One thread, fixed seed.
"""
import argparse
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from corpora import AREAS
from tinylm import build

CONTEXT = 512
TOKENS_PER_STEP = 4096
DECAY = 1 / 3  # of all steps
BYTE_VOCAB, BYTE_BOS = 257, 256


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @staticmethod
    def orthogonal(g: torch.Tensor) -> torch.Tensor:
        """Five steps of the quintic Newton-Schulz iteration: singular values to about 1."""
        a, b, c = 3.4445, -4.7750, 2.0315
        tall = g.shape[0] > g.shape[1]
        x = g.T if tall else g
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            s = x @ x.T
            x = a * x + (b * s + c * s @ s) @ x
        return x.T if tall else x

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                m = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = self.orthogonal(p.grad.lerp(m, group["momentum"]))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def encode(data: pathlib.Path, out: pathlib.Path, tokenizer: str):
    """(kind, vocabulary, BOS id, one id array an area)."""
    raw = [(data / "train" / f"{area}.txt").read_bytes() for area in AREAS]
    if tokenizer == "byte":
        return "byte", BYTE_VOCAB, BYTE_BOS, [np.frombuffer(text, np.uint8) for text in raw]
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=tokenizer)
    streams = []
    for area, text in zip(AREAS, raw):
        cache = out / f"ids-{area}.npy"
        if not cache.exists():
            ids = [i for line in text.decode().splitlines(keepends=True) for i in sp.encode(line)]
            np.save(cache, np.array(ids, np.uint16))
        streams.append(np.load(cache))
    return "sp", sp.get_piece_size(), sp.bos_id(), streams


def batch(step: int, streams, bos: int, context: int, seed: int = 0) -> torch.Tensor:
    """The ids of one step, int64 [B, context + 1]; areas in turn. A function of the step and the seed, so resuming is exact."""
    n = TOKENS_PER_STEP // context
    rng = np.random.default_rng([7, step] if seed == 0 else [7, step, seed])
    ids = np.empty((n, context + 1), np.int64)
    for row in range(n):
        stream = streams[(step * n + row) % len(streams)]
        at = rng.integers(0, len(stream) - context)
        ids[row] = stream[at : at + context + 1]
        if rng.random() < 0.5:  # a document's start: BOS, then text; the other half learns mid-document windows
            ids[row, 1:] = ids[row, :-1].copy()
            ids[row, 0] = bos
    return torch.from_numpy(ids)


def optimizers(model: torch.nn.Module, lr: float, adam_lr: float):
    """(Muon of the blocks' matrices, AdamW of the rest)."""
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and n != "embedding.weight"]
    others = [p for n, p in model.named_parameters() if p.dim() < 2 or n == "embedding.weight"]
    return Muon(matrices, lr), torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0,
                                                 fused=True)


def train_step(model, muon, adam, ids: torch.Tensor, rates: tuple[float, float], bf16: bool = False) -> float:
    """One step on ids [B, context + 1] at the learning rates of Muon and AdamW; the loss before it, in nats a token."""
    muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = rates
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(ids[:, :-1])
    loss = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
    model.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    muon.step()
    adam.step()
    return loss.item()


def learning_rate(step: int, steps: int) -> float:
    """The share of the full rate: warm-up, constant, linear decay."""
    decay_from = round(steps * (1 - DECAY))
    progress = max(0.0, (step - decay_from) / (steps - decay_from))
    return min(1.0, (step + 1) / 100) * (1 - 0.98 * progress)


def fit(model, streams, bos: int, steps: int, name: str, lr: float = 0.02, adam_lr: float = 0.004) -> None:
    """A whole run without checkpoints, on `streams` in turn."""
    muon, adam = optimizers(model, lr, adam_lr)
    mean_nll, began = None, time.process_time()
    for step in range(steps):
        rate = learning_rate(step, steps)
        nll = train_step(model, muon, adam, batch(step, streams, bos, CONTEXT), (lr * rate, adam_lr * rate))
        mean_nll = nll if mean_nll is None else 0.98 * mean_nll + 0.02 * nll
        if (step + 1) % 100 == 0:
            print(f"{name} {step + 1} {mean_nll / math.log(2):.4f} bits/token {time.process_time() - began:.0f} s",
                  flush=True)


def main() -> None:
    ap = argparse.ArgumentParser()
    for name in ("data", "out", "size", "tokenizer"):
        ap.add_argument(name)
    ap.add_argument("steps", type=int)
    ap.add_argument("--keep", default="")
    ap.add_argument("--lr", type=float, default=0.02)
    ap.add_argument("--adam-lr", type=float, default=0.004)
    ap.add_argument("--bf16", action="store_true")
    ap.add_argument("--seed", type=int, default=0, help="of the first weights and the order of the data")
    args = ap.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    out = pathlib.Path(args.out)
    kind, vocab, bos, streams = encode(pathlib.Path(args.data), out, args.tokenizer)
    model = build(args.size, vocab)
    muon, adam = optimizers(model, args.lr, args.adam_lr)
    state_file = out / f"{args.size}-{kind}.state"
    start, mean_nll, cpu_s = 0, None, 0.0
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        muon.load_state_dict(state["muon"])
        adam.load_state_dict(state["adam"])
        start, mean_nll, cpu_s = state["step"], state["mean_nll"], state["cpu_s"]
    keep = {int(s) for s in args.keep.split(",") if s} | {args.steps}
    decay_from = round(args.steps * (1 - DECAY))
    assert start <= decay_from or start == args.steps, f"{state_file} is past the decay of a {args.steps}-step run"
    began = time.process_time() - cpu_s
    for step in range(start, args.steps):
        rate = learning_rate(step, args.steps)
        ids = batch(step, streams, bos, CONTEXT, args.seed)
        nll = train_step(model, muon, adam, ids, (args.lr * rate, args.adam_lr * rate), args.bf16)
        mean_nll = nll if mean_nll is None else 0.98 * mean_nll + 0.02 * nll
        done = step + 1
        if done % 100 == 0:
            print(f"{args.size}-{kind} {done} {mean_nll / math.log(2):.4f} bits/token "
                  f"{time.process_time() - began:.0f} s", flush=True)
        if done % 250 == 0 and done <= decay_from:
            torch.save(dict(model=model.state_dict(), muon=muon.state_dict(), adam=adam.state_dict(), step=done,
                            mean_nll=mean_nll, cpu_s=time.process_time() - began), state_file.with_suffix(".tmp"))
            state_file.with_suffix(".tmp").rename(state_file)
        if done in keep:
            facts = dict(size=args.size, tokenizer=kind, vocab=vocab, bos=bos, step=done, of_steps=args.steps,
                         context=CONTEXT, tokens=done * TOKENS_PER_STEP, lr=args.lr, adam_lr=args.adam_lr,
                         cpu_s=round(time.process_time() - began))
            torch.save(dict(state=model.state_dict(), facts=facts), out / f"{args.size}-{kind}-{done}.pt")


if __name__ == "__main__":
    main()
