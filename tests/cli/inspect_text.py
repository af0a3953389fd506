"""inspect --text: a text's bits, token by token, and its bits/byte are those of eval, under every convention."""

import json
import os
import pty
import re

import harness


def on_terminal(arguments):
    """What the program writes to a terminal that takes colours."""
    terminal, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = harness.subprocess.Popen([harness.PROGRAM, *map(str, arguments)], stdin=harness.subprocess.DEVNULL, stdout=end,
                                       env=environment)
    os.close(end)
    written = b""
    try:
        while piece := os.read(terminal, 65536):
            written += piece
    except OSError:  # what Linux says when the other end is closed
        pass
    os.close(terminal)
    assert process.wait() == 0
    return written.decode()


class InspectText(harness.ProgramTest):
    def test_tokens_sum_to_the_bits_of_eval(self):
        text = self.folder / "text.txt"
        text.write_text(harness.text_of(1500))
        for model, conventions in ((harness.bundle("xs-byte-100"),
                                    ["default", "default --bos none", "lm-eval", "hkust", "llama-ppl", "gptq", "uncheatable",
                                     "uncheatable --uncheatable-mode replace_bos", "lmic"]),
                                   (harness.bundle("s-sp-100"), ["default", "lmic"])):
            for convention in conventions:
                flags = ["--window", 256, "--convention", *convention.split()]
                run = self.finish(model, text, self.folder / f"{len(model)}-{convention}", *flags)
                outcome = harness.run(["inspect", model, "--text-file", text, "--json", *flags])
                self.assertEqual(outcome.code, 0, outcome.err)
                bits = sum(token["bits"] for token in json.loads(outcome.out))
                with self.subTest(model=model, convention=convention):
                    summary = harness.summary_of(run)
                    self.assertAlmostEqual(bits, summary["bits"], delta=1e-5 * bits)
                    said = harness.run(["inspect", model, "--text-file", text, *flags]).out.splitlines()[-1]
                    self.assertEqual(said.split(", ")[2].split(" (")[0], f"{summary['bits_per_byte']:.4f} bits/byte")
                    self.assertEqual(summary["n_scored"] < summary["n_tokens"], "bytes scored)" in said, said)

    def test_a_text_does_not_act_on_the_terminal_and_characters_stay_whole(self):
        text = "an été\x1b[2J \u009b1m漢\tend"
        written = on_terminal(["inspect", harness.bundle("xs-byte-100"), "--text", text])
        self.assertRegex(written, "\x1b\\[48;5;[0-9]+;38;5;231m漢\x1b\\[0m")  # three tokens, one colour
        plain = re.sub("\x1b\\[[0-9;]*m", "", written)
        self.assertTrue(plain.startswith("an été\ufffd[2J \ufffd1m漢⇥end\r\n"), plain)
        listed = harness.run(["inspect", harness.bundle("xs-byte-100"), "--text", text]).out
        self.assertNotRegex(listed, "[\x00-\x08\x0b-\x1f\x7f-\x9f]")


if __name__ == "__main__":
    harness.main()
