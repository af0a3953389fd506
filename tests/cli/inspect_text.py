"""inspect --text: a text's bits, token by token, are those of eval, under every convention."""

import json

import harness


class InspectText(harness.ProgramTest):
    def test_tokens_sum_to_the_bits_of_eval(self):
        text = self.folder / "text.txt"
        text.write_text(harness.text_of(1500))
        for model, conventions in ((harness.bundle("xs-byte-100"), "default lm-eval hkust llama-ppl gptq uncheatable lmic"),
                                   (harness.bundle("s-sp-100"), "default lmic")):
            for convention in conventions.split():
                window = 256
                flags = ["--convention", convention, "--window", window]
                run = self.finish(model, text, self.folder / f"{len(model)}-{convention}", *flags)
                outcome = harness.run(["inspect", model, "--text-file", text, "--json", *flags])
                self.assertEqual(outcome.code, 0, outcome.err)
                bits = sum(token["bits"] for token in json.loads(outcome.out))
                with self.subTest(model=model, convention=convention):
                    self.assertAlmostEqual(bits, harness.summary_of(run)["bits"], delta=1e-5 * bits)


if __name__ == "__main__":
    harness.main()
