"""What the parity scripts share: the same model as a bundle and as a Hugging Face folder, lmbits' bits, and the table.

Each bench/parity_NAME.py sets `lmbits eval --convention ...` beside a published program, or beside a plain PyTorch run of
its protocol, on the same weights, texts and windows, in float32.
"""
import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SKIPPED = 77  # the exit code, of which CTest and automake think the same; 1 is that something differs


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")

try:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.disable_progress_bar()
except ImportError as e:
    skip(f"{e}; scripts/hf_environment --peers makes the environment, run this with build/deps/hf/bin/python")

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOTAL, DOCUMENT = 5e-6, 1e-5  # relative


def arguments(description, **defaults):
    ap = argparse.ArgumentParser(description=description)
    ap.add_argument("--lmbits", default=str(ROOT / "build/cpu/lmbits"))
    ap.add_argument("--model", action="append", required=True, metavar="BUNDLE.pt=HF_DIR")
    ap.add_argument("--text", action="append", required=True, type=pathlib.Path)
    ap.add_argument("--bytes", type=int, default=0, help="of each text, from its beginning; 0: all")
    ap.add_argument("--join", action="store_true", help="the texts are one, in their order; --bytes are of that")
    ap.add_argument("--threads", type=int, default=1, help="of both sides")
    ap.add_argument("--document-bytes", type=int, default=6000, help="texts are cut into documents at line ends")
    for key, value in defaults.items():
        ap.add_argument("--" + key.replace("_", "-"), type=type(value), default=value)
    args = ap.parse_args()
    torch.set_num_threads(args.threads)
    args.models = [tuple(map(pathlib.Path, pair.split("=", 1))) for pair in args.model]
    groups = [args.text] if args.join else [[path] for path in args.text]
    args.texts = [("+".join(path.stem for path in group), read_text(group, args.bytes)) for group in groups]
    return args


def read_text(paths, n_bytes):
    data = b"".join(path.read_bytes() for path in paths)
    return (data[:n_bytes] if n_bytes else data).decode("utf-8", "ignore")


def documents_of(text, n_bytes):
    """Whole lines, at least n_bytes together, but the last."""
    documents, current, size = [], [], 0
    for line in text.splitlines(keepends=True):
        current.append(line)
        size += len(line.encode())
        if size >= n_bytes:
            documents.append("".join(current))
            current, size = [], 0
    return documents + (["".join(current)] if current else [])


class Peer:
    """The model as transformers has it."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()

    def encode(self, text):
        return self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids

    @torch.inference_mode()
    def logits(self, ids):  # list of ids -> [T,V]
        return self.model(torch.tensor([ids]), use_cache=False).logits[0]


def nats(logits, targets, dtype=torch.float32):
    """Cross entropy of each target, as the protocols' scripts compute it."""
    return torch.nn.functional.cross_entropy(logits.to(dtype), torch.tensor(targets), reduction="none")


def exact(logits, targets):
    """The same in double: what the script's own float32 hides."""
    return nats(logits, targets, torch.float64).sum().item()


def rounded(logits, targets, over=torch.sum):
    """Logits, cross entropies and their sum (or mean) in bfloat16: what a script gets whose model gives bfloat16, or that casts."""
    return over(nats(logits, targets, torch.bfloat16)).item()


def run(command, **environment):
    """A process to its end: (CPU seconds, peak memory in MiB, what it printed)"""
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(list(map(str, command)), stdout=printed, stderr=subprocess.STDOUT,
                                   env=os.environ | environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed ({process.returncode}): {text[-600:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def timed_evaluate(args, bundle, documents, *flags):
    """lmbits on the documents, of which no line is lost: (CPU seconds, peak MiB, summary, bits by document id)"""
    with tempfile.TemporaryDirectory() as folder:
        corpus = pathlib.Path(folder) / "corpus.jsonl"
        corpus.write_text("".join(json.dumps({"id": str(i), "text": d}) + "\n" for i, d in enumerate(documents)))
        seconds, memory, _ = run([args.lmbits, "eval", "--model", bundle, "--corpus", f"c={corpus}", "--baselines", "none",
                                  "--threads", args.threads, "--quiet", "-o", folder + "/runs", *flags])
        out = next(path for path in pathlib.Path(folder, "runs").iterdir() if "__" in path.name)
        records = [json.loads(line) for line in (out / "documents.jsonl").read_text().splitlines()]
        return seconds, memory, json.loads((out / "summary.json").read_text()), {r["id"]: r["bits"] for r in records}


def loading(args, bundle, dtype):
    """CPU seconds of starting and loading: a window of a few ids, which fills no batch."""
    return timed_evaluate(args, bundle, ["x" * 40], "--convention", "lm-eval", "--window", "256", "--batch", "1", "--dtype",
                          dtype)[0]


def evaluate(args, bundle, documents, *flags):
    """The last two of timed_evaluate."""
    return timed_evaluate(args, bundle, documents, *flags)[2:]


def llama_perplexity(args, gguf, text, window, *flags):
    """llama.cpp's program on the text's windows, one thread, with a BOS in each: (CPU seconds, printed perplexity).

    It would undo backslash escapes and drop a last line end: the first is switched off, the second done to the text before.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        seconds, _, printed = run([args.perplexity, "-m", gguf, "-f", file.name, "--no-escape", "-c", window, "-b", window,
                                   "-ub", window, "-t", 1, "--override-kv", "tokenizer.ggml.add_bos_token=bool:true",
                                   *flags], OMP_NUM_THREADS="1")
    found = re.findall(r"\[\d+\]([0-9.]+),", printed)  # of the windows so far; the last is the final estimate
    if not found:
        raise SystemExit(f"llama-perplexity printed no result: {printed[-600:]}")
    return seconds, float(found[-1])


LLAMA_CPP = ROOT / "build/deps/llama_cpp/bin/llama-perplexity"
EXACT_CACHE = ("-ctk", "f32", "-ctv", "f32", "-fa", "off")


class Table:
    def __init__(self, peer):
        print(f"{peer}; torch {torch.__version__}, transformers {transformers.__version__}; bits, float32", flush=True)
        print(f"{'model':<24}{'text':<14}{'bytes':>9}{'scored':>9}{'peer':>16}{'lmbits':>16}{'difference':>12}{'bound':>9}"
              f"{'worst document':>16}{'bound':>9}")
        self.failed = False

    def row(self, model, text, n_bytes, n_scored, peer, ours, bound=TOTAL, worst=None, worst_bound=DOCUMENT):
        difference = ours / peer - 1
        ok = abs(difference) <= bound and (worst is None or worst <= worst_bound)
        self.failed |= not ok
        print(f"{model:<24}{text:<14}{n_bytes:>9}{n_scored:>9}{peer:>16.4f}{ours:>16.4f}{difference:>12.1e}{bound:>9.0e}"
              f"{'—' if worst is None else format(worst, '.1e'):>16}{'' if worst is None else format(worst_bound, '.0e'):>9}"
              f"{'' if ok else '  NOT EQUAL'}", flush=True)

    def note(self, text):
        print("  " + text, flush=True)

    def finish(self):
        sys.exit(1 if self.failed else 0)


def worst_document(peer, ours):
    """Largest relative difference; of a document of few bits, relative to 10."""
    return max(abs(ours[i] - peer[i]) / max(abs(peer[i]), 10.0) for i in peer)


LN2 = math.log(2.0)
