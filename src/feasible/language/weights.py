"""Policies and their weights: read from a folder, copied, compared."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.bars import quiet
from ..core.checks import shown
from ..core.errors import ArgumentError, ArgumentTypeError
from ..core.extras import named


def from_folder(kind: str, folder: str | os.PathLike[str], argument: str, **more: Any) -> Any:
    """What transformers reads from a folder. Nothing is downloaded, and no code that lies in the
    folder runs: a model that needs some is refused.

    Args:
        kind: Name of a class of transformers.
        folder: The folder.
        argument: What the error calls it.
        more: For `from_pretrained`; for weights `use_safetensors=True`, which unpickles none.

    Raises:
        ArgumentError: It cannot be read, or not without running its code, or weights are missing.
    """
    with named(f"{argument} in a folder", "language"):
        import safetensors
        import transformers
    unreadable = (OSError, ValueError, RuntimeError, LookupError, safetensors.SafetensorError)
    weights = "use_safetensors" in more
    if weights:
        more["output_loading_info"] = True
    try:
        with quiet():
            found = getattr(transformers, kind).from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, **more
            )
    except unreadable as error:
        said = " ".join(str(error).split())[:200]
        raise ArgumentError(f"{argument}={str(folder)!r}: {said}") from error
    if not weights:
        return found
    model, info = found
    if missing := sorted(info["missing_keys"]):  # they would be random numbers
        raise ArgumentError(
            f"{argument}={str(folder)!r}: its weights lack {len(missing)} tensors that its "
            f"configuration asks for, the first is {missing[0]}"
        )
    return model


def read_policy(policy: Any) -> Any:
    """The model that a policy says, with frozen weights; nothing is downloaded.

    Args:
        policy: A model, a function that makes one, or a folder.

    Raises:
        ArgumentTypeError: It is none of these.
        ArgumentError: A folder that is not there.
    """
    if isinstance(policy, (str, os.PathLike)):
        if not (Path(policy) / "config.json").is_file():
            raise ArgumentError(f"policy={str(policy)!r:.60}: there is no such folder of a model")
        made = from_folder("AutoModelForCausalLM", policy, "policy", use_safetensors=True)
    elif isinstance(policy, torch.nn.Module):
        made = copy.deepcopy(policy)
    elif callable(policy):
        made = policy()
    else:
        made = None
    if not (isinstance(made, torch.nn.Module) and hasattr(made, "generate")):
        raise ArgumentTypeError(
            f"policy={shown(policy)}: expected a causal model of transformers, a function that "
            "makes one, or a folder"
        )
    return made.eval().requires_grad_(False)


def read_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer, or the one in a folder; nothing is downloaded.

    Args:
        tokenizer: One of transformers, or a folder.
    """
    if isinstance(tokenizer, (str, os.PathLike)):
        if not any(Path(tokenizer).glob("tokenizer*")):
            raise ArgumentError(
                f"tokenizer={str(tokenizer)!r:.60}: there is no such folder of a tokenizer"
            )
        return from_folder("AutoTokenizer", tokenizer, "tokenizer")
    if not (callable(tokenizer) and hasattr(tokenizer, "decode")):
        raise ArgumentTypeError(f"tokenizer={shown(tokenizer)}: expected one of transformers")
    return tokenizer


def weights_of(model: Any) -> dict[str, Any]:
    """A model's weights, which later steps do not change."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def load_weights(model: Any, weights: Any) -> None:
    """Give a model weights, of the names and shapes that it has.

    Raises:
        ArgumentTypeError: They are no mapping of tensors.
        ArgumentError: Other names or shapes.
    """
    if not isinstance(weights, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in weights.values()
    ):
        raise ArgumentTypeError(
            f"answer={shown(weights)}: expected weights by name, as state_dict() has them"
        )
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise ArgumentError(f"answer: weights of another model: {said}") from None


def digest(model: Any) -> str:
    """What tells a model's weights from others."""
    found = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
