"""What went bad on disk after a run is noticed and redone: the summary comes out the same."""

import json
import shutil
import signal

import harness


class DamagedRuns(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.jsonl"
        harness.write_jsonl(self.corpus, 60)
        self.model = f"bigram:{self.corpus}"
        self.expected = self.finish(self.model, self.corpus, self.folder / "undisturbed")

    def redo(self, damage):
        """A copy of the run, damaged by `damage(run's folder)`, evaluated again."""
        output = self.folder / "damaged"
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(self.folder / "undisturbed", output)
        run = self.only_run(output)
        damage(run)
        self.finish(self.model, self.corpus, output)
        self.assert_same_run(run, self.expected)

    def rewrite(self, change):
        """Damage that replaces the bytes of documents.jsonl by change(bytes)."""
        def damage(run):
            path = run / "documents.jsonl"
            before = path.read_bytes()
            after = change(before)
            self.assertNotEqual(before, after)
            path.write_bytes(after)
        return damage

    def test_a_torn_last_line(self):
        for n in (1, 2, 40):
            self.redo(self.rewrite(lambda data: data[:-n]))

    def test_a_flipped_byte_in_the_middle(self):
        size = (self.expected / "documents.jsonl").stat().st_size
        for at in (0, size // 3, size // 2, size - 2):
            self.redo(self.rewrite(lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]))

    def test_a_number_changed_by_hand(self):
        def change(data):
            lines = data.split(b"\n")
            record = json.loads(lines[7])
            bits = json.dumps(record["bits"]).encode()
            lines[7] = lines[7].replace(b'"bits":' + bits, b'"bits":' + bits[:-1] + (b"1" if bits[-1:] != b"1" else b"2"))
            return b"\n".join(lines)
        self.redo(self.rewrite(change))

    def test_lines_lost_doubled_and_run_together(self):
        def without_last(data):
            return data[:data.rindex(b"\n", 0, -1) + 1]
        self.redo(self.rewrite(lambda data: data + data.split(b"\n")[3] + b"\n"))
        self.redo(self.rewrite(lambda data: data.replace(b"\n", b" ", 1)))
        self.redo(self.rewrite(lambda data: data + b"\n\n\x00\x00\x00\n"))
        self.redo(self.rewrite(without_last))
        self.redo(self.rewrite(lambda data: b""))

    def test_deleted_files(self):
        self.redo(lambda run: (run / "summary.json").unlink())
        self.redo(lambda run: (run / "documents.jsonl").unlink())
        self.redo(lambda run: [(run / name).unlink() for name in ("documents.jsonl", "summary.json")])

    def test_a_damaged_summary(self):
        for text in ("", "{", "[]", "null", '{"schema": 1}'):
            with self.subTest(text=text):
                self.redo(lambda run: (run / "summary.json").write_text(text))

    def test_temporary_files_of_a_killed_process_go_away(self):
        def damage(run):
            (run / "summary.json").unlink()
            (run / ".summary.json.1.lmbits-tmp").write_text("{")
        self.redo(damage)

    def test_a_damaged_manifest_is_an_error(self):
        for text in ("", '{"schema": 1', '{"schema": 99}', "[]"):
            output = self.folder / "damaged"
            shutil.rmtree(output, ignore_errors=True)
            shutil.copytree(self.folder / "undisturbed", output)
            (self.only_run(output) / "manifest.json").write_text(text)
            outcome = harness.run(self.eval_arguments(self.model, self.corpus, output))
            with self.subTest(text=text):
                self.assert_one_error(outcome, 4, "manifest.json")

    def test_a_damaged_checkpoint_is_not_believed(self):
        long = self.folder / "long.txt"
        long.write_text(harness.text_of(1_100_000))
        flags = ("--window", "32", "--stride", "16")
        expected = self.finish(f"bigram:{long}", long, self.folder / "long", *flags)
        stopped = self.folder / "stopped"
        process = harness.start(self.eval_arguments(f"bigram:{long}", long, stopped, *flags))
        self.wait_for(lambda: list(stopped.glob("*__*/checkpoint-*.json")), process, "a checkpoint")
        process.send_signal(signal.SIGKILL)
        harness.Outcome(process)
        (good,) = stopped.glob("*__*/checkpoint-*.json")
        data = good.read_bytes()
        digit = data.index(b'"bits":') + len(b'"bits":')
        flipped = data[:digit] + (b"1" if data[digit:digit + 1] != b"1" else b"2") + data[digit + 1:]
        for name, bad in (("flipped", flipped), ("torn", data[:len(data) // 2]), ("empty", b""), ("other", b"{}")):
            output = self.folder / name
            shutil.copytree(stopped, output)
            (checkpoint,) = output.glob("*__*/checkpoint-*.json")
            checkpoint.write_bytes(bad)
            with self.subTest(checkpoint=name):
                self.assert_same_run(self.finish(f"bigram:{long}", long, output, *flags), expected)


if __name__ == "__main__":
    harness.main()
