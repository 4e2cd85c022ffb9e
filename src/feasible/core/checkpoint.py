"""Checkpoints: a method's state as arrays and plain data in the safetensors format. Reading one
never runs code.

A state is a dataclass of arrays, tensors, random generators, torch modules and optimisers, and
plain data. Restoring goes into a template, the state that `init` makes afresh, so that no class is
ever named by a file.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, numpy as st_numpy

from .errors import CheckpointError, MissingExtra
from .extras import named

FORMAT = "feasible-checkpoint-1"


def encode(state: Any) -> bytes:
    """The state as bytes.

    Args:
        state: A dataclass of arrays, tensors, random generators, torch modules and optimisers, and
            plain data.

    Raises:
        CheckpointError: A field cannot be saved; names it.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        tree = _encode(state, "state", arrays)
        return st_numpy.save(arrays, {"format": FORMAT, "tree": json.dumps(tree)})
    except RecursionError:
        raise CheckpointError("checkpoint: state is nested too deeply, or holds itself") from None


def keep(path: str | os.PathLike[str], state: Any) -> None:
    """Write a state to a file, in place of the former one when it is complete.

    Args:
        path: The file; its folder is made where there is none.
        state: As of `encode`.
    """
    file = Path(path)
    blob = encode(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_bytes(blob)
    part.replace(file)


def decode(blob: bytes, template: Any) -> Any:
    """Restore what `encode` wrote.

    Args:
        blob: The bytes.
        template: A state of the same shape, as `init` makes it; it is filled in place where it can
            be.

    Raises:
        CheckpointError: The file is damaged, or does not fit the template; names the field.
    """
    try:
        size = int.from_bytes(blob[:8], "little")
        header = json.loads(blob[8 : 8 + size])
        arrays = st_numpy.load(blob)
        meta = header["__metadata__"]
        tree = json.loads(meta["tree"])
        found = meta.get("format")
    except (
        SafetensorError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        OverflowError,
        MemoryError,
    ) as error:
        raise CheckpointError(
            f"checkpoint: the file is damaged or not a checkpoint of feasible ({error})"
        ) from None
    if found != FORMAT:
        raise CheckpointError(f"checkpoint: format {found!r:.60}, expected {FORMAT!r}")
    state = _decode(tree, template, "state", arrays)
    if dataclasses.is_dataclass(template) and state is not template:
        raise CheckpointError(
            f"checkpoint: it holds a {type(state).__name__}, expected the state of "
            f"{type(template).__name__}"
        )
    return state


def decode_as(blob: bytes, types: Sequence[type]) -> Any:
    """Restore what `encode` wrote of plain data or of a dataclass.

    Args:
        blob: The bytes.
        types: Dataclasses; the first that has the fields is taken. Empty for plain data.

    Raises:
        CheckpointError: The file is damaged, or fits none of them.
    """
    error: CheckpointError | None = None
    for cls in types or (None,):
        made = None if cls is None else object.__new__(cls)
        for f in () if cls is None else dataclasses.fields(cls):
            object.__setattr__(made, f.name, None)
        try:
            return decode(blob, made)
        except CheckpointError as found:
            error = found
    assert error is not None
    raise error


def _torch() -> Any:
    return sys.modules.get("torch")


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    torch = _torch()
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (np.ndarray, np.generic)):
        if value.dtype.kind not in "bifu" or value.dtype.itemsize > 8:
            raise CheckpointError(
                f"checkpoint: {path} is an array of dtype {value.dtype}, expected numbers"
            )
        arrays[path] = np.array(value, order="C")
        return {"array": path, "scalar": isinstance(value, np.generic)}
    if isinstance(value, np.random.Generator):
        bits: dict[str, Any] = {**value.bit_generator.state}
        if isinstance(
            value.bit_generator.seed_seq, np.random.SeedSequence
        ):  # where `spawn` and `rng.spawn` go on
            bits["seeds"] = dict(value.bit_generator.seed_seq.state)
        return {"generator": _encode(_plain_bits(bits), path, arrays)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "fields": {
                f.name: _encode(getattr(value, f.name), f"{path}.{f.name}", arrays)
                for f in dataclasses.fields(value)
            }
        }
    if isinstance(value, (list, tuple)):
        return {
            "tuple" if isinstance(value, tuple) else "list": [
                _encode(v, f"{path}[{i}]", arrays) for i, v in enumerate(value)
            ]
        }
    if isinstance(value, dict):
        return {
            "dict": [
                [_encode(k, f"{path}.key{i}", arrays), _encode(v, f"{path}[{k!r}]", arrays)]
                for i, (k, v) in enumerate(value.items())
            ]
        }
    if torch is not None:
        if isinstance(value, torch.Tensor):
            arrays[path], dtype = _tensor_bits(torch, value, path)
            return {
                "tensor": path,
                "dtype": dtype,
                "shape": list(value.shape),
                "grad": value.requires_grad,
            }
        if isinstance(value, torch.Generator):
            arrays[path] = value.get_state().numpy()
            return {"torch_generator": path}
        if isinstance(
            value, (torch.nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler)
        ):
            return {"state_dict": _encode(value.state_dict(), path, arrays)}
    raise CheckpointError(
        f"checkpoint: {path} is a {type(value).__name__}, expected arrays, tensors, generators or "
        "plain data"
    )


def _tensor_bits(torch: Any, value: Any, path: str) -> tuple[np.ndarray, str]:
    """The bytes of a tensor as uint8, so that bfloat16 and complex numbers need no case of their
    own, and the name of its dtype.
    """
    if value.layout != torch.strided:
        raise CheckpointError(
            f"checkpoint: {path} is a tensor of layout {value.layout}, expected a dense one"
        )
    flat = value.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy(), str(value.dtype).removeprefix("torch.")


def _tensor(torch: Any, node: dict[str, Any], template: Any, bits: np.ndarray) -> Any:
    dtype = getattr(torch, node["dtype"])
    value = (
        torch.from_numpy(bits.copy()).view(dtype) if bits.size else torch.empty(0, dtype=dtype)
    ).reshape(node["shape"])
    same = isinstance(template, torch.Tensor) and (template.shape, template.dtype) == (
        value.shape,
        dtype,
    )
    if same and template.is_leaf and template.requires_grad:
        with torch.no_grad():
            return template.copy_(
                value
            )  # a parameter: an optimiser in the same state holds this very tensor
    if isinstance(template, torch.Tensor):
        value = value.to(template.device)
    return value.requires_grad_() if node["grad"] else value


def _plain_bits(bits: Any) -> Any:
    # 128-bit integers of PCG64 and the like do not fit every JSON reader: keep them as text
    if isinstance(bits, dict):
        return {k: _plain_bits(v) for k, v in bits.items()}
    if isinstance(bits, (list, tuple)):
        return [_plain_bits(v) for v in bits]
    return {"big": str(int(bits))} if isinstance(bits, (int, np.integer)) else bits


def _whole_bits(bits: Any) -> Any:
    if isinstance(bits, dict):
        return (
            int(bits["big"])
            if set(bits) == {"big"}
            else {k: _whole_bits(v) for k, v in bits.items()}
        )
    return [_whole_bits(v) for v in bits] if isinstance(bits, list) else bits


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
            return [
                _decode(v, _item(template, i), f"{path}[{i}]", arrays)
                for i, v in enumerate(content)
            ]
        if kind == "tuple":
            return tuple(
                _decode(v, _item(template, i), f"{path}[{i}]", arrays)
                for i, v in enumerate(content)
            )
        if kind == "dict":
            keys = [_decode(k, None, path, arrays) for k, _ in content]
            return {
                k: _decode(
                    v,
                    template.get(k) if isinstance(template, dict) else None,
                    f"{path}[{k!r}]",
                    arrays,
                )
                for k, (_, v) in zip(keys, content, strict=True)
            }
        if kind == "generator":
            bits = _whole_bits(_decode(content, None, path, arrays))
            made = getattr(np.random, bits["bit_generator"])
            if not issubclass(made, np.random.BitGenerator):
                raise CheckpointError(
                    f"checkpoint: {path} names {bits['bit_generator']!r}, expected a NumPy bit "
                    "generator"
                )
            seeds = bits.pop("seeds", None)
            generator = np.random.Generator(
                made() if seeds is None else made(np.random.SeedSequence(**seeds))
            )
            generator.bit_generator.state = bits
            return generator
        if kind == "fields":
            if not dataclasses.is_dataclass(template) or {
                f.name for f in dataclasses.fields(template)
            } != set(content):
                raise CheckpointError(
                    f"checkpoint: {path} has the fields {sorted(content)}, which this method's "
                    "state does not have"
                )
            for name, sub in content.items():
                object.__setattr__(
                    template, name, _decode(sub, getattr(template, name), f"{path}.{name}", arrays)
                )
            return template
        with named(f"checkpoint: {path} is a tensor and"):
            torch = import_module("torch")
        if kind == "tensor":
            return _tensor(torch, node, template, arrays[content])
        if kind == "torch_generator":
            generator = torch.Generator()
            generator.set_state(torch.from_numpy(arrays[content].copy()))
            return generator
        if kind == "state_dict":
            template.load_state_dict(_decode(content, None, path, arrays))
            return template
    except (CheckpointError, MissingExtra):
        raise
    # the file may hold anything, and what restores a module or an optimiser may raise anything
    except Exception as error:
        raise CheckpointError(
            f"checkpoint: cannot restore {path}: {type(error).__name__}: {error}"
        ) from None
    raise CheckpointError(f"checkpoint: {path} has the unknown kind {kind!r}")


def _item(template: Any, i: int) -> Any:
    return template[i] if isinstance(template, (list, tuple)) and i < len(template) else None
