"""Memory is that of the batch and of the largest document, not of the corpus."""

import json

import harness

ALLOWED = 1.2  # of what the small corpus needs


class BoundedMemory(harness.ProgramTest):
    def corpus_of(self, n_bytes):
        """Documents of 64 KiB, `n_bytes` in all."""
        path = self.folder / f"{n_bytes}.jsonl"
        text = harness.text_of(1 << 20)
        pieces = [text[i * 60_000:(i + 1) * 60_000] for i in range(16)]
        with open(path, "w", encoding="utf-8") as file:
            for i in range(max(1, n_bytes >> 16)):
                piece = pieces[i % 16]
                file.write(json.dumps({"text": (piece + f" {i} " + piece)[:65_000]}, ensure_ascii=False) + "\n")
        return path

    def peaks(self, model, large, *flags):
        """Peak KiB with one document, with 1 MB and with `large` bytes."""
        peaks = []
        for n_bytes in (1 << 16, 1 << 20, large):
            arguments = self.eval_arguments(model, self.corpus_of(n_bytes), self.folder / f"runs-{n_bytes}", *flags)
            code, cpu_s, peak = harness.usage_of(arguments)
            self.assertEqual(code, 0)
            print(f"{n_bytes >> 10} KiB of text: {peak >> 10} MiB at most, {cpu_s:.1f} s of CPU", flush=True)
            peaks.append(peak)
        return peaks

    def test_100_mb_of_text_and_a_bigram_model(self):
        training = self.folder / "training.txt"
        training.write_text(harness.text_of(10_000))
        _, small, large = self.peaks(f"bigram:{training}", 100 << 20)
        self.assertLess(large, ALLOWED * small)

    def test_8_mb_of_text_and_a_neural_model(self):
        _, small, large = self.peaks(harness.bundle("xs-byte-100"), 8 << 20, "--window", "256", "--stride", "256")
        self.assertLess(large, ALLOWED * small)


if __name__ == "__main__":
    harness.main()
