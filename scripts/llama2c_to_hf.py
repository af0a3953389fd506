#!/usr/bin/env python3
"""Write a checkpoint of llama2.c (version 0: seven int32, then float32 weights) as a Hugging Face folder: a Llama with
the same weights, and its tokenizer as a SentencePiece model. scripts/export_hf makes a bundle of the folder.

usage: llama2c_to_hf.py MODEL.bin TOKENIZER.bin OUT_DIR        (in the environment of scripts/hf_environment)

The file, all little-endian: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size (negative where the head is
not tied), seq_len; then, row-major, each for all layers: embedding [V,D], attention norm [L,D], wq [L,D,D], wk and wv
[L,D_kv,D], wo [L,D,D], MLP norm [L,D], w1 [L,F,D], w2 [L,D,F], w3 [L,F,D]; the last norm [D]; two tables of angles
[T,S/2] that are computed anew here; and a head [V,D] that is not tied. Rotary embedding turns neighbouring columns of
a head there, column i and i + S/2 here, so rows of wq and wk change places. The tokenizer: int32 longest piece, then
score (float32), bytes (int32), piece for each id.
"""
import argparse
import json
import math
import pathlib
import struct

import numpy as np
import torch

SPECIAL = {0: "<unk>", 1: "<s>", 2: "</s>"}
N_BYTES = 256  # pieces 3 .. 258 are bytes
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # SentencePiece's types of a piece
BPE = 2  # and of a model


def read_checkpoint(path: pathlib.Path):
    """(the header by name, the weights by name)"""
    data = path.read_bytes()
    if len(data) < 28:
        raise SystemExit(f"lmbits: {path} is no checkpoint of llama2.c: it has {len(data)} bytes, its header alone takes 28")
    names = ("dim", "hidden", "layers", "heads", "kv_heads", "vocab", "length")
    h = dict(zip(names, struct.unpack_from("<7i", data)))
    tied, h["vocab"] = h["vocab"] > 0, abs(h["vocab"])
    if not all(0 < n < 1 << 24 for n in h.values()) or h["dim"] % h["heads"] or h["heads"] % h["kv_heads"]:
        raise SystemExit(f"lmbits: {path} is no checkpoint of llama2.c, version 0: its header says {h}")
    D, F, L, V, S = h["dim"], h["hidden"], h["layers"], h["vocab"], h["dim"] // h["heads"]
    K = S * h["kv_heads"]
    shapes = {"embedding": (V, D), "attention_norm": (L, D), "wq": (L, D, D), "wk": (L, K, D), "wv": (L, K, D),
              "wo": (L, D, D), "mlp_norm": (L, D), "w1": (L, F, D), "w2": (L, D, F), "w3": (L, F, D), "norm": (D,),
              "angles": (2, h["length"], S // 2)}
    if not tied:
        shapes["head"] = (V, D)
    n = 28 + 4 * sum(math.prod(s) for s in shapes.values())
    if len(data) != n:
        raise SystemExit(f"lmbits: {path} has {len(data)} bytes, its header asks for {n}")
    weights, at = {}, 28
    for name, shape in shapes.items():
        count = math.prod(shape)
        weights[name] = torch.from_numpy(np.frombuffer(data, "<f4", count, at).reshape(shape).copy())
        at += 4 * count
    return h, weights


def read_pieces(path: pathlib.Path, vocab: int):
    """[(score, bytes)]"""
    data, at, pieces = path.read_bytes(), 4, []
    while at < len(data):
        score, n = struct.unpack_from("<fi", data, at) if at + 8 <= len(data) else (0.0, -1)
        if not 0 <= n <= len(data) - at - 8:
            raise SystemExit(f"lmbits: {path} is cut, or no tokenizer of llama2.c: piece {len(pieces)}, at byte {at} of "
                             f"{len(data)}, " + (f"says {n} bytes" if at + 8 <= len(data) else "has no whole header"))
        pieces.append((score, data[at + 8 : at + 8 + n]))
        at += 8 + n
    if len(pieces) != vocab or at != len(data):
        raise SystemExit(f"lmbits: {path} holds {len(pieces)} pieces, the model has {vocab}")
    return pieces


def varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number: int, value) -> bytes:
    """Of a protocol buffer: an int or bool, a float or bytes."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(int(value))


def sentencepiece_model(pieces) -> bytes:
    """sentencepiece_model.proto's ModelProto: pieces (1), trainer (2), normaliser (3)."""
    model = b""
    for i, (score, text) in enumerate(pieces):
        kind = NORMAL
        if i in SPECIAL:
            text, kind = SPECIAL[i].encode(), UNKNOWN if i == 0 else CONTROL
        elif i < len(SPECIAL) + N_BYTES:
            kind = BYTE
        text = text.replace(b" ", "\u2581".encode())
        model += field(1, field(1, text) + field(2, float(score)) + field(3, kind))
    trainer = field(3, BPE) + field(35, True) + field(40, 0) + field(41, 1) + field(42, 2)
    # A space before the text, as Llama's tokenizers have it; nothing else is changed.
    normaliser = field(1, b"identity") + field(3, True) + field(4, False) + field(5, True)
    return model + field(2, trainer) + field(3, normaliser)


def halves(w, n_heads: int):
    """Rows of [D,D]: pairs (2i, 2i + 1) of each head become (i, i + S/2)."""
    return w.view(n_heads, -1, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)


def llama_weights(h: dict, w: dict) -> dict:
    out = {"model.embed_tokens.weight": w["embedding"], "model.norm.weight": w["norm"]}
    for i in range(h["layers"]):
        layer = f"model.layers.{i}."
        out |= {layer + "input_layernorm.weight": w["attention_norm"][i],
                layer + "post_attention_layernorm.weight": w["mlp_norm"][i],
                layer + "self_attn.q_proj.weight": halves(w["wq"][i], h["heads"]),
                layer + "self_attn.k_proj.weight": halves(w["wk"][i], h["kv_heads"]),
                layer + "self_attn.v_proj.weight": w["wv"][i], layer + "self_attn.o_proj.weight": w["wo"][i],
                layer + "mlp.gate_proj.weight": w["w1"][i], layer + "mlp.down_proj.weight": w["w2"][i],
                layer + "mlp.up_proj.weight": w["w3"][i]}
    return out | ({"lm_head.weight": w["head"]} if "head" in w else {})


@torch.no_grad()
def convert(checkpoint: pathlib.Path, tokenizer: pathlib.Path, out: pathlib.Path) -> str:
    from transformers import LlamaConfig, LlamaForCausalLM

    h, weights = read_checkpoint(checkpoint)
    config = LlamaConfig(
        vocab_size=h["vocab"], hidden_size=h["dim"], intermediate_size=h["hidden"], num_hidden_layers=h["layers"],
        num_attention_heads=h["heads"], num_key_value_heads=h["kv_heads"], max_position_embeddings=h["length"],
        rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings="head" not in weights, bos_token_id=1,
        eos_token_id=2, pad_token_id=None, torch_dtype="float32")
    model = LlamaForCausalLM(config).eval()
    missing = model.load_state_dict(llama_weights(h, weights), strict=False)
    assert missing.missing_keys in ([], ["lm_head.weight"]) and not missing.unexpected_keys, missing
    model.tie_weights()
    model.save_pretrained(out)
    (out / "tokenizer.model").write_bytes(sentencepiece_model(read_pieces(tokenizer, h["vocab"])))
    (out / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}) + "\n")
    n = sum(p.numel() for p in model.parameters())
    return f"{out}: a Llama of {n} parameters, {h['layers']} layers, {h['vocab']} pieces"


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("checkpoint", "tokenizer", "out"):
        ap.add_argument(name, type=pathlib.Path)
    args = ap.parse_args()
    print(convert(args.checkpoint, args.tokenizer, args.out))


if __name__ == "__main__":
    main()
