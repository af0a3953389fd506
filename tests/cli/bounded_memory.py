"""Memory is that of the batch and of the largest document, not of the corpus: what a run takes above the loaded model."""

import json

import harness

ALLOWED = 1.2  # of what the small corpus takes above the model,
RECORD_KIB = 2  # and a record for each document, which the summary is made of (0.9 KiB each were measured)
DOCUMENT = 1 << 16


class BoundedMemory(harness.ProgramTest):
    def corpus_of(self, n_bytes):
        """Documents of 64 KiB, `n_bytes` in all; one where that is less."""
        path = self.folder / f"{n_bytes}.jsonl"
        text = harness.text_of(1 << 20)
        pieces = [text[i * 60_000:(i + 1) * 60_000] for i in range(16)]
        with open(path, "w", encoding="utf-8") as file:
            for i in range(max(1, n_bytes // DOCUMENT)):
                piece = pieces[i % 16]
                file.write(json.dumps({"text": (piece + f" {i} " + piece)[:min(65_000, n_bytes)]}, ensure_ascii=False) + "\n")
        return path

    def peak_mib(self, model, n_bytes, *flags):
        arguments = self.eval_arguments(model, self.corpus_of(n_bytes), self.folder / f"runs-{n_bytes}", *flags)
        code, cpu_s, peak_kib = harness.usage_of(arguments)
        self.assertEqual(code, 0)
        print(f"{n_bytes / 1024:.3g} KiB of text: {peak_kib / 1024:.1f} MiB at most, {cpu_s:.1f} s of CPU", flush=True)
        return peak_kib / 1024

    def assert_bounded(self, model, large, *flags):
        # The loaded model: the program, libtorch, the weights as they are packed, and the batches of one document of 64 bytes,
        # which are small (16 to 64 positions; others have 1024). So what is above it holds the batches, not only the text.
        loaded = self.peak_mib(model, 64, *flags)
        small = self.peak_mib(model, 1 << 20, *flags) - loaded
        above = self.peak_mib(model, large, *flags) - loaded
        bound = ALLOWED * small + RECORD_KIB * (large // DOCUMENT) / 1024
        print(f"above the loaded model: {small:.2f} MiB with 1 MB, {above:.2f} MiB with {large >> 20} MB (at most {bound:.2f})", flush=True)
        self.assertLessEqual(above, bound)

    def test_100_mb_of_text_and_a_bigram_model(self):
        training = self.folder / "training.txt"
        training.write_text(harness.text_of(10_000))
        self.assert_bounded(f"bigram:{training}", 100 << 20)

    def test_100_mb_of_text_and_a_neural_model(self):
        """Two minutes of CPU. A heap that could not use its free memory again, 2.3 MiB for each MB, was once found here."""
        self.assert_bounded(harness.bundle("xs-byte-100"), 100 << 20, "--window", "256", "--stride", "256")


if __name__ == "__main__":
    harness.main()
