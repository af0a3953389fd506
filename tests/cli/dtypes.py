"""Half-precision arithmetic by --dtype: near float32's bits, written into the manifest, and the same on resume."""

import json

import harness


class Dtypes(harness.ProgramTest):
    def bits_and_dtype(self, name, dtype):
        output = self.folder / (name + dtype)
        run = self.finish(harness.bundle(name), self.corpus, output, "--dtype", dtype)
        manifest = json.loads((run / "manifest.json").read_text())
        # The larger the rounding, the larger the change that is stated; not a part of what a resume compares.
        low, high = {"bfloat16-body": (1e-4, 1e-2), "int8-body": (1.001e-2, 1e-1)}.get(dtype, (None, None))
        stated = manifest["model"]["metadata"].get("rounding")
        self.assertTrue(stated is None if low is None else low < stated < high, (name, dtype, stated))
        inspected = json.loads(harness.run(["inspect", run]).out)
        self.assertEqual(inspected["manifest"], manifest)
        self.assertNotIn("rounding", manifest["identity"])
        return json.loads((run / "summary.json").read_text())["bits"], manifest["identity"]["dtype"]

    def test_half_precision_is_near_float32(self):
        self.corpus = self.folder / "corpus.txt"
        prose = (harness.SOURCE / "models" / "heldout" / "prose.txt").read_bytes()
        self.corpus.write_bytes(prose[:4000])
        for name in ("xs-byte-3000", "s-sp-4000"):
            exact, dtype = self.bits_and_dtype(name, "float32")
            self.assertEqual(dtype, "float32")
            # 8 and 11 bits of mantissa; a rounding error of up to 2^-8 a weight changes these totals by less than 1e-3
            for half, bound in (("bfloat16", 5e-3), ("float16", 5e-4), ("bfloat16-body", 2e-3), ("int8-body", 5e-3)):
                bits, dtype = self.bits_and_dtype(name, half)
                self.assertEqual(dtype, half)
                self.assertNotEqual(bits, exact, f"{half} was really used")
                self.assertLess(abs(bits / exact - 1), bound, (name, half, bits, exact))


if __name__ == "__main__":
    harness.main()
