"""models/recipe/media.py and adapt.py on tiny packages of our own: their tables hold, and their streams are what lmbits reads.

usage: recipes.py PROGRAM SOURCE_DIR [unittest's arguments]; LMBITS_RECIPE_PYTHON names a Python with torch, numpy and xxhash
(else build/deps/hf's, which scripts/hf_environment makes, or this one). Skipped where something is missing, which is said.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import harness

MODULES = "torch, numpy, xxhash"


def find_python():
    for path in (os.environ.get("LMBITS_RECIPE_PYTHON"), harness.SOURCE / "build/deps/hf/bin/python", sys.executable):
        if path and shutil.which(path) and subprocess.run([path, "-c", f"import {MODULES}"], capture_output=True).returncode == 0:
            return str(path)
    return None


# Changes constants of a recipe (JSON), then runs it: RECIPE CONSTANTS ARGUMENTS...
WORKER = r'''
import importlib, json, pathlib, sys
source, name, constants, *arguments = sys.argv[1:]
sys.path.insert(0, source + "/models/recipe")
recipe = importlib.import_module(name)
for key, value in json.loads(constants).items():
    setattr(recipe, key, pathlib.Path(value) if key == "HELDOUT" else value)
sys.argv = [name, *arguments]
recipe.main()
if name == "media":
    for medium, patch in recipe.PATCHES.items():
        held_out = recipe.samples_of(medium, pathlib.Path(arguments[1]) / "root" / recipe.PACKAGES[medium])[1]
        pathlib.Path(arguments[1], medium + ".bin").write_bytes(b"".join(recipe.stream_of(s, patch) for s in held_out))
'''


class Recipes(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.python = find_python()
        if self.python is None:
            self.skipTest(f"no Python with {MODULES}: LMBITS_RECIPE_PYTHON names one, scripts/hf_environment makes one")
        self.build = self.folder / "build"

    def recipe(self, name, constants, *arguments):
        """The rows of the table that it prints, as lists of cells."""
        done = subprocess.run([self.python, "-B", "-c", WORKER, str(harness.SOURCE), name, json.dumps(constants), *map(str, arguments)],
                              capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "0"})
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]

    def package(self, name, folder):
        path = self.build / "root" / name / folder
        path.mkdir(parents=True)
        return path

    def make(self, *arguments):
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *map(str, arguments)], check=True)

    def test_media(self):
        missing = [tool for tool in ("ffmpeg", "flac", "cjxl") if not shutil.which(tool)]
        if missing:
            self.skipTest(f"no {', '.join(missing)}: apt-get install ffmpeg flac libjxl-tools")
        photos = self.package("mate-backgrounds", "usr/share/backgrounds/mate/nature")
        for i in range(12):
            self.make("-f", "lavfi", "-i", f"testsrc2=size=64x48:rate=1,rotate={i}", "-frames:v", 1, photos / f"{i:02}.jpg")
        sounds = self.package("asterisk-core-sounds-en-wav", "usr/share/asterisk/sounds/en_US_f_Allison")
        for i in range(12):
            self.make("-f", "lavfi", "-i", f"sine={200 + 50 * i}:sample_rate=8000:duration=0.2", sounds / f"{i:02}.wav")
        self.make("-f", "lavfi", "-i", "testsrc=size=48x32:rate=10", "-frames:v", 30,
                  self.package("opencv-doc", "usr/share/doc/opencv-doc/examples/data") / "vtest.avi")
        constants = {"PHOTO": [40, 56], "FRAME": [24, 40], "TRAINED_FRAMES": 20, "HELD_OUT_FRAMES": 9}
        rows = self.recipe("media", constants, harness.PROGRAM, self.build, "--steps", 2)
        table = {}
        for medium, name, size, rate in rows:
            table.setdefault(medium, {})[name.split(" (")[0]] = float(size.replace(",", ""))
            self.assertAlmostEqual(float(rate), 8 * table[medium][name.split(" (")[0]] / self.n_bytes(medium), delta=0.02)
        ours = {"as it is", "lmbits eval, -log2 p", "lmbits compress", "lmbits compress --mix", "lmbits compress, with the model's file",
                "xz-9e", "cm"}
        formats = {"grey": {"PNG", "JPEG-XL"}, "colour": {"PNG", "JPEG-XL"}, "audio": {"FLAC"}, "video": {"FFV1", "H.264, lossless"}}
        self.assertEqual({medium: set(sizes) for medium, sizes in table.items()}, {m: ours | names for m, names in formats.items()})
        for medium, sizes in table.items():
            self.assertEqual(sizes["as it is"], self.n_bytes(medium))
            above = sizes["lmbits compress"] - sizes["lmbits eval, -log2 p"]  # containers and the files' own headers
            self.assertTrue(0 < above < 900 * (2 if medium in ("grey", "colour") else 1), (medium, above))
            self.assertGreater(sizes["lmbits compress, with the model's file"], 200000)
            # The stream that the model is trained on has the order of the one that it is asked about.
            model = f"bigram:{self.build / (medium + '.bin')}"
            bits = [self.bits(model, corpus, *flags) for corpus, flags in
                    ((f"{self.build}/heldout/{medium}/*", ["--patch", {"video": "8x8x8"}.get(medium, "32x16")]),
                     (self.build / (medium + ".bin"), []))]
            if medium not in ("grey", "colour"):  # two pictures are two documents
                self.assertEqual(bits[0], bits[1])
            self.assertLess(abs(bits[0] - bits[1]), 20)

    def n_bytes(self, medium):
        return {"grey": 2 * 40 * 56, "colour": 6 * 40 * 56, "audio": 2 * 1600, "video": 9 * 24 * 40}[medium]

    def bits(self, model, corpus, *flags):
        output = self.folder / f"runs-{len(list(self.folder.iterdir()))}"
        outcome = harness.run([*self.eval_arguments(model, corpus, output), "--json", *flags])
        self.assertEqual(outcome.code, 0, outcome.err)
        return json.loads(outcome.out)[-1]["bits"]

    def test_adapt(self):
        texts = {area: (harness.SOURCE / "models/heldout" / f"{area}.txt").read_text() for area in ("prose", "code", "maths")}
        for folder, part in (("train", slice(0, 20000)), ("heldout", slice(20000, 60000))):
            (self.folder / folder).mkdir()
            for area, text in texts.items():
                (self.folder / folder / f"{area}.txt").write_text(text[part])
        german = self.package("fortunes-de", "usr/share/games/fortunes/de")
        (german / "sprueche").write_text("\n%\n".join(f"Wer nicht wagt, der nicht gewinnt, und zwar {i} Mal über {i * i % 97}." for i in range(12000)))
        rows = self.recipe("adapt", {"HELDOUT": str(self.folder / "heldout")}, harness.PROGRAM, harness.bundle("xs-byte-1000"), self.folder,
                           self.build, "--steps", 12)
        self.assertEqual([row[0] for row in rows], ["prose", "code", "maths", "german"])
        for i, (_, base, *after, gain) in enumerate(rows):
            self.assertEqual(len(after), 4)
            value, low, high = (float(x) for x in gain.replace("[", "").replace("]", "").replace(",", "").split())
            self.assertAlmostEqual(value, float(base) - float(after[i]), delta=2e-4)
            self.assertTrue(low <= value <= high, gain)
        self.assertGreater(float(rows[3][6].split()[0]), 0.3)  # what it had never seen
        self.assertLess(float(rows[3][5]), min(float(x) for x in rows[3][1:5]))  # and its own model is its best


if __name__ == "__main__":
    harness.main()
