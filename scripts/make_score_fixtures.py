#!/usr/bin/env python3
"""Files of HELM and OpenCompass, written by their own code from what `lmbits choice` answered: for score_import's tests.

usage: make_score_fixtures.py SCORES OUT
       SCORES: what `lmbits choice -o SCORES` wrote for models/demo/xs-byte-100.pt and cloze-prose.jsonl

HELM's models and scenarios are not run: its Stat and MetricName take a question's outcome each, as its metrics do, and
asdict_without_nones and json.dumps write them as its runner does. OpenCompass' DefaultSummarizer reads a folder of
results, as its evaluators leave them, and writes the summary.
Needs crfm-helm and opencompass (`pip install --no-deps`, and then what their imports ask for).
"""
import importlib.metadata
import json
import pathlib
import sys
import tempfile

MODEL, FILE = "xs-byte-100", "cloze-prose"


def outcomes(scores):
    """kind -> right or wrong, a question each; greedy for those without choices."""
    by_kind = {}
    for line in (scores / "answers" / f"{MODEL}__{FILE}.jsonl").read_text().splitlines()[1:]:
        answer = json.loads(line)
        kind = answer["id"].split("-")[1]
        right = answer["picked"]["acc"] == answer["answer"] if "picked" in answer else answer["greedy"][0]
        by_kind.setdefault(kind, []).append(right)
    return by_kind


def helm(right, out):
    from helm.benchmark.augmentations.perturbation_description import PerturbationDescription
    from helm.benchmark.metrics.metric_name import MetricName
    from helm.benchmark.metrics.statistic import Stat
    from helm.common.general import asdict_without_nones

    worst = PerturbationDescription(name="robustness", robustness=True, fairness=False, computed_on="worst")
    stats = [Stat(MetricName("exact_match", split="test")), Stat(MetricName("exact_match", split="test", perturbation=worst)),
             Stat(MetricName("num_instances", split="test")).add(len(right)), Stat(MetricName("inference_runtime", split="test")).add(0.25),
             Stat(MetricName("quasi_exact_match", split="test"))]  # nothing was added: no mean
    for r in right:
        stats[0].add(r)
        stats[1].add(False)
    out.write_text(json.dumps([asdict_without_nones(stat) for stat in stats], indent=2) + "\n")


def opencompass(by_kind, out):
    from mmengine import ConfigDict
    from opencompass.summarizers.default import DefaultSummarizer

    reader = {"input_columns": ["context"], "output_column": "answer"}
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        datasets = [ConfigDict(abbr=f"{FILE}-{kind}", reader_cfg=reader, infer_cfg={"inferencer": {"type": "PPLInferencer"}, "retriever": {"type": "ZeroRetriever"}, "prompt_template": {"type": "T", "template": "x"}},
                               eval_cfg={}) for kind in [*by_kind, "not_run"]]
        results = work / "results" / MODEL
        results.mkdir(parents=True)
        for kind, right in by_kind.items():
            (results / f"{FILE}-{kind}.json").write_text(json.dumps({"accuracy": 100 * sum(right) / len(right)}))
        config = ConfigDict(models=[{"abbr": MODEL}, {"abbr": "another"}], datasets=datasets, work_dir=str(work))
        DefaultSummarizer(config).summarize(output_path=str(work / "summary.txt"), time_str="0")
        out.write_text((work / "summary.csv").read_text())


def main():
    scores, out = map(pathlib.Path, sys.argv[1:])
    by_kind = outcomes(scores)
    versions = {name: importlib.metadata.version(name) for name in ("crfm-helm", "opencompass")}
    helm(by_kind["shuf"], out / f"helm-{versions['crfm-helm']}.json")
    opencompass(by_kind, out / f"opencompass-{versions['opencompass']}.csv")
    print(versions, {kind: f"{sum(r)}/{len(r)}" for kind, r in by_kind.items()})


if __name__ == "__main__":
    main()
