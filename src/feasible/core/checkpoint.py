"""Checkpoints: a method's state as arrays and plain data in the safetensors format. Reading one never runs code.

A state is a dataclass of arrays, tensors, random generators, torch modules and optimisers, and plain data. Restoring goes into a
template, the state that `init` makes afresh, so that no class is ever named by a file.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as st_numpy

from .errors import CheckpointError

FORMAT = "feasible-checkpoint-1"


def encode(state: Any) -> bytes:
    """The state as bytes. Raises CheckpointError naming the field that cannot be saved."""
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(state, "state", arrays)
    return st_numpy.save(arrays, {"format": FORMAT, "tree": json.dumps(tree)})


def decode(blob: bytes, template: Any) -> Any:
    """Restore what `encode` wrote, in the shape of `template`. Raises CheckpointError naming the damaged field."""
    try:
        size = int.from_bytes(blob[:8], "little")
        header = json.loads(blob[8:8 + size])
        arrays = st_numpy.load(blob)
        meta = header["__metadata__"]
        tree = json.loads(meta["tree"])
    except (SafetensorError, ValueError, KeyError, UnicodeDecodeError, TypeError) as error:
        raise CheckpointError(f"checkpoint: the file is damaged or not a checkpoint of feasible ({error})") from None
    if meta.get("format") != FORMAT:
        raise CheckpointError(f"checkpoint: format {meta.get('format')!r}, expected {FORMAT!r}")
    return _decode(tree, template, "state", arrays)


def _torch() -> Any:
    return sys.modules.get("torch")


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    torch = _torch()
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "bifu":
            raise CheckpointError(f"checkpoint: {path} is an array of dtype {value.dtype}, expected numbers")
        arrays[path] = np.array(value, order="C")
        return {"array": path, "scalar": isinstance(value, np.generic)}
    if isinstance(value, np.random.Generator):
        return {"generator": _encode(_plain_bits(value.bit_generator.state), path, arrays)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"fields": {f.name: _encode(getattr(value, f.name), f"{path}.{f.name}", arrays) for f in dataclasses.fields(value)}}
    if isinstance(value, (list, tuple)):
        return {"tuple" if isinstance(value, tuple) else "list": [_encode(v, f"{path}[{i}]", arrays) for i, v in enumerate(value)]}
    if isinstance(value, dict):
        return {"dict": [[_encode(k, path, arrays), _encode(v, f"{path}[{k!r}]", arrays)] for k, v in value.items()]}
    if torch is not None:
        if isinstance(value, torch.Tensor):
            arrays[path] = value.detach().cpu().contiguous().numpy()
            return {"tensor": path}
        if isinstance(value, torch.Generator):
            arrays[path] = value.get_state().numpy()
            return {"torch_generator": path}
        if isinstance(value, (torch.nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler)):
            return {"state_dict": _encode(value.state_dict(), path, arrays)}
    raise CheckpointError(f"checkpoint: {path} is a {type(value).__name__}, expected arrays, tensors, generators or plain data")


def _plain_bits(bits: Any) -> Any:
    # 128-bit integers of PCG64 and the like do not fit every JSON reader: keep them as text
    if isinstance(bits, dict):
        return {k: _plain_bits(v) for k, v in bits.items()}
    return {"big": str(bits)} if type(bits) is int else bits


def _whole_bits(bits: Any) -> Any:
    if isinstance(bits, dict):
        return int(bits["big"]) if set(bits) == {"big"} else {k: _whole_bits(v) for k, v in bits.items()}
    return bits


def _decode(node: Any, template: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(node, dict):
        return node
    try:
        (kind, content), *_ = node.items()
        if kind == "float":
            return float(content)
        if kind == "array":
            return arrays[content][()] if node["scalar"] else arrays[content].copy()
        if kind == "list":
            return [_decode(v, _item(template, i), f"{path}[{i}]", arrays) for i, v in enumerate(content)]
        if kind == "tuple":
            return tuple(_decode(v, _item(template, i), f"{path}[{i}]", arrays) for i, v in enumerate(content))
        if kind == "dict":
            keys = [_decode(k, None, path, arrays) for k, _ in content]
            return {k: _decode(v, template.get(k) if isinstance(template, dict) else None, f"{path}[{k!r}]", arrays)
                    for k, (_, v) in zip(keys, content, strict=True)}
        if kind == "generator":
            bits = _whole_bits(_decode(content, None, path, arrays))
            made = getattr(np.random, bits["bit_generator"])
            if not issubclass(made, np.random.BitGenerator):
                raise CheckpointError(f"checkpoint: {path} names {bits['bit_generator']!r}, expected a NumPy bit generator")
            generator = np.random.Generator(made())
            generator.bit_generator.state = bits
            return generator
        if kind == "fields":
            if not dataclasses.is_dataclass(template) or {f.name for f in dataclasses.fields(template)} != set(content):
                raise CheckpointError(f"checkpoint: {path} has the fields {sorted(content)}, which this method's state does not have")
            for name, sub in content.items():
                object.__setattr__(template, name, _decode(sub, getattr(template, name), f"{path}.{name}", arrays))
            return template
        torch = _torch()
        if kind == "tensor":
            return torch.from_numpy(arrays[content].copy())
        if kind == "torch_generator":
            generator = torch.Generator()
            generator.set_state(torch.from_numpy(arrays[content].copy()))
            return generator
        if kind == "state_dict":
            template.load_state_dict(_decode(content, None, path, arrays))
            return template
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"checkpoint: cannot restore {path}: {error}") from None
    raise CheckpointError(f"checkpoint: {path} has the unknown kind {kind!r}")


def _item(template: Any, i: int) -> Any:
    return template[i] if isinstance(template, (list, tuple)) and i < len(template) else None
