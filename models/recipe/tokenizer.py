#!/usr/bin/env python3
"""A lossless SentencePiece BPE tokenizer of 2048 pieces from a balanced sample of the training text.

usage: tokenizer.py DATA OUT.model
Identity normalisation, no dummy prefix, byte fallback: decode(encode(text)) == text for any UTF-8 without U+2581
(the sign that stands for a space), which is checked.
"""
import io
import pathlib
import random
import sys

import sentencepiece

from corpora import AREAS

LINES = 20_000  # a run of this many lines from each area


def main() -> None:
    data, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    rng, sample = random.Random(0), []
    for area in AREAS:
        lines = (data / "train" / f"{area}.txt").read_bytes().decode().split("\n")
        start = rng.randrange(max(1, len(lines) - 2 * LINES))
        sample += [line for line in lines[start : start + LINES] if line]
    model = io.BytesIO()  # not a model_prefix: the model would then hold the path it was written to
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sample), model_writer=model, vocab_size=2048, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=False,
        allow_whitespace_only_pieces=True, split_digits=True, character_coverage=0.9999, num_threads=1, unk_id=0,
        bos_id=1, eos_id=-1, max_sentence_length=20000, minloglevel=2, user_defined_symbols=["\n"])
    out.write_bytes(model.getvalue())
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(out))
    for area in AREAS:
        text = (data / "heldout" / f"{area}.txt").read_bytes().decode()
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text, f"{area}: the tokenizer loses text"
        assert 0 not in ids, f"{area}: unknown pieces"
        print(f"{area}: lossless, {len(text.encode()) / len(ids):.2f} bytes a token")


if __name__ == "__main__":
    main()
