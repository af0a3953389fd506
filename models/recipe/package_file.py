"""An AOTInductor package with its weights beside it (docs/formats.md, "A package"): NAME.pt2 and NAME.safetensors.

hidden(ids) and head(h) are compiled to machine code for one thread, with B, T and R left open, and without a weight inside; so
one package serves every checkpoint of its architecture. Compiling needs a C++ compiler; running it needs neither that nor Python.
"""
import json
import os
import pathlib
import platform
import struct
import tempfile
import warnings
import zipfile

import torch
import xxhash
from bundle_file import METADATA, content_hash, read_entries, write_entries

FORMAT = "lmbits-package-1"
PACKAGE = "extra/package.json"
CONSTANTS = "extra/constants/"
WEIGHT_NAMES = "extra/weights.json"
MOST_SEQUENCES, MOST_ROWS = 4096, 1 << 20
SHORTEST_BATCH = 16  # positions, whatever the context: kShortest in src/scoring/batcher.cc
# The processors that the code runs on, as GCC names the level, and what is asked of a machine before it is loaded.
LEVEL, VECTOR_BITS, FEATURES = "x86-64-v3", 256, ("avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")
SAFE_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
OPTIONS = {
    "aot_inductor.package": True,
    "aot_inductor.package_constants_in_so": False,  # weights come from outside
    "aot_inductor.check_lowerbound": False,  # tracing assumes sizes of 2 and more; the proof tries 1
    "cpp.march": LEVEL,
    "cpp.simdlen": VECTOR_BITS,
    "cpp.threads": 1,  # parallelism is over batches
}


class Hidden(torch.nn.Module):
    def __init__(self, model, function):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, ids):  # int64 [B,T] -> [B,T,D]
        return self.function(self.model, ids)


class Head(Hidden):
    def forward(self, h):  # [R,D] -> [R,V]
        return self.function(self.model, h)


def safetensors_bytes(tensors: dict) -> bytes:
    header, blobs, at = {}, [], 0
    for name, t in sorted(tensors.items()):
        data = t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": SAFE_DTYPES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)


def compile_code(module, example, shape) -> list:
    """The files of the package's part. torch.export names what it cannot trace."""
    exported = torch.export.export(module, (example,), dynamic_shapes=(shape,), strict=False)
    return torch._inductor.aot_compile(exported.module(), (example,), options=OPTIONS)


def hash_of(weights: bytes) -> str:
    return xxhash.xxh3_128(f"{len(weights)} ".encode() + weights).hexdigest()


def refuse_to_overwrite(out: pathlib.Path, source: pathlib.Path) -> None:
    """NAME.safetensors is written beside NAME.pt2: only in the place of what an older NAME.pt2 was written with."""
    weights = out.with_suffix(".safetensors")
    if (weights.parent.resolve() / weights.name).is_relative_to(source.resolve()):
        raise SystemExit(f"lmbits: the weights of {out} would be written to {weights}, inside the source {source}: "
                         "name an OUT elsewhere")
    if not os.path.lexists(weights):
        return
    try:
        known = json.loads(read_entries(out)[METADATA])["weights"]
        own = known["file"] == weights.name and known["hash"] == hash_of(weights.read_bytes())
    except (SystemExit, OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError):  # no package, or a broken one
        own = False
    if not own:
        raise SystemExit(f"lmbits: the weights of {out} would be written to {weights}, which is there and was not written "
                         f"with an older {out.name}: move it away, or name another OUT")


def most_positions(hidden: Hidden, context: int) -> int:
    """The longest batch that is compiled for. A table of positions may have no row beyond the context."""
    if context >= SHORTEST_BATCH:
        return context
    try:
        hidden(torch.zeros(1, SHORTEST_BATCH, dtype=torch.long))
    except (IndexError, RuntimeError):
        return context
    return SHORTEST_BATCH


def compiled(hidden: Hidden, head: Head, vocab: int, positions: int, path: pathlib.Path):
    """Writes what torch calls a package to `path`; how its parts are called with weights."""
    from torch.export import Dim
    from torch.export.pt2_archive._package import package_pt2

    ids = torch.arange(3 * min(24, positions)).reshape(3, -1) % vocab
    shape = {0: Dim("B", min=1, max=MOST_SEQUENCES), 1: Dim("T", min=1, max=positions)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = {"hidden": compile_code(hidden, ids, shape),
                 "head": compile_code(head, hidden(ids).flatten(0, 1).clone(), {0: Dim("R", min=1, max=MOST_ROWS)})}
        package_pt2(str(path), aoti_files=parts)


class Loaded:
    """The parts of a package in Python, with weights: for the proof."""

    def __init__(self, path: pathlib.Path, constants: dict):
        load = torch._C._aoti.AOTIModelPackageLoader
        self.parts = {name: load(str(path), name, False, 1, -1) for name in ("hidden", "head")}
        self.kept = constants
        for part in self.parts.values():
            part.load_constants({n: constants[n] for n in part.get_constant_fqns()}, False, True, True, False)

    def names(self, part: str) -> list:
        return self.parts[part].get_constant_fqns()

    def __call__(self, part: str, x):
        return self.parts[part].run([x.contiguous()])[0]


def constants_of(*modules) -> dict:
    """What the code may read: weights under each of their names, and buffers that a state dict leaves out."""
    found = {}
    for module in modules:
        found |= dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    return {name: t.detach().contiguous() for name, t in found.items()}


def write_package(out: pathlib.Path, model, hidden_of, head_of, head_weight: str, head_bias: str | None, info: dict,
                  names: dict, dtype: torch.dtype, extra: dict, prove) -> str:
    """NAME.pt2 and NAME.safetensors from a float32 model. hidden_of(model, ids), head_of(model, h); head_weight: its name in
    the model; names: as weights.json has it, of the names "model." + those of the model; extra: more entries; prove(hidden,
    head): raises where the compiled functions are not the model's. Returns what was written, in words."""
    hidden, head = Hidden(model, hidden_of).eval(), Head(model, head_of).eval()
    constants = constants_of(hidden, head)
    parameters = {f"model.{n}" for n, _ in model.named_parameters(remove_duplicate=False)}
    # What is stored is what is proved: rounded weights are rounded before the proof.
    stored = {n: t.to(dtype) if n in parameters else t for n, t in constants.items()}
    constants = {n: stored[n].float() if n in parameters else t for n, t in constants.items()}
    tensors = {names["tensors"].get(n, n): stored[n] for n in sorted(parameters)}
    positions = most_positions(hidden, info["context_length"])
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        scratch = pathlib.Path(folder)
        compiled(hidden, head, info["padded_vocab_size"], positions, scratch / "code.pt2")
        loaded = Loaded(scratch / "code.pt2", constants)
        entries = read_entries(scratch / "code.pt2")
        for name in [n for n in entries if n.endswith(".cpp") or n == ".data/serialization_id"]:  # sources; an identity
            entries.maps[1].names.pop(name)
        facts = {"format": FORMAT, "torch": torch.__version__.partition("+")[0], "machine": platform.machine(),
                 "cpu": list(FEATURES), "ids": info["padded_vocab_size"],
                 "most": {"sequences": MOST_SEQUENCES, "positions": positions, "rows": MOST_ROWS},
                 "head_weight": f"model.{head_weight}", "head_bias": head_bias and f"model.{head_bias}"}
        for part in ("hidden", "head"):
            code = [n for n in entries if n.startswith(f"data/aotinductor/{part}/") and n.endswith(".so")]
            calls = [n for n in entries if n.startswith(f"data/aotinductor/{part}/") and n.endswith(".json")
                     and not n.endswith("_metadata.json")]
            if len(code) != 1 or calls:  # calls: what goes back to operators by name, which the reader does not do
                raise ValueError(f"its {part} compiles to {code + calls}: not to one library that stands alone")
            facts[part] = {"code": code[0], "constants": {}}
            for name in loaded.names(part):
                t = constants[name]
                if name not in parameters:
                    entries[CONSTANTS + name] = t.numpy().tobytes()
                facts[part]["constants"][name] = {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape),
                                                  "stored": name not in parameters}
        prove(lambda ids: loaded("hidden", ids), lambda h: loaded("head", h))
        used = {n for part in ("hidden", "head") for n in facts[part]["constants"]} | {facts["head_weight"]}
        kept = {names["tensors"].get(n, n) for n in used & parameters}
        weights = safetensors_bytes({n: t for n, t in tensors.items() if n in kept})
        entries[PACKAGE] = (json.dumps(facts, indent=1) + "\n").encode()
        entries[WEIGHT_NAMES] = (json.dumps(
            {**names, "unused": sorted({*names["unused"], *tensors} - kept)}, indent=0) + "\n").encode()
        for name, data in extra.items():
            entries[name] = data
        info = {**info, "weights": {"file": out.with_suffix(".safetensors").name,
                                    "hash": hash_of(weights)}}
        info["content_hash"] = content_hash(entries)
        entries[METADATA] = (json.dumps(info, indent=1) + "\n").encode()
        write_entries(scratch / "package.pt2", info["name"], entries)
        (scratch / "weights").write_bytes(weights)
        (scratch / "weights").rename(out.with_suffix(".safetensors"))
        (scratch / "package.pt2").rename(out)
    return f"{out.stat().st_size} bytes of code and {len(weights)} of weights, for libtorch {facts['torch']} and {LEVEL}"
