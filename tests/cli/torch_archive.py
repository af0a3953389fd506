"""The weights inside a TorchScript archive, and safetensors files, with nothing but the standard library."""

import io
import json
import pickle
import struct
import zipfile

DTYPES = {"HalfStorage": ("F16", 2), "FloatStorage": ("F32", 4), "BFloat16Storage": ("BF16", 2)}


class _Object:
    def __init__(self, *_):
        self.state = {}

    def __setstate__(self, state):
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if name == "_rebuild_tensor_v2":
            return lambda storage, offset, size, stride, *_: ("tensor", storage, offset, list(size))
        if name == "OrderedDict":
            return dict
        if module.startswith("torch.jit._pickle"):
            return lambda value, *_: value
        return name if name.endswith("Storage") else type(name, (_Object,), {})

    def persistent_load(self, key):
        return key  # ("storage", type, file, device, n)


def weights_of(bundle):
    """name -> (dtype, shape, bytes) of a scripted module's parameters."""
    with zipfile.ZipFile(bundle) as archive:
        names = {n.partition("/")[2]: n for n in archive.namelist()}
        module = _Unpickler(io.BytesIO(archive.read(names["data.pkl"]))).load()
        found = {}

        def walk(value, path):
            if isinstance(value, _Object):
                for key, child in value.state.items():
                    walk(child, path + [key])
            elif isinstance(value, tuple) and value and value[0] == "tensor":
                _, (_, storage, file, _, _), offset, shape = value
                dtype, width = DTYPES[storage]
                n = 1
                for extent in shape:
                    n *= extent
                data = archive.read(names["data/" + file])
                found[".".join(path)] = (dtype, shape, data[offset * width : (offset + n) * width])

        walk(module, [])
    return found


def safetensors(tensors):
    """The bytes of a safetensors file of name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def as_float32(tensor):
    dtype, shape, content = tensor
    assert dtype == "F16"
    values = struct.unpack(f"<{len(content) // 2}e", content)
    return "F32", shape, struct.pack(f"<{len(values)}f", *values)


def as_bfloat16(tensor):
    """Rounded towards zero: what a test needs is that its bits are near."""
    _, shape, content = as_float32(tensor)
    return "BF16", shape, b"".join(content[i + 2 : i + 4] for i in range(0, len(content), 4))
