"""A package of machine code (.pt2) of a demo model: the bits of its TorchScript bundle, sweeps, refusals, no tools at run time. Skipped where scripts/hf_environment has not been run: only PyTorch makes packages.

usage: packages.py PROGRAM SOURCE_DIR [unittest's arguments]
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

import harness
from torch_archive import as_bfloat16, as_float32, safetensors, weights_of

PYTHON = pathlib.Path("build/deps/hf/bin/python")
NAME, STEPS = "s-sp-500", (100, 4000)  # other checkpoints of its shape
NEAR = 1e-6  # relative, a document's bits

# A Llama of one layer and random weights, of a context of 12, as a bundle and as a package.
TINY = r'''
import argparse, pathlib, sys
import torch
source, out = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(source / "scripts"))
import export_hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
LlamaForCausalLM(LlamaConfig(vocab_size=300, bos_token_id=1, eos_token_id=2, pad_token_id=0, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
                             num_attention_heads=2, max_position_embeddings=12)).save_pretrained(out / "tiny")
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE(vocab={"<pad>": 0, "<s>": 1, "</s>": 2, **{c: i + 3 for i, c in enumerate(letters)}}, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); tokenizer.decoder = decoders.ByteLevel()
tokenizer.save(str(out / "tiny/tokenizer.json"))
for name in ("tiny.pt", "tiny.pt2"):
    print(export_hf.export(out / "tiny", argparse.Namespace(out=out / name, dtype=None, name=None, licence=None)))
'''


class Packages(harness.ProgramTest):
    @classmethod
    def setUpClass(cls):
        if not (harness.SOURCE / PYTHON).exists():
            raise unittest.SkipTest("there is no build/deps/hf to make a package: scripts/hf_environment makes it")
        if not shutil.which("g++"):
            raise unittest.SkipTest("PyTorch compiles a package with g++, which is not there")
        cls.made = pathlib.Path(tempfile.mkdtemp(prefix="lmbits_packages_"))
        cls.addClassCleanup(shutil.rmtree, cls.made, ignore_errors=True)
        cls.package = cls.made / f"{NAME}.pt2"
        done = subprocess.run([harness.SOURCE / PYTHON, harness.SOURCE / "models/recipe/export.py", harness.bundle(NAME),
                               cls.package], capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stderr[-3000:])
        with zipfile.ZipFile(cls.package) as archive:
            cls.facts = json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("extra/package.json"))))

    def setUp(self):
        super().setUp()
        self.corpus = self.folder / "c.jsonl"
        text = (harness.SOURCE / "models/heldout/prose.txt").read_text()
        parts = ["", "x", "It is", text[:100], text[100:1100], text[1100:9000], "na\u00efve \u00e9t\u00e9 " * 40]
        self.corpus.write_text("".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(parts)))

    def bits(self, model, output, *flags):
        run = self.finish(model, f"c={self.corpus}", self.folder / output, *flags)
        return {r["id"]: r["bits"] for r in harness.records_of(run)}

    def assert_near(self, got, expected):
        self.assertEqual(set(got), set(expected))
        for name, bits in expected.items():
            self.assertLessEqual(abs(got[name] - bits), NEAR * bits, name)

    def refused(self, model, code, *parts, flags=()):
        outcome = harness.run(self.eval_arguments(model, f"c={self.corpus}", self.folder / "refused", *flags))
        # A model that fails is recorded, and the run ends with 10; what is not of the model's kind keeps its own code.
        self.assertIn(outcome.code, (code, 10), outcome.err)
        self.assertNotIn("Traceback", outcome.err)
        for part in parts:
            self.assertIn(part, outcome.err)

    def test_bits_are_those_of_torchscript_for_each_document_on_one_thread_and_on_three(self):
        expected = self.bits(harness.bundle(NAME), "script")
        self.assertGreater(len(set(expected.values())), 5)
        one = self.bits(self.package, "one")
        self.assert_near(one, expected)
        arguments = self.eval_arguments(self.package, f"c={self.corpus}", self.folder / "three")
        arguments[arguments.index("--threads") + 1] = "3"
        self.assertEqual(harness.run(arguments).code, 0)
        self.assertEqual({r["id"]: r["bits"] for r in harness.records_of(self.only_run(self.folder / "three"))}, one)

    def test_it_asks_for_all_of_its_level_of_processor(self):
        done = subprocess.run(["g++", "-march=x86-64-v3", "-dM", "-E", "-x", "c", "/dev/null"], capture_output=True, text=True)
        defined = {line.split()[1].strip("_").lower() for line in done.stdout.splitlines()}
        known = {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
        self.assertEqual(set(self.facts["cpu"]), known & defined)
        self.assertEqual(known, known & defined)

    def test_it_runs_without_python_compiler_or_a_folder_for_temporary_files(self):
        environment = {"PATH": "", "TMPDIR": "/nowhere"}
        process = subprocess.run([harness.PROGRAM, *map(str, self.eval_arguments(
            self.package, f"c={self.corpus}", self.folder / "bare"))], env=environment, capture_output=True)
        self.assertEqual(process.returncode, 0, process.stderr)

    def test_a_sweep_gives_the_bits_of_the_bundles_and_records_what_is_damaged(self):
        weights = {step: weights_of(harness.bundle(f"s-sp-{step}")) for step in STEPS}
        kinds = {"half": lambda w: w, "float": as_float32, "brain": as_bfloat16}
        for kind, convert in kinds.items():
            for step in STEPS:
                path = self.folder / kind / f"step{step}" / "model.safetensors"
                path.parent.mkdir(parents=True)
                path.write_bytes(safetensors({n: convert(w) for n, w in weights[step].items()}))
        damaged = self.folder / "half/step9/model.safetensors"
        damaged.parent.mkdir()
        whole = (self.folder / "half/step100/model.safetensors").read_bytes()
        damaged.write_bytes(whole[: len(whole) // 2])
        name, (dtype, shape, content) = next(iter(weights[100].items()))
        for step, tensors in ((7, {name: (dtype, [*shape, 1], content)}), (8, None)):
            path = self.folder / f"half/step{step}/model.safetensors"
            path.parent.mkdir()
            path.write_bytes(safetensors(weights[100] | tensors if tensors else
                                         {n: w for n, w in weights[100].items() if n != name}))
        runs = {}
        for backend, model in (("script", harness.bundle(NAME)), ("package", self.package)):
            for kind in kinds:
                output = self.folder / f"{backend}-{kind}"
                outcome = harness.run(self.eval_arguments(model, f"c={self.corpus}", output, "--weights",
                                                          f"{self.folder}/{kind}/step*"))
                self.assertEqual(outcome.code, 10 if kind == "half" else 0, outcome.err)
                runs[backend, kind] = {step: {r["id"]: r["bits"] for r in harness.records_of(
                    output / f"{NAME}-step{step}__c__default")} for step in STEPS}
            failures = {path.stem: json.loads(path.read_text())["error"]
                        for path in (self.folder / f"{backend}-half/failures").iterdir()}
            self.assertEqual(set(failures), {"step7", "step8", "step9"})
            self.assertIn("1]", failures["step7"])
            self.assertIn(f"tensor {name} is missing", failures["step8"])
            self.assertIn("damaged", failures["step9"])
        for kind in kinds:
            for step in STEPS:
                self.assert_near(runs["package", kind][step], runs["script", kind][step])
        self.assertNotEqual(runs["package", "half"][100], runs["package", "half"][4000])

    def test_memory_does_not_grow_with_the_number_of_checkpoints(self):
        whole = safetensors({n: as_bfloat16(w) for n, w in weights_of(harness.bundle(NAME)).items()})
        for step in range(60):  # each is 0.9 MB once converted; what libtorch is given it keeps
            path = self.folder / f"run/step{step}/model.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(whole)
        self.corpus.write_text(json.dumps({"id": "0", "text": "It is"}) + "\n")
        peaks = []
        for pattern in ("step?", "step*"):
            code, _, kib = harness.usage_of(self.eval_arguments(self.package, f"c={self.corpus}", self.folder / f"runs{len(peaks)}",
                                                                "--weights", f"{self.folder}/run/{pattern}"))
            self.assertEqual(code, 0)
            peaks.append(kib)
        self.assertLess(peaks[1], peaks[0] + (16 << 10), peaks)

    def test_a_package_that_was_changed_cut_or_is_another_torchs_is_refused_before_its_code_is_loaded(self):
        sound = self.folder / self.package.name
        for path in self.made.iterdir():
            shutil.copy(path, self.folder)
        whole = sound.read_bytes()
        with zipfile.ZipFile(sound) as archive:
            code = next(n for n in archive.namelist() if n.endswith(".so"))
            at = archive.getinfo(code).header_offset + 4096
        for bytes_, says in ((whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "corrupted"),
                             (whole[: len(whole) * 2 // 3], "damaged"), (os.urandom(4000), "damaged"), (b"", "damaged")):
            path = self.folder / "broken.pt2"
            path.write_bytes(bytes_)
            self.refused(path, 5, says)
        other = whole.replace(b'"torch": "2.', b'"torch": "1.')
        self.assertNotEqual(other, whole)
        path = self.folder / "other.pt2"
        path.write_bytes(other)
        self.refused(path, 5, "corrupted")  # what it says of itself is part of the hash, too
        (self.folder / f"{NAME}.safetensors").write_bytes(b"\0" + (self.made / f"{NAME}.safetensors").read_bytes()[1:])
        self.refused(sound, 5, "damaged or not a safetensors file")
        weights = bytearray((self.made / f"{NAME}.safetensors").read_bytes())
        weights[-1] ^= 1
        (self.folder / f"{NAME}.safetensors").write_bytes(weights)
        self.refused(sound, 5, "is corrupted, or of another model")

    def test_its_own_weights_may_be_written_anew_and_no_others(self):
        for path in self.made.iterdir():
            shutil.copy(path, self.folder)
        code = ("import pathlib, sys; sys.path.insert(0, sys.argv[1]); import package_file; "
                "package_file.refuse_to_overwrite(*map(pathlib.Path, sys.argv[2:]))")

        def export():
            return subprocess.run([harness.SOURCE / PYTHON, "-B", "-c", code, harness.SOURCE / "models/recipe",
                                   self.folder / self.package.name, harness.bundle(NAME)], capture_output=True, text=True)

        self.assertEqual(export().returncode, 0)
        with (self.folder / f"{NAME}.safetensors").open("r+b") as f:
            f.seek(-1, os.SEEK_END)
            f.write(b"\x55")
        self.assertIn(f"was not written with an older {NAME}.pt2", export().stderr)

    def test_a_context_shorter_than_the_shortest_batch_is_scored(self):
        done = subprocess.run([harness.SOURCE / PYTHON, "-B", "-c", TINY, harness.SOURCE, self.folder], capture_output=True,
                              text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        for convention in ("default", "uncheatable"):  # the latter inserts an id before each window
            expected, got = (self.bits(self.folder / f"tiny.{kind}", f"{kind}-{convention}", "--convention", convention, "--window", "12")
                             for kind in ("pt", "pt2"))
            self.assert_near(got, expected)

    def test_compressing_with_one_gives_the_file_back(self):
        text, packed, back = self.folder / "t.txt", self.folder / "t.lmb", self.folder / "back.txt"
        text.write_bytes((harness.SOURCE / "models/heldout/prose.txt").read_bytes()[:700])
        model = self.package
        done = harness.run(["compress", text, "--model", model, "-o", packed])
        self.assertEqual(done.code, 0, done.err)
        done = harness.run(["decompress", packed, "--model", model, "-o", back])
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(back.read_bytes(), text.read_bytes())


if __name__ == "__main__":
    harness.main()
