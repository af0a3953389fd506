"""`lmbits report` in a browser: the page renders without a word on the console, sorts, filters, and no texts overlap.

usage: report.py PROGRAM SOURCE_DIR [test ...]

The runs are written by the test itself, so it needs no libtorch. What happens in the browser needs Chromium
(`chromium`, `chromium-browser` or `google-chrome` on PATH): without it those tests are skipped, and say so.
"""
import html.parser
import json
import random
import re
import shutil
import subprocess
import unittest

import harness
from harness import crc32c, run

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)

# Runs in the page after its own script, and leaves what it saw in an element of the page.
PROBE = """
<script>
const seen = {};
const names = table => [...table.tBodies[0].rows].filter(row => !row.hidden).map(row => row.dataset.name);
const tables = [...document.querySelectorAll("table.data")];
const board = tables[0];
const header = text => [...board.tHead.rows[0].cells].find(cell => cell.textContent.includes(text));
const click = text => { header(text).querySelector("button").click(); return names(board); };
seen.sections = [...document.querySelectorAll("h2")].map(h => h.textContent);
seen.first = names(board);
seen.values = [...board.tBodies[0].rows].map(row => Number(row.cells[2].dataset.value));
seen.byName = click("model");
seen.byNameBack = click("model");
seen.byRank = click("rank");
seen.byParameters = click("parameters");
seen.sortState = header("parameters").getAttribute("aria-sort");
const search = document.querySelector("[type=search]"), box = document.querySelector("[type=checkbox]");
const type = text => { search.value = text; search.dispatchEvent(new Event("input", {bubbles: true})); };
type("MODEL-a");
seen.filtered = names(board);
seen.count = document.querySelector("output").textContent;
type("");
box.click();
seen.withoutCompressors = names(board);
box.click();
seen.all = names(board);
seen.controls = !document.querySelector(".filter").hidden;

// Texts of one drawing must not overlap, nor leave it: by the rectangles that the browser itself drew.
const meet = (a, b) => a.left + 0.5 < b.right && b.left + 0.5 < a.right && a.top + 1.5 < b.bottom && b.top + 1.5 < a.bottom;
seen.overlaps = [];
seen.outside = [];
seen.nTexts = seen.nLabels = 0;
for (const svg of document.querySelectorAll("figure .drawing")) {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
  seen.nTexts += texts.length;
  texts.forEach(([name, a], i) => {
    if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1) seen.outside.push(name);
    for (const [other, b] of texts.slice(0, i)) if (meet(a, b)) seen.overlaps.push(name + " | " + other);
  });
  for (const label of svg.querySelectorAll(".point-label")) {
    const a = label.getBoundingClientRect();
    ++seen.nLabels;
    for (const mark of svg.querySelectorAll("[data-name] > path:last-child")) {
      if (meet(a, mark.getBoundingClientRect())) seen.overlaps.push(label.textContent + " | mark of " + mark.parentNode.dataset.name);
    }
  }
}
seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const out = document.createElement("pre");
out.id = "seen";
out.textContent = JSON.stringify(seen);
document.body.append(out);
</script>
"""


def write_run(folder, model, corpus, level, training=None, n=24):
    """A finished run of `n` documents in two folders that cost about `level` bits a byte."""
    path = folder / f"{model}__{corpus}__default"
    path.mkdir(parents=True)
    draw = random.Random(corpus)  # the same documents for every model
    lines, bits, n_bytes = [], 0.0, 0
    for i in range(n):
        size, hardness = draw.randint(500, 1500), draw.uniform(0.8, 1.2)
        record = {"id": f"{'wiki' if i % 2 else 'books'}/{i}", "n_bytes": size, "n_chars": size, "n_tokens": size, "n_scored": size,
                  "n_forward": size, "n_words": size // 6, "bits": size * level * hardness, "bits_squared": size * level * level,
                  "lossless": True, "status": "ok", "baselines": {"gzip-9": size // 3}}
        bits, n_bytes = bits + record["bits"], n_bytes + size
        text = json.dumps(record, separators=(",", ":"))
        lines.append(f'{text[:-1]},"crc":"{crc32c(text.encode()):08x}"}}\n')
    (path / "documents.jsonl").write_text("".join(lines))
    manifest = {"schema": 1, "identity": {"model": f"hash of {model}", "corpus": f"hash of {corpus}"},
                "model": {"name": model, "metadata": training or {}}, "corpus": {"name": corpus}, "convention": {"name": "default"}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    sizes = {"gzip-9": 0.36, "xz-9e": 0.31, "zstd-19": 0.315}  # two of them close together
    baselines = {name: {"bytes": int(n_bytes * share), "bits_per_byte": 8 * int(n_bytes * share) / n_bytes} for name, share in sizes.items()}
    summary = {"schema": 1, "model": model, "corpus": corpus, "convention": "default", "n_documents": n, "n_failed": 0, "n_bytes": n_bytes,
               "n_tokens": n_bytes, "n_scored": n_bytes, "bits": bits, "bits_per_byte": bits / n_bytes, "baselines": baselines,
               "warnings": ["a warning of the run <b>"]}
    (path / "summary.json").write_text(json.dumps(summary))


def write_scores(path, names):
    """Scores of every model on a benchmark a corpus, better for the later checkpoints."""
    draw = random.Random(7)
    rows = ["model,benchmark,area,metric,value,stderr"]
    for i, name in enumerate(names):
        for area in ("novel", "code"):
            rows.append(f"{name},cloze_{area},{area},acc,{0.3 + 0.1 * (i % 4) + draw.uniform(-0.02, 0.02):.4f},0.02")
    path.write_text("\n".join(rows) + "\n")


def write_runs(folder):
    """Checkpoints of three training runs on two corpora, among them close ones; returns the models' names."""
    names = []
    for size, level in (("a", 1.6), ("b", 1.9), ("c", 1.92)):
        for step in (100, 200, 400, 800):
            name = f"model-{size}-{step}"
            training = {"training": {"step": step, "tokens": 1000 * step}, "parameters": {"total": {"a": 10000, "b": 800, "c": 70}[size]}}
            for corpus, hard in (("novel", 1.0), ("code", 0.7)):
                write_run(folder, name, corpus, hard * level * (1 + 60 / step), training)
            names.append(name)
    return names


class Tables(html.parser.HTMLParser):
    """The rows' names of every table of a page, as a reader without scripts has them."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.form_hidden = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "table":
            self.tables.append([])
        if tag == "tr" and "data-name" in attributes:
            self.tables[-1].append(attributes["data-name"])
        if tag == "form":
            self.form_hidden = "hidden" in attributes


class Report(harness.ProgramTest):
    def setUp(self):
        super().setUp()
        self.runs = self.folder / "runs"
        self.names = write_runs(self.runs)
        self.page = self.folder / "report.html"

    def write_page(self, *flags):
        outcome = run(["report", self.runs, "-o", self.page, "--resamples", 200, *flags])
        self.assertEqual(outcome.code, 0, outcome.err)
        return self.page.read_text()

    def browse(self, page):
        """The page's DOM after its scripts, and what was said on the console."""
        if CHROMIUM is None:
            self.skipTest("no chromium on PATH: the page is not tried in a browser")
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.folder / 'profile'}",
                   "--window-size=1280,1000", "--enable-logging=stderr", "--v=0", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=harness.PATIENCE_S)
        self.assertIn("</html>", done.stdout, done.stderr[-2000:])
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    def probe(self, text):
        probed = self.folder / "probed.html"
        probed.write_text(text.replace("</body>", PROBE + "</body>"))
        dom, console = self.browse(probed)
        self.assertEqual(console, [])
        found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.S)
        self.assertIsNotNone(found, "the probe did not get to its end")
        return json.loads(html.unescape(found[1]))

    def test_it_renders_sorts_and_filters(self):
        seen = self.probe(self.write_page())
        compressors = {"gzip-9", "xz-9e", "zstd-19"}
        self.assertEqual(set(seen["first"]), set(self.names) | compressors)
        self.assertEqual(seen["values"], sorted(seen["values"]))
        self.assertEqual(seen["byName"], sorted(seen["byName"], key=lambda name: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]))
        self.assertEqual(seen["byNameBack"], seen["byName"][::-1])
        self.assertEqual([name for name in seen["byRank"] if name not in compressors], [name for name in seen["first"] if name not in compressors])
        self.assertEqual(set(seen["byRank"][-3:]), compressors, "rows without a rank stay last")
        self.assertTrue(all("-c-" in name for name in seen["byParameters"][:4]), seen["byParameters"])
        self.assertEqual(seen["sortState"], "ascending")
        self.assertEqual(sorted(seen["filtered"]), sorted(name for name in self.names if "-a-" in name))
        self.assertRegex(seen["count"], r"^\d+ of \d+ rows$")
        self.assertEqual(set(seen["withoutCompressors"]), set(self.names))
        self.assertEqual(set(seen["all"]), set(self.names) | compressors)
        self.assertTrue(seen["controls"])
        self.assertEqual(seen["sections"], ["Leaderboard", "Overall", "code", "novel", "By category", "Contamination", "Warnings", "Models", "Runs"])

    def test_no_texts_overlap_in_any_figure(self):
        scores = self.folder / "scores.csv"
        write_scores(scores, self.names)
        seen = self.probe(self.write_page("--scores", scores))
        self.assertIn("Compression and scores", seen["sections"])
        self.assertGreater(seen["nTexts"], 300)
        self.assertGreater(seen["nLabels"], 60)
        self.assertEqual(seen["overlaps"], [])
        self.assertEqual(seen["outside"], [])
        self.assertEqual(seen["wide"], 0, "the page itself scrolls sideways")

    def test_it_is_readable_without_scripts(self):
        text = self.write_page()
        tables = Tables(text)
        self.assertTrue(tables.form_hidden)
        self.assertTrue(set(self.names) <= set(tables.tables[0]))
        self.assertEqual(text.count("<script>"), 1)
        self.page.write_text(re.sub(r"<script>.*</script>", "", text, flags=re.S))  # what a browser with scripts off makes of it
        dom, console = self.browse(self.page)
        self.assertEqual(console, [])
        self.assertNotIn("<button", dom)
        for name in self.names:
            self.assertIn(f'data-name="{name}"', dom)

    def test_it_asks_for_nothing_from_elsewhere(self):
        text = self.write_page()
        self.assertNotRegex(text, r"https?:|\bsrc=|@import|url\(")

    def test_names_are_text_not_markup(self):
        shutil.rmtree(self.runs)
        write_run(self.runs, "<img src=x onerror=alert(1)>", "novel", 1.0)
        text = self.write_page("--title", "</title><script>alert(2)</script>")
        self.assertNotIn("<img", text)
        self.assertNotIn("<script>alert", text)

    def test_other_formats_by_the_ending(self):
        for ending, start in ((".md", "### "), (".csv", "corpus,convention"), (".json", "{")):
            self.page = self.folder / ("report" + ending)
            self.assertTrue(self.write_page().startswith(start), ending)
        self.assertEqual(json.loads(self.page.read_text()), json.loads(run(["report", self.runs, "-o", "-", "--json", "--resamples", 200]).out))

    def test_figures_are_files(self):
        figures = self.folder / "figures"
        self.write_page("--figures", figures)
        self.assertEqual(sorted(path.name for path in figures.iterdir()),
                         [f"{kind}_{corpus}.svg" for kind in ("bars", "curves") for corpus in ("code", "novel", "overall")])
        if shutil.which("rsvg-convert") is None:
            self.skipTest("no rsvg-convert on PATH: PNG and PDF are not tried")
        self.write_page("--figures", figures, "--figure-format", "png", "--figure-format", "pdf", "--corpus", "code")
        self.assertEqual((figures / "bars_code.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual((figures / "bars_code.pdf").read_bytes()[:4], b"%PDF")

    def test_correlations_are_drawn(self):
        scores, figures = self.folder / "scores.csv", self.folder / "figures"
        write_scores(scores, self.names)
        wanted = ["overview.svg"] + [f"{kind}_{area}.svg" for kind in ("residuals", "scatter") for area in ("code", "novel", "overall")]
        outcome = run(["correlate", self.runs, "--scores", scores, "--resamples", 100, "--permutations", 99, "--figures", figures])
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertEqual(sorted(path.name for path in figures.iterdir()), sorted(wanted))
        overview = (figures / "overview.svg").read_text()
        self.assertEqual(len(re.findall(r"ρ = −0\.\d{3}<", overview)), 3)
        self.assertEqual(len(re.findall(r"RMSE = 0\.\d{3}<", overview)), 3)
        outcome = run(["reproduce", "huang2024", "--figures", figures])
        self.assertEqual(outcome.code, 0, outcome.err)
        self.assertTrue((figures / "huang2024_overview.svg").exists())

    def test_redundant_samples_are_a_section(self):
        texts = ["The first of its kind, and nothing like it follows anywhere.", "Quite another sentence about other things altogether."]
        texts = [f"{text} Number {i}." for i in range(5) for text in texts]
        samples = self.folder / "chosen.jsonl"
        samples.write_text("".join(json.dumps({"id": f"s{i}", "text": text}) + "\n" for i, text in enumerate([*texts, texts[0]])))
        text = self.write_page("--samples", samples)
        self.assertIn("How redundant are the training samples?", text)
        self.assertEqual(len(re.findall(r"<title>s\d+ behind s\d+: \d+ % saved</title>", text)), 11 * 10)
        self.assertIn("<title>s10 behind s0: ", text)
        shares = {(a, b): int(p) for a, b, p in re.findall(r"<title>(s\d+) behind (s\d+): (\d+) % saved", text)}
        self.assertGreater(shares["s10", "s0"], 90)  # a copy
        self.assertGreater(shares["s2", "s0"], shares["s1", "s0"])  # the same sentence; another one
        page = json.loads(run(["report", self.runs, "-o", "-", "--json", "--resamples", 200, "--samples", samples]).out)
        self.assertIn("How redundant are the training samples?", json.dumps(page))
        self.write_page("--samples", samples, "--samples-shown", 5, "--figures", self.folder / "figures")
        self.assertEqual((self.folder / "figures" / "redundancy_chosen.jsonl.svg").read_text().count("% saved"), 5 * 4)
        self.assert_one_error(run(["report", self.runs, "-o", self.page, "--samples", self.folder / "none.jsonl"]), 4, "none.jsonl")
        seen = self.probe(text)
        self.assertEqual((seen["overlaps"], seen["outside"]), ([], []))

    def test_the_committed_figure_is_what_the_program_draws(self):
        outcome = run(["reproduce", "huang2024", "--figures", self.folder])
        self.assertEqual(outcome.code, 0, outcome.err)
        texts = [re.findall(r"<(?:text|title)[^>]*>([^<]*)", (folder / "huang2024_overview.svg").read_text())  # places may differ by rounding
                 for folder in (self.folder, harness.SOURCE / "docs" / "figures")]
        self.assertEqual(*texts)

    def test_without_rsvg_convert_it_says_so(self):
        outcome = run(["report", self.runs, "-o", self.page, "--resamples", 100, "--figures", self.folder / "f", "--figure-format", "png"],
                      env={"PATH": str(self.folder)})
        self.assert_one_error(outcome, 7, "rsvg-convert is not installed")

    def test_errors_are_one_line(self):
        self.assert_one_error(run(["report", self.folder, "-o", self.page]), 4, "no run")
        self.assert_one_error(run(["report", self.runs, "-o", self.page, "--corpus", "poem"]), 4, "poem")
        self.assert_one_error(run(["report", self.runs, "-o", self.folder / "nowhere" / "x.html"]), 4, "nowhere")
        self.assert_one_error(run(["report", self.runs]), 2, "--output")


if __name__ == "__main__":
    harness.main()
