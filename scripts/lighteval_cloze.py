#!/usr/bin/env python3
"""Runs lighteval itself on a bundle of models/demo and the questions of models/benchmarks.

usage: lighteval_cloze.py MODEL FOLDER [LIMIT]

Its results_*.json is what `lmbits scores import` must read; tests/data/scores/lighteval-0.13.0.json is one, of
    lighteval_cloze.py xs-byte-100 FOLDER 20
without the paths in it. Needs lighteval (0.13.0 wrote the committed file), torch and sentencepiece. lighteval loads this file itself, once as the
model's definition and once as the table of tasks; the folder of questions is in the environment then.
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from demo_bundle import AREAS, KINDS, DemoBundle, question_lines  # noqa: E402


def main():
    name, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    limit = sys.argv[3] if len(sys.argv) > 3 else "1000000"
    for area in AREAS:
        for kind in KINDS:
            questions = folder / "questions" / f"{area}-{kind}"
            questions.mkdir(parents=True, exist_ok=True)
            (questions / "test.jsonl").write_text("".join(question_lines(area, kind)))
    tasks = ",".join(f"cloze:{area}-{kind}|0" for area in AREAS for kind in KINDS)
    subprocess.run([sys.executable, "-m", "lighteval", "custom", name, __file__, tasks, "--custom-tasks", __file__,
                    "--output-dir", str(folder), "--max-samples", limit],
                   check=True, env=dict(os.environ, LMBITS_QUESTIONS=str(folder / "questions")))


if __name__ == "__main__":
    main()
else:
    from lighteval.metrics.metrics import Metrics
    from lighteval.models.abstract_model import LightevalModel
    from lighteval.models.model_output import ModelResponse
    from lighteval.tasks.lighteval_task import LightevalTaskConfig
    from lighteval.tasks.requests import Doc
    from lighteval.utils.cache_management import SampleCache

    class Bundle(LightevalModel):
        """A demo bundle as lighteval sees models."""

        def __init__(self, config):
            self.config = config
            self.bundle = DemoBundle(config.model_name)
            self._cache = SampleCache(config)

        @property
        def tokenizer(self):
            return None

        @property
        def add_special_tokens(self):
            return False

        @property
        def max_length(self):
            return 512

        def loglikelihood(self, docs):
            encode = self.bundle.tokens.encode
            pairs = [(encode(doc.query), encode(choice)) for doc in docs for choice in doc.choices]
            answers = iter(self.bundle.loglikelihoods(pairs))
            responses = []
            for doc in docs:
                mine = [next(answers) for _ in doc.choices]
                responses.append(ModelResponse(logprobs=[nats for nats, _ in mine], argmax_logits_eq_gold=[greedy for _, greedy in mine],
                                               output_tokens=[encode(choice) for choice in doc.choices], input_tokens=encode(doc.query)))
            return responses

        def loglikelihood_rolling(self, docs):
            raise NotImplementedError

        def greedy_until(self, docs):
            raise NotImplementedError

    def question(line, task_name=None):
        return Doc(task_name=task_name, query=line["context"], choices=line["choices"], gold_index=line["answer"])

    TASKS_TABLE = [
        LightevalTaskConfig(name=f"cloze:{area}-{kind}", prompt_function=question, hf_repo=f"{os.environ.get('LMBITS_QUESTIONS', '')}/{area}-{kind}",
                            hf_subset="default", metrics=[Metrics.loglikelihood_acc], hf_avail_splits=["test"], evaluation_splits=["test"],
                            few_shots_split=None, few_shots_select=None, generation_size=-1, stop_sequence=None, version=0)
        for area in AREAS for kind in KINDS]
