#!/usr/bin/env python3
"""Pictures, sound and video as bytes: small models trained on them, set beside the formats made for them.

usage: media.py LMBITS BUILD_DIR [--only image,audio,video] [--steps 1500]
       LMBITS is the program. Needs Debian 12 (apt-get, dpkg), its packages ffmpeg, flac and libjxl-tools, and a python3
       with requirements.txt.

medium  stream of bytes, that a model of 512 bytes' context sees something          training                held out
image   grey pixels of photographs, tiles of 32 rows by 16, tile after tile         10 of mate-backgrounds  2
audio   samples of 16 bits at 8 kHz, the upper byte first                           9 in 10 spoken prompts  half a minute
video   grey pixels, 8 x 8 at a place in 8 frames one after the other, then the     700 frames of a street  the last 16
        next place

Packages, streams and models that are there already are kept. The streams go back to pixels and samples by themselves:
no byte of them says anything else. What is compared is one file a medium: the held-out stream, compressed and read back
by LMBITS, against the same pixels or samples as PNG, JPEG-XL, FLAC, FFV1 and lossless H.264. Prints a table.
"""
import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from bundle_file import fix_hash_seed
from export import write_bundle
from tinylm import build
from train import BYTE_BOS, BYTE_VOCAB, CONTEXT, TOKENS_PER_STEP, fit

PACKAGES = {"image": "mate-backgrounds", "audio": "asterisk-core-sounds-en-wav", "video": "opencv-doc"}
TILE = (32, 16)  # rows, columns
PHOTO, FRAME = (320, 512), (96, 128)  # rows, columns
PLACE, GROUP = 8, 8  # pixels a side, frames
TRAINED_FRAMES, HELD_OUT_FRAMES = 700, 16
RATE = 8000


def run(*command, **options) -> bytes:
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {' '.join(map(str, command))}")
    return done.stdout


def ffmpeg(*arguments, stdin: bytes | None = None) -> bytes:
    return run("ffmpeg", "-v", "error", "-nostdin", *arguments, input=stdin)


def unpacked(build_dir: pathlib.Path, package: str) -> pathlib.Path:
    root = build_dir / "root" / package
    if not root.exists():
        root.mkdir(parents=True)
        run("apt-get", "download", package, cwd=root)
        run("dpkg", "-x", next(root.glob("*.deb")), root)
    return root


# ---- streams: the pixels or samples as they are, and in the order in which a model reads them


def tiles(photo: np.ndarray) -> bytes:  # [rows, columns]
    rows, columns = TILE
    return photo.reshape(photo.shape[0] // rows, rows, photo.shape[1] // columns, columns).swapaxes(1, 2).tobytes()


def places(frames: np.ndarray) -> bytes:  # [frames, rows, columns]
    n, rows, columns = frames.shape
    cut = frames.reshape(n // GROUP, GROUP, rows // PLACE, PLACE, columns // PLACE, PLACE)
    return cut.transpose(0, 2, 4, 1, 3, 5).tobytes()


def photographs(root: pathlib.Path):
    paths = sorted(root.glob("usr/share/backgrounds/mate/nature/*.jpg"))
    assert len(paths) == 12, paths
    rows, columns = PHOTO
    scale = f"scale={columns}:{rows}:force_original_aspect_ratio=increase:flags=area,crop={columns}:{rows}"
    photos = [np.frombuffer(ffmpeg("-i", p, "-vf", scale, "-pix_fmt", "gray", "-f", "rawvideo", "-"), np.uint8)
              .reshape(PHOTO) for p in paths]
    held_out = photos[5::6]
    return [p for p in photos if not any(p is h for h in held_out)], held_out


def prompts(root: pathlib.Path):
    paths = sorted(root.glob("usr/share/asterisk/sounds/en_US_f_Allison/*.wav"))
    sounds = [np.frombuffer(ffmpeg("-i", p, "-f", "s16be", "-ar", RATE, "-ac", 1, "-"), ">i2") for p in paths]
    return [s for i, s in enumerate(sounds) if i % 10 != 9], sounds[9::40]


def street(root: pathlib.Path):
    rows, columns = FRAME
    raw = ffmpeg("-i", root / "usr/share/doc/opencv-doc/examples/data/vtest.avi", "-vf",
                 f"scale={columns}:{rows}:flags=area", "-pix_fmt", "gray", "-f", "rawvideo", "-")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, rows, columns)
    return frames[: TRAINED_FRAMES // GROUP * GROUP], frames[-HELD_OUT_FRAMES:]


def streams_of(medium: str, root: pathlib.Path):
    """(training stream, held-out stream, the held-out pixels or samples)."""
    if medium == "image":
        train, held_out = photographs(root)
        return b"".join(map(tiles, train)), b"".join(map(tiles, held_out)), held_out
    if medium == "audio":
        train, held_out = (np.concatenate(part).astype(">i2") for part in prompts(root))
        return train.tobytes(), held_out.tobytes(), held_out
    train, held_out = street(root)
    return places(train), places(held_out), held_out


# ---- the formats made for it


def png_and_jxl(photos, scratch: pathlib.Path):
    sizes = {"PNG (ffmpeg, level 9, best filters)": 0, "JPEG-XL (cjxl -d 0 -e 9)": 0}
    for photo in photos:
        raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{photo.shape[1]}x{photo.shape[0]}", "-i", "-"]
        png, pgm, jxl = (scratch / f"photo.{kind}" for kind in ("png", "pgm", "jxl"))
        run("ffmpeg", "-v", "error", "-y", *raw, "-compression_level", 9, "-pred", "mixed", png, input=photo.tobytes())
        pgm.write_bytes(b"P5\n%d %d\n255\n" % (photo.shape[1], photo.shape[0]) + photo.tobytes())
        run("cjxl", "-d", "0", "-e", "9", "--quiet", pgm, jxl)
        for name, path in zip(sizes, (png, jxl)):
            sizes[name] += path.stat().st_size
    return sizes


def flac(samples, scratch: pathlib.Path):
    packed = scratch / "sound.flac"
    run("flac", "--silent", "--force", "-8", "--no-padding", "--force-raw-format", "--endian=big", "--sign=signed",
        "--channels=1", "--bps=16", f"--sample-rate={RATE}", "-o", packed, "-", input=samples.tobytes())
    return {"FLAC (flac -8)": packed.stat().st_size}


def ffv1_and_h264(frames, scratch: pathlib.Path):
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{FRAME[1]}x{FRAME[0]}", "-r", 10, "-i", "-"]
    codecs = {"FFV1 (level 3, range coder, context 1; the packets alone)":
              ("nut", "-c:v", "ffv1", "-level", 3, "-coder", 1, "-context", 1, "-g", HELD_OUT_FRAMES),
              "H.264, lossless (x264 -qp 0 -preset placebo)":
              ("h264", "-c:v", "libx264", "-qp", 0, "-preset", "placebo", "-pix_fmt", "gray", "-color_range", "pc")}
    sizes = {}
    for name, (kind, *options) in codecs.items():
        packed = scratch / f"street.{kind}"
        run("ffmpeg", "-v", "error", "-y", *raw, *options, packed, input=frames.tobytes())
        back = ffmpeg("-i", packed, "-f", "rawvideo", "-pix_fmt", "gray", "-")
        assert back == frames.tobytes(), f"{name} is not lossless here"
        said = run("ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", packed).decode().split()
        sizes[name] = sum(int(size.strip(",")) for size in said)
    return sizes


FORMATS = {"image": png_and_jxl, "audio": flac, "video": ffv1_and_h264}


# ---- the models


def train(medium: str, stream: bytes, steps: int, bundle: pathlib.Path) -> None:
    torch.manual_seed(0)
    model = build("s", BYTE_VOCAB)
    fit(model, [np.frombuffer(stream, np.uint8)], BYTE_BOS, steps, medium)
    facts = dict(size="s", name=f"{medium}-{steps}", context_length=CONTEXT, bos_id=BYTE_BOS, eos_id=None,
                 tokenizer_kind="bytes", step=steps, of_steps=steps, tokens=steps * TOKENS_PER_STEP,
                 source=f"models/recipe/media.py: trained from random weights on the Debian package {PACKAGES[medium]}")
    write_bundle(bundle, model, facts, None)


def measured(lmbits: str, held_out: pathlib.Path, bundle: pathlib.Path):
    sizes = {}
    said = json.loads(run(lmbits, "baseline", held_out, "--codec", "xz-9e", "--codec", "cm", "--json", "--quiet"))
    for codec in ("xz-9e", "cm"):
        sizes[codec] = said["corpora"][0]["baselines"][codec]["bytes"]
    for name, flags in (("lmbits", []), ("lmbits --mix", ["--mix"])):
        said = json.loads(run(lmbits, "compress", held_out, "-o", held_out.with_suffix(".lmb"), "--model", bundle, "--verify",
                              "--json", "--quiet", "--force", *flags))
        sizes[name] = said["n_compressed"]
    sizes["lmbits, with the model's file"] = sizes["lmbits"] + bundle.stat().st_size
    return sizes


def main() -> None:
    fix_hash_seed()
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("lmbits")
    ap.add_argument("build_dir", type=pathlib.Path)
    ap.add_argument("--only", default=",".join(PACKAGES))
    ap.add_argument("--steps", type=int, default=1500)
    args = ap.parse_args()
    torch.set_num_threads(1)
    args.build_dir.mkdir(parents=True, exist_ok=True)
    table = []
    for medium in args.only.split(","):
        stream, held_out, raw = streams_of(medium, unpacked(args.build_dir, PACKAGES[medium]))
        bundle = args.build_dir / f"{medium}-{args.steps}.pt"
        print(f"{medium}: {len(stream)} bytes to train on, {len(held_out)} held out", flush=True)
        if not bundle.exists():
            train(medium, stream, args.steps, bundle)
        path = args.build_dir / f"{medium}.bin"
        path.write_bytes(held_out)
        sizes = {"as it is": len(held_out)} | measured(args.lmbits, path, bundle) | FORMATS[medium](raw, args.build_dir)
        table += [(medium, name, size, 8 * size / len(held_out)) for name, size in
                  sorted(sizes.items(), key=lambda item: item[1])]
    print("\n| medium | stored as | bytes | bits/byte |\n| --- | --- | ---: | ---: |")
    for medium, name, size, rate in table:
        print(f"| {medium} | {name} | {size:,} | {rate:.3f} |")


if __name__ == "__main__":
    main()
