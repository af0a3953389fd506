#!/usr/bin/env python3
"""Pictures, sound and video as bytes: small models trained on them, set beside the formats made for them.

usage: media.py LMBITS BUILD_DIR [--only grey,colour,audio,video] [--steps 1000]
       LMBITS is the program. Needs Debian 12 (apt-get, dpkg), its packages ffmpeg, flac and libjxl-tools, and a python3
       with requirements.txt.

medium  held out as   in patches of                              training                       held out
grey    PGM           32 rows x 16                               10 of mate-backgrounds' photos 2
colour  PPM           32 rows x 16, red, green, blue interleaved the same                       the same
audio   WAV           (16 bits at 8 kHz, the upper byte first)   9 in 10 spoken prompts         half a minute
video   Y4M, grey     8 rows x 8 x 8 frames                      700 frames of a street         the last 16

BUILD_DIR/heldout/MEDIUM holds files as anybody has them; lmbits reads their samples in the order of `--patch`
(src/corpus/media.h), and a model is trained on bytes in the same order. Packages and models that are there already are kept.
What is compared is the size of those files: compressed by LMBITS and read back, and as PNG, JPEG-XL, FLAC, FFV1 and lossless
H.264, whose losslessness is checked. Prints a table.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import wave

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

PACKAGES = {"grey": "mate-backgrounds", "colour": "mate-backgrounds", "audio": "asterisk-core-sounds-en-wav", "video": "opencv-doc"}
PATCHES = {"grey": (32, 16, 1), "colour": (32, 16, 1), "audio": (1, 1, 1), "video": (8, 8, 8)}  # rows, columns, frames
N_PHOTOS, PHOTO, FRAME = 12, (320, 512), (96, 128)  # rows, columns
TRAINED_FRAMES, HELD_OUT_FRAMES = 700, 16
RATE = 8000


def run(*command, **options) -> bytes:
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed: {' '.join(map(str, command))}")
    return done.stdout


def ffmpeg(*arguments, stdin: bytes | None = None) -> bytes:
    return run("ffmpeg", "-v", "error", *([] if stdin else ["-nostdin"]), *arguments, input=stdin)


def unpacked(build_dir: pathlib.Path, package: str) -> pathlib.Path:
    root = build_dir / "root" / package
    if not root.exists():
        root.mkdir(parents=True)
        run("apt-get", "download", package, cwd=root)
        run("dpkg", "-x", next(root.glob("*.deb")), root)
    return root


# ---- samples: of pictures and video [frames, rows, columns, components], of sound [samples]


def stream_of(samples: np.ndarray, patch) -> bytes:
    """The bytes as lmbits reads them: the specification of src/corpus/media.h, once more."""
    if samples.ndim == 1:
        return samples.astype(">i2").tobytes()
    rows, columns, frames = patch
    n_frames, n_rows, n_columns, _ = samples.shape
    return b"".join(samples[t : t + frames, y : y + rows, x : x + columns].tobytes() for t in range(0, n_frames, frames)
                    for y in range(0, n_rows, rows) for x in range(0, n_columns, columns))


def photographs(root: pathlib.Path, pixels: str):
    paths = sorted(root.glob("usr/share/backgrounds/mate/nature/*.jpg"))
    assert len(paths) == N_PHOTOS, paths
    rows, columns = PHOTO
    scale = f"scale={columns}:{rows}:force_original_aspect_ratio=increase:flags=area,crop={columns}:{rows}"
    photos = [np.frombuffer(ffmpeg("-i", p, "-vf", scale, "-pix_fmt", pixels, "-f", "rawvideo", "-"), np.uint8)
              .reshape(1, rows, columns, -1) for p in paths]
    return [p for i, p in enumerate(photos) if i % 6 != 5], photos[5::6]


def prompts(root: pathlib.Path):
    paths = sorted(root.glob("usr/share/asterisk/sounds/en_US_f_Allison/*.wav"))
    sounds = [np.frombuffer(ffmpeg("-i", p, "-f", "s16le", "-ar", RATE, "-ac", 1, "-"), "<i2") for p in paths]
    return [s for i, s in enumerate(sounds) if i % 10 != 9], [np.concatenate(sounds[9::40])]


def street(root: pathlib.Path):
    rows, columns = FRAME
    raw = ffmpeg("-i", root / "usr/share/doc/opencv-doc/examples/data/vtest.avi", "-vf",
                 f"scale={columns}:{rows}:flags=area", "-pix_fmt", "gray", "-f", "rawvideo", "-")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, rows, columns, 1)
    return [frames[:TRAINED_FRAMES]], [frames[-HELD_OUT_FRAMES:]]


def samples_of(medium: str, root: pathlib.Path):
    """(what is trained on, what is held out): lists of samples."""
    if medium in ("grey", "colour"):
        return photographs(root, "gray" if medium == "grey" else "rgb24")
    return prompts(root) if medium == "audio" else street(root)


def write_files(folder: pathlib.Path, medium: str, held_out) -> list[pathlib.Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, samples in enumerate(held_out):
        paths.append(folder / f"{medium}-{i}.{dict(grey='pgm', colour='ppm', audio='wav', video='y4m')[medium]}")
        if medium == "audio":
            with wave.open(str(paths[-1]), "wb") as file:
                file.setparams((1, 2, RATE, 0, "NONE", ""))
                file.writeframes(samples.tobytes())
            continue
        _, rows, columns, _ = samples.shape
        if medium == "video":
            paths[-1].write_bytes(b"YUV4MPEG2 W%d H%d F10:1 Ip Cmono\n" % (columns, rows) +
                                  b"".join(b"FRAME\n" + frame.tobytes() for frame in samples))
        else:
            paths[-1].write_bytes(b"P%d\n%d %d\n255\n" % (5 if medium == "grey" else 6, columns, rows) + samples.tobytes())
    return paths


# ---- the formats made for it: file -> (the packed file, the command that unpacks it to the samples)


def png(path: pathlib.Path, scratch: pathlib.Path):
    packed = scratch / "photo.png"
    ffmpeg("-y", "-i", path, "-compression_level", 9, "-pred", "mixed", packed)
    return packed, ("ffmpeg", "-v", "error", "-i", packed, "-f", "image2pipe", "-c:v", path.suffix[1:], "-")


def jpeg_xl(path: pathlib.Path, scratch: pathlib.Path):
    packed, back = scratch / "photo.jxl", scratch / f"back{path.suffix}"
    run("cjxl", "-d", "0", "-e", "9", "--quiet", path, packed)
    run("djxl", "--quiet", packed, back)
    return packed, ("cat", back)


def flac(path: pathlib.Path, scratch: pathlib.Path):
    packed = scratch / "sound.flac"
    run("flac", "--silent", "--force", "-8", "--no-padding", "-o", packed, path)
    return packed, ("flac", "--silent", "-d", "-c", packed)


def ffv1(path: pathlib.Path, scratch: pathlib.Path):
    packed = scratch / "street.nut"
    ffmpeg("-y", "-i", path, "-c:v", "ffv1", "-level", 3, "-coder", 1, "-context", 1, "-g", HELD_OUT_FRAMES, packed)
    return packed, ("ffmpeg", "-v", "error", "-i", packed, "-pix_fmt", "gray", "-f", "yuv4mpegpipe", "-strict", -1, "-")


def h264(path: pathlib.Path, scratch: pathlib.Path):
    packed = scratch / "street.h264"
    ffmpeg("-y", "-i", path, "-c:v", "libx264", "-qp", 0, "-preset", "placebo", "-pix_fmt", "gray", "-color_range", "pc", packed)
    return packed, ("ffmpeg", "-v", "error", "-i", packed, "-pix_fmt", "gray", "-f", "yuv4mpegpipe", "-strict", -1, "-")


PICTURES = {"PNG (ffmpeg, level 9, best filters)": png, "JPEG-XL (cjxl -d 0 -e 9)": jpeg_xl}
FORMATS = {"grey": PICTURES, "colour": PICTURES, "audio": {"FLAC (flac -8)": flac},
           "video": {"FFV1 (level 3, range coder, context 1; the packets alone)": ffv1, "H.264, lossless (x264 -qp 0 -preset placebo)": h264}}


def samples_in(medium: str, file: bytes) -> bytes:
    """What stands in a file of this kind, by its plainest reading."""
    if medium == "video":
        size = FRAME[0] * FRAME[1]
        return b"".join(frame[frame.index(b"\n") + 1 :][:size] for frame in split_frames(file, size))
    n = {"grey": PHOTO[0] * PHOTO[1], "colour": 3 * PHOTO[0] * PHOTO[1]}.get(medium, len(file) - 44)
    return file[len(file) - n :]


def split_frames(file: bytes, size: int):
    at = file.index(b"\n") + 1
    while at < len(file):
        end = file.index(b"\n", at) + 1 + size
        yield file[at:end]
        at = end


def packed_sizes(medium: str, paths, scratch: pathlib.Path) -> dict[str, int]:
    sizes = {}
    for name, pack in FORMATS[medium].items():
        for path in paths:
            packed, unpack = pack(path, scratch)
            if samples_in(medium, run(*unpack)) != samples_in(medium, path.read_bytes()):
                raise SystemExit(f"{name} is not lossless here: {path}")
            size = packed.stat().st_size
            if medium == "video":  # a container of our choice is not the codec's
                said = run("ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", packed).decode().split()
                size = sum(int(packet.strip(",")) for packet in said)
            sizes[name] = sizes.get(name, 0) + size
    return sizes


# ---- the models


def train(medium: str, stream: bytes, steps: int, bundle: pathlib.Path) -> None:
    import torch
    from export import write_bundle
    from tinylm import build
    from train import BYTE_BOS, BYTE_VOCAB, CONTEXT, TOKENS_PER_STEP, fit

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build("s", BYTE_VOCAB)
    fit(model, [np.frombuffer(stream, np.uint8)], BYTE_BOS, steps, medium)
    facts = dict(size="s", name=f"{medium}-{steps}", context_length=CONTEXT, bos_id=BYTE_BOS, eos_id=None,
                 tokenizer_kind="bytes", step=steps, of_steps=steps, tokens=steps * TOKENS_PER_STEP,
                 source=f"models/recipe/media.py: trained from random weights on the Debian package {PACKAGES[medium]}")
    write_bundle(bundle, model, facts, None)


def measured(lmbits: str, medium: str, paths, bundle: pathlib.Path, scratch: pathlib.Path):
    """(bytes of the samples, sizes by what made them)."""
    patch = ["--patch", "x".join(map(str, PATCHES[medium]))]
    corpus = f"{medium}={paths[0].parent}/*{paths[0].suffix}"
    said = json.loads(run(lmbits, "eval", "--model", bundle, "--corpus", corpus, *patch, "-o", scratch / "runs", "--baselines", "none",
                          "--json", "--quiet"))[-1]
    n_bytes, sizes = said["n_bytes"], {"lmbits eval, -log2 p": said["bits"] / 8}
    said = json.loads(run(lmbits, "baseline", corpus, *patch, "--codec", "xz-9e", "--codec", "cm", "--json", "--quiet"))
    for codec in ("xz-9e", "cm"):
        sizes[codec] = said["corpora"][0]["baselines"][codec]["bytes"]
    for name, flags in (("lmbits compress", []), ("lmbits compress --mix", ["--mix"])):
        sizes[name] = sum(json.loads(run(lmbits, "compress", path, "-o", scratch / "packed.lmb", "--model", bundle, *patch, "--verify",
                                         "--json", "--quiet", "--force", *flags))["n_compressed"] for path in paths)
    sizes["lmbits compress, with the model's file"] = sizes["lmbits compress"] + bundle.stat().st_size
    return n_bytes, sizes


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("lmbits")
    ap.add_argument("build_dir", type=pathlib.Path)
    ap.add_argument("--only", default=",".join(PACKAGES))
    ap.add_argument("--steps", type=int, default=1000)
    args = ap.parse_args()
    args.build_dir.mkdir(parents=True, exist_ok=True)
    table = []
    for medium in args.only.split(","):
        trained, held_out = samples_of(medium, unpacked(args.build_dir, PACKAGES[medium]))
        paths = write_files(args.build_dir / "heldout" / medium, medium, held_out)
        stream = b"".join(stream_of(samples, PATCHES[medium]) for samples in trained)
        bundle = args.build_dir / f"{medium}-{args.steps}.pt"
        print(f"{medium}: {len(stream)} bytes to train on, {len(paths)} files held out", flush=True)
        if not bundle.exists():
            train(medium, stream, args.steps, bundle)
        n_bytes, sizes = measured(args.lmbits, medium, paths, bundle, args.build_dir)
        sizes |= {"as it is": n_bytes} | packed_sizes(medium, paths, args.build_dir)
        table += [(medium, name, size, 8 * size / n_bytes) for name, size in sorted(sizes.items(), key=lambda item: item[1])]
    print("\n| medium | stored as | bytes | bits/byte |\n| --- | --- | ---: | ---: |")
    for medium, name, size, rate in table:
        print(f"| {medium} | {name} | {size:,.0f} | {rate:.3f} |")


if __name__ == "__main__":
    from bundle_file import fix_hash_seed

    fix_hash_seed()
    main()
