"""--device: what a machine without a GPU says, and that `auto` then computes on the CPU, to the same bits."""

import json

import harness


class Devices(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.txt"
        self.corpus.write_text(harness.text_of(3000))
        doctor = json.loads(harness.run(["doctor", "--json"]).out)["evaluator"]
        if isinstance(doctor["cuda_devices"], dict):
            self.skipTest("this machine has a CUDA device: " + str(doctor["cuda_devices"]))

    def command(self, device, output):
        return ["eval", "--model", harness.bundle("xs-byte-3000"), "--corpus", self.corpus, "--baselines", "none",
                "--device", device, "-o", output]

    def test_cuda_without_a_device_is_one_clear_error(self):
        for device in ("cuda", "cuda:1", "cuda:0,cuda:1", "cuda:all"):
            output = self.folder / "none"
            outcome = harness.run(self.command(device, output))
            self.assertEqual(outcome.code, 6, outcome.err)
            lines = outcome.err.strip().splitlines()
            self.assertEqual(len(lines), 2, outcome.err)
            self.assertIn(f"--device {device}: there is no CUDA device: ", lines[0])
            self.assertIn("hint: use --device cpu or auto", lines[1])
            self.assertFalse(output.exists(), "nothing is begun")

    def test_an_unknown_device_is_named(self):
        outcome = harness.run(self.command("tpu", self.folder / "none"))
        self.assertEqual(outcome.code, 3, outcome.err)
        self.assertIn("--device tpu is not known", outcome.err)

    def test_auto_takes_the_cpu(self):
        bits = {}
        for device in ("cpu", "auto"):
            output = self.folder / device
            outcome = harness.run(self.command(device, output))
            self.assertEqual(outcome.code, 0, outcome.err)
            run = next(output.glob("*__*"))
            self.assertEqual(json.loads((run / "manifest.json").read_text())["device"], "cpu")
            bits[device] = harness.summary_of(run)["bits"]
        self.assertEqual(bits["cpu"], bits["auto"])


if __name__ == "__main__":
    harness.main()
