#!/usr/bin/env python3
"""Runs lm-evaluation-harness itself on bundles of models/demo and the questions of models/benchmarks.

usage: lm_eval_cloze.py [--models NAME ...] [--limit N] -o FOLDER

Its results_*.json, one a model, are what `lmbits scores import` must read; tests/data/scores holds one, written with
    lm_eval_cloze.py --models xs-byte-100 --limit 20 -o FOLDER
Needs lm-eval (0.4.13 wrote the committed file), torch and sentencepiece.
"""
import argparse
import pathlib
import zipfile

import lm_eval
import torch
from lm_eval.api.model import TemplateLM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

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


class Bundle(TemplateLM):
    """A demo bundle as lm-eval sees models: log-likelihoods of continuations, BOS before every context."""

    def __init__(self, path):
        super().__init__()
        self.module = torch.jit.load(str(path)).float().eval()
        self.tokens = Bytes() if "-byte-" in path.stem else Pieces(path)

    @property
    def eot_token_id(self):
        return self.tokens.bos

    def tok_encode(self, string, **kwargs):
        return self.tokens.encode(string)

    @torch.inference_mode()
    def _loglikelihood_tokens(self, requests, **kwargs):
        order = sorted(range(len(requests)), key=lambda i: len(requests[i][1]) + len(requests[i][2]))
        answers = [None] * len(requests)
        for begin in range(0, len(order), 64):
            batch = [(i, [self.tokens.bos] + requests[i][1] + requests[i][2], len(requests[i][2])) for i in order[begin:begin + 64]]
            ids = torch.zeros(len(batch), max(len(x) for _, x, _ in batch) - 1, dtype=torch.long)
            for row, (_, x, _) in enumerate(batch):
                ids[row, :len(x) - 1] = torch.tensor(x[:-1])
            logits = torch.log_softmax(self.module(ids).float(), -1)
            for row, (i, x, n) in enumerate(batch):
                rows = logits[row, len(x) - 1 - n:len(x) - 1]
                targets = torch.tensor(x[-n:])
                answers[i] = (rows.gather(1, targets[:, None]).sum().item(), bool((rows.argmax(-1) == targets).all()))
        return answers

    def loglikelihood_rolling(self, requests, **kwargs):
        raise NotImplementedError

    def generate_until(self, requests, **kwargs):
        raise NotImplementedError


def write_tasks(folder):
    """A task an area and kind, and a group an area, as lm-eval's YAML files."""
    folder.mkdir(parents=True, exist_ok=True)
    for area in AREAS:
        lines = (ROOT / "models" / "benchmarks" / f"cloze-{area}.jsonl").read_text().splitlines()
        for kind in KINDS:
            name = f"cloze_{area}_{kind}"
            (folder / f"{name}.jsonl").write_text("".join(x + "\n" for x in lines if f'"kind": "{kind}"' in x))
            (folder / f"{name}.yaml").write_text(
                f"task: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder / name}.jsonl\n"
                "output_type: multiple_choice\ntest_split: test\ndoc_to_text: context\ndoc_to_choice: choices\n"
                "doc_to_target: answer\ntarget_delimiter: \"\"\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n")
        (folder / f"cloze_{area}.yaml").write_text(
            f"group: cloze_{area}\ntask:\n" + "".join(f"  - cloze_{area}_{kind}\n" for kind in KINDS) +
            "aggregate_metric_list:\n  - metric: acc\n    weight_by_size: true\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--limit", type=int)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.models or sorted(p.stem for p in (ROOT / "models" / "demo").glob("*.pt"))
    write_tasks(arguments.output / "tasks")
    manager = TaskManager(include_path=str(arguments.output / "tasks"), include_defaults=False)
    for name in names:
        tracker = EvaluationTracker(output_path=str(arguments.output))
        tracker.general_config_tracker.log_experiment_args(
            model_source="lmbits", model_args=f"pretrained={name}", system_instruction="", chat_template="", fewshot_as_multiturn=False)
        results = lm_eval.simple_evaluate(Bundle(ROOT / "models" / "demo" / f"{name}.pt"), tasks=[f"cloze_{a}" for a in AREAS],
                                          limit=arguments.limit, task_manager=manager, log_samples=False, bootstrap_iters=1000)
        results["config"]["model"], results["config"]["model_args"] = "lmbits", f"pretrained={name}"
        tracker.save_results_aggregated(results)


if __name__ == "__main__":
    main()
