#!/usr/bin/env python3
"""The protocol of Huang et al. 2024 (arXiv:2404.09937) in plain PyTorch beside --convention hkust: total.

One stream, blocks of 1900 tokens (--block) every 512 (--stride); the first scores all its targets, the others their last
512. Windows longer than a model's context are made to fit, which changes the number and not the comparison.

usage: build/deps/hf/bin/python bench/parity_hkust.py --model BUNDLE.pt=HF_DIR ... --text FILE ... [--block N --stride N]
"""
import parity

args = parity.arguments(__doc__.splitlines()[0], block=1900, stride=512)
table = parity.Table("hkust's protocol")
for bundle, folder in args.models:
    peer = parity.Peer(folder)
    block = min(args.block, peer.model.config.max_position_embeddings)
    stride = min(args.stride, block // 2)
    for name, text in args.texts:
        documents = parity.documents_of(text, args.document_bytes)
        bos = peer.tokenizer.bos_token_id
        stream = [t for d in documents for t in [bos] + peer.encode(d)]
        total, exact, rounded, n = 0.0, 0.0, 0.0, 0
        for begin in range(0, len(stream) - block, stride):
            window = stream[begin : begin + block + 1]
            first = 0 if begin == 0 else block - stride
            logits, targets = peer.logits(window[:-1])[first:], window[first + 1 :]
            total += parity.nats(logits, targets).double().sum().item()
            exact += parity.exact(logits, targets)
            rounded += parity.rounded(logits, targets)
            n += block - first
        summary, _ = parity.evaluate(args, bundle, documents, "--convention", "hkust", "--window", str(block), "--stride",
                                     str(stride))
        assert summary["n_scored"] == n, (summary["n_scored"], n)
        table.row(bundle.stem, name, summary["n_bytes"], n, total / parity.LN2, summary["bits"])
        table.note(f"lmbits beside the same logits' cross entropy in double: {summary['bits'] * parity.LN2 / exact - 1:+.1e}; "
                   f"logits and each window's sum in bfloat16: {rounded / total - 1:+.1e}")
table.finish()
