#!/usr/bin/env python3
"""uncheatable_eval's protocol in plain PyTorch beside --convention uncheatable: total and each document.

Documents apart, chunks of 4000 tokens (--chunk), each after a BOS; the mean over documents cancels in bits/byte. The
published program casts the logits to bfloat16, so that a chunk's cross entropies are summed in bfloat16 too: what each of the
two changes is said below the row.

usage: build/deps/hf/bin/python bench/parity_uncheatable.py --model BUNDLE.pt=HF_DIR ... --text FILE ... [--chunk 4000]
"""
import parity
import torch

args = parity.arguments(__doc__.splitlines()[0], chunk=4000)
table = parity.Table("uncheatable_eval's protocol, add_bos")
for bundle, folder in args.models:
    peer = parity.Peer(folder)
    chunk = min(args.chunk, peer.model.config.max_position_embeddings)
    for name, text in args.texts:
        documents = parity.documents_of(text, args.document_bytes)
        expected, exact, cast, summed = {}, 0.0, 0.0, 0.0
        for i, document in enumerate(documents):
            ids, total = peer.encode(document), 0.0
            for begin in range(0, len(ids), chunk):
                targets = ids[begin : begin + chunk]
                logits = peer.logits(([peer.tokenizer.bos_token_id] + targets)[:-1])
                total += parity.nats(logits, targets).double().sum().item()
                exact += parity.exact(logits, targets)
                cast += parity.nats(logits, targets, torch.bfloat16).double().sum().item()
                summed += parity.rounded(logits, targets)
            expected[str(i)] = total / parity.LN2
        summary, bits = parity.evaluate(args, bundle, documents, "--convention", "uncheatable", "--window", str(chunk))
        total = sum(expected.values())
        table.row(bundle.stem, name, summary["n_bytes"], summary["n_scored"], total, summary["bits"],
                  worst=parity.worst_document(expected, bits))
        table.note(f"lmbits beside the same logits' cross entropy in double: {summary['bits'] * parity.LN2 / exact - 1:+.1e}")
        table.note(f"logits in bfloat16: {cast / parity.LN2 / total - 1:+.1e}; a chunk's sum too, as the published program has it: "
                   f"{summed / parity.LN2 / total - 1:+.1e}")
table.finish()
