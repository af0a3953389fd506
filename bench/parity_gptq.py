#!/usr/bin/env python3
"""The perplexity of the quantisation papers (GPTQ, arXiv:2210.17323) in plain PyTorch beside --convention gptq: total.

Documents joined by blank lines, tokenised once, disjoint windows of L tokens, no BOS, the mean over L - 1 targets; the
exponential of the mean of the windows' means.

usage: build/deps/hf/bin/python bench/parity_gptq.py --model BUNDLE.pt=HF_DIR ... --text FILE ... [--window 2048]
"""
import math

import parity
import torch

args = parity.arguments(__doc__.splitlines()[0], window=2048)
table = parity.Table("GPTQ's protocol")
for bundle, folder in args.models:
    peer = parity.Peer(folder)
    window = min(args.window, peer.model.config.max_position_embeddings)
    for name, text in args.texts:
        documents = parity.documents_of(text, args.document_bytes)
        ids = peer.encode("\n\n".join(documents))
        losses, exact, rounded = [], 0.0, 0.0
        for k in range(len(ids) // window):
            part = ids[k * window : (k + 1) * window]
            logits = peer.logits(part)[:-1]
            losses.append(parity.nats(logits, part[1:]).double().mean().item())
            exact += parity.exact(logits, part[1:])
            rounded += parity.rounded(logits, part[1:], torch.mean)
        summary, _ = parity.evaluate(args, bundle, documents, "--convention", "gptq", "--window", str(window))
        total = sum(losses) * (window - 1) / parity.LN2
        table.row(bundle.stem, name, summary["n_bytes"], summary["n_scored"], total, summary["bits"])
        table.note(f"lmbits beside the same logits' cross entropy in double: {summary['bits'] * parity.LN2 / exact - 1:+.1e}")
        printed = summary["headline"].get("perplexity")
        table.note(f"perplexity {math.exp(sum(losses) / len(losses)):.6f}, lmbits {printed:.6f}; logits and each "
                   f"window's mean in bfloat16: {rounded / sum(losses) - 1:+.1e} of the bits")
table.finish()
