"""Several workers on one command: the same bits by 1, 2 and 4, whoever is killed; what they leave can be merged.

With torchrun itself, which scripts/setup unpacks beside libtorch (LMBITS_TORCHRUN names another); and with the variables that it
sets, where single workers are to be killed: torchrun would start all of them again.
LMBITS_KILLS=N: kills of single workers (1). LMBITS_TEAMS=N: so many teams of four besides, in one go.
"""

import json
import os
import pathlib
import random
import re
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
N_DOCUMENTS = 55
TEAMS = int(os.environ.get("LMBITS_TEAMS", "0"))
MODEL = "xs-byte-1000"
SLOW_MODEL = "m-sp-250"  # all workers have come before it is done, most of the time


def find_torchrun():
    """torchrun's command and environment, or None."""
    named = os.environ.get("LMBITS_TORCHRUN") or shutil.which("torchrun")
    if named:
        return [named], dict(os.environ)
    libtorch = pathlib.Path(os.environ.get("LMBITS_LIBTORCH", ""))
    if not (libtorch / "distributed/run.py").exists():
        return None
    # Its bytecode is kept: compiling is most of the start. No NumPy: not needed, and it warns of that.
    return [sys.executable, "-m", "torch.distributed.run"], {
        **os.environ, "PYTHONPATH": str(libtorch.parent), "PYTHONDONTWRITEBYTECODE": "", "PYTHONWARNINGS": "ignore"}


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
            for i in range(N_DOCUMENTS):  # one long document, one that fails, some empty, many short
                text = harness.text_of(20000 if i == 40 else draw.randint(0, 1500), seed=i)
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

    def n_records(self, output):
        """Of each worker: one writes into the run itself, the others into parts."""
        return [path.read_bytes().count(b"\n") for path in output.glob("*__*/**/documents.jsonl")]

    def n_lines(self, output):
        return sum(self.n_records(output))

    def at_work(self, start, output, n_workers, at):
        """What `start` starts on a folder, when each of its workers has records and all have `at`. Again on another folder
        where it had ended before the last one came: the machine is busy."""
        for attempt in range(10):
            folder = output.with_name(f"{output.name}-{attempt}")
            processes = start(folder)
            while processes[0].poll() is None:
                records = self.n_records(folder)
                if len(records) == n_workers and min(records) > 0 and sum(records) >= at:
                    return processes, folder
                time.sleep(0.0005)
            for process in processes:
                harness.Outcome(process)
        self.fail(f"no team of {n_workers} was seen at work: {records}")

    def team_at_work(self, n_workers, output, at):
        return self.at_work(lambda folder: self.team(n_workers, folder), output, n_workers, at)

    def assert_team_succeeds(self, n_workers, output, expected):
        outcomes = [harness.Outcome(worker) for worker in self.team(n_workers, output)]
        self.assertEqual([o.code for o in outcomes], [10] * n_workers, [o.err for o in outcomes])
        self.assert_same_run(self.only_run(output), expected)
        return outcomes

    def test_a_team_gives_the_same_bits(self):
        """By 1, 2 and 4: test_torchrun."""
        output = self.folder / "out"
        outcomes = self.assert_team_succeeds(4, output, self.alone())
        profile = json.loads((self.only_run(output) / "summary.json").read_bytes())["profile"]
        self.assertIn(profile["n_workers"], range(1, 5))  # who comes when all is done has no part
        self.assertIn("bits/byte", outcomes[0].out)
        self.assertEqual([o.out for o in outcomes[1:]], [""] * 3)  # one speaks

    def test_many_teams(self):
        for k in range(TEAMS):
            self.assert_team_succeeds(4, self.folder / f"team-{k}", self.alone())

    def test_a_killed_worker_s_documents_are_done_by_the_others(self):
        self.model = harness.bundle(SLOW_MODEL)
        expected = self.alone()
        draw = random.Random(5)
        for k in range(KILLS):
            victim = draw.choice([1, 2])  # worker 0 keeps the store: next test
            team, output = self.team_at_work(3, self.folder / f"killed-{k}", at=draw.randint(3, 20))
            team[victim].send_signal(signal.SIGKILL)
            outcomes = [harness.Outcome(worker) for worker in team]
            self.assertEqual([o.code for i, o in enumerate(outcomes) if i != victim], [10, 10], outcomes[0].err)
            self.assert_same_run(self.only_run(output), expected)

    def test_without_the_store_they_stop_and_the_next_start_goes_on(self):
        self.model = harness.bundle(SLOW_MODEL)
        expected = self.alone()
        team, output = self.team_at_work(3, self.folder / "out", at=10)
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
        for name, at in (("a", 10), ("b", 25)):
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
        self.assertEqual(json.loads(again.out)[0]["n_documents"], N_DOCUMENTS - 1)  # failed documents are tried again, not merged

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

    def test_torchrun(self):
        """Its own agent keeps the store; it restarts all workers when one is killed, and those go on."""
        found = find_torchrun()
        if found is None:
            self.skipTest("no torchrun: scripts/setup unpacks one, LMBITS_TORCHRUN names another")
        torchrun, environment = found
        self.corpus.write_text("".join(line + "\n" for line in self.corpus.read_text().splitlines() if line != "not JSON"))

        def start(n_workers, output):
            command = [*torchrun, "--standalone", f"--nproc-per-node={n_workers}", "--max-restarts=2", "--no-python", "--",
                       harness.PROGRAM, *map(str, self.arguments(output))]
            return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)

        def assert_succeeds(process, output, expected):
            out, err = process.communicate(timeout=harness.PATIENCE_S)
            if not output.exists() and re.search(r"^(ImportError|ModuleNotFoundError|OSError): ", err, re.MULTILINE):
                self.skipTest(f"torchrun does not start with this Python: {err.splitlines()[-1]}")
            self.assertEqual(process.returncode, 0, out + err)
            self.assert_same_run(self.only_run(output), expected)

        def alone():
            return self.finish(self.model, self.corpus, self.folder / pathlib.Path(self.model).stem)

        expected = alone()
        for n_workers in (1, 2, 4, *[4] * TEAMS):
            output = self.folder / f"torchrun-{n_workers}"
            assert_succeeds(start(n_workers, output), output, expected)
            shutil.rmtree(output)
        self.model = harness.bundle(SLOW_MODEL)
        expected = alone()
        for k in range(KILLS):
            [process], output = self.at_work(lambda folder: [start(2, folder)], self.folder / f"torchrun-killed-{k}", 2, at=5)
            os.kill(int(self.parts(output)[0].parent.name.rsplit("-", 1)[1]), signal.SIGKILL)
            assert_succeeds(process, output, expected)


if __name__ == "__main__":
    harness.main()
