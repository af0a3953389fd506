#!/usr/bin/env python3
"""Write a GGUF model as a Hugging Face folder, float32, its tokenizer rebuilt from the GGUF's own vocabulary.

usage: gguf_to_hf.py FILE.gguf OUT_DIR        (in the environment of scripts/hf_environment)

The tokenizer that transformers makes of a GGUF file comes out wrong for SmolLM2: it adds BOS and does not split digits.
Read are byte-level vocabularies whose pre-tokenizer is GPT-2's or SmolLM's.
"""
import argparse
import json
import pathlib

import torch

SPLITS_DIGITS = {"gpt-2": False, "smollm": True}


def rebuilt_tokenizer(path: pathlib.Path):
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = GGUFReader(str(path)).fields
    value = lambda key: fields[f"tokenizer.ggml.{key}"].contents() if f"tokenizer.ggml.{key}" in fields else None
    if value("model") != "gpt2" or value("pre") not in SPLITS_DIGITS:
        raise SystemExit(f"lmbits: {path}: its vocabulary is of kind {value('model')}, pre-tokenizer {value('pre')}; "
                         f"read are gpt2 with {', '.join(SPLITS_DIGITS)}")
    tokens = value("tokens")
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)},
                                     merges=[tuple(m.split(" ")) for m in value("merges")]))
    splits = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    if SPLITS_DIGITS[value("pre")]:
        splits.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # GGUF's token type
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, value("token_type")) if kind == control])
    names = {f"{key}_token": tokens[value(f"{key}_token_id")] for key in ("bos", "eos")
             if value(f"{key}_token_id") is not None}
    return tokenizer, names


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("gguf", type=pathlib.Path)
    ap.add_argument("out", type=pathlib.Path)
    args = ap.parse_args()
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    tokenizer, names = rebuilt_tokenizer(args.gguf)
    model = AutoModelForCausalLM.from_pretrained(str(args.gguf.parent), gguf_file=args.gguf.name, dtype=torch.float32)
    config = model.config
    del config.quantization_config  # the weights are no longer quantised, and transformers would not write them
    weights = {name: w.contiguous() for name, w in model.state_dict().items()}
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(weights, str(args.out / "model.safetensors"), metadata={"format": "pt"})
    config.save_pretrained(args.out)
    tokenizer.save(str(args.out / "tokenizer.json"))
    # The last one: where it is, the folder is whole (scripts/fetch_smollm2).
    (args.out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", **names, "add_bos_token": False,
        "clean_up_tokenization_spaces": False}) + "\n")


if __name__ == "__main__":
    main()
