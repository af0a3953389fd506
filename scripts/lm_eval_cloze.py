#!/usr/bin/env python3
"""Runs lm-evaluation-harness itself on bundles of models/demo and the questions of models/benchmarks.

usage: lm_eval_cloze.py [--models NAME ...] [--limit N] -o FOLDER

Its results_*.json, one a model, are what `lmbits scores import` must read; tests/data/scores/lm-eval-0.4.13.json is one, of
    lm_eval_cloze.py --models xs-byte-100 --limit 20 -o FOLDER
without "configs" and "pretty_env_info", which tell of the machine and are not read. Needs lm-eval (0.4.13 wrote the committed file), torch and sentencepiece.
"""
import argparse
import pathlib

import lm_eval
import torch
from lm_eval.api.model import TemplateLM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

from demo_bundle import AREAS, KINDS, ROOT, DemoBundle, question_lines


class Bundle(TemplateLM):
    """A demo bundle as lm-eval sees models."""

    def __init__(self, name):
        super().__init__()
        self.bundle = DemoBundle(name)

    @property
    def eot_token_id(self):
        return self.bundle.tokens.bos

    def tok_encode(self, string, **kwargs):
        return self.bundle.tokens.encode(string)

    def _loglikelihood_tokens(self, requests, **kwargs):
        return self.bundle.loglikelihoods([(context, continuation) for _, context, continuation in requests])

    def loglikelihood_rolling(self, requests, **kwargs):
        raise NotImplementedError

    def generate_until(self, requests, **kwargs):
        raise NotImplementedError


def write_tasks(folder):
    """A task an area and kind, and a group an area, as lm-eval's YAML files."""
    folder.mkdir(parents=True, exist_ok=True)
    for area in AREAS:
        for kind in KINDS:
            name = f"cloze_{area}_{kind}"
            (folder / f"{name}.jsonl").write_text("".join(question_lines(area, kind)))
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
        results = lm_eval.simple_evaluate(Bundle(name), tasks=[f"cloze_{a}" for a in AREAS],
                                          limit=arguments.limit, task_manager=manager, log_samples=False, bootstrap_iters=1000)
        results["config"]["model"], results["config"]["model_args"] = "lmbits", f"pretrained={name}"
        tracker.save_results_aggregated(results)


if __name__ == "__main__":
    main()
