"""Ctrl-C stops cleanly and the same command goes on; a run's folder belongs to one process at a time."""

import os
import signal
import time

import harness


def catches_interrupts(process):
    """Whether a handler of SIGINT is in place: it is gone as soon as the first one has struck."""
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & (1 << (signal.SIGINT - 1)))


def cpu_seconds_of(process):
    """CPU time so far, None once the process has ended."""
    if process.poll() is not None:
        return None
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class StopAndLock(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.jsonl"
        harness.write_jsonl(self.corpus, 150)
        self.model = harness.bundle("xs-byte-100")
        self.flags = ("--window", "64", "--stride", "8")

    def begin(self, output, *flags):
        """A process that has left its first records and is not done."""
        process = harness.start(self.eval_arguments(self.model, self.corpus, output, *self.flags, *flags))
        self.wait_for(lambda: any(path.stat().st_size > 0 for path in output.glob("*__*/documents.jsonl")), process, "a record")
        return process

    def test_interrupt_stops_cleanly_and_the_same_command_goes_on(self):
        expected = self.finish(self.model, self.corpus, self.folder / "undisturbed", *self.flags)
        for name in ("SIGINT", "SIGTERM"):
            output = self.folder / name
            process = self.begin(output)
            process.send_signal(signal.Signals[name])
            outcome = harness.Outcome(process)
            self.assertEqual(outcome.code, 130, outcome.err)
            self.assertIn("the same command again", outcome.err)
            self.assertEqual(len(outcome.err.splitlines()), 1, outcome.err)
            run = self.only_run(output)
            self.assertFalse((run / "summary.json").exists())
            lines, torn = harness.lines_of(run)
            self.assertEqual(torn, b"", "a clean stop tears no line")
            kept = set(lines)
            self.assertGreater(len(kept), 0)
            self.finish(self.model, self.corpus, output, *self.flags)
            self.assertLessEqual(kept, set(harness.lines_of(run)[0]), "what was done is not done again")
            self.assert_same_run(run, expected)

    def test_commands_that_keep_nothing_say_so(self):
        lines = self.folder / "lines.txt"
        lines.write_text("".join(f"{i} {i * 7919 % 1009} {i * 104729 % 9973}\n" for i in range(200_000)))
        out = self.folder / "out"
        by_line = [lines, "--split", "lines", "--quiet"]
        for arguments, said in ((["baseline", *by_line, "--codec", "xz-6"], "stopped; nothing is kept: run it again"),
                                (["baseline", *by_line, "--codec", "xz-6", "--cache", out], "the same command again"),
                                (["corpus", "stats", *[f"{i}={lines}" for i in range(40)], *by_line[1:]], "nothing is kept"),
                                (["corpus", "check", *by_line], "stopped; nothing is kept: run it again"),
                                (["pcfg", "30-400-10-8", "--documents", 10**8, "--quiet", "-o", out], f"stopped; {out} has the first ")):
            with self.subTest(" ".join(map(str, arguments[:2]))):
                process = harness.start(arguments)
                self.wait_for(lambda: catches_interrupts(process), process, "a handler")
                process.send_signal(signal.SIGINT)
                outcome = harness.Outcome(process)
                self.assertEqual((outcome.code, outcome.out, len(outcome.err.splitlines())), (130, "", 1), outcome.err)
                self.assertIn(said, outcome.err)

    def test_the_second_interrupt_kills(self):
        for attempt in range(5):  # the process may be quick enough to stop between the two
            process = self.begin(self.folder / str(attempt), "--batch", "512")
            process.send_signal(signal.SIGINT)
            while process.poll() is None and catches_interrupts(process):
                time.sleep(0.0001)
            process.send_signal(signal.SIGINT)
            code = harness.Outcome(process).code
            self.assertIn(code, (130, -signal.SIGINT))
            if code == -signal.SIGINT:
                return
        self.fail("the second SIGINT never killed")

    def test_an_interrupt_after_the_last_record_leaves_no_summary_without_its_baselines(self):
        corpus = self.folder / "baselines.txt"
        corpus.write_text(harness.text_of(6_000_000))  # scored in a moment, while xz -9e takes seconds
        arguments = ["eval", "--model", "uniform:256", "--corpus", corpus, "--split", "5000", "--threads", "1", "--quiet", "-o",
                     self.folder / "runs", "--baselines", "xz-9e"]
        n_documents = -(-corpus.stat().st_size // 5000)
        process = harness.start(arguments)
        records = self.folder / "runs" / "uniform-256__baselines__default" / "documents.jsonl"
        self.wait_for(lambda: records.exists() and records.read_bytes().count(b"\n") >= n_documents, process, "the last record")
        process.send_signal(signal.SIGINT)
        first = harness.Outcome(process)
        self.assertIn(first.code, (0, 130), first.err)
        again = harness.run(arguments)
        self.assertEqual(again.code, 0, again.err)
        self.assertIn("xz-9e", harness.summary_of(records.parent)["baselines"])

    def test_an_interrupt_does_not_wait_for_the_compressors(self):
        corpus = self.folder / "one.txt"
        corpus.write_text(harness.text_of(3_000_000))  # one document, seconds of xz -9e
        process = harness.start(["eval", "--model", "uniform:256", "--corpus", corpus, "--threads", "1", "--quiet", "-o",
                                 self.folder / "runs", "--baselines", "xz-9e"])
        self.wait_for(lambda: list((self.folder / "runs").glob("*__*/documents.jsonl")), process, "the run")
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        before_s = cpu_seconds_of(process)
        process.send_signal(signal.SIGINT)
        while (stopped_s := cpu_seconds_of(process)) is not None:
            self.assertLess(stopped_s - before_s, 1.0, "CPU seconds from the interrupt on")
            time.sleep(0.01)
        self.assertIn(harness.Outcome(process).code, (0, 130))

    def test_a_second_process_on_the_folder_is_refused(self):
        expected = self.finish(self.model, self.corpus, self.folder / "undisturbed", *self.flags)
        output = self.folder / "runs"
        process = self.begin(output)
        process.send_signal(signal.SIGSTOP)  # so that it holds the folder for as long as this takes
        try:
            second = harness.run(self.eval_arguments(self.model, self.corpus, output, *self.flags))
        finally:
            process.send_signal(signal.SIGCONT)
        run = self.only_run(output)
        self.assert_one_error(second, 3, run.name, f"process {process.pid}")
        first = harness.Outcome(process)
        self.assertEqual(first.code, 0, first.err)
        self.assert_same_run(run, expected)
        self.assertEqual(list((output / "failures").glob("*")), [], "the refusal is no failure of the run that went on")


if __name__ == "__main__":
    harness.main()
