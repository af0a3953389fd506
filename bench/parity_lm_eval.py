#!/usr/bin/env python3
"""lm-evaluation-harness 0.4.13's loglikelihood_rolling beside --convention lm-eval: total and each document.

usage: build/deps/hf/bin/python bench/parity_lm_eval.py --model BUNDLE.pt=HF_DIR ... --text FILE ... [--window 1024]
"""
import logging

import parity

args = parity.arguments(__doc__.splitlines()[0], window=0)
try:
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
except ImportError as e:
    parity.skip(f"{e}; scripts/hf_environment --peers")

logging.disable(logging.WARNING)
table = parity.Table(f"lm-eval {lm_eval.__version__} loglikelihood_rolling, batch 1")
for bundle, folder in args.models:
    peer = parity.Peer(folder)
    config = peer.model.config
    window = args.window or min(config.max_position_embeddings, 1024)
    harness = HFLM(pretrained=peer.model, tokenizer=peer.tokenizer, backend="causal", batch_size=1, max_length=window,
                   add_bos_token=False, device="cpu")
    for name, text in args.texts:
        documents = parity.documents_of(text, args.document_bytes)
        requests = [Instance(request_type="loglikelihood_rolling", doc={}, arguments=(d,), idx=i)
                    for i, d in enumerate(documents)]
        answers = harness.loglikelihood_rolling(requests, disable_tqdm=True)
        expected = {str(i): -x / parity.LN2 for i, x in enumerate(answers)}
        summary, bits = parity.evaluate(args, bundle, documents, "--convention", "lm-eval", "--window", str(window))
        table.row(bundle.stem, name, summary["n_bytes"], summary["n_scored"], sum(expected.values()), summary["bits"],
                  worst=parity.worst_document(expected, bits))
table.finish()
