"""kill -9 at random moments, then the same command again: nothing lost, nothing twice, the same numbers to the last bit.

LMBITS_KILLS=N: that many kills over all scenarios (6).
"""

import json
import os
import random
import signal
import time

import harness

KILLS = int(os.environ.get("LMBITS_KILLS", "6"))


class KillAndResume(harness.ProgramTest):
    def killed_at_random(self, draw, arguments, output, amid):
        """Starts the program and kills it: while it starts, or after some signs of progress. False where it was done before."""
        process = harness.start(arguments)
        if amid:
            changes, last = draw.randint(1, 12), progress(output)
            while changes > 0 and process.poll() is None:
                now = progress(output)
                if now != last:
                    changes, last = changes - 1, now
                time.sleep(0.0002)
            time.sleep(draw.uniform(0.0, 0.005))
        else:
            time.sleep(draw.uniform(0.0, 1.5))
        process.send_signal(signal.SIGKILL)
        outcome = harness.Outcome(process)
        self.assertIn(outcome.code, (-signal.SIGKILL, 0), outcome.err)
        return outcome.code != 0

    def campaign(self, n_kills, model, corpus, *flags):
        draw = random.Random(f"{model}{corpus}{KILLS}")
        expected = self.finish(model, corpus, self.folder / "undisturbed", *flags)
        output, n_runs, n_amid, n_kept = self.folder / "killed-0", 0, 0, 0
        while n_kills > 0:
            arguments = self.eval_arguments(model, corpus, output, *flags)
            if self.killed_at_random(draw, arguments, output, amid=n_amid == 0 or draw.random() < 0.8):
                n_kills -= 1
                n_amid += self.check_what_is_left(output)
                n_kept = n_scored_on_disk(output, n_kept)
            else:  # it came to its end: begin anew
                self.assert_resumed(self.only_run(output), expected, n_kept)
                n_runs += 1
                output, n_kept = self.folder / f"killed-{n_runs}", 0
        self.assert_resumed(self.finish(model, corpus, output, *flags), expected, n_kept)
        print(f"{n_amid} kills amid a run's records; {n_runs + 1} runs ended", flush=True)
        self.assertGreater(n_amid, 0, "no kill struck where it matters")

    def assert_resumed(self, run, expected, n_kept):
        """The same run; and its last process, of which the profile speaks, scored what was not on disk, not a token more."""
        self.assert_same_run(run, expected)
        summary = json.loads((run / "summary.json").read_bytes())
        self.assertEqual(summary["profile"]["n_scored"], summary["n_scored"] - n_kept, "tokens scored by the last process")

    def check_what_is_left(self, output):
        """Whole lines are sound and unique; true where the kill struck between the first record and the summary."""
        runs = [path for path in output.iterdir() if "__" in path.name] if output.exists() else []
        if not runs:
            return False
        records = harness.records_of(runs[0])
        self.assertNotIn(None, records, "a complete line has a wrong checksum")
        self.assertEqual(len(records), len({record["id"] for record in records}))
        begun = bool(records) or any(path.name.startswith("checkpoint-") for path in runs[0].iterdir())
        return begun and not (runs[0] / "summary.json").exists()

    def test_many_documents(self):
        corpus = self.folder / "many.jsonl"
        ids = harness.write_jsonl(corpus, 60 * KILLS)
        self.campaign(share(0.4), harness.bundle("xs-byte-100"), corpus, "--window", "64")
        records = harness.records_of(self.only_run(self.folder / "undisturbed"))
        self.assertEqual({record["id"] for record in records}, set(ids))

    def test_one_long_document(self):
        corpus = self.folder / "long.txt"
        corpus.write_text(harness.text_of(1_100_000))
        self.campaign(share(0.3), f"bigram:{corpus}", corpus, "--window", "32", "--stride", "16")

    def test_one_long_document_and_a_neural_model(self):
        if KILLS < 20:
            self.skipTest("in the long campaign only (LMBITS_KILLS >= 20)")
        corpus = self.folder / "long.txt"
        corpus.write_text(harness.text_of(1_100_000))
        self.campaign(share(0.1), harness.bundle("xs-byte-100"), corpus, "--window", "128", "--stride", "128")

    def test_a_stream(self):
        corpus = self.folder / "stream.jsonl"
        harness.write_jsonl(corpus, 25 * KILLS)
        self.campaign(share(0.2), harness.bundle("xs-byte-100"), corpus, "--convention", "hkust", "--window", "48", "--stride", "16")

    def test_a_race_is_gone_on_with(self):
        """`rank --adaptive`: the order of a full evaluation from less text; killed, it ends the same."""
        text = self.folder / "prose.txt"
        text.write_bytes((harness.SOURCE / "models/heldout/prose.txt").read_bytes()[:80000])
        names = ["xs-byte-100", "xs-byte-3000", "xs-byte-1000"]

        def race(output):
            return ["rank", "--adaptive", output, "--model", *map(harness.bundle, names), "--text", text, "--split", "512", "--json"]

        whole = harness.run(race(self.folder / "whole"))
        self.assertEqual(whole.code, 0, whole.err)
        self.assertRegex(whole.err, "the whole order takes about .* of the tokens")
        report = json.loads(whole.out)
        self.assertEqual([m["model"] for m in report["models"]], ["xs-byte-3000", "xs-byte-1000", "xs-byte-100"])
        self.assertLess(report["token_share"], 0.8)
        process = harness.start(race(self.folder / "killed"))
        self.wait_for(lambda: progress(self.folder / "killed"), process, "records")
        process.send_signal(signal.SIGKILL)
        harness.Outcome(process)
        again = harness.run(race(self.folder / "killed"))
        self.assertEqual(json.loads(again.out), report)


def share(of_all):
    return max(1, round(of_all * KILLS))


def n_scored_on_disk(output, before):
    """Tokens in the records and the checkpoints of the run below `output`; `before` where it has its summary already."""
    run = next(output.glob("*__*"), None)
    if run is None or (run / "summary.json").exists():
        return before
    checkpoints = [json.loads(path.read_bytes()[9:]) for path in run.glob("checkpoint-*.json")]  # after the checksum
    done = {record["id"]: record["n_scored"] for record in harness.records_of(run)}
    return sum(done.values()) + sum(c["n_scored"] for c in checkpoints if c["id"] not in done)


def progress(output):
    """Changes with each record and checkpoint."""
    sizes = []
    for path in (*output.glob("*__*/documents.jsonl"), *output.glob("*__*/checkpoint-*.json")):
        try:
            status = path.stat()
            if status.st_size > 0:
                sizes.append((path.name, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:  # a checkpoint, gone since
            pass
    return sizes


if __name__ == "__main__":
    harness.main()
