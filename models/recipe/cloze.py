#!/usr/bin/env python3
"""Cloze questions from the text after the held-out slices -> OUT/cloze-{prose,code,maths}.jsonl. Standard library only.

usage: cloze.py DATA OUT               makes the three files from DATA/rest/AREA.txt
       cloze.py --check OUT [DATA]     proves what can be proved of them (with DATA: against the text as well)

One line a question: {id, area, kind, context, choices, answer}. The rules, and the seeds, were fixed before any model
was asked.

 * A place is a single space between two other characters, CONTEXT to the end of the text away from its borders. The
   context is the CONTEXT bytes before it, cut forward to the start of a word; it ends right before the space.
 * The truth is the text from that space up to the first end of a word that makes it 28 bytes or longer; at most 44, one
   line, single spaces, printable ASCII, at least four words, not all equal.
 * shuf: three other orders of the truth's words.
 * sub1: in the truth one word gives way to three others of equal length whose counts in this text are within a factor
   of two of its own. A word is four or more lower-case letters, not the truth's first and no part of a name or label.
 * next: context as above (the rules on the truth do not apply); the answer is the next word with its leading space, of
   three or more letters and followed by a space or one of ,.;:)]; choices is empty. Exact match: a model that
   continues greedily has to write the answer and then something that is not a letter, a digit or an underscore.
 * The places of a kind are drawn at random, seeded by area and kind; one is taken unless its truth was taken before or it
   is closer than SPACING bytes to another. Where too few are found the spacing is halved, and so on.
 * The right choice stands at a random position, each position equally often.

`answer` is an index into choices (shuf, sub1) or the text itself (next). context + choices[answer], or context +
answer, is the text as it stands.
"""
import bisect
import collections
import json
import pathlib
import random
import re
import sys

AREAS = ("prose", "code", "maths")
COUNTS = {"shuf": 400, "sub1": 400, "next": 600}  # questions an area
LEAST = {"shuf": 300, "sub1": 300, "next": 500}
CHOICES = 4
CONTEXT = 200  # bytes
TRUTH = (28, 44)  # bytes
SPACING = 480  # bytes
WORD = re.compile(r"(?<![\w.\[\]`'-])(?<!~ )[a-z]{4,}(?![\w\[\]`'-]|\s+\$[aefp])")  # not a part of a name, nor a label
PLACE = re.compile(r"(?<=\S) (?=\S)")
NEXT = re.compile(r" [A-Za-z]{3,}(?=[ ,.;:)\]])")


def context_before(text: str, place: int) -> str | None:
    context = text[place - CONTEXT : place]
    start = re.search(r"(?<=\s)\S", context)
    return context[start.start() :] if start and context.isascii() else None


def truth_at(text: str, place: int) -> str | None:
    end = re.compile(r"(?<=\S)(?=\s)").search(text, place + TRUTH[0])
    truth = text[place : end.start()] if end else ""
    words = truth[1:].split(" ")
    printable = truth.isascii() and truth.isprintable()
    fits = TRUTH[0] <= len(truth) <= TRUTH[1] and printable and len(words) >= 4 and len(set(words)) > 1
    return truth if fits and "" not in words else None


def shuf(truth: str, counts, rng: random.Random) -> list[str]:
    words, others = truth[1:].split(" "), []
    for _ in range(60):
        rng.shuffle(words)
        other = " " + " ".join(words)
        if other != truth and other not in others:
            others.append(other)
    return others[: CHOICES - 1]


def sub1(truth: str, counts, rng: random.Random) -> list[str]:
    found = [m for m in WORD.finditer(truth) if m.start() > 1]
    if not found:
        return []
    m = rng.choice(found)
    n = counts[m.group()]
    like = sorted(w for w, k in counts.items() if len(w) == len(m.group()) and w != m.group() and n <= 2 * k <= 4 * n)
    chosen = rng.sample(like, min(len(like), CHOICES - 1))
    return [truth[: m.start()] + word + truth[m.end() :] for word in chosen]


def draw(text: str, area: str, kind: str) -> tuple[list[dict], int]:
    """The questions of one kind, in the order of the text, and the spacing that gave enough of them."""
    counts = collections.Counter(WORD.findall(text))
    spacing = SPACING
    while spacing >= TRUTH[1]:
        rng = random.Random(f"cloze {area} {kind}")
        order = [m.start() for m in PLACE.finditer(text, CONTEXT, len(text) - TRUTH[1])]
        rng.shuffle(order)
        places, questions, truths = [], {}, set()  # places: those taken, ascending
        for place in order:
            at = bisect.bisect(places, place)
            if any(abs(place - other) < spacing for other in places[max(0, at - 1) : at + 1]):
                continue
            question = ask(text, place, kind, counts, rng, truths)
            if question:
                places.insert(at, place)
                questions[place] = question
            if len(places) == COUNTS[kind]:
                return [questions[p] for p in places], spacing
        spacing //= 2
    raise SystemExit(f"{area}: not enough text for {COUNTS[kind]} questions of kind {kind}")


def ask(text: str, place: int, kind: str, counts, rng: random.Random, truths: set[str]) -> dict | None:
    context = context_before(text, place)
    if kind == "next":
        word = NEXT.match(text, place)
        return dict(context=context, choices=[], answer=word.group()) if context and word else None
    truth = truth_at(text, place)
    if not context or not truth or truth in truths:
        return None
    others = (shuf if kind == "shuf" else sub1)(truth, counts, rng)
    if len(others) < CHOICES - 1:
        return None
    truths.add(truth)
    return dict(context=context, choices=others, answer=truth)


def make(text: str, area: str, kind: str) -> list[dict]:
    questions, spacing = draw(text, area, kind)
    rng = random.Random(f"positions {area} {kind}")
    positions = [i % CHOICES for i in range(len(questions))]
    rng.shuffle(positions)
    lines = []
    for number, (question, position) in enumerate(zip(questions, positions), 1):
        if kind != "next":
            question["choices"].insert(position, question["answer"])
            question["answer"] = position
        lines.append(dict(id=f"{area}-{kind}-{number:04}", area=area, kind=kind, **question))
    print(f"{area} {kind}: {len(lines)} questions, {spacing} bytes apart or more")
    return lines


def differing_words(a: str, b: str) -> list[tuple[str, str]]:
    return [(x, y) for x, y in zip(a.split(" "), b.split(" ")) if x != y]


def check_question(q: dict) -> None:
    assert list(q) == ["id", "area", "kind", "context", "choices", "answer"], list(q)
    context, choices = q["context"], q["choices"]
    assert context and context.isascii() and not context[-1].isspace(), "the context has to end at the end of a word"
    if q["kind"] == "next":
        assert choices == [] and re.fullmatch(r" [A-Za-z]{3,}", q["answer"]), q["answer"]
        return
    assert len(choices) == CHOICES and len(set(choices)) == CHOICES, "a choice twice"
    assert q["answer"] in range(CHOICES), f"answer {q['answer']} is no choice"
    truth = choices[q["answer"]]
    for choice in choices:
        assert re.match(r" \S", choice) and choice.isascii(), "a choice begins with its one space"
        assert len(choice) == len(truth), "choices differ in length"
        if choice != truth and q["kind"] == "shuf":
            assert sorted(choice.split(" ")) == sorted(truth.split(" ")), "not the same words"
        if choice != truth and q["kind"] == "sub1":
            pairs = differing_words(choice, truth)
            assert len(pairs) == 1 and len(pairs[0][0]) == len(pairs[0][1]), f"not a word for one of its length: {pairs}"


def check(out: pathlib.Path, data: pathlib.Path | None) -> None:
    ids = set()
    for area in AREAS:
        questions = [json.loads(line) for line in (out / f"cloze-{area}.jsonl").read_text().splitlines()]
        text = (data / "rest" / f"{area}.txt").read_bytes().decode() if data else None
        positions, found = collections.defaultdict(collections.Counter), collections.Counter()
        truths = set()
        for q in questions:
            try:
                check_question(q)
                truth = q["answer"] if q["kind"] == "next" else q["choices"][q["answer"]]
                assert q["area"] == area and q["id"] not in ids, "an id twice, or a foreign area"
                assert q["kind"] == "next" or (q["kind"], truth) not in truths, "a truth twice"
                assert text is None or q["context"] + truth in text, "context and answer are not in the text"
            except AssertionError as e:
                raise SystemExit(f"{q.get('id')}: {e}")
            ids.add(q["id"])
            truths.add((q["kind"], truth))
            found[q["kind"]] += 1
            positions[q["kind"]][q["answer"]] += q["kind"] != "next"
        for kind, least in LEAST.items():
            if found[kind] < least:
                raise SystemExit(f"{area}: {found[kind]} questions of kind {kind}, fewer than {least}")
            here = [positions[kind][i] for i in range(CHOICES)]  # all 0 for `next`
            if max(here) - min(here) > 1:
                raise SystemExit(f"{area} {kind}: the right choice stands {here} times at positions 0..{CHOICES - 1}")
        print(f"{area}: {dict(found)} questions are sound")


def main() -> None:
    if len(sys.argv) < 3:
        raise SystemExit(__doc__.split("\n\n")[1])
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None)
        return
    data, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    for area in AREAS:
        text = (data / "rest" / f"{area}.txt").read_bytes().decode()
        lines = [json.dumps(q, ensure_ascii=False) + "\n" for kind in COUNTS for q in make(text, area, kind)]
        (out / f"cloze-{area}.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()
