#!/usr/bin/env python3
"""Checkpoints of one family: one `lmbits eval --weights` beside a process of lm-eval for each. CPU time of whole processes.

The checkpoints are the folder's weights with noise of 1 % in every matrix, from seeds. Both score the same documents; their
bits per byte must agree to 1e-5. lm-eval runs its own command line on an offline task of one file.

usage: build/deps/hf/bin/python bench/sweep.py --model NAME.pt=HF_DIR --text FILE [--bytes 60000] [--checkpoints 20]
           (the family's bundle is exported from HF_DIR by scripts/export_hf)
"""
import json
import pathlib
import sys
import tempfile

import parity

args = parity.arguments(__doc__.splitlines()[0], checkpoints=20)
try:
    import lm_eval
except ImportError as e:
    parity.skip(f"{e}; scripts/hf_environment --peers")
from safetensors.torch import load_file, save_file
import torch

TASK = """task: lines
dataset_path: json
dataset_kwargs:
  data_files:
    test: {documents}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: bits_per_byte
metadata:
  version: 1.0
"""


def write_checkpoints(folder, out):
    """Folders that transformers opens: the weights with noise, everything else linked."""
    weights = load_file(folder / "model.safetensors")
    for step in range(args.checkpoints):
        draw = torch.Generator().manual_seed(step)
        path = out / f"step{step:03}"
        path.mkdir()
        noisy = {name: w * (1 + 0.01 * torch.randn(w.shape, generator=draw)) if w.dim() == 2 else w
                 for name, w in weights.items()}
        save_file(noisy, str(path / "model.safetensors"), metadata={"format": "pt"})
        for file in folder.iterdir():
            if file.suffix != ".safetensors":
                (path / file.name).symlink_to(file.resolve())
        yield path


def lm_eval_bits(path, out, context):
    results = out / (path.name + "-results")
    seconds, _, _ = parity.run(
        [sys.executable, "-m", "lm_eval", "--model", "hf", "--tasks", "lines", "--include_path", out, "--device", "cpu",
         "--batch_size", 1, "--output_path", results, "--model_args",
         f"pretrained={path},dtype=float32,max_length={context},add_bos_token=False"],
        OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_DATASETS_CACHE=str(out / "cache"))
    found = json.loads(next(results.rglob("results*.json")).read_text())
    return seconds, found["results"]["lines"]["bits_per_byte,none"]


(bundle, folder), = args.models
(name, text), = args.texts
documents = parity.documents_of(text, args.document_bytes)
context = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
with tempfile.TemporaryDirectory() as temporary:
    out = pathlib.Path(temporary)
    family = out / "family.pt"
    parity.run([sys.executable, parity.ROOT / "scripts/export_hf.py", folder, "-o", family])
    (out / "documents.jsonl").write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
    (out / "lines.yaml").write_text(TASK.format(documents=out / "documents.jsonl"))
    checkpoints = list(write_checkpoints(folder, out))
    corpus = out / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"id": str(i), "text": d}) + "\n" for i, d in enumerate(documents)))
    ours, _, _ = parity.run([args.lmbits, "eval", "--model", family, "--weights", out / "step*/model.safetensors", "--corpus",
                             f"c={corpus}", "--convention", "lm-eval", "--baselines", "none", "--threads", 1, "--quiet",
                             "-o", out / "runs"])
    theirs, worst, n_scored = 0.0, 0.0, 0
    for path in checkpoints:
        seconds, expected = lm_eval_bits(path, out, context)
        theirs += seconds
        run = next((out / "runs").glob(f"*{path.name}__*"))
        summary = json.loads((run / "summary.json").read_text())
        n_scored += summary["n_scored"]
        worst = max(worst, abs(summary["bits"] / summary["n_bytes"] / expected - 1))
    print(f"{bundle.stem}, {name}: {len(checkpoints)} checkpoints, {n_scored} tokens scored in all; CPU seconds: lm-eval "
          f"{lm_eval.__version__} {theirs:.1f}, lmbits {ours:.1f}: {theirs / ours:.1f} times; worst difference of bits/byte "
          f"{worst:.1e}; load {parity.os.getloadavg()[0]:.1f}")
    sys.exit(1 if worst > 1e-5 else 0)
