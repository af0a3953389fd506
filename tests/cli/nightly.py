#!/usr/bin/env python3
"""A week of nights over committed demo checkpoints: new ones scored once, a planted regression caught, a half-written file
left alone, a corrupt one reported, a night that is killed gone on with, two nights at once refused."""
import json, os, pathlib, shutil, signal, subprocess, sys, tempfile, time, unittest
import xml.etree.ElementTree

LMBITS, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
DEMO = SOURCE / "models" / "demo"


class Nights(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lmbits-nightly-"))
        self.checkpoints = self.folder / "checkpoints"
        self.checkpoints.mkdir()
        prose = (SOURCE / "models/heldout/prose.txt").read_bytes()
        (self.folder / "prose.txt").write_bytes(prose[:60000])
        self.config = {"watch": ["checkpoints/*.pt"], "ready": "{}.done", "name": "stem", "output": "out", "threads": 2,
                       "corpora": [{"name": "prose", "path": "prose.txt", "split": "1024"}]}

    def tearDown(self):
        shutil.rmtree(self.folder)

    def deliver(self, bundle, name=None):
        """A training run leaves a checkpoint, then its marker."""
        path = self.checkpoints / f"{name or bundle}.pt"
        shutil.copy(DEMO / f"{bundle}.pt", path)
        path.with_name(path.name + ".done").touch()

    def ask_questions(self):
        lines = (SOURCE / "models/benchmarks/cloze-prose.jsonl").read_text().splitlines(keepends=True)
        (self.folder / "questions.jsonl").write_text("".join(lines[:20]))
        self.config["tasks"] = ["questions.jsonl"]

    def n_scores(self, model):
        """Each checkpoint's scores lie in a folder of their own, where `lmbits correlate` reads them."""
        scores = [json.loads(line) for line in (self.folder / f"out/tasks/{model}/scores.jsonl").read_text().splitlines()]
        self.assertEqual({score["model"] for score in scores}, {model})
        return len(scores)

    def command(self):
        (self.folder / "night.json").write_text(json.dumps(self.config))
        return [LMBITS, "nightly", str(self.folder / "night.json"), "--json", "--quiet"]

    def night(self, expected):
        done = subprocess.run(self.command(), capture_output=True, text=True)
        self.assertEqual(done.returncode, expected, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def files(self):
        return {p.name for p in (self.folder / "out").iterdir()}

    def test_a_week(self):
        self.assertEqual(self.night(0)["scored"], [])  # nothing has come yet
        week = ["m-sp-250", "m-sp-1000", "m-sp-3000", "m-sp-3600"]
        self.ask_questions()
        for bundle in week:
            self.deliver(bundle)
            night = self.night(0)
            self.assertGreater(self.n_scores(bundle), 0)
            self.assertEqual([j["model"] for j in night["judgements"]], [bundle])
            self.assertEqual(night["judgements"][0]["best_on"], [] if bundle == week[0] else ["prose"])
        self.assertEqual(self.night(0)["judgements"], [])  # a night without a new checkpoint judges nothing

        # Planted: a worse model is delivered as the newest of the run.
        self.deliver("s-sp-4000", "m-sp-newest")
        self.config["baseline"] = "m-sp-3600"
        (self.checkpoints / "half.pt").write_bytes(b"PK\x03\x04")  # no marker yet
        (self.checkpoints / "corrupt.pt").write_bytes(b"not an archive")
        (self.checkpoints / "corrupt.pt.done").touch()
        night = self.night(9)
        judged = {j["model"]: j for j in night["judgements"]}
        self.assertEqual(set(judged), {"m-sp-newest"})
        self.assertTrue(judged["m-sp-newest"]["regression"])
        self.assertEqual([pathlib.Path(w["path"]).name for w in night["waiting"]], ["half.pt"])
        self.assertEqual(len(night["failures"]), 1)
        self.assertIn("corrupt", night["failures"][0])

        suite = xml.etree.ElementTree.parse(self.folder / "out/junit.xml").getroot()
        self.assertEqual((suite.get("failures"), suite.get("errors")), ("1", "1"))
        metrics = (self.folder / "out/metrics.prom").read_text()
        self.assertIn('lmbits_regression{model="m-sp-newest",baseline="m-sp-3600"} 1', metrics)
        self.assertIn("REGRESSED", (self.folder / "out/index.html").read_text())
        self.assertEqual(json.loads((self.folder / "out/latest.json").read_text())["exit_code"], 9)

        night = self.night(10)  # the alarm was given; what is corrupt still is
        self.assertEqual(night["judgements"], [])
        listed = subprocess.run([LMBITS, "history", "--db", str(self.folder / "out/history.sqlite"), "list", "--format", "json"],
                                capture_output=True, text=True, check=True)
        self.assertEqual(sorted(r["model"] for r in json.loads(listed.stdout)), sorted(week + ["m-sp-newest"]))

    def test_pixels_in_another_order_are_another_corpus(self):
        (self.folder / "a.pgm").write_bytes(b"P5 64 64 255 " + bytes(range(64)) * 64)
        corpus = {"path": "a.pgm"}
        self.config["corpora"] = [corpus]
        self.deliver("xs-byte-100")
        for patch, n in (("32x64", 1), ("32x64x1", 0)):
            corpus["patch"] = patch
            self.assertEqual(len(self.night(0)["scored"]), n)
        corpus["patch"] = "64x1"  # noticed, and not mixed with what has the same name
        self.assertIn("corpus was", self.night(10)["failures"][0])
        corpus["name"] = "columns"
        self.assertEqual(len(self.night(0)["scored"]), 1)

    def test_the_history_is_made_again_where_it_is_damaged(self):
        self.deliver("xs-byte-100")
        self.night(0)
        database = self.folder / "out/history.sqlite"
        database.write_bytes(b"garbage" * 1000)
        night = self.night(0)
        self.assertIn("made again from 1 runs", night["notes"][0])
        self.assertEqual(night["judgements"], [])

    def test_a_killed_night_is_gone_on_with(self):
        """Killed at many moments: the last night judges all, and records are those of a night that was not killed."""
        for bundle in ["xs-byte-100", "xs-byte-1000"]:
            self.deliver(bundle)
        n_kills = int(os.environ.get("LMBITS_NIGHT_KILLS", "6"))
        for k in range(n_kills):
            process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.05 + 1.5 * k / n_kills)
            process.send_signal(signal.SIGKILL)
            process.wait()
        last = subprocess.run(self.command(), capture_output=True, text=True)
        self.assertIn(last.returncode, (0,), last.stdout + last.stderr)
        judged = [json.loads(line)["model"] for line in (self.folder / "out/judgements.jsonl").read_text().splitlines()[1:]]
        self.assertEqual(sorted(judged), ["xs-byte-100", "xs-byte-1000"])
        listed = subprocess.run([LMBITS, "history", "--db", str(self.folder / "out/history.sqlite"), "check"],
                                capture_output=True, text=True)
        self.assertEqual(listed.returncode, 0, listed.stdout)
        self.assertIn("sound: 2 runs", listed.stdout)
        killed = {p.parent.name: sorted(p.read_text().splitlines()) for p in (self.folder / "out/runs").glob("*/documents.jsonl")}
        shutil.rmtree(self.folder / "out")
        self.night(0)
        whole = {p.parent.name: sorted(p.read_text().splitlines()) for p in (self.folder / "out/runs").glob("*/documents.jsonl")}
        self.assertEqual(killed, whole)

    def test_two_nights_at_once(self):
        self.deliver("l-sp-500")
        first = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lease = self.folder / "out/nightly.lease"
        while not lease.exists() and first.poll() is None:
            time.sleep(0.01)
        second = subprocess.run(self.command(), capture_output=True, text=True)
        if first.poll() is None:
            self.assertEqual(second.returncode, 3, second.stdout + second.stderr)
            self.assertIn(f"process {first.pid}", second.stderr)
        out, err = first.communicate()
        self.assertEqual(first.returncode, 0, out + err)
        self.assertFalse(lease.exists())


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
