#!/usr/bin/env python3
"""Write a Hugging Face model as an lmbits bundle, of level 3 where it goes a token at a time (docs/formats.md). Called
by scripts/export_hf.

usage: export_hf.py MODEL_DIR|FILE.gguf -o NAME.pt|NAME.pt2 [--dtype DTYPE] [--name NAME] [--licence TEXT]

NAME.pt is TorchScript; NAME.pt2 a package of machine code, with its weights in NAME.safetensors.

Takes safetensors (also in shards) with tokenizer.json, tokenizer.model or what transformers makes a tokenizer.json of;
or a GGUF file, whose own vocabulary becomes the tokenizer. The graph is traced in float32 from the model as
canonical_hf.py rewrites it; the weights are stored as they were, or as --dtype says.

Before the file gets its name, it is loaded again and must give the untouched model's log-probabilities (eager attention,
at other B and T than it was traced with, beyond a sliding window where there is one), head(hidden(ids)) ==
forward(ids), causality, padding invariance, and a right hash. What cannot be exported is refused, with the layer named;
so is a checkpoint that is not whole, with the tensor.
"""
import argparse
import hashlib
import json
import pathlib
import struct
import sys
import tempfile
import warnings

import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "models" / "recipe"))
sys.path.insert(0, str(ROOT / "scripts"))
from bundle_file import FORMAT, METADATA, archive_entries, content_hash, fix_hash_seed, read_entries, write_entries
from canonical_hf import PLAIN, SCRIPTED, Kept, Refusal, make_canonical, restored, stepping
from package_file import refuse_to_overwrite, write_package

TOKENIZER_FOLDER = "extra/"
WEIGHT_NAMES = "extra/weights.json"
TRACE_SHAPE = (2, 12)
LONGEST_PROOF = 600  # positions
MOST_STEPS = 64  # of a proof of `step`
N_ROWS = 48  # of the logits that are compared at each shape: all columns, spread over the positions
TOLERANCE = 2e-4  # nats, of a log-probability between two ways of fp32 sums; relative to |it| above 1


class Bundle(torch.nn.Module):
    """The contract around a model. `capped` are final logits; what head_weight alone gives is scaled and capped by the
    reader (logit_scale, logit_softcap)."""

    def __init__(self, model, scale, softcap):
        super().__init__()
        self.model = model
        self.scale, self.softcap = scale, softcap

    def hidden(self, ids):  # int64 [B,T] -> [B,T,D]
        return self.model.base_model(input_ids=ids, use_cache=False, return_dict=False)[0]

    def head(self, h):  # [R,D] -> [R,V]
        logits = self.model.get_output_embeddings()(h)
        if self.scale is not None:
            logits = logits * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    def forward(self, ids):  # int64 [B,T] -> [B,T,V]
        return self.head(self.hidden(ids))

    def later(self, ids, state):  # int64 [B,1], 2 tensors a layer [B,H,t,S] -> [B,1,D], the same with t + 1
        positions = torch.arange(1, device=ids.device).unsqueeze(0) + state[0].size(2)
        with stepping(state) as after:
            h = self.model.base_model(input_ids=ids, position_ids=positions, use_cache=False, return_dict=False)[0]
        return h, list(after)

    def state(self, B: int, t: int) -> list:
        """Of t positions, at random; the shapes are those that attention saw last."""
        return [torch.randn(B, H, t, S) for _, layer in sorted(Kept.shapes.items()) for H, S in layer]


# ---- what the source says ----


def load_model(source: pathlib.Path):
    from transformers import AutoModelForCausalLM

    where = dict(pretrained_model_name_or_path=str(source))
    if source.is_file():
        where = dict(pretrained_model_name_or_path=str(source.parent), gguf_file=source.name)
    check_files(source)
    try:  # sizes that differ are refused below, by name
        model, found = AutoModelForCausalLM.from_pretrained(
            **where, local_files_only=True, dtype=torch.float32, attn_implementation="eager", output_loading_info=True,
            ignore_mismatched_sizes=True)
    except Exception as e:  # of whatever reads the files
        raise Refusal(f"transformers does not load it: {first_line(e)}") from e
    # transformers gives these random weights, and goes on.
    for name, stored, wanted in sorted(found["mismatched_keys"]):
        raise Refusal(f"{name} is stored as {list(stored)}, its configuration makes it {list(wanted)}")
    if missing := sorted(found["missing_keys"]):
        raise Refusal(f"{missing[0]} is not in the checkpoint"
                      + (f", nor are {len(missing) - 1} others" if len(missing) > 1 else ""))
    if model.get_output_embeddings() is None:
        raise Refusal(f"{type(model).__name__} has no output embedding: no linear map to the vocabulary as its head")
    return model.eval().requires_grad_(False)


def check_files(source: pathlib.Path) -> None:
    """Each file of weights can be opened; transformers would not say which cannot."""
    from safetensors import SafetensorError, safe_open

    for file in sorted(source.glob("*.safetensors")):
        try:
            safe_open(str(file), "pt")
        except SafetensorError as e:
            raise Refusal(f"{file.name} is not a whole file of weights: {first_line(e)}") from e


def stored_dtype(source: pathlib.Path, config) -> str:
    dtype = getattr(config, "dtype", None) if source.is_dir() else None
    if source.is_dir():
        raw = json.loads((source / "config.json").read_text())
        dtype = raw.get("dtype") or raw.get("torch_dtype")
    name = str(dtype or "float32").removeprefix("torch.")
    return name if name in ("float32", "float16", "bfloat16") else "float32"


def context_length(model) -> int:
    """Ids the model was built for; where positions are stretched beyond a trained length by the text's own length, that
    length: a graph has no such branch."""
    config = model.config.get_text_config()
    length = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if length is None:
        name, layer = next(iter(layers_of(model)), ("the model", model))
        raise Refusal(f"{name}: the configuration of {config.model_type} states no max_position_embeddings for its "
                      f"{type(layer).__name__}")
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("dynamic", "longrope"):
        length = min(length, int(rope.get("original_max_position_embeddings") or length))
    return int(length)


def first_id(value):
    return value[0] if isinstance(value, list) and value else value if isinstance(value, int) else None


def vocabulary_only(gguf: bytes) -> bytes:
    """The GGUF file's key-value section as a file of its own: what a GGUF tokenizer is read from."""
    magic, version, _, n_keys = struct.unpack_from("<4sIQQ", gguf)
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def end_of_string(at):
        return at + 8 + struct.unpack_from("<Q", gguf, at)[0]

    def end_of_value(at, kind):
        if kind == 8:
            return end_of_string(at)
        if kind == 9:
            element, n = struct.unpack_from("<IQ", gguf, at)
            at += 12
            if element in sizes:
                return at + n * sizes[element]
            for _ in range(n):
                at = end_of_value(at, element)
            return at
        return at + sizes[kind]

    kept, at = [], 24
    for _ in range(n_keys):
        begin, at = at, end_of_string(at)
        name = gguf[begin + 8 : at]
        at = end_of_value(at + 4, struct.unpack_from("<I", gguf, at)[0])
        if name.startswith((b"general.architecture", b"tokenizer.ggml.")):
            kept.append(gguf[begin:at])
    return struct.pack("<4sIQQ", magic, version, 0, len(kept)) + b"".join(kept)


def read_tokenizer(source: pathlib.Path, config) -> tuple[str, str, bytes, dict]:
    """(kind, file name, the file, {bos, eos: the tokenizer's own ids})"""
    config = config.get_text_config()
    ids = {key: first_id(getattr(config, f"{key}_token_id", None)) for key in ("bos", "eos")}
    if source.is_file():
        import gguf

        fields = gguf.GGUFReader(str(source)).fields
        for key in ids:
            field = fields.get(f"tokenizer.ggml.{key}_token_id")
            ids[key] = int(field.contents()) if field else ids[key]
        return "gguf", "vocabulary.gguf", vocabulary_only(source.read_bytes()), ids
    from transformers import AutoTokenizer

    has_files = any((source / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json"))
    if not has_files:
        raise Refusal("it holds no tokenizer.json, tokenizer.model or vocab.json")
    try:
        fast = AutoTokenizer.from_pretrained(str(source), local_files_only=True)
        states_them = any((source / name).exists() for name in ("tokenizer_config.json", "special_tokens_map.json"))
        for key in ids if states_them else ():  # else they would be defaults of a class, which this file may not hold
            known = getattr(fast, f"{key}_token_id", None)
            ids[key] = known if known is not None else ids[key]
    except Exception as e:  # a tokenizer.model without a configuration: the ids are config.json's
        fast = None
        if not (source / "tokenizer.json").exists() and not (source / "tokenizer.model").exists():
            raise Refusal(f"transformers does not load its tokenizer: {first_line(e)}") from e
    if (source / "tokenizer.json").exists():
        return "tokenizer.json", "tokenizer.json", (source / "tokenizer.json").read_bytes(), ids
    if (source / "tokenizer.model").exists():
        return "sentencepiece", "tokenizer.model", (source / "tokenizer.model").read_bytes(), ids
    return "tokenizer.json", "tokenizer.json", fast.backend_tokenizer.to_str().encode(), ids


def metadata(model, source, args, tokenizer) -> dict:
    config = model.config.get_text_config()
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    total = sum(p.numel() for p in model.parameters())
    tables = {p.data_ptr(): p.numel() for p in (head, embedding)}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding):
            tables[module.weight.data_ptr()] = module.weight.numel()  # positions, too
    kind, file, _, ids = tokenizer
    one = lambda key: getattr(config, key, None)
    scale = (one("logit_scale") or 1.0) / (one("logits_scaling") or 1.0)
    dtype = args.dtype or stored_dtype(source, model.config)
    return {
        "format": FORMAT,
        "name": args.name or args.out.stem,
        "context_length": context_length(model),
        # All columns of the head: a softmax over fewer would not be the model's, nor any other program's.
        "vocab_size": head.shape[0],
        "padded_vocab_size": head.shape[0],
        "bos_id": ids["bos"],
        "eos_id": ids["eos"],
        "tokenizer": {"kind": kind, "file": file},
        "parameters": {"total": total, "non_embedding": total - sum(tables.values()), "embedding": sum(tables.values())},
        "shape": {"hidden": head.shape[1], "layers": one("num_hidden_layers"), "heads": one("num_attention_heads")},
        "architecture": config.model_type,
        "dtype": dtype,
        "logit_softcap": one("final_logit_softcapping"),
        "logit_scale": None if scale == 1.0 else scale,
        "licence": args.licence,
        "source": source.name,
    }


# ---- the archive ----


def weight_names(source: pathlib.Path, model) -> dict:
    """{"tensors": archive parameter -> tensor in a checkpoint of the same family, "unused": tensors that are none}.

    A folder's own files decide: by name, else by content, since they may be named otherwise than transformers' modules.
    """
    own = {f"model.{name}": p for name, p in model.named_parameters(remove_duplicate=False)}
    files = sorted(source.glob("*.safetensors")) if source.is_dir() else []
    if not files:
        first = {}  # of weights that are tied, only one is written
        names = {n: first.setdefault(p.data_ptr(), n.removeprefix("model.")) for n, p in own.items()}
        return {"tensors": names, "unused": []}
    from safetensors import safe_open

    opened = [safe_open(str(file), "pt") for file in files]
    tensors = {key: file for file in opened for key in file.keys()}
    digest = lambda t: hashlib.sha256(t.float().contiguous().numpy().tobytes()).hexdigest()
    by_content, names = {}, {}
    for archive_name, p in own.items():
        plain = archive_name.removeprefix("model.")
        for name in (plain, plain.removeprefix(model.base_model_prefix + ".")):
            if name in tensors and torch.equal(tensors[name].get_tensor(name).float(), p):
                names[archive_name] = name
                break
        else:
            by_content.setdefault(digest(p), []).append(archive_name)
    if by_content:
        for name, f in tensors.items():
            for archive_name in by_content.get(digest(f.get_tensor(name)), ()):
                names.setdefault(archive_name, name)
    return {"tensors": names, "unused": sorted(set(tensors) - set(names.values()))}


class Naming:
    """While it is entered, an exception becomes a refusal that names the module whose forward was running."""

    def __init__(self, model, fails: str):
        self.model, self.fails, self.running = model, fails, []

    def __enter__(self):
        begin = lambda name: lambda *_: self.running.append(name)
        end = lambda *_: self.running.pop() and None  # must return nothing: that would take the output's place
        self.hooks = [hook for name, m in self.model.named_modules() if name
                      for hook in (m.register_forward_pre_hook(begin(name)), m.register_forward_hook(end))]
        return self

    def __exit__(self, _, e, __):
        for hook in self.hooks:
            hook.remove()
        where = self.running[-1] if self.running else "the model"
        if isinstance(e, Refusal) and self.running:
            raise Refusal(f"{where}: {e}") from e
        if isinstance(e, Exception) and not isinstance(e, Refusal):
            raise Refusal(f"{where} {self.fails}: {first_line(e)}") from e


def first_line(e: BaseException) -> str:
    text = str(e).strip()
    return text.splitlines()[0][:200] if text else type(e).__name__


def why_no_step(bundle: Bundle, vocab: int) -> str:
    """Why the model does not go a token at a time by `later`; empty where it does."""
    try:
        ids = example_ids(2, 9, vocab)
        Kept.shapes = {}
        expected = bundle.hidden(ids)
        state = bundle.state(2, 0)
        for t in range(ids.shape[1]):
            h, state = bundle.later(ids[:, t : t + 1], state)
            difference = worst(h[:, 0], expected[:, t])
            if not difference < TOLERANCE:
                return f"it differs by {difference:.2g} at position {t}"
    except Exception as e:
        return first_line(e)
    return ""


def trace(bundle: Bundle, vocab: int, with_step: bool):
    ids = example_ids(*TRACE_SHAPE, vocab)
    with Naming(bundle.model, "does not trace"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = torch.randn(5, bundle.model.get_output_embeddings().weight.shape[1])
        inputs = {"forward": ids, "hidden": ids, "head": h}
        if with_step:
            inputs["later"] = (ids[:, :1], bundle.state(len(ids), 3))
        return torch.jit.trace_module(bundle, inputs, strict=False, check_trace=False)


def example_ids(B: int, T: int, vocab: int):
    return (torch.arange(B * T).reshape(B, T) * 7919 + 17 * B + T) % vocab


def proof_shapes(context: int, window: int | None):
    T = min(context, LONGEST_PROOF if window is None else max(window + 40, 200))
    shapes = [(1, 1), (2, 7), (3, min(64, context)), (1, T)]
    return [(B, min(length, context)) for B, length in shapes]


def chosen_rows(T: int):
    return torch.arange(0, T, max(1, T // N_ROWS))


def log_probabilities(logits, T: int):
    return logits[:, chosen_rows(T)].float().log_softmax(-1)


def layers_of(model) -> list:
    """(name, module) of what stands in a list: the layers, in order."""
    return [(name, module) for name, module in model.named_modules()
            if name.rpartition(".")[2].isdigit() and name.count(".") <= 3]


def run_by_layer(model, ids):
    """(logits [B,T,V], {layer: its output [B,T,D]})"""
    outputs, hooks = {}, []
    for name, module in layers_of(model):
        def keep(_, __, out, name=name):  # must return nothing, too
            outputs.setdefault(name, (out[0] if isinstance(out, tuple) else out).clone())
        hooks.append(module.register_forward_hook(keep))
    try:
        return model(input_ids=ids, use_cache=False).logits, outputs
    finally:
        for hook in hooks:
            hook.remove()


def reference(model, shapes, vocab):
    """(log-probabilities, output of each layer) of the untouched model at each shape."""
    expected = []
    with Naming(model, "does not run"):
        for B, T in shapes:
            logits, layers = run_by_layer(model, example_ids(B, T, vocab))
            expected.append((log_probabilities(logits, T), layers))
    return expected


def first_difference(layers: dict, expected: dict, tolerance: float):
    """(name, its difference by the largest number of its output) of the first layer that is off by more, or None."""
    for name, value in layers.items():
        difference = ((value - expected[name]).abs().max() / expected[name].abs().max().clamp_min(1e-6)).item()
        if not difference < tolerance:
            return name, difference
    return None


def check_canonical(expected, model, shapes, vocab) -> None:
    """Names the first layer whose output is not the untouched model's."""
    for (B, T), (_, layers) in zip(shapes, expected):
        with Naming(model, "does not run as it was rewritten"):
            _, ours = run_by_layer(model, example_ids(B, T, vocab))
        if found := first_difference(ours, layers, 1e-3):
            raise Refusal(f"{found[0]}: rewritten without its mask, it differs from the original by {found[1]:.2g} at "
                          f"B={B} T={T}")


def worst(a, b) -> float:
    return ((a - b).abs() / b.abs().clamp_min(1.0)).max().item()


class Proof:
    """What an export is held against: the untouched model's outputs at each shape. `model`: the rewritten one, whose layers
    tell where a difference begins; `rounding`: of log-probabilities, that the stored weights may cause."""

    def __init__(self, model, expected, shapes, rounding: float):
        self.model, self.expected, self.shapes, self.rounding = model, expected, shapes, rounding

    def of_file(self, path: pathlib.Path) -> float:
        """Checks the TorchScript bundle; returns the worst change of a log-probability."""
        entries = read_entries(path)
        info = json.loads(entries[METADATA])
        need(info["content_hash"] == content_hash(entries), "the hash does not survive the second write")
        loaded = torch.jit.load(str(path), map_location="cpu")
        for p in loaded.parameters():
            p.data = p.data.float()
        return self.of(loaded, info)

    def of(self, loaded, info: dict) -> float:
        """The same of whatever keeps the contract."""
        vocab, largest = info["vocab_size"], 0.0
        for (B, T), (logprobs, layers) in zip(self.shapes, self.expected):
            ids = example_ids(B, T, vocab)
            logits = loaded(ids)
            need(logits.shape == (B, T, info["padded_vocab_size"]), f"forward gives {tuple(logits.shape)} for {(B, T)}")
            need(bool(logits.isfinite().all()), f"logits are not finite at B={B} T={T}", lambda: self.blame(ids, layers))
            change = worst(log_probabilities(logits, T), logprobs)
            largest = max(largest, change)
            need(change < max(TOLERANCE, self.rounding), f"it changes a log-probability by {change:.2g} at B={B} T={T}",
                 lambda: self.blame(ids, layers))
            hidden = loaded.hidden(ids)
            self.of_head(loaded, info, hidden.flatten(0, 1), logits.flatten(0, 1))
            state: list[torch.Tensor] = []
            for t in range(min(T, MOST_STEPS) if hasattr(loaded, "step") else 0):
                stepped, state = loaded.step(ids[:, t : t + 1], state)
                need(worst(stepped[:, 0], hidden[:, t]) < TOLERANCE, f"step {t} is not hidden(ids)[:, {t}]")
            if T > 1:
                n = T // 2
                later = ids.clone()
                later[:, n:] = (later[:, n:] + 1) % vocab
                moved = worst(loaded(later)[:, :n], logits[:, :n])
                need(moved < TOLERANCE, f"not causal: a later id changes an earlier row by {moved:.2g}",
                     lambda: self.blame(later, layers, n))
            if T + 5 <= info["context_length"]:
                padded = torch.nn.functional.pad(ids, (0, 5), value=0)
                need(worst(loaded(padded)[:, :T], logits) < TOLERANCE, "right padding changes a row",
                     lambda: self.blame(padded, layers, T))
        return largest

    @staticmethod
    def of_head(loaded, info: dict, h, rows) -> None:
        need(worst(loaded.head(h), rows) < TOLERANCE, "head(hidden(ids)) is not forward(ids)")
        plain = h @ loaded.head_weight().T + (loaded.head_bias() if hasattr(loaded, "head_bias") else 0.0)
        plain = plain * (info["logit_scale"] or 1.0)
        cap = info["logit_softcap"]
        need(worst(plain if cap is None else torch.tanh(plain / cap) * cap, rows) < TOLERANCE, "head_weight is not head")

    def blame(self, ids, expected: dict, n: int | None = None) -> str:
        """The first layer of which the first n positions are not the untouched model's."""
        _, ours = run_by_layer(self.model.float(), ids)  # stored in another dtype by now, maybe
        cut = lambda layers: {name: out[:, :n] for name, out in layers.items()}
        found = first_difference(cut(ours), cut(expected), 1e-5)
        return f"first at {found[0]}, by {found[1]:.2g}" if found else "though no layer differs before it is traced"


def need(condition: bool, what: str, where=lambda: "") -> None:
    if not condition:
        raise Refusal(f"the export failed its proof: {', '.join(filter(None, (what, where())))}")


@torch.no_grad()
def export(source: pathlib.Path, args) -> str:
    model = load_model(source)
    tokenizer = read_tokenizer(source, model.config)
    info = metadata(model, source, args, tokenizer)
    vocab = info["vocab_size"]
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    shapes = proof_shapes(info["context_length"], window if window and window <= 4096 else None)
    expected = reference(model, shapes, vocab)
    names = weight_names(source, model)
    exact = info["dtype"] == stored_dtype(source, None) if source.is_dir() else info["dtype"] == "float32"
    packaged = args.out.suffix == ".pt2"
    with restored(sys.modules[type(model).__module__]):
        Kept.functions = PLAIN if packaged else SCRIPTED
        done = make_canonical(model)
        check_canonical(expected, model, shapes, vocab)
        bundle = Bundle(model, info["logit_scale"], info["logit_softcap"]).eval()
        write = package if packaged else script
        change, how = write(bundle, info, names, tokenizer, args.out,
                            Proof(model, expected, shapes, 0.0 if exact else 0.5))
    return (f"{args.out.name}: {info['architecture']}, {info['parameters']['total']} parameters in {info['dtype']}, "
            f"{how}; rewritten: {', '.join(done)}; log-probabilities within {change:.1e} of eager attention at (B, T) = "
            f"{', '.join(map(str, shapes))}; {json.loads(read_entries(args.out)[METADATA])['content_hash']}")


def script(bundle: Bundle, info: dict, names: dict, tokenizer, out: pathlib.Path, proof: Proof):
    """Writes the TorchScript bundle: (the worst change of a log-probability, what was written in words)."""
    model = bundle.model
    no_step = why_no_step(bundle, info["vocab_size"])
    traced = trace(bundle, info["vocab_size"], with_step=not no_step)
    head = path_of(model, model.get_output_embeddings())
    traced.define(f"def head_weight(self):\n  return self.model.{head}.weight\n")
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        traced.define(f"def head_bias(self):\n  return self.model.{head}.bias\n")
    if not no_step:
        empty = ", ".join(f"torch.zeros([ids.size(0), {t.shape[1]}, 0, {t.shape[3]}], device=ids.device, dtype=dtype)"
                          for t in bundle.state(1, 0))
        traced.define("def step(self, ids: Tensor, state: List[Tensor]) -> Tuple[Tensor, List[Tensor]]:\n"
                      f"  dtype = self.model.{path_of(model, model.get_input_embeddings())}.weight.dtype\n"
                      f"  if len(state) == 0:\n    state = [{empty}]\n"
                      "  return self.later(ids, state)\n")
    shared = {}  # tied weights stay one
    for p in traced.parameters():  # buffers stay float32: tables of positions would lose
        p.data = shared.setdefault(p.data_ptr(), p.data.to(getattr(torch, info["dtype"])))
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        scratch, partial = pathlib.Path(folder) / "traced.pt", pathlib.Path(folder) / "bundle.pt"
        entries = archive_entries(traced, str(scratch))
        del traced
        kind, file, data, _ = tokenizer
        entries[TOKENIZER_FOLDER + file] = data
        entries[WEIGHT_NAMES] = (json.dumps(names, indent=0) + "\n").encode()
        info = {**info, "content_hash": content_hash(entries)}
        entries[METADATA] = (json.dumps(info, indent=1) + "\n").encode()
        write_entries(partial, info["name"], entries)
        change = proof.of_file(partial)
        partial.rename(out)
    level = f"level 2 (a token at a time it fails: {no_step})" if no_step else "level 3"
    return change, f"{out.stat().st_size} bytes, {level}"


class PackageFunctions:
    """A package's compiled functions under the names of the contract."""

    def __init__(self, hidden, head, weight, bias):
        self.hidden, self.head = hidden, head
        self.head_weight = lambda: weight
        if bias is not None:
            self.head_bias = lambda: bias

    def __call__(self, ids):
        return self.head(self.hidden(ids).flatten(0, 1)).view(*ids.shape, -1)


def package(bundle: Bundle, info: dict, names: dict, tokenizer, out: pathlib.Path, proof: Proof):
    """Writes the package and its weights: as `script`."""
    model, head = bundle.model, bundle.model.get_output_embeddings()
    dtype = getattr(torch, info["dtype"])
    path = path_of(model, head)
    head_bias = getattr(head, "bias", None)
    kind, file, data, _ = tokenizer
    change = []

    def prove_it(hidden, head_function):
        bias = None if head_bias is None else head_bias.to(dtype).float()
        functions = PackageFunctions(hidden, head_function, head.weight.to(dtype).float(), bias)
        change.append(proof.of(functions, info))

    with Naming(model, "is not compiled"):
        how = write_package(
            out, model, lambda _, ids: bundle.hidden(ids), lambda _, h: bundle.head(h), f"{path}.weight",
            None if head_bias is None else f"{path}.bias", info, names, dtype, {TOKENIZER_FOLDER + file: data}, prove_it)
    return change[0], how


def path_of(model, wanted) -> str:
    return next(name for name, module in model.named_modules() if module is wanted)


def main() -> None:
    fix_hash_seed()
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("source", type=pathlib.Path)
    ap.add_argument("-o", "--out", type=pathlib.Path, required=True)
    ap.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), help="of the stored weights; default: theirs")
    ap.add_argument("--name", help="the model's name in runs; default: OUT without its ending")
    ap.add_argument("--licence", help="of the weights, for the metadata")
    args = ap.parse_args()
    if not args.source.exists():
        raise SystemExit(f"lmbits: there is no {args.source}")
    if args.out.suffix == ".pt2":
        refuse_to_overwrite(args.out, args.source)
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        print(export(args.source, args))
    except Refusal as e:
        raise SystemExit(f"lmbits: {args.source}: {e}") from e


if __name__ == "__main__":
    main()
