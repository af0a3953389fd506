"""`lmbits select` against the slow reference on random pools: the same choices, in the same order.

usage: select_reference.py PROGRAM SOURCE_DIR

zip-reference against scripts/zip_reference.py (the released program), the default against its --mended; both run
Python's own json, repr and zlib. Pools are made to be nasty: equal samples, quotes, escapes, surrogates, every Unicode
plane, floats, budgets beyond the pool.
"""
import gzip
import json
import random
import sys
import unittest

import harness

KNOWN_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
N_POOLS = 20


def reference():
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(harness.SOURCE / "scripts"))
    import zip_reference

    return zip_reference


def nasty_text(draw, words):
    text = " ".join(draw.choice(words) for _ in range(draw.choice([0, 1, 5, 20, 60])))
    for _ in range(draw.choice([0, 0, 1, 5])):
        code = draw.choice([draw.randrange(0x20), draw.randrange(0x7F, 0x100), draw.randrange(0x100, 0x10000),
                            draw.randrange(0x10000, 0x110000), draw.randrange(0xD800, 0xE000), ord("'"), ord('"'), ord("\\")])
        at = draw.randrange(len(text) + 1)
        text = text[:at] + chr(code) + text[at:]
    return text


def nasty_value(draw, words, depth=0):
    kind = draw.randrange(9 if depth < 2 else 7)
    if kind < 3:
        return nasty_text(draw, words)
    if kind == 3:
        return draw.choice([0, -1, 10**30, -(10**20), draw.randrange(10**6)])
    if kind == 4:
        return draw.choice([0.0, -0.0, 1e16, 1e-5, 0.1, 1e300, 12345.678, 1e22, 123456789012345680.0, float("inf"), float("nan"),
                            draw.random(), draw.random() * 10 ** draw.randrange(-20, 20)])
    if kind == 5:
        return draw.choice([True, False])
    if kind == 6:
        return None
    if kind == 7:
        return [nasty_value(draw, words, depth + 1) for _ in range(draw.randrange(4))]
    return {nasty_text(draw, words)[:9]: nasty_value(draw, words, depth + 1) for _ in range(draw.randrange(4))}


def pool_of(draw, kind):
    n = draw.choice([20, 45, 70, 140])
    words = harness.words(200, draw.randrange(1000))
    samples = []
    for i in range(n):
        if samples and draw.random() < 0.2:
            samples.append(draw.choice(samples))  # equal samples: ties
        elif kind == "text":
            samples.append({"text": nasty_text(draw, words)})
        elif kind == "values":
            samples.append({"id": draw.choice([i, str(i)]), "extra": nasty_value(draw, words), "text": nasty_text(draw, words)})
        else:
            turns = [{"from": "human", "value": nasty_text(draw, words)}, {"from": "gpt", "value": nasty_text(draw, words)}]
            samples.append({"id": i, "conversations": turns, "source": draw.choice(["ShareGPT", "WizardLM"])})
    return samples


class SelectReference(harness.ProgramTest):
    def write_pool(self, draw, samples):
        kind = draw.choice([".jsonl", ".json", ".jsonl.gz"])
        path = self.folder / ("pool" + kind)
        ascii_only = draw.random() < 0.5 or any("\\ud" in json.dumps(s) for s in samples)  # UTF-8 holds no lone surrogates
        indent = draw.choice([None, 2])
        if kind == ".json":
            text = json.dumps(samples, ensure_ascii=ascii_only, indent=indent)
        else:
            text = "".join(json.dumps(s, ensure_ascii=ascii_only) + draw.choice(["\n", "\r\n", "\n\n"]) for s in samples)
        data = text.encode("utf-8")
        path.write_bytes(gzip.compress(data) if kind.endswith(".gz") else data)
        return path

    def choices(self, *arguments):
        out = self.folder / "out.jsonl"
        outcome = harness.run(["select", *arguments, "-o", out, "--quiet", "--threads", "2"])
        self.assertEqual(outcome.code, 0, outcome.err)
        lines = (self.folder / "out.jsonl.choices.jsonl").read_text().splitlines()
        for path in self.folder.glob("out*"):
            path.unlink()
        return [json.loads(line)["record"] for line in lines]

    @unittest.skipUnless(PYTHON in KNOWN_PYTHONS, f"the repr() of Python {PYTHON} is not known")
    def test_reference_mode_makes_the_released_programs_choices(self):
        zip_reference = reference()
        for seed in range(N_POOLS):
            draw = random.Random(seed)
            # As json.load gives them: it joins surrogates that stand side by side.
            samples = json.loads(json.dumps(pool_of(draw, draw.choice(["conversations", "values"]))))
            n = len(samples)
            k1 = draw.choice([n, max(1, n // 2), max(1, n // 4)])
            k2 = draw.randint(1, k1)
            k3 = draw.randint(1, draw.choice([k2, k2 + 2]))
            budget = draw.choice([1, n // 4, n // 2, n + 3])
            level = draw.choice([9, 9, 6, 1])
            path = self.write_pool(draw, samples)
            with self.subTest(seed=seed, n=n, k1=k1, k2=k2, k3=k3, budget=budget, level=level):
                expected = zip_reference.released(samples, budget, k1, k2, k3, level)
                self.assertEqual(expected, self.choices(path, "--algorithm", "zip-reference", "--python", PYTHON, "--budget", budget,
                                                        "--k1", k1, "--k2", k2, "--k3", k3, "--level", level))

    def test_the_mended_algorithm_is_what_it_says(self):
        zip_reference = reference()
        for seed in range(100, 100 + N_POOLS):
            draw = random.Random(seed)
            samples = [{"text": s["text"].encode("utf-8", "replace").decode()} for s in pool_of(draw, "text")]
            n = len(samples)
            k1, k2, k3 = draw.randint(1, 2 * n), draw.randint(1, n), draw.randint(1, n)
            budget = draw.choice([1, n // 4, n // 2, n, n + 3])
            path = self.write_pool(draw, samples)
            with self.subTest(seed=seed, n=n, k1=k1, k2=k2, k3=k3, budget=budget):
                expected = zip_reference.mended([s["text"] for s in samples], budget, k1, k2, k3, 9)
                self.assertEqual(expected, self.choices(path, "--budget", budget, "--k1", k1, "--k2", k2, "--k3", k3))


if __name__ == "__main__":
    harness.main()
