"""No space, no permission: a clear error, and what was complete is kept and completed later."""

import os
import shutil
import subprocess

import harness


class FullDisk(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.jsonl"
        harness.write_jsonl(self.corpus, 300)
        self.model = "uniform:256"
        self.expected = self.finish(self.model, self.corpus, self.folder / "undisturbed")

    def mount(self, *options, point=None):
        """A small file system of its own, or a skip that says why there is none."""
        if os.geteuid() != 0:
            self.skipTest("mounting a tmpfs needs root")
        point = point or self.folder / "mounted"
        point.mkdir(parents=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "lmbits-test", point], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a tmpfs: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", point])
        return point

    def kept(self, run):
        """The complete lines of a run that a full disk stopped."""
        lines, torn = harness.lines_of(run)
        self.assertEqual(torn, b"", "the partial line is cut back")
        self.assertNotIn(None, [harness.checked(line) for line in lines])
        self.assertFalse((run / "summary.json").exists())
        return set(lines)

    def test_a_limit_on_file_sizes(self):
        output = self.folder / "limited"
        stopped = harness.run(self.eval_arguments(self.model, self.corpus, output), preexec_fn=harness.limit_file_size(20_000))
        self.assert_one_error(stopped, 4, "documents.jsonl", "File too large")
        run = self.only_run(output)
        kept = self.kept(run)
        self.assertGreater(len(kept), 50, "20 kB hold more")
        self.finish(self.model, self.corpus, output)
        self.assertLessEqual(kept, set(harness.lines_of(run)[0]))
        self.assert_same_run(run, self.expected)

    def test_a_limit_that_no_summary_fits_in(self):
        corpus = self.folder / "one.jsonl"
        harness.write_jsonl(corpus, 1)
        output = self.folder / "limited"
        for limit in (0, 100, 900):
            stopped = harness.run(self.eval_arguments(self.model, corpus, output), preexec_fn=harness.limit_file_size(limit))
            with self.subTest(limit=limit):
                self.assert_one_error(stopped, 4, "File too large")
        self.finish(self.model, corpus, output)

    def test_a_full_disk(self):
        disk = self.mount("size=128k")
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 80_000)
        output = disk / "runs"
        for _ in range(2):  # still full the second time, and nothing is lost by that
            stopped = harness.run(self.eval_arguments(self.model, self.corpus, output))
            self.assert_one_error(stopped, 4, "documents.jsonl", "No space left on device")
            kept = self.kept(self.only_run(output))
            self.assertGreater(len(kept), 20)
        ballast.unlink()
        run = self.finish(self.model, self.corpus, output)
        self.assertLessEqual(kept, set(harness.lines_of(run)[0]))
        self.assert_same_run(run, self.expected)

    def test_a_disk_without_a_free_block(self):
        disk = self.mount("size=64k")
        with open(disk / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        stopped = harness.run(self.eval_arguments(self.model, self.corpus, disk / "runs"))
        self.assert_one_error(stopped, 4, "No space left on device")

    def test_a_disk_without_a_free_file(self):
        disk = self.mount("size=1m", "nr_inodes=4")
        stopped = harness.run(self.eval_arguments(self.model, self.corpus, disk / "runs"))
        self.assert_one_error(stopped, 4, "No space left on device")

    def test_baselines_on_a_full_disk(self):
        for n_files in range(6, 12):  # the run or what the compressors found may be what does not fit
            disk = self.folder / str(n_files) / "mounted"
            self.mount("size=1m", f"nr_inodes={n_files}", point=disk)
            arguments = ["eval", "--model", self.model, "--corpus", self.corpus, "--baselines", "gzip-9", "--quiet", "--threads", "1",
                         "-o", disk / "runs"]
            outcome = harness.run(arguments)
            with self.subTest(n_files=n_files):
                if outcome.code == 0:
                    summary = harness.summary_of(self.only_run(disk / "runs"))
                    self.assertIn("gzip-9", summary["baselines"])
                else:
                    self.assert_one_error(outcome, 4, "No space left on device")

    def test_a_folder_below_a_file(self):
        (self.folder / "file").write_text("")
        for output in ("file", "file/runs"):
            stopped = harness.run(self.eval_arguments(self.model, self.corpus, self.folder / output))
            self.assert_one_error(stopped, 4, self.folder / output)

    def test_a_run_folder_that_is_a_file(self):
        output = self.folder / "runs"
        output.mkdir()
        (output / self.expected.name).write_text("")
        self.assert_one_error(harness.run(self.eval_arguments(self.model, self.corpus, output)), 4, self.expected.name)

    def test_a_read_only_folder(self):
        disk = self.mount("size=1m")
        run = self.finish(self.model, self.corpus, disk / "runs")
        (run / "summary.json").unlink()
        shutil.copytree(self.folder / "undisturbed", disk / "finished")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for output in ("runs", "new"):
            stopped = harness.run(self.eval_arguments(self.model, self.corpus, disk / output))
            with self.subTest(output=output):
                self.assert_one_error(stopped, 4, disk / output, "Read-only file system")
        self.finish(self.model, self.corpus, disk / "finished")  # there is nothing left to write

    def test_a_folder_without_permission(self):
        output = self.folder / "runs"
        output.mkdir()
        output.chmod(0o555)
        if os.access(output, os.W_OK):
            self.skipTest("permissions do not bind this user")
        stopped = harness.run(self.eval_arguments(self.model, self.corpus, output))
        self.assert_one_error(stopped, 4, output, "Permission denied")


if __name__ == "__main__":
    harness.main()
