"""Small mixtures of experts to compress, trained where they are asked for."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Literal

from .model import TinySettings, texts, train_tiny
from .problem import CompressedModel
from .run import memory_for

BRIEF = TinySettings(layers=2, hidden=32, inner=32, experts=4, steps=60, batch=16, length=32)


@cache
def _trained(settings: TinySettings) -> Any:
    """The trained model of these settings, made once in a process; nobody changes it."""
    return train_tiny(settings)


def tiny_experts(
    bits: float = 2.5,
    settings: TinySettings = BRIEF,
    quantiser: Literal["rtn", "search", "gptq"] = "rtn",
    folder: str | os.PathLike[str] | None = None,
    texts_each: tuple[int, int] = (16, 64),
) -> CompressedModel:
    """A small model with the memory for so many bits a weight of an expert on average.

    Args:
        bits: The average.
        settings: Of the model; the default trains for a second.
        quantiser: "rtn", "search" or "gptq".
        folder: Where the trained model is kept; None: nowhere.
        texts_each: Texts of calibration, and held out.
    """
    model = _trained(settings) if folder is None else train_tiny(settings, folder)
    calibration = texts(texts_each[0], settings.length, 10_000 + settings.seed, settings.sentences)
    held_out = texts(texts_each[1], settings.length, 20_000 + settings.seed, settings.sentences)
    problem = CompressedModel(model, calibration, held_out, 1e12, quantiser)
    problem.memory = memory_for(problem, bits)
    seed = f"-{settings.seed}" if settings.seed else ""
    problem.name = f"tiny-experts-{bits:g}{seed}"
    return problem
