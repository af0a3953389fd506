"""Several workers on one command: the same bits by 1, 2 and 4, whoever is killed; what they leave can be merged.

With torchrun itself where a Python with torch is found (LMBITS_TORCHRUN names another), else with the variables it sets.
LMBITS_KILLS=N: kills of single workers (1).
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import harness

KILLS = int(os.environ.get("LMBITS_KILLS", "1"))
MODEL = "xs-byte-1000"
SLOW_MODEL = "l-sp-500"  # all workers have come before it is done


def find_torchrun():
    named = os.environ.get("LMBITS_TORCHRUN") or shutil.which("torchrun")
    if named:
        return [named]
    found = subprocess.run([sys.executable, "-c", "import torch.distributed.run"], capture_output=True)
    return [sys.executable, "-m", "torch.distributed.run"] if found.returncode == 0 else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Workers(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.jsonl"
        draw = random.Random(3)
        with open(self.corpus, "w", encoding="utf-8") as file:
            for i in range(90):  # one long document, one that fails, some empty, many short
                text = harness.text_of(40000 if i == 70 else draw.randint(0, 1500), seed=i)
                line = json.dumps({"id": f"doc-{i}", "text": text}) if i != 11 else "not JSON"
                file.write(line + "\n")
        self.model = harness.bundle(MODEL)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.undisturbed = pathlib.Path(tempfile.mkdtemp(prefix="lmbits_cli_"))
        cls.addClassCleanup(shutil.rmtree, cls.undisturbed, ignore_errors=True)

    def alone(self):
        """The run of one process, made once for each model."""
        output = self.undisturbed / pathlib.Path(self.model).stem
        if not output.exists():
            outcome = harness.run(self.arguments(output))
            self.assertEqual(outcome.code, 10, outcome.err)  # the document that fails
        return self.only_run(output)

    def arguments(self, output, *flags):
        return [a for a in self.eval_arguments(self.model, self.corpus, output, *flags) if a != "--quiet"]

    def environment(self, rank, n_workers, port):
        return {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(n_workers), "LOCAL_RANK": str(rank),
                "LOCAL_WORLD_SIZE": str(n_workers), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def team(self, n_workers, output, *flags):
        port = free_port()
        return [harness.start(self.arguments(output, *flags), env=self.environment(rank, n_workers, port))
                for rank in range(n_workers)]

    def parts(self, output):
        return sorted(output.glob("*__*/part-*/documents.jsonl"))

    def all_at_work(self, team, output):
        """Worker 0 writes into the run itself. Who has not come yet is waited for, or looks for the store, for minutes."""
        return len(self.parts(output)) == len(team) - 1

    def n_lines(self, output):
        return sum(path.read_bytes().count(b"\n") for path in output.glob("*__*/**/documents.jsonl"))

    def test_one_two_and_four_give_the_same_bits(self):
        expected = self.alone()
        for n_workers in (2, 4):
            output = self.folder / f"by-{n_workers}"
            outcomes = [harness.Outcome(worker) for worker in self.team(n_workers, output)]
            self.assertEqual([o.code for o in outcomes], [10] * n_workers, [o.err for o in outcomes])
            self.assert_same_run(self.only_run(output), expected)
            profile = json.loads((self.only_run(output) / "summary.json").read_bytes())["profile"]
            self.assertIn(profile["n_workers"], range(1, n_workers + 1))  # who comes when all is done has no part
            self.assertIn("bits/byte", outcomes[0].out)
            self.assertEqual([o.out for o in outcomes[1:]], [""] * (n_workers - 1))  # one speaks

    def test_every_worker_takes_part(self):
        """Documents are handed out as workers become free: each leaves records of its own."""
        self.model = harness.bundle(SLOW_MODEL)
        output = self.folder / "out"
        team = self.team(2, output)
        self.wait_for(lambda: self.parts(output) and self.n_lines(output) > 20, team[0], "records")
        written = [path.read_bytes().count(b"\n") for path in [*self.parts(output), *output.glob("*__*/documents.jsonl")]]
        for worker in team:
            harness.Outcome(worker)
        self.assertEqual(len(written), 2)

    def test_a_killed_worker_s_documents_are_done_by_the_others(self):
        self.model = harness.bundle(SLOW_MODEL)
        expected = self.alone()
        draw = random.Random(5)
        for k in range(KILLS):
            output = self.folder / f"killed-{k}"
            team = self.team(3, output)
            victim = draw.choice([1, 2])  # worker 0 keeps the store: next test
            at = draw.randint(0, 60)
            self.wait_for(lambda: self.all_at_work(team, output) and self.n_lines(output) >= at, team[0], f"{at} records")
            team[victim].send_signal(signal.SIGKILL)
            outcomes = [harness.Outcome(worker) for worker in team]
            self.assertEqual([o.code for i, o in enumerate(outcomes) if i != victim], [10, 10], outcomes[0].err)
            self.assert_same_run(self.only_run(output), expected)

    def test_without_the_store_they_stop_and_the_next_start_goes_on(self):
        self.model = harness.bundle(SLOW_MODEL)
        expected = self.alone()
        output = self.folder / "out"
        team = self.team(3, output)
        self.wait_for(lambda: self.all_at_work(team, output) and self.n_lines(output) >= 10, team[0], "records")
        team[0].send_signal(signal.SIGKILL)
        for worker in team[1:]:
            self.assert_one_error_of_many(harness.Outcome(worker))
        team[0].wait()
        before = self.n_lines(output)
        self.assertGreaterEqual(before, 10)
        outcome = harness.run(self.arguments(output))  # one process takes what the parts hold
        self.assertEqual(outcome.code, 10, outcome.err)
        self.assert_same_run(self.only_run(output), expected)

    def assert_one_error_of_many(self, outcome):
        self.assertNotEqual(outcome.code, 0)
        self.assertIn("store", outcome.err)
        self.assertNotIn("frame #", outcome.err)

    def test_merge(self):
        """Two folders of one work, each of a killed process: merged, and completed by the command they came from."""
        expected = self.alone()
        for name, at in (("a", 15), ("b", 35)):
            process = harness.start(self.arguments(self.folder / name))
            self.wait_for(lambda: self.n_lines(self.folder / name) >= at, process, "records")
            process.send_signal(signal.SIGKILL)
            harness.Outcome(process)
        merged = self.folder / "merged"
        for n_added in (None, 0):  # the second time nothing is new
            outcome = harness.run(["merge", self.folder / "a", self.folder / "b", "-o", merged, "--json"])
            self.assertEqual(outcome.code, 0, outcome.err)
            [report] = json.loads(outcome.out)
            self.assertEqual(report["disagreements"], [])
            self.assertFalse(report["finished"])
            if n_added is not None:
                self.assertEqual(report["n_added"], n_added)
        ids = {r["id"] for name in "ab" for r in harness.records_of(self.only_run(self.folder / name)) if r["status"] == "ok"}
        self.assertEqual(report["n_documents"], len(ids))
        outcome = harness.run(self.arguments(merged))
        self.assertEqual(outcome.code, 10, outcome.err)
        self.assert_same_run(self.only_run(merged), expected)
        again = harness.run(["merge", expected.parent, "-o", self.folder / "copy", "--json"])
        self.assertEqual(json.loads(again.out)[0]["n_documents"], 89)  # failed documents are tried again, not merged

    def test_merge_refuses_other_work(self):
        alone = self.alone()
        other = self.folder / "other"
        harness.run(self.arguments(other, "--window", "64"))
        outcome = harness.run(["merge", alone.parent, other, "-o", self.folder / "merged"])
        self.assert_one_error(outcome, 3, "cannot merge", "convention")

    def test_a_second_job_on_the_folder_is_told(self):
        output = self.folder / "out"
        first = self.team(2, output)
        self.wait_for(lambda: self.n_lines(output) >= 5, first[0], "records")
        for worker in first:  # so that it is there when the other comes, however busy the machine
            worker.send_signal(signal.SIGSTOP)
        second = harness.run(self.arguments(output))
        for worker in first:
            worker.send_signal(signal.SIGCONT)
        codes = [harness.Outcome(worker).code for worker in first]
        self.assertEqual(second.code, 3, second.err)
        self.assertTrue(any(f"process {worker.pid} " in second.err for worker in first), second.err)  # whoever leads
        self.assertEqual(codes, [10, 10])

    def torchrun(self, *options):
        command = find_torchrun()
        if command is None:
            self.skipTest("no torchrun: no Python with torch here (LMBITS_TORCHRUN names one)")
        return [*command, *options, "--no-python", "--", harness.PROGRAM]

    def test_torchrun(self):
        """Its own agent keeps the store; it restarts all workers when one is killed, and those go on."""
        self.corpus.write_text("".join(line + "\n" for line in self.corpus.read_text().splitlines() if line != "not JSON"))
        outcome = harness.run(self.arguments(self.folder / "alone"))
        self.assertEqual(outcome.code, 0, outcome.err)
        expected = self.only_run(self.folder / "alone")
        for n_workers, kill in ((1, False), (2, False), (4, False), (4, True)):
            output = self.folder / f"torchrun-{n_workers}-{kill}"
            command = self.torchrun("--standalone", f"--nproc-per-node={n_workers}", "--max-restarts=2")
            process = subprocess.Popen([*command, *map(str, self.arguments(output))], text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if kill:
                self.wait_for(lambda: self.n_lines(output) >= 20, process, "records")
                victim = int(self.parts(output)[0].parent.name.rsplit("-", 1)[1])
                os.kill(victim, signal.SIGKILL)
            out, err = process.communicate(timeout=harness.PATIENCE_S)
            self.assertEqual(process.returncode, 0, out + err)
            self.assert_same_run(self.only_run(output), expected)


if __name__ == "__main__":
    harness.main()
