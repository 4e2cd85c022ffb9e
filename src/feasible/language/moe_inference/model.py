"""A small mixture of experts, transformers' Mixtral, trained here on four kinds of text."""

from __future__ import annotations

import itertools
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.annotations import Checked, checked
from ...core.checks import real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from jaxtyping import Int
    from torch import Tensor

LETTERS = "\n abcdefghijklmnopqrstuvwxyz0123456789+-*=()[]{}<>.,:;!?|#%&/~_^@$'"
"""The vocabulary, one character a token."""


def _lexicon(n: int) -> list[tuple[str, str, str]]:
    """Subjects of made-up words, each with a verb and an object of its own, always the same."""
    rng = np.random.default_rng(241214219)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words = ["".join(pair) for pair in itertools.product(syllables, syllables)]
    drawn = rng.permutation(len(words))[: 3 * n].reshape(n, 3)
    return [(words[a], words[b], words[c]) for a, b, c in drawn]


LEXICON = _lexicon(1600)
"""What sentences say: a model has to know it by heart, and its experts hold it."""
DOMAINS = ("sums", "brackets", "reversed words", "sentences")
TURNS = ("sums", "sentences", "brackets", "sentences", "reversed words", "sentences")


@dataclass(frozen=True)
class TinySettings(Checked):
    """The small model and how it is trained.

    Attributes:
        layers: Of the model.
        hidden: Width.
        inner: Width of an expert.
        experts: Of a layer.
        top_k: Experts of a token.
        steps: Of training.
        batch: Texts a step.
        length: Tokens of a text.
        rate: Of AdamW, falling to 0 as a cosine.
        sentences: Different ones in the text, to be known by heart.
        seed: Of weights and text.
    """

    layers: int = 2
    hidden: int = 64
    inner: int = 128
    experts: int = 8
    top_k: int = 2
    steps: int = 300
    batch: int = 32
    length: int = 48
    rate: float = 3e-3
    sentences: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("layers", "hidden", "inner", "experts", "top_k", "steps", "batch", "length"):
            whole(name, getattr(self, name), least=1)
        if self.hidden % 8:
            raise ArgumentError(f"hidden={self.hidden}: expected a multiple of 8")
        if self.top_k > self.experts:
            raise ArgumentError(f"top_k={self.top_k}: expected at most experts={self.experts}")
        real("rate", self.rate, above=0)
        whole("sentences", self.sentences, least=1, most=len(LEXICON))


def line(domain: str, rng: np.random.Generator, sentences: int = TinySettings.sentences) -> str:
    """A line of one kind of text; `sentences` are there in all."""
    if domain == "sums":
        a, b = (int(v) for v in rng.integers(0, 50, 2))
        return f"{a}+{b}={a + b}\n"
    if domain == "brackets":
        opened: list[str] = []
        text = ""
        for _ in range(int(rng.integers(4, 14))):
            if opened and rng.random() < 0.5:
                text += opened.pop()
            else:
                k = int(rng.integers(3))
                text += "([{"[k]
                opened.append(")]}"[k])
        return text + "".join(reversed(opened)) + "\n"
    letters = "abcdefgh"
    if domain == "reversed words":
        word = "".join(letters[i] for i in rng.integers(0, 8, int(rng.integers(3, 7))))
        return f"{word}|{word[::-1]}\n"
    who, does, what = LEXICON[rng.integers(sentences)]
    return f"{who} {does} {what}.\n"


def texts(
    n: int, length: int, seed: int, sentences: int = TinySettings.sentences
) -> Int[Tensor, "n length"]:
    """Texts of one kind each, all kinds in turn, every second one of sentences, as tokens.

    Args:
        n: How many.
        length: Tokens of each.
        seed: Of the text.
        sentences: Different ones in it.
    """
    rng = np.random.default_rng([seed, 77])
    rows = []
    for i in range(whole("n", n, least=1)):
        text = ""
        while len(text) < length:
            text += line(TURNS[i % len(TURNS)], rng, sentences)
        rows.append([LETTERS.index(c) for c in text[:length]])
    return torch.tensor(rows)


def blank(settings: TinySettings) -> Any:
    """The model of these settings, untrained."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=len(LETTERS),
        hidden_size=settings.hidden,
        intermediate_size=settings.inner,
        num_hidden_layers=settings.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=settings.experts,
        num_experts_per_tok=settings.top_k,
        max_position_embeddings=4 * settings.length,
        router_aux_loss_coef=0.01,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return MixtralForCausalLM(config)


@checked
def train_tiny(
    settings: TinySettings | None = None, folder: str | os.PathLike[str] | None = None
) -> Any:
    """Train the model, or read it from a folder where it was trained before.

    Args:
        settings: Of model and training.
        folder: Where it is kept, every 50 steps and at the end: a training that was interrupted
            goes on there; None: nowhere.

    Returns:
        The model of transformers.

    Raises:
        ArgumentError: The folder holds a model of other settings.
    """
    from ...core.checkpoint import keep
    from ..small import go_on

    if folder is not None and not isinstance(folder, (str, os.PathLike)):
        raise ArgumentTypeError(f"folder={shown(folder)}: expected a folder's path")
    s = settings or TinySettings()
    model = blank(s)
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.rate)
    state: dict[str, Any] = {"model": model, "optimizer": optimizer, "step": 0, "of": asdict(s)}
    file = None if folder is None else Path(folder) / "tiny.safetensors"
    if file is not None and file.exists():
        go_on(file, state)
    model.train()
    for step in range(state["step"], s.steps):
        batch = texts(s.batch, s.length, 1_000_000 * (s.seed + 1) + step, s.sentences)
        for group in optimizer.param_groups:
            group["lr"] = s.rate * 0.5 * (1 + np.cos(np.pi * step / s.steps))
        loss = model(input_ids=batch, labels=batch, output_router_logits=True).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state["step"] = step + 1
        if file is not None and ((step + 1) % 50 == 0 or step + 1 == s.steps):
            keep(file, state)
    return model.eval()
