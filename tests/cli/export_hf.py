"""scripts/export_hf on tiny models of random weights: every architecture proves itself, and lmbits scores the bundle as
PyTorch scores the original; and on stories260K, a real one, against its published equations written out in NumPy. Skipped
where scripts/hf_environment has not been run.

usage: export_hf.py PROGRAM SOURCE_DIR [unittest's arguments]; LMBITS_ARCHITECTURES="mistral phi", or all, instead of the quick ones
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import unittest
import zipfile

import harness

PYTHON = pathlib.Path("build/deps/hf/bin/python")
QUICK = ("gpt2", "gpt_neox", "llama3", "mistral", "gemma2", "mixtral", "falcon", "llama_tied", "llama_float16",
         "llama_f32_gguf", "llama_q4_1_gguf")
REFUSED = {  # what each says, in this order
    "falcon_alibi": ["transformer.h.0.self_attention: it places positions by ALiBi"],
    "mamba": ["backbone.layers.0: the configuration of mamba states no max_position_embeddings"],
    "gpt_oss": ["model.layers.0.self_attn: it has attention sinks"],
    "gemma3_both_ways": ["model.layers.0.self_attn: its attention is not causal"],
    "llama_missing": ["model.layers.1.mlp.up_proj.weight is not in the checkpoint"],
    "llama_headless": ["lm_head.weight is not in the checkpoint"],
    "llama_narrow": ["model.layers.1.mlp.down_proj.weight is stored as [64, 127], its configuration makes it [64, 128]"],
    "llama_truncated": [".safetensors is not a whole file of weights: "],
    "llama_missing_f32_gguf": ["model.norm.weight is not in the checkpoint"],
    "llama_altered": ["model.layers.1: rewritten without its mask, it differs from the original by "],
    "llama_altered_trace": ["the export failed its proof: it changes a log-probability by ", ", first at model.layers.1, by "],
}

# Runs inside the environment: makes each model, exports it, scores two documents, prints a line of JSON for each.
WORKER = r'''
import argparse, json, pathlib, sys
import torch, transformers
from safetensors.torch import load_file, save_file
source, out, names = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
sys.path.insert(0, str(source / "scripts"))
import canonical_hf, export_hf
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
    "gpt_oss": ("gpt_oss", dict(kv, head_dim=16, num_local_experts=2, num_experts_per_tok=1)),
    "gemma3_both_ways": ("gemma3_text", dict(kv, head_dim=16, sliding_window=32, query_pre_attn_scalar=16, use_bidirectional_attention=True)),
}
def edit(folder, key, change):  # of the file that holds the tensor
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        if key in tensors:
            change(tensors)
            save_file(tensors, path, metadata={"format": "pt"})
def drop(key):
    return lambda folder: edit(folder, key, lambda tensors: tensors.pop(key))
def narrow(folder, key="model.layers.1.mlp.down_proj.weight"):
    edit(folder, key, lambda tensors: tensors.update({key: tensors[key][:, :-1].contiguous()}))
def truncate(folder):
    path = sorted(folder.glob("*.safetensors"))[-1]
    path.write_bytes(path.read_bytes()[:-100])
def write_gguf(path, model, kind, without=None):
    """As llama.cpp's converter does: rows of q and k in another order, matrices of `kind`. `model` gets what is left of its weights."""
    import gguf
    kind, c = gguf.GGMLQuantizationType[kind.upper()], model.config
    out, names = gguf.GGUFWriter(path, "llama"), gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    out.add_context_length(c.max_position_embeddings); out.add_embedding_length(c.hidden_size); out.add_block_count(c.num_hidden_layers)
    out.add_feed_forward_length(c.intermediate_size); out.add_head_count(c.num_attention_heads); out.add_head_count_kv(c.num_key_value_heads)
    out.add_layer_norm_rms_eps(c.rms_norm_eps); out.add_rope_freq_base(1e4); out.add_vocab_size(c.vocab_size)
    out.add_tokenizer_model("gpt2"); out.add_tokenizer_pre("gpt-2"); out.add_bos_token_id(1); out.add_eos_token_id(2)
    more = [f"<unused{i}>" for i in range(c.vocab_size - len(pieces))]
    out.add_token_list(pieces + more); out.add_token_types([3] * 3 + [1] * (len(pieces) - 3) + [5] * len(more)); out.add_token_merges(["t h"])
    for name, p in model.named_parameters():
        stored = kind if p.dim() == 2 else gguf.GGMLQuantizationType.F32
        w = gguf.quants.dequantize(gguf.quants.quantize(p.detach().numpy(), stored), stored)
        p.data = torch.tensor(w)
        if "q_proj" in name or "k_proj" in name:
            heads = c.num_attention_heads if "q_proj" in name else c.num_key_value_heads
            w = w.reshape(heads, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        if name != without:
            out.add_tensor(names.get_name(name.removesuffix(".weight")) + ".weight", gguf.quants.quantize(w, stored), raw_dtype=stored)
    out.write_header_to_file(); out.write_kv_data_to_file(); out.write_tensors_to_file(); out.close()
DAMAGE = {"llama_missing": drop("model.layers.1.mlp.up_proj.weight"), "llama_headless": drop("lm_head.weight"),
          "llama_narrow": narrow, "llama_truncated": truncate}
# Exporters that get something wrong.
def altered_attention(module, *inputs, own=canonical_hf.attention, **more):
    out, weights = own(module, *inputs, **more)
    return out * (1.05 if module.layer_idx == 1 else 1.0), weights
def altered_trace(*inputs, own=export_hf.trace, **more):
    traced = own(*inputs, **more)
    dict(traced.named_parameters())["model.model.layers.1.mlp.up_proj.weight"].data *= 1.05
    return traced
ALTERED = {"llama_altered": (canonical_hf, "attention", altered_attention), "llama_altered_trace": (export_hf, "trace", altered_trace)}
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
pieces = ["<pad>", "<s>", "</s>", *letters, "th"]
tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[("t", "h")]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); tokenizer.decoder = decoders.ByteLevel()
documents = json.loads((out / "documents.json").read_text())
for name in MODELS if names == ["all"] else names:
    kind, config = MODELS.get(name) or MODELS[name.partition("_")[0]]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**config), attn_implementation="eager").eval()
    for p in model.parameters():
        p.data += (0.05 if p.dim() == 1 else 0.1) * torch.randn_like(p)
    if name == "llama_tied":
        model = model.to(torch.bfloat16)
    folder = out / name
    model.save_pretrained(folder, max_shard_size="200KB")
    tokenizer.save(str(folder / "tokenizer.json"))
    DAMAGE.get(name, id)(folder)
    source = folder
    if name.endswith("_gguf"):
        source = folder / "model.gguf"
        write_gguf(source, model, name.split("_", 1)[1].removeprefix("missing_").removesuffix("_gguf"), "model.norm.weight" if "missing" in name else None)
    answer = {"name": name, "refusal": None, "bits": []}
    dtype = "float16" if name.endswith("_float16") else None
    place, attribute, other = ALTERED.get(name, (export_hf, "export", export_hf.export))
    own = getattr(place, attribute)
    try:
        setattr(place, attribute, other)
        answer["line"] = export_hf.export(source, argparse.Namespace(out=out / f"{name}.pt", dtype=dtype, name=None, licence=None))
        if source == folder:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        for p in model.parameters() if dtype else ():  # not the tables of positions
            p.data = p.data.to(getattr(torch, dtype)).float()
        for text in documents:
            ids = torch.tensor([[1] + tokenizer.encode(text, add_special_tokens=False).ids])
            with torch.inference_mode():
                logprobs = model(ids).logits[0, :-1].double().log_softmax(-1)
            answer["bits"].append(-logprobs.gather(1, ids[0, 1:, None]).sum().item() / 0.6931471805599453)
    except export_hf.Refusal as e:
        answer["refusal"] = str(e)
    finally:
        setattr(place, attribute, own)
    print(json.dumps(answer), flush=True)
'''


# The model of a llama2.c checkpoint from its file alone, in float64: what it says after "Once upon a time" when it always says
# what it finds most probable, and the bits of a text.
ORACLE = r'''
import json, struct, sys
import numpy as np
model, tokenizer, text = sys.argv[1:]
data = open(model, "rb").read()
D, F, L, H, G, V, T = struct.unpack_from("<7i", data)
S, at = D // H, 28
def take(*shape):
    global at
    n = int(np.prod(shape))
    w = np.frombuffer(data, "<f4", n, at).reshape(shape).astype(np.float64)
    at += 4 * n
    return w
E, a_norm, wq, wk, wv = take(V, D), take(L, D), take(L, D, D), take(L, G * S, D), take(L, G * S, D)
wo, m_norm, w1, w2, w3, norm = take(L, D, D), take(L, D), take(L, F, D), take(L, D, F), take(L, F, D), take(D)
rms = lambda x, g: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * g
def turn(x):  # [T,heads,S]: neighbouring columns are one complex number
    angle = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(0, S, 2) / S)
    z = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * angle)[:, None]
    return np.stack((z.real, z.imag), -1).reshape(x.shape)
def logits(ids):
    x, n = E[ids], len(ids)
    for i in range(L):
        y = rms(x, a_norm[i])
        q, k, v = (y @ wq[i].T).reshape(n, H, S), (y @ wk[i].T).reshape(n, G, S), (y @ wv[i].T).reshape(n, G, S)
        q, k, v = turn(q), np.repeat(turn(k), H // G, 1), np.repeat(v, H // G, 1)
        scores = np.einsum("thc,shc->hts", q, k) / np.sqrt(S) + np.where(np.tri(n), 0, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        x = x + np.einsum("hts,shc->thc", p / p.sum(-1, keepdims=True), v).reshape(n, D) @ wo[i].T
        y = rms(x, m_norm[i])
        gate = y @ w1[i].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w3[i].T)) @ w2[i].T
    return rms(x, norm) @ E.T
raw, at, pieces = open(tokenizer, "rb").read(), 4, []
while at < len(raw):
    score, n = struct.unpack_from("<fi", raw, at)
    pieces.append((raw[at + 8 : at + 8 + n], score))
    at += 8 + n
index = {piece: i for i, (piece, _) in enumerate(pieces) if i > 258}
def encode(text):  # a space first; then, again and again, the two neighbours that make the best piece become one
    parts = []
    for c in (" " + text).encode().decode():
        b = c.encode()
        parts += [index[b]] if b in index else [3 + byte for byte in b]
    while True:
        join = [(pieces[index[pieces[a][0] + pieces[b][0]]][1], -i) for i, (a, b) in enumerate(zip(parts, parts[1:]))
                if a > 258 and b > 258 and pieces[a][0] + pieces[b][0] in index]
        if not join:
            return parts
        i = -max(join)[1]
        parts[i : i + 2] = [index[pieces[parts[i]][0] + pieces[parts[i + 1]][0]]]
ids = [1] + encode(text)
rows = logits(ids)[:-1]
rows = rows - rows.max(-1, keepdims=True)
bits = -(rows[np.arange(len(ids) - 1), ids[1:]] - np.log(np.exp(rows).sum(-1))).sum() / np.log(2)
said = [1] + encode("Once upon a time")
while len(said) < 120:
    said.append(int(logits(said)[-1].argmax()))
greedy = b"".join(bytes([i - 3]) if 3 <= i < 259 else pieces[i][0] for i in said[1:]).decode()[1:]
print(json.dumps({"bits": bits, "n": len(ids) - 1, "greedy": greedy, "same": encode(greedy) == said[1:]}))
'''

STORY = ("Once upon a time, there was a little dog named Max. Max liked to run in the park with his friend Lily. One day they "
         "found a big, shiny stone under a tree.\n\"What is it?\" asked Lily. Max did not know 42 caf\u00e9s, but he was happy.")


class Llama2C(harness.ProgramTest):
    """llama2.c's stories260K: stories260K.bin and tok512.bin in data/models of $LMBITS_SHARED, or of the folder "shared" beside
    the source's."""

    def setUp(self):
        super().setUp()
        if not (harness.SOURCE / PYTHON).exists():
            self.skipTest("there is no build/deps/hf: scripts/hf_environment makes it")
        self.models = pathlib.Path(os.environ.get("LMBITS_SHARED") or harness.SOURCE.parent / "shared") / "data/models"
        if not (self.models / "stories260K.bin").exists():
            self.skipTest(f"there is no {self.models}/stories260K.bin: LMBITS_SHARED may name the folder above data")

    def python(self, *arguments):
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", *map(str, arguments)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return done.stdout

    def test_its_bits_and_what_it_says_are_those_of_its_equations(self):
        files = self.models / "stories260K.bin", self.models / "tok512.bin"
        self.python(harness.SOURCE / "scripts/llama2c_to_hf.py", *files, self.folder / "hf")
        bundle = self.folder / "stories260K.pt"
        print(self.python(harness.SOURCE / "scripts/export_hf.py", self.folder / "hf", "-o", bundle), file=sys.stderr)
        expected = json.loads(self.python("-c", ORACLE, *files, STORY))
        corpus = self.folder / "story.txt"
        corpus.write_text(STORY)
        run = self.finish(bundle, f"c={corpus}", self.folder / "runs")
        (record,) = harness.records_of(run)
        self.assertTrue(record["lossless"])
        self.assertEqual(record["n_tokens"], expected["n"])
        self.assertLess(abs(record["bits"] / expected["bits"] - 1), 2e-6, (record["bits"], expected["bits"]))
        print(f"story: {record['bits']:.4f} bits, {record['bits'] * 0.6931471805599453 / expected['n']:.4f} nats/token; "
              f"greedy: {expected['greedy']!r}", file=sys.stderr)
        # Greedy text: a "next" question whose answer is all of it, and the same with one word changed.
        self.assertTrue(expected["same"], "its own text is encoded otherwise than it was said")
        start = "Once upon a time"
        said = expected["greedy"][len(start) :]
        words = said.split(" ")
        other = " ".join([*words[:9], "zebra", *words[10:]])
        questions = self.folder / "q.jsonl"
        questions.write_text("".join(json.dumps({"id": str(i), "area": "stories", "kind": "next", "context": start,
                                                 "choices": [], "answer": answer}) + "\n"
                                     for i, answer in enumerate((said, other))))
        done = harness.run(["choice", "--model", bundle, "--questions", questions, "-o", self.folder / "scores"])
        self.assertEqual(done.code, 0, done.err)
        answers = [json.loads(line) for path in sorted((self.folder / "scores").rglob("*.jsonl"))
                   for line in path.read_text().splitlines()]
        picked = {a["id"]: a for a in answers if "id" in a}
        self.assertEqual((picked["0"]["greedy"], picked["1"]["greedy"]), ([True], [False]), answers)


# Each case of llama2c_to_hf that is broken: what it says, a line each.
BROKEN = r'''
import pathlib, struct, sys
sys.path.insert(0, sys.argv[1])
import llama2c_to_hf as it
path = pathlib.Path(sys.argv[2])
def says(read, data):
    path.write_bytes(data)
    try:
        print("accepted", read(path))
    except SystemExit as e:
        print(e)
model = lambda *header: struct.pack("<7i", *header)
for data in (b"", model(8, 8, 1, 2, 1, 3, 4)[:27], model(8, 8, 1, 2, 1, 3, 4) + bytes(99), model(8, 8, 1, 0, 1, 3, 4),
             model(*[(1 << 24) - 1] * 3, 1, 1, 3, 4)):
    says(it.read_checkpoint, data)
piece = lambda n, text: struct.pack("<fi", 0.5, n) + text
whole = bytes(4) + piece(1, b"a") + piece(0, b"") + piece(2, b"bc")
says(lambda path: it.read_pieces(path, 3), whole)
for data in (bytes(4) + piece(-8, b""), bytes(4) + piece(-1, b"a"), whole[:-1], whole[:-5], whole + bytes(3), bytes(4) + piece(1 << 30, b"a"),
             b"", whole + piece(1, b"d")):
    says(lambda path: it.read_pieces(path, 3), data)
'''

# What export_hf.py says to each OUT.
EXPORTS = r'''
import sys
source, model, *outs = sys.argv[1:]
sys.path.insert(0, source + "/scripts")
import export_hf
for out in outs:
    sys.argv = ["export_hf.py", model, "-o", out]
    try:
        export_hf.main()
    except SystemExit as e:
        print(e)
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
        chosen = os.environ.get("LMBITS_ARCHITECTURES", "")
        names = chosen.split() or (*QUICK, *REFUSED)
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", "-c", WORKER, harness.SOURCE, self.folder, *names],
                              capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        refused = []
        for line in done.stdout.splitlines():
            answer = json.loads(line)
            name = answer["name"]
            if answer["refusal"]:
                refused.append(name)
                self.assertNotIn("\n", answer["refusal"])
                self.assertRegex(answer["refusal"], ".*".join(map(re.escape, REFUSED.get(name, ["what it should not"]))), name)
                continue
            self.assertNotIn(name, REFUSED)
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
            if name.endswith("_gguf"):  # no safetensors
                continue
            if name == "llama_float16":
                with zipfile.ZipFile(self.folder / f"{name}.pt") as z:
                    info = json.loads(z.read(next(n for n in z.namelist() if n.endswith("lmbits.json"))))
                self.assertEqual(info["dtype"], "float16")
                continue  # its checkpoint has float32
            # The model's own checkpoint, in shards, through the names that the exporter mapped.
            if name == "mixtral":  # its experts are joined when they are loaded: no tensor of the file is one
                outcome = harness.run(self.eval_arguments(self.folder / f"{name}.pt", f"c={corpus}",
                                                          self.folder / "sweep", "--weights", self.folder / name))
                self.assert_one_error(outcome, 5, "experts.down_proj is missing")
                continue
            self.assertEqual(self.swept(name, corpus), records, name)
            if name in ("gpt2", "mistral", "gemma2"):  # a token at a time by its own step; beyond the window of 32
                self.compress_by_step(self.folder / f"{name}.pt", texts[0].encode()[:90])
        if chosen != "all":
            self.assertEqual(sorted(refused), sorted(set(names) & set(REFUSED)))

    def test_a_gguf_file_of_llama_cpp_scores_as_the_bundle_that_it_was_made_of(self):
        files = [f for f in sorted((harness.SOURCE / "build/real").glob("*-F32.gguf"))
                 if pathlib.Path(harness.bundle(f.stem.removesuffix("-F32"))).exists()]
        if not files:
            self.skipTest("build/real holds no NAME-F32.gguf of a demo model: bench/README.md says how one is made")
        corpus = self.folder / "prose.txt"
        corpus.write_bytes((harness.SOURCE / "models/heldout/prose.txt").read_bytes()[:3000])
        bundle = self.folder / "from-gguf.pt"
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", harness.SOURCE / "scripts/export_hf.py", files[-1], "-o", bundle],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        print(done.stdout, file=sys.stderr)
        (ours,), (its,) = (harness.records_of(self.finish(model, f"c={corpus}", self.folder / f"runs-{i}"))
                           for i, model in enumerate((bundle, harness.bundle(files[-1].stem.removesuffix("-F32")))))
        self.assertEqual(ours["n_tokens"], its["n_tokens"])
        self.assertLess(abs(ours["bits"] / its["bits"] - 1), 2e-6, (ours["bits"], its["bits"]))

    def test_broken_files_of_llama2c_are_refused_in_a_line_each(self):
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", "-c", BROKEN, harness.SOURCE / "scripts", self.folder / "x.bin"],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        parts = ("has 0 bytes", "has 27 bytes", "has 127 bytes", "its header says", "bytes, its header asks for",
                 "accepted [(0.5, b'a'), (0.5, b''), (0.5, b'bc')]", "piece 0, at byte 4 of 12, says -8 bytes", "says -1 bytes",
                 "piece 2, at byte 21 of 30, says 2 bytes", "piece 2, at byte 21 of 26, has no whole header",
                 "piece 3, at byte 31 of 34, has no whole header", "says 1073741824 bytes", "holds 0 pieces", "holds 4 pieces")
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), len(parts), lines)
        for line, part in zip(lines, parts):
            self.assertIn(part, line)

    def test_a_package_does_not_overwrite_weights_that_are_not_its_own(self):
        model, link = self.folder / "model", self.folder / "link"
        (model / "sub").mkdir(parents=True)
        link.symlink_to(model)
        (self.folder / "other.safetensors").write_bytes(b"somebody's")
        (self.folder / "older.safetensors").write_bytes(b"changed since")
        with zipfile.ZipFile(self.folder / "older.pt2", "w") as z:
            z.writestr("older/extra/lmbits.json", json.dumps({"weights": {"file": "older.safetensors", "hash": "0" * 32}}))
        (self.folder / "dangling.safetensors").symlink_to(self.folder / "nothing")
        (model / "model.safetensors").write_bytes(b"the source")
        cases = {model / "model.pt2": "inside the source", link / "new.pt2": "inside the source",
                 model / "sub/new.pt2": "inside the source", self.folder / "other.pt2": "other.safetensors, which is there",
                 self.folder / "older.pt2": "older.safetensors, which is there",
                 self.folder / "dangling.pt2": "dangling.safetensors, which is there"}
        before = {path: path.read_bytes() for path in self.folder.rglob("*.safetensors") if path.exists()}
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", "-c", EXPORTS, harness.SOURCE, model, *cases], capture_output=True,
                              text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), len(cases), lines)
        for line, part in zip(lines, cases.values()):
            self.assertIn(part, line)
        self.assertEqual({path: path.read_bytes() for path in before}, before)

    def compress_by_step(self, bundle, content):
        source, packed, back = (self.folder / f"{bundle.stem}.{kind}" for kind in ("txt", "lmb", "back"))
        source.write_bytes(content)
        for command in (["compress", source, "--decoding", "step", "-o", packed], ["decompress", packed, "-o", back]):
            done = harness.run([*command, "--model", bundle])
            self.assertEqual(done.code, 0, done.err)
        self.assertEqual(back.read_bytes(), content)

    def swept(self, name, corpus):
        run = self.finish(self.folder / f"{name}.pt", f"c={corpus}", self.folder / f"sweep-{name}", "--weights",
                          self.folder / name)
        return {r["id"]: r["bits"] for r in harness.records_of(run)}


if __name__ == "__main__":
    harness.main()
