#!/usr/bin/env python3
"""Unpacks what C++ needs of a wheel: headers, shared libraries, licences; of torch also its Python, for torchrun. Prints the
wheels that it needs beside it.

usage: unpack_wheel.py WHEEL OUT [--cuda]

PyPI's torch for x86-64 is a CUDA build whose dependencies weigh 2 GB. Its libtorch_cpu.so alone works without them, but
for two small libraries that it links: so a CPU build leaves libtorch_cuda.so in the wheel and asks for those two.
"""
import pathlib
import re
import sys
import zipfile

CUDA_ONLY = re.compile(r"torch/lib/.*(cuda|nvrtc|nvshmem)")
UNUSED = re.compile(r"torch/lib/.*(test|backend_with_compiler|custom_ops|\.a$)")
# torchrun, by which tests start workers, imports most of torch.
TORCHRUN = re.compile(r"(torch(gen)?/.*\.py|torch/_C\..*\.so|torch/bin/torch_shm_manager)$")


def wanted(name: str, cuda: bool) -> bool:
    if re.search(r"\.dist-info/(METADATA$|.*LICEN[CS]E)", name) or name.startswith("torch/include/"):
        return True
    if TORCHRUN.match(name) or name == "typing_extensions.py":
        return True
    shared_library = re.search(r"/lib/[^/]*\.so[^/]*$", name)
    return bool(shared_library) and not UNUSED.match(name) and (cuda or not CUDA_ONLY.match(name))


def companions(metadata: str, cuda: bool) -> list[str]:
    """The requirements that hold shared libraries libtorch links, without their markers."""
    needs = re.findall(r"^Requires-Dist: ((?:cuda-toolkit|nvidia-)[^;\s]*)", metadata, flags=re.M)
    if cuda:
        return needs
    return [re.sub(r"\[.*\]", "[cudart,cupti]", need) for need in needs if need.startswith("cuda-toolkit[")]


def main() -> None:
    wheel, out, cuda = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), "--cuda" in sys.argv[3:]
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if wanted(name, cuda)]
            archive.extractall(out, names)
            metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            if wheel.name.startswith("torch-"):
                print("\n".join(companions(archive.read(metadata).decode(), cuda)))
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        sys.exit(f"ERROR: {wheel.name}: {error}")


if __name__ == "__main__":
    main()
