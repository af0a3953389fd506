"""lmbits eval --weights: the checkpoints of a run in the graph of one bundle, sound ones and damaged ones."""

import json
import os
import unittest

import harness
from torch_archive import as_bfloat16, as_float32, safetensors, weights_of

STEPS = (100, 1000, 3000)  # of xs-byte, each a bundle of its own


class Sweep(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "corpus.txt"
        self.corpus.write_bytes((harness.SOURCE / "models/heldout/prose.txt").read_bytes()[:3000])
        self.family = harness.bundle("xs-byte-100")
        self.weights = {step: weights_of(harness.bundle(f"xs-byte-{step}")) for step in STEPS}

    def write(self, path, tensors):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(safetensors(tensors))
        return path

    def sweep(self, pattern, expected=0, out="runs"):
        return self.run_program("eval", "--model", self.family, "--weights", str(self.folder / pattern), "--corpus",
                                f"c={self.corpus}", "--baselines", "none", "--quiet", "-o", str(self.folder / out),
                                expected=expected)

    def run_program(self, *arguments, expected=0):
        done = harness.run(arguments)
        self.assertEqual(done.code, expected, done.err)
        return done

    def bits(self, name, out="runs"):
        return json.loads((self.folder / out / f"{name}__c__default" / "summary.json").read_text())["bits"]

    def own_bits(self):
        """Of the bundles themselves."""
        models = [argument for step in STEPS for argument in ("--model", harness.bundle(f"xs-byte-{step}"))]
        self.run_program("eval", *models, "--corpus", f"c={self.corpus}", "--baselines", "none", "--quiet", "-o",
                         str(self.folder / "own"))
        return {step: self.bits(f"xs-byte-{step}", "own") for step in STEPS}

    def test_bits_are_those_of_the_bundles_in_every_dtype_and_in_shards(self):
        own = self.own_bits()
        for step, weights in self.weights.items():
            self.write(f"half/step{step}/model.safetensors", weights)
            self.write(f"float/step{step}/model.safetensors", {n: as_float32(w) for n, w in weights.items()})
            self.write(f"brain/step{step}/model.safetensors", {n: as_bfloat16(w) for n, w in weights.items()})
            for i, part in enumerate((list(weights)[:5], list(weights)[5:]), 1):
                self.write(f"shards/step{step}/model-0000{i}-of-00002.safetensors", {n: weights[n] for n in part})
        for kind in ("half", "float", "shards", "brain"):
            self.sweep(f"{kind}/step*/model*.safetensors", out=kind)
            for step in STEPS:
                bits = self.bits(f"xs-byte-100-step{step}", kind)
                if kind == "brain":
                    self.assertNotEqual(bits, own[step])
                    self.assertLess(abs(bits / own[step] - 1), 2e-2)
                else:
                    self.assertEqual(bits, own[step], (kind, step))
        manifest = json.loads((self.folder / "half/xs-byte-100-step3000__c__default/manifest.json").read_text())
        self.assertEqual(manifest["model"]["metadata"]["training"], {"step": 3000})
        ids = {json.loads((self.folder / f"half/xs-byte-100-step{s}__c__default/manifest.json").read_text())["identity"]["model"]
               for s in STEPS}
        self.assertEqual(len(ids), len(STEPS))

    def test_damaged_checkpoints_are_recorded_failures_and_the_others_are_scored(self):
        good = self.write("run/step1000/model.safetensors", self.weights[1000])
        whole = good.read_bytes()
        weights = self.weights[3000]
        first = next(name for name, (_, shape, _) in weights.items() if len(shape) == 2)
        dtype, shape, content = weights[first]
        cases = {
            "step1": (whole[: len(whole) // 2], "damaged or not a safetensors file"),  # half written
            "step2": (b"", "fewer than 8 bytes"),
            "step3": (safetensors({n: w for n, w in weights.items() if n != first}), f"tensor {first} is missing"),
            "step4": (safetensors(weights | {"blocks.9.out.weight": ("F16", [1], b"ab")}),
                      "tensor blocks.9.out.weight is no parameter"),
            "step5": (safetensors(weights | {first: (dtype, shape[::-1], content)}), f"is [{shape[1]}, {shape[0]}]"),
            "step6": (safetensors(weights | {first: ("I16", shape, content)}), "of dtype I16"),
            "step7": (safetensors(weights | {first: (dtype, shape, b"\xff" * len(content))}), "NaN"),
        }
        for step, (data, _) in cases.items():
            path = self.folder / "run" / step / "model.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        done = self.sweep("run/step*/model*.safetensors", expected=10)
        self.assertGreater(self.bits("xs-byte-100-step1000"), 0)
        for step, (_, why) in cases.items():
            failure = json.loads((self.folder / "runs/failures" / f"{step}.json").read_text())
            self.assertIn(why, failure["error"], step)
            self.assertIn(step, failure["error"], "the file is named")
            self.assertIn(failure["error"], done.err)
        # Once mended, its failure is gone and only it is computed.
        (self.folder / "run/step1/model.safetensors").write_bytes(safetensors(weights))
        self.sweep("run/step*/model*.safetensors", expected=10)
        self.assertFalse((self.folder / "runs/failures/step1.json").exists())
        self.assertGreater(self.bits("xs-byte-100-step1"), 0)

    def test_what_is_asked_for_wrongly_is_refused(self):
        self.write("run/step1/model.safetensors", self.weights[100])
        done = self.sweep("nothing*", expected=4)
        self.assertIn("matches nothing", done.err)
        done = self.run_program("eval", "--model", self.family, "--model", "uniform:256", "--weights",
                                str(self.folder / "run"), "--corpus", str(self.corpus), expected=3)
        self.assertIn("one --model", done.err)

    def test_zeros_are_warned_of(self):
        weights = self.weights[3000]
        name = "blocks.1.out.weight"
        dtype, shape, content = weights[name]
        self.write("run/step9/model.safetensors", weights | {name: (dtype, shape, bytes(len(content)))})
        self.sweep("run/step9")
        summary = json.loads((self.folder / "runs/xs-byte-100-step9__c__default/summary.json").read_text())
        self.assertIn("hold only zeros (blocks.1.out.weight)", " ".join(summary["warnings"]))

    @unittest.skipUnless(os.environ.get("LMBITS_LARGE"), "sixty checkpoints take minutes: LMBITS_LARGE=1")
    def test_memory_does_not_grow_with_the_number_of_checkpoints(self):
        weights = weights_of(harness.bundle("l-sp-3300"))
        self.family = harness.bundle("l-sp-3300")
        for step in range(60):
            self.write(f"run/step{step}/model.safetensors", {n: as_float32(w) for n, w in weights.items()})

        def peak(pattern, out):
            code, _, kib = harness.usage_of(self.eval_arguments(
                self.family, f"c={self.corpus}", self.folder / out, "--weights", self.folder / pattern))
            self.assertEqual(code, 0)
            return kib

        few, many = peak("run/step?", "few"), peak("run/step*", "many")
        self.assertLess(many, few + (16 << 10), f"{few} KiB for 10, {many} KiB for 60")


if __name__ == "__main__":
    harness.main()
