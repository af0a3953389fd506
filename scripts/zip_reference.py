#!/usr/bin/env python3
"""ZIP (Yin et al. 2024, arXiv:2407.06645), slow and obvious: what `lmbits select` is tested against.

usage: zip_reference.py POOL [--budget 1000] [--k1 10000] [--k2 200] [--k3 100] [--level 9] [--mended [--field text]]

POOL is JSONL or a JSON array. Prints the places of the chosen samples, from 0, one a line, in the order of choice.

By default the released program's choices (USTC-StarTeam/ZIP, ZIP.py of July 2024), every set compressed anew for every
candidate. What it does beyond the paper's description, and so this, too:
  - a set's text is str() of the list of samples as json.load gives them, encoded in UTF-8, zlib at level 9;
  - scores are rounded to float32 and ordered by torch.topk, whose order of equal scores is libstdc++'s (partial_sort where
    64 k <= n, else nth_element and sort): torch_top_k below does the same without torch;
  - a block's members are marked 1000000, chosen or not, and so are offered again only when everything else is used up;
    then chosen ones are, too;
  - the budget is rounded up to a multiple of k3; k1 larger than the pool is an error.
--mended: the default algorithm of `lmbits select` on records {"text": ...}: a set's text is its samples' texts, each with a
newline behind it; of equal scores the first sample wins; block members that are not added stay; the budget is exact;
texts of white space alone are left out.
"""
import argparse
import json
import struct
import sys
import zlib

TAKEN = 1000000.0


def float32(x: float) -> float:
    return struct.unpack("f", struct.pack("f", x))[0]


def ratio(text: str, level: int) -> float:
    raw = text.encode("utf-8")
    return len(raw) / len(zlib.compress(raw, level))


class StandardSort:
    """libstdc++'s partial_sort, nth_element and sort of (value, index) pairs by value, with its treatment of ties."""

    def __init__(self, values):
        self.q = [(value, index) for index, value in enumerate(values)]

    def less(self, a, b):
        return self.q[a][0] < self.q[b][0]

    def swap(self, a, b):
        self.q[a], self.q[b] = self.q[b], self.q[a]

    # heaps of q[first:last]
    def sift(self, first, hole, length, value):
        q, top, child = self.q, hole, hole
        while child < (length - 1) // 2:
            child = 2 * (child + 1)
            if self.less(first + child, first + child - 1):
                child -= 1
            q[first + hole] = q[first + child]
            hole = child
        if length % 2 == 0 and child == (length - 2) // 2:
            child = 2 * (child + 1)
            q[first + hole] = q[first + child - 1]
            hole = child - 1
        parent = (hole - 1) // 2
        while hole > top and q[first + parent][0] < value[0]:
            q[first + hole] = q[first + parent]
            hole, parent = parent, (parent - 1) // 2
        q[first + hole] = value

    def heap_select(self, first, middle, last):
        length = middle - first
        for parent in range((length - 2) // 2, -1, -1):
            self.sift(first, parent, length, self.q[first + parent])
        for i in range(middle, last):
            if self.less(i, first):
                self.pop_heap(first, middle, i)

    def pop_heap(self, first, last, result):
        value = self.q[result]
        self.q[result] = self.q[first]
        self.sift(first, 0, last - first, value)

    def sort_heap(self, first, last):
        while last - first > 1:
            last -= 1
            self.pop_heap(first, last, last)

    # quicksort's parts
    def partition(self, first, last):
        a, b, c = first + 1, first + (last - first) // 2, last - 1
        if self.less(a, b):
            median = b if self.less(b, c) else c if self.less(a, c) else a
        else:
            median = a if self.less(a, c) else c if self.less(b, c) else b
        self.swap(first, median)
        left, right = first + 1, last
        while True:
            while self.less(left, first):
                left += 1
            right -= 1
            while self.less(first, right):
                right -= 1
            if left >= right:
                return left
            self.swap(left, right)
            left += 1

    def insert(self, first, i, guarded):
        value = self.q[i]
        if guarded and value[0] < self.q[first][0]:
            self.q[first + 1 : i + 1] = self.q[first:i]
            self.q[first] = value
            return
        while value[0] < self.q[i - 1][0]:
            self.q[i] = self.q[i - 1]
            i -= 1
        self.q[i] = value

    def insertion_sort(self, first, last):
        for i in range(first + 1, last):
            self.insert(first, i, True)

    def partial_sort(self, k):
        self.heap_select(0, k, len(self.q))
        self.sort_heap(0, k)

    def nth_element(self, nth):
        first, last = 0, len(self.q)
        depth = 2 * (last.bit_length() - 1)
        while last - first > 3:
            if depth == 0:
                self.heap_select(first, nth + 1, last)
                self.swap(first, nth)
                return
            depth -= 1
            cut = self.partition(first, last)
            if cut <= nth:
                first = cut
            else:
                last = cut
        self.insertion_sort(first, last)

    def sort(self, last):
        if last == 0:
            return
        self.introsort(0, last, 2 * (last.bit_length() - 1))
        self.insertion_sort(0, min(last, 16))
        for i in range(16, last):
            self.insert(0, i, False)

    def introsort(self, first, last, depth):
        while last - first > 16:
            if depth == 0:
                self.heap_select(first, last, last)
                self.sort_heap(first, last)
                return
            depth -= 1
            cut = self.partition(first, last)
            self.introsort(cut, last, depth)
            last = cut


def torch_top_k(values, k):
    """The indices of torch.topk(torch.tensor(values), k, largest=False)."""
    assert 1 <= k <= len(values), "selected index k out of range"
    order = StandardSort(values)
    if 64 * k <= len(values):
        order.partial_sort(k)
    else:
        order.nth_element(k - 1)
        order.sort(k - 1)
    return [index for _, index in order.q[:k]]


def released(pool, budget, k1, k2, k3, level):
    def score(samples):
        return float32(ratio(str(samples), level))

    scores = [score([sample]) for sample in pool]
    chosen = []
    while len(chosen) < budget:
        top = torch_top_k(scores, k1)
        before = [pool[i] for i in chosen]
        for i in top:
            scores[i] = score(before + [pool[i]])
        block = [top[i] for i in torch_top_k([scores[i] for i in top], k2)]
        for i in block:
            scores[i] = TAKEN
        added = []  # places in the block
        for _ in range(k3):
            so_far = [pool[block[p]] for p in added]
            ratios = [TAKEN if p in added else score(so_far + [pool[block[p]]]) for p in range(len(block))]
            added.append(torch_top_k(ratios, 1)[0])
        chosen += [block[p] for p in added]
    return chosen


def mended(texts, budget, k1, k2, k3, level):
    def score(samples):
        return ratio("".join(text + "\n" for text in samples), level)

    scores = {i: score([text]) for i, text in enumerate(texts) if text.strip(" \t\r\n\v\f")}
    chosen = []
    while len(chosen) < budget and scores:
        top = sorted(scores, key=lambda i: (scores[i], i))[:k1]
        before = [texts[i] for i in chosen]
        for i in top:
            scores[i] = score(before + [texts[i]])
        block = sorted(top, key=lambda i: (scores[i], i))[:k2]
        added = []
        while block and len(added) < k3 and len(chosen) + len(added) < budget:
            so_far = [texts[i] for i in added]
            best = min(block, key=lambda i: (score(so_far + [texts[i]]), i))
            block.remove(best)
            added.append(best)
            del scores[best]
        chosen += added
    return chosen


def load(path):
    with open(path, encoding="utf-8") as file:
        if path.endswith(".json"):
            return json.load(file)
        return [json.loads(line) for line in file if line.strip()]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("pool")
    for name, value in (("budget", 1000), ("k1", 10000), ("k2", 200), ("k3", 100), ("level", 9)):
        ap.add_argument("--" + name, type=int, default=value)
    ap.add_argument("--mended", action="store_true")
    ap.add_argument("--field", default="text")
    args = ap.parse_args()
    settings = (args.budget, args.k1, args.k2, args.k3, args.level)
    pool = load(args.pool)
    chosen = mended([sample[args.field] for sample in pool], *settings) if args.mended else released(pool, *settings)
    sys.stdout.writelines(f"{i}\n" for i in chosen)


if __name__ == "__main__":
    main()
