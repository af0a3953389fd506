#!/usr/bin/env python3
"""Write a bundle of models/demo as a Hugging Face folder: a Llama with the same weights in float32, and its tokenizer.

usage: demo_to_hf.py BUNDLE.pt OUT_DIR        (in the environment of scripts/hf_environment)

Other programs can then score the same model (bench/parity_*.py). The tokenizer is checked against the bundle's own on the
committed texts, the logits against the bundle's.
"""
import argparse
import json
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "models" / "recipe"))
sys.path.insert(0, str(ROOT / "models"))
from bundle_file import METADATA, read_entries
from tinylm import SIZES

TOLERANCE = 2e-4  # nats


def llama_weights(state: dict, n_heads: int) -> dict:
    weights = {"model.embed_tokens.weight": state["embedding.weight"], "model.norm.weight": state["norm"]}
    for name, w in state.items():
        if not name.startswith("blocks."):
            continue
        _, layer, part = name.split(".", 2)
        layer = f"model.layers.{layer}."
        if part == "qkv.weight":
            for key, rows in zip("qkv", w.chunk(3)):
                weights[f"{layer}self_attn.{key}_proj.weight"] = rows.contiguous()
        elif part == "up.weight":
            weights[f"{layer}mlp.gate_proj.weight"], weights[f"{layer}mlp.up_proj.weight"] = (
                half.contiguous() for half in w.chunk(2))
        else:
            names = {"attention_norm": "input_layernorm.weight", "mlp_norm": "post_attention_layernorm.weight",
                     "out.weight": "self_attn.o_proj.weight", "down.weight": "mlp.down_proj.weight"}
            weights[layer + names[part]] = w
    return weights


def byte_tokenizer(bos: int):
    """id = byte; BOS after them."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    # ByteLevel writes byte b as the character that GPT-2's table gives it: its own where printable, else 256 + n.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    vocab = {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<bos>", special=True, normalized=False)])
    assert tokenizer.token_to_id("<bos>") == bos
    return tokenizer, "<bos>"


def piece_tokenizer(proto: bytes):
    """SentencePiece's BPE with byte fallback as merges: any two pieces that together are one, best score first."""
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    sp = sentencepiece.SentencePieceProcessor(model_proto=proto)
    pieces = [sp.id_to_piece(i) for i in range(sp.get_piece_size())]
    ids = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for i, piece in enumerate(pieces):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in ids and right in ids:
                merges.append((-sp.get_score(i), ids[left], ids[right], left, right))
    merges.sort()
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[(m[3], m[4]) for m in merges], unk_token=pieces[sp.unk_id()],
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    bos = pieces[sp.bos_id()]
    tokenizer.add_special_tokens([AddedToken(bos, special=True, normalized=False)])
    return tokenizer, bos, sp


def check_tokenizer(tokenizer, encode) -> None:
    for area in ("prose", "code", "maths"):
        text = (ROOT / "models" / "heldout" / f"{area}.txt").read_text()
        if tokenizer.encode(text, add_special_tokens=False).ids != encode(text):
            raise SystemExit(f"lmbits: the rebuilt tokenizer gives other ids than the bundle's on {area}.txt")


@torch.inference_mode()
def convert(path: pathlib.Path, out: pathlib.Path) -> str:
    """What was written, in words."""
    from transformers import LlamaConfig, LlamaForCausalLM

    entries = read_entries(path)
    info = json.loads(entries[METADATA])
    bundle = torch.jit.load(str(path), map_location="cpu").float()
    state = bundle.state_dict()
    vocab, dim = state["embedding.weight"].shape
    layers = info["shape"]["layers"]
    heads = {(d, n): h for d, n, h in SIZES.values()}[dim, layers]
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=dim, intermediate_size=state["blocks.0.down.weight"].shape[1],
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads, rms_norm_eps=1e-5,
        max_position_embeddings=info["context_length"], rope_theta=10000.0, tie_word_embeddings=True,
        bos_token_id=info["bos_id"], eos_token_id=info["eos_id"], pad_token_id=None, torch_dtype="float32")
    model = LlamaForCausalLM(config).eval()
    missing = model.load_state_dict(llama_weights(state, heads), strict=False)
    assert missing.missing_keys in ([], ["lm_head.weight"]) and not missing.unexpected_keys, missing
    model.tie_weights()
    ids = torch.arange(192).reshape(2, 96) * 7919 % vocab
    difference = (model(ids).logits.log_softmax(-1) - bundle(ids).log_softmax(-1)).abs().max().item()
    if not difference < TOLERANCE:
        raise SystemExit(f"lmbits: the Llama's log-probabilities differ from {path.name}'s by {difference:.2g}")
    if info["tokenizer"]["kind"] == "bytes":
        tokenizer, bos = byte_tokenizer(info["bos_id"])
        check_tokenizer(tokenizer, lambda text: list(text.encode()))
    else:
        tokenizer, bos, sp = piece_tokenizer(entries["extra/" + info["tokenizer"]["file"]])
        check_tokenizer(tokenizer, sp.encode)
    model.save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"))
    if info["tokenizer"]["kind"] != "bytes":  # from which llama.cpp's converter makes a GGUF file
        (out / "tokenizer.model").write_bytes(entries["extra/" + info["tokenizer"]["file"]])
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "add_bos_token": False,
        "add_prefix_space": False, "model_max_length": info["context_length"], "clean_up_tokenization_spaces": False}) + "\n")
    return f"{out}: {info['name']} as a Llama, log-probabilities within {difference:.1e} nats of the bundle's"


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("bundle", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path)
    args = ap.parse_args()
    print(convert(args.bundle, args.out))


if __name__ == "__main__":
    main()
