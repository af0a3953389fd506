"""scripts/export_hf on tiny models of random weights: every architecture proves itself, and lmbits scores the bundle as
PyTorch scores the original. Skipped where scripts/hf_environment has not been run.

usage: export_hf.py PROGRAM SOURCE_DIR [unittest's arguments]; LMBITS_ARCHITECTURES=all for more than the quick ones
"""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import harness

PYTHON = pathlib.Path("build/deps/hf/bin/python")
QUICK = ("gpt2", "gpt_neox", "llama3", "mistral", "gemma2", "mixtral", "falcon")

# Runs inside the environment: makes each model, exports it, scores two documents, prints a line of JSON for each.
WORKER = r'''
import argparse, json, pathlib, sys
import torch, transformers
source, out, names = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
sys.path.insert(0, str(source / "scripts"))
import export_hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, CONFIG_MAPPING
transformers.logging.set_verbosity_error(); transformers.utils.logging.disable_progress_bar(); torch.set_num_threads(1)
gpt = dict(vocab_size=300, bos_token_id=1, eos_token_id=2)
base = dict(gpt, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256, pad_token_id=0)
kv = dict(base, num_key_value_heads=2)
rope = lambda **k: dict(rope_parameters=dict(rope_theta=1e4, **k))
falcon = dict(gpt, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256)
MODELS = {
    "gpt2": ("gpt2", dict(gpt, n_embd=64, n_layer=2, n_head=4, n_positions=256)),
    "gpt_neox": ("gpt_neox", base), "gpt_neox_whole": ("gpt_neox", dict(base, rotary_pct=1.0)),
    "opt": ("opt", dict(gpt, hidden_size=64, ffn_dim=128, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256, word_embed_proj_dim=64)),
    "llama": ("llama", kv), "llama_tied": ("llama", dict(kv, tie_word_embeddings=True)),
    "llama3": ("llama", dict(kv, **rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128))),
    "llama_linear": ("llama", dict(kv, **rope(rope_type="linear", factor=4.0))),
    "llama_yarn": ("llama", dict(kv, **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=64))),
    "llama_dynamic": ("llama", dict(kv, **rope(rope_type="dynamic", factor=4.0, original_max_position_embeddings=64))),
    "mistral": ("mistral", dict(kv, sliding_window=32)), "mixtral": ("mixtral", dict(kv, num_local_experts=4, num_experts_per_tok=2)),
    "qwen2": ("qwen2", kv), "qwen2_window": ("qwen2", dict(kv, use_sliding_window=True, sliding_window=32, max_window_layers=1)),
    "qwen3": ("qwen3", dict(kv, head_dim=16)), "phi": ("phi", base), "phi3": ("phi3", kv), "gemma": ("gemma", dict(kv, head_dim=16)),
    "gemma2": ("gemma2", dict(kv, head_dim=16, sliding_window=32, query_pre_attn_scalar=16, final_logit_softcapping=30.0)),
    "gemma3": ("gemma3_text", dict(kv, head_dim=16, sliding_window=32, query_pre_attn_scalar=16)),
    "olmo": ("olmo", kv), "olmo2": ("olmo2", kv), "starcoder2": ("starcoder2", dict(kv, sliding_window=32)),
    "falcon": ("falcon", dict(falcon, alibi=False)), "falcon_new": ("falcon", dict(falcon, alibi=False, num_kv_heads=2, new_decoder_architecture=True)),
    "granite": ("granite", dict(kv, logits_scaling=4.0)), "stablelm": ("stablelm", kv),
    "falcon_alibi": ("falcon", dict(falcon, alibi=True)), "mamba": ("mamba", dict(gpt, hidden_size=64, num_hidden_layers=2)),
}
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE(vocab={"<pad>": 0, "<s>": 1, "</s>": 2, **{c: i + 3 for i, c in enumerate(letters)}}, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); tokenizer.decoder = decoders.ByteLevel()
documents = json.loads((out / "documents.json").read_text())
for name in names or MODELS:
    kind, config = MODELS[name]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**config), attn_implementation="eager").eval()
    for p in model.parameters():
        p.data += (0.05 if p.dim() == 1 else 0.1) * torch.randn_like(p)
    if name == "llama_tied":
        model = model.to(torch.bfloat16)
    folder = out / name
    model.save_pretrained(folder, max_shard_size="200KB")
    tokenizer.save(str(folder / "tokenizer.json"))
    answer = {"name": name, "refusal": None, "bits": []}
    try:
        answer["line"] = export_hf.export(folder, argparse.Namespace(out=out / f"{name}.pt", dtype=None, name=None, licence=None))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        for text in documents:
            ids = torch.tensor([[1] + tokenizer.encode(text, add_special_tokens=False).ids])
            with torch.inference_mode():
                logprobs = model(ids).logits[0, :-1].double().log_softmax(-1)
            answer["bits"].append(-logprobs.gather(1, ids[0, 1:, None]).sum().item() / 0.6931471805599453)
    except export_hf.Refusal as e:
        answer["refusal"] = str(e)
    print(json.dumps(answer), flush=True)
'''


class ExportHf(harness.ProgramTest):
    @classmethod
    def setUpClass(cls):
        if not (harness.SOURCE / PYTHON).exists():
            raise unittest.SkipTest("there is no build/deps/hf: scripts/hf_environment makes it")

    def test_each_architecture_is_exported_exactly_or_refused_by_name(self):
        texts = ["The quick brown fox jumps over the lazy dog. " * 4, "def f(x):\n    return x + 1\n", "x"]
        (self.folder / "documents.json").write_text(json.dumps(texts))
        corpus = self.folder / "c.jsonl"
        corpus.write_text("".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(texts)))
        names = () if os.environ.get("LMBITS_ARCHITECTURES") == "all" else (*QUICK, "falcon_alibi", "llama_tied")
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", "-c", WORKER, harness.SOURCE, self.folder, *names],
                              capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        refused = {}
        for line in done.stdout.splitlines():
            answer = json.loads(line)
            name = answer["name"]
            if answer["refusal"]:
                refused[name] = answer["refusal"]
                continue
            print(answer["line"], file=sys.stderr)
            run = self.finish(self.folder / f"{name}.pt", f"c={corpus}", self.folder / f"runs-{name}")
            records = {r["id"]: r["bits"] for r in harness.records_of(run)}
            context = json.loads((run / "manifest.json").read_text())["model"]["metadata"]["context_length"]
            for i, expected in enumerate(answer["bits"]):
                if len(texts[i]) >= context:  # several windows: not what the worker computed
                    continue
                self.assertLess(abs(records[str(i)] / expected - 1), 2e-6, (name, i, records[str(i)], expected))
            summary = json.loads((run / "summary.json").read_text())
            self.assertNotIn("libtorch's operators", " ".join(summary["warnings"]), name)
            # The model's own checkpoint, in shards, through the names that the exporter mapped.
            if name == "mixtral":  # its experts are joined when they are loaded: no tensor of the file is one
                outcome = harness.run(self.eval_arguments(self.folder / f"{name}.pt", f"c={corpus}",
                                                          self.folder / "sweep", "--weights", self.folder / name))
                self.assert_one_error(outcome, 5, "experts.down_proj is missing")
                continue
            self.assertEqual(self.swept(name, corpus), records, name)
        self.assertLessEqual({"falcon_alibi"}, set(refused))
        self.assertLessEqual(set(refused), {"falcon_alibi", "mamba"}, refused)
        self.assertIn("ALiBi", refused["falcon_alibi"])

    def swept(self, name, corpus):
        run = self.finish(self.folder / f"{name}.pt", f"c={corpus}", self.folder / f"sweep-{name}", "--weights",
                          self.folder / name)
        return {r["id"]: r["bits"] for r in harness.records_of(run)}


if __name__ == "__main__":
    harness.main()
