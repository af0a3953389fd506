"""A night whose writes fail, one after the other: a short write, a full disk, an input/output error, a kill. The next night
ends with what an undisturbed one has: every record, every judgement once, a sound history.

usage: night_faults.py PROGRAM SOURCE_DIR; LMBITS_FAULTS names the library to preload. LMBITS_FAULT_SHARE=S: tries a share S of
all calls (0.05). LMBITS_KILLS=N: that many random kills in time besides (1).
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import harness

SHARE = float(os.environ.get("LMBITS_FAULT_SHARE", "0.05"))
KILLS = int(os.environ.get("LMBITS_KILLS", "1"))


class NightFaults(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.library = os.environ["LMBITS_FAULTS"]
        (self.folder / "checkpoints").mkdir()
        for name in ("xs-byte-100", "xs-byte-1000"):
            shutil.copy(harness.bundle(name), self.folder / "checkpoints")
        (self.folder / "prose.txt").write_bytes((harness.SOURCE / "models/heldout/prose.txt").read_bytes()[:6000])
        (self.folder / "night.json").write_text(json.dumps({
            "watch": ["checkpoints/*.pt"], "settle_s": 0, "name": "stem", "output": "out", "threads": 1,
            "corpora": [{"name": "prose", "path": "prose.txt", "split": "512"}]}))
        self.out = self.folder / "out"
        self.night(0)
        self.expected = self.state()
        # Faults strike a night that has much to do: one model scored and judged before, the history there.
        shutil.copytree(self.out, self.folder / "done")

    def night(self, *codes, **environment):
        outcome = harness.run(["nightly", self.folder / "night.json", "--quiet"], env={**os.environ, **environment})
        if codes:
            self.assertIn(outcome.code, codes, outcome.err + outcome.out)
        return outcome

    def fault(self, kind, at):
        return {"LD_PRELOAD": self.library, "LMBITS_FAULT_DIR": str(self.out), "LMBITS_FAULT": kind, "LMBITS_FAULT_AT": str(at)}

    def state(self):
        """All that counts, without times."""
        records = {run.parent.name: {r["id"]: r for r in harness.records_of(run.parent)} for run in self.out.glob("runs/*/documents.jsonl")}
        summaries = {run: harness.summary_of(self.out / "runs" / run) for run in records}
        judged = sorted(json.loads(line)["model"] for line in (self.out / "judgements.jsonl").read_text().splitlines()[1:])
        check = harness.run(["history", "--db", self.out / "history.sqlite", "check"])
        self.assertEqual(check.code, 0, check.out + check.err)
        listed = json.loads(harness.run(["history", "--db", self.out / "history.sqlite", "list", "--format", "json"]).out)
        return records, summaries, judged, [(r["model"], r["bits"], r["n_documents"]) for r in listed]

    def begin(self, fresh):
        shutil.rmtree(self.out, ignore_errors=True)
        if not fresh:  # a week's state, of which one checkpoint is new
            shutil.copytree(self.folder / "done", self.out)
            shutil.rmtree(next(self.out.glob("runs/xs-byte-1000__*")))
            for log, key, name in (("checkpoints.jsonl", "path", "xs-byte-1000.pt"), ("judgements.jsonl", "model", "xs-byte-1000")):
                header, *lines = (self.out / log).read_text().splitlines(keepends=True)
                (self.out / log).write_text(header + "".join(line for line in lines if not json.loads(line)[key].endswith(name)))
            (self.out / "history.sqlite").unlink()
            harness.run(["history", "--db", self.out / "history.sqlite", "import", self.out / "runs"])

    def test_every_write(self):
        draw = random.Random(11)
        n_tried = n_noticed = 0
        for fresh in (True, False):
            self.begin(fresh)
            count = self.folder / "count"
            self.night(0, LD_PRELOAD=self.library, LMBITS_FAULT_DIR=str(self.out), LMBITS_FAULT_COUNT=str(count))
            n_calls = int(count.read_text())
            self.assertGreater(n_calls, 30)
            for kind in ("short", "enospc", "eio", "kill"):
                for at in sorted(draw.sample(range(1, n_calls + 1), max(1, round(SHARE * n_calls)))):
                    with self.subTest(fresh=fresh, kind=kind, at=at):
                        self.begin(fresh)
                        failed = self.night(**self.fault(kind, at))
                        # A clear end: its own exit code and words, or the kill asked for. Where a checkpoint could not be scored
                        # the night ends with 10; what repairs itself (a cache, say) with 0.
                        self.assertIn(failed.code, (-signal.SIGKILL,) if kind == "kill" else (0, 4, 10), failed.err)
                        self.assertNotIn("bug in lmbits", failed.err)
                        n_tried, n_noticed = n_tried + 1, n_noticed + (failed.code != 0)
                        self.night(0)
                        self.assertEqual(self.state(), self.expected)
        print(f"{n_tried} faults, {n_noticed} noticed by their night", flush=True)
        self.assertGreater(n_noticed, n_tried / 2)

    def test_kills_in_time(self):
        draw = random.Random(12)
        n_killed = 0
        for k in range(KILLS):
            self.begin(fresh=k % 2 == 0)
            process = harness.start(["nightly", self.folder / "night.json", "--quiet"])
            time.sleep(draw.uniform(0.05, 1.5))
            process.send_signal(signal.SIGKILL)
            n_killed += harness.Outcome(process).code == -signal.SIGKILL
            self.night(0)
            self.assertEqual(self.state(), self.expected)
        print(f"{n_killed} of {KILLS} kills struck", flush=True)

    def test_a_folder_that_may_not_be_written(self):
        self.folder.chmod(0o755)
        self.out.chmod(0o555)
        self.addCleanup(self.out.chmod, 0o755)
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}  # root may write everywhere
        try:
            outcome = harness.run(["nightly", self.folder / "night.json", "--quiet"], **other)
        except PermissionError as error:
            self.skipTest(f"nobody else may run the program: {error}")
        self.assert_one_error(outcome, 4, str(self.out))
        self.out.chmod(0o755)
        self.assertEqual(self.state(), self.expected)

    def test_a_clock_that_jumps(self):
        """Files from tomorrow and from long ago: scored once, judged once."""
        shutil.rmtree(self.out)
        for path, days in zip(sorted((self.folder / "checkpoints").iterdir()), (400, -4000)):
            os.utime(path, (time.time() + days * 86400,) * 2)
        self.night(0)
        self.assertEqual(self.state(), self.expected)
        self.night(0)
        self.assertEqual(self.state(), self.expected)


if __name__ == "__main__":
    harness.main()
