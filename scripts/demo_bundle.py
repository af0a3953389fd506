"""A bundle of models/demo in plain PyTorch: what the scripts that run other harnesses share."""
import pathlib
import zipfile

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
AREAS, KINDS = ("prose", "code", "maths"), ("shuf", "sub1")


class Bytes:
    bos = 256

    def encode(self, text):
        return list(text.encode())


class Pieces:
    bos = 1

    def __init__(self, bundle):
        import sentencepiece
        with zipfile.ZipFile(bundle) as archive:
            name = next(n for n in archive.namelist() if n.endswith("extra/tokenizer.model"))
            self.model = sentencepiece.SentencePieceProcessor(model_proto=archive.read(name))

    def encode(self, text):
        return self.model.encode(text)


class DemoBundle:
    def __init__(self, name):
        path = ROOT / "models" / "demo" / f"{name}.pt"
        self.module = torch.jit.load(str(path)).float().eval()
        self.tokens = Bytes() if "-byte-" in name else Pieces(path)

    @torch.inference_mode()
    def loglikelihoods(self, pairs):
        """pairs: (ids of the context, ids of the continuation). Returns (nats, is it the greedy continuation?); BOS first."""
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        answers = [None] * len(pairs)
        for begin in range(0, len(order), 64):
            batch = [(i, [self.tokens.bos] + pairs[i][0] + pairs[i][1], len(pairs[i][1])) for i in order[begin:begin + 64]]
            ids = torch.zeros(len(batch), max(len(x) for _, x, _ in batch) - 1, dtype=torch.long)
            for row, (_, x, _) in enumerate(batch):
                ids[row, :len(x) - 1] = torch.tensor(x[:-1])
            logits = torch.log_softmax(self.module(ids).float(), -1)
            for row, (i, x, n) in enumerate(batch):
                rows = logits[row, len(x) - 1 - n:len(x) - 1]
                targets = torch.tensor(x[-n:])
                answers[i] = (rows.gather(1, targets[:, None]).sum().item(), bool((rows.argmax(-1) == targets).all()))
        return answers


def question_lines(area, kind):
    lines = (ROOT / "models" / "benchmarks" / f"cloze-{area}.jsonl").read_text().splitlines()
    return [line + "\n" for line in lines if f'"kind": "{kind}"' in line]
