"""From a model's folder to a smaller one.

`compress_folder` reads a folder as transformers writes it, plans, and writes a folder that holds
the packed weights, the configuration, the tokenizer and the plan as JSON. `load_moe` reads it.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.annotations import checked
from ...core.bars import quiet
from ...core.checks import one_of, whole
from ...core.errors import ArgumentError, Infeasible
from ..small import character_tokenizer
from ..weights import from_folder
from .compress import load_compressed, stored_size
from .machine import Machine
from .model import LETTERS, TinySettings, texts, train_tiny
from .problem import CompressedModel
from .quantise import GROUP, QUANTISERS
from .run import PlanExperts, memory_for

WEIGHTS, PLAN, TEXT = "experts.safetensors", "plan.json", "calibration.txt"
UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
CALIBRATION = 256
"""Texts that `train_folder` writes beside a model."""


@checked
def size_of(name: str, text: str) -> float:
    """Bytes of a size such as 2.5MiB.

    Args:
        name: Of the argument.
        text: A number, and a unit or none.

    Raises:
        ArgumentError: It cannot be read.

    Examples:
        >>> size_of("memory", "2.5 MiB")
        2621440.0
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[0-9]+)?)\s*([a-z]*)\s*", text.lower())
    if found is None or found[2] not in UNITS or not float(found[1]) > 0:
        raise ArgumentError(
            f"{name}={text!r:.40}: expected a size such as 2500000, 2.5MiB, 6GiB or 6GB"
        )
    return float(found[1]) * UNITS[found[2]]


@dataclass
class FolderReport:
    """What became of a model.

    Attributes:
        folder: That was written.
        bytes: Of all weights in it.
        memory: That was allowed.
        wide: Bytes of the model in 16 bits.
        full: Perplexity of the model as it was, on text that the plan did not see.
        perplexity: Of what is in the folder.
        seconds: A token, simulated.
        bits: (L, E) of every expert.
        notes: Of the plan.
    """

    folder: Path
    bytes: int
    memory: float
    wide: int
    full: float
    perplexity: float
    seconds: float
    bits: list[list[int]]
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        return [
            *(f"layer {i}: {' '.join(map(str, row))} bits" for i, row in enumerate(self.bits)),
            *self.notes,
            f"fits: {self.bytes} bytes of {self.memory:.0f} ({self.bytes / self.memory:.1%}), in "
            f"16 bits {self.wide}",
            f"perplexity {self.perplexity:.4g}, before {self.full:.4g} "
            f"({self.perplexity / self.full - 1:+.2%})",
            f"{1 / self.seconds:.3g} tokens a second, {self.seconds:.3g} s a token, on the machine "
            "as described (simulated)",
            f"written: {self.folder}",
        ]


@checked
def train_folder(folder: str | os.PathLike[str], settings: TinySettings | None = None) -> Path:
    """Train the small model in a folder and write it as transformers does, with a tokenizer and
    some text; a training that was interrupted goes on.

    Args:
        folder: It is made.
        settings: Of model and training.
    """
    s = settings or TinySettings()
    path = Path(folder)
    model = train_tiny(s, path / "training")
    with quiet():
        model.save_pretrained(path)
    character_tokenizer(LETTERS).save_pretrained(path)
    rows = texts(CALIBRATION, s.length, 10_000 + s.seed, s.sentences).tolist()
    text = "".join(LETTERS[c] for row in rows for c in row)
    (path / TEXT).write_text(text, encoding="utf-8")
    return path


def _model(folder: Path) -> Any:
    """The model of a folder, in single precision, and its tokenizer."""
    if not (folder / "config.json").is_file():
        raise ArgumentError(f"model_dir={str(folder)!r}: there is no config.json in it")
    kind, given = "AutoModelForCausalLM", {"dtype": torch.float32, "use_safetensors": True}
    model = from_folder(kind, folder, "model_dir", **given)
    return model.eval(), from_folder("AutoTokenizer", folder, "model_dir")


def _texts(tokenizer: Any, file: Path, tokens: int, length: int) -> tuple[Any, Any]:
    """Calibration and held-out tokens: every second sequence of the text each."""
    if not file.is_file():
        raise ArgumentError(f"text={str(file)!r}: there is no such file; expected calibration text")
    text = file.read_text(encoding="utf-8", errors="replace")[: 20 * tokens]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][:tokens]
    many = len(ids) // length
    if many < 2:
        raise ArgumentError(
            f"text={str(file)!r}: {len(ids)} tokens; expected {2 * length} or more, two sequences"
        )
    rows = torch.tensor(ids[: many * length]).reshape(many, length)
    return rows[::2], rows[1::2]


@checked
def compress_folder(
    model_dir: str | os.PathLike[str],
    memory: str,
    output: str | os.PathLike[str],
    text: str | os.PathLike[str] | None = None,
    tokens: int = 8192,
    length: int = 64,
    fast: str | None = None,
    latency: float | None = None,
    machine: Machine | None = None,
    bits: tuple[int, ...] = PlanExperts.bits,
    quantiser: str = "rtn",
    group: int = GROUP,
) -> FolderReport:
    """Plan a model's experts and write the smaller one.

    Args:
        model_dir: As transformers writes it, with safetensors.
        memory: Of all weights: bytes, or with a unit.
        output: A folder; it is made, and must hold nothing of another kind.
        text: For calibration and, every second sequence, for the perplexity that is reported; None:
            calibration.txt of the model.
        tokens: Of the text that are used.
        length: Tokens of a sequence.
        fast: Fast memory; None: as much as all.
        latency: Seconds a token; None: no limit.
        machine: What serves it.
        bits: Widths that an expert may have, 0 for dropped.
        quantiser: "rtn", "search" or "gptq".
        group: Columns that share a scale.

    Raises:
        ArgumentError: A folder or text that cannot be read, or no mixture of experts.
        Infeasible: The memory is too small; names the smallest that is not.
    """
    whole("tokens", tokens, least=2)
    whole("length", length, least=2)
    one_of("quantiser", quantiser, QUANTISERS)
    source, target = Path(model_dir), Path(output)
    limit, near = size_of("memory", memory), None if fast is None else size_of("fast", fast)
    if target.exists() and (not target.is_dir() or {p.name for p in target.iterdir()} - _written()):
        raise ArgumentError(
            f"output={str(target)!r}: it holds something else; expected a new folder"
        )
    model, tokenizer = _model(source)
    calibration, held_out = _texts(tokenizer, Path(text or source / TEXT), tokens, length)
    problem = CompressedModel(
        model, calibration, held_out, limit, quantiser, group, source.name, near, latency,  # type: ignore[arg-type]
        machine or Machine(),
    )  # fmt: skip
    method = PlanExperts(bits)
    state = method.step(problem, method.init(problem, np.random.default_rng(0)))
    answer = method.answer(problem, state)
    verdict = problem.judge(answer)
    if verdict.violations["memory"]:
        raise Infeasible(f"memory={memory}: the plan takes {verdict.metrics['bytes']:.0f} bytes")
    target.mkdir(parents=True, exist_ok=True)
    problem.save(answer, target / WEIGHTS)
    model.config.save_pretrained(target)
    tokenizer.save_pretrained(target)
    recipe, m = problem.read(answer), verdict.metrics
    plan = {"weights": WEIGHTS, "bytes": stored_size(target / WEIGHTS), "memory": limit,
            "perplexity": m["perplexity"], "simulated seconds": m["seconds"],
            "bits": recipe.bits, "fast": recipe.fast}  # fmt: skip
    (target / PLAN).write_text(json.dumps(plan, indent=1), encoding="utf-8")
    return FolderReport(
        target, int(m["bytes"]), limit, int(memory_for(problem, 16)), math.exp(problem.full),
        m["perplexity"], m["seconds"], recipe.bits, method.remarks(problem, state),
    )  # fmt: skip


def _written() -> set[str]:
    """Names of files that an earlier call may have written."""
    names = {WEIGHTS, PLAN, "config.json", "generation_config.json", "tokenizer.json"}
    return names | {"tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"}


@checked
def load_moe(folder: str | os.PathLike[str]) -> Any:
    """The model of a folder that `compress_folder` wrote, in single precision, to be run.

    Args:
        folder: The folder.

    Raises:
        ArgumentError: It is none.
    """
    from transformers import AutoModelForCausalLM

    path = Path(folder)
    if not (path / WEIGHTS).is_file():
        raise ArgumentError(f"folder={str(path)!r}: there is no {WEIGHTS} in it")
    config = from_folder("AutoConfig", path, "folder")
    return load_compressed(path / WEIGHTS, AutoModelForCausalLM.from_config(config))
