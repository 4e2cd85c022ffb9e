"""A small model of characters, made where it is asked for: transformers' GPT-2, trained here.

It is large enough to learn addition or to follow simple orders, and small enough to be trained and
fine-tuned on a CPU within minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.annotations import Checked, checked
from ..core.bars import quiet
from ..core.checks import real, shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, CheckpointError
from ..core.extras import named
from .policy import generate, logp, written

END, PAD = "<end>", "<pad>"
EVERY = 50
"""Steps after which a training is kept on disk."""

Pairs = Callable[[np.random.Generator, int], tuple[list[str], list[str]]]
"""(stream, how many) -> prompts and the responses to be learnt."""


@dataclass(frozen=True)
class CharacterSettings(Checked):
    """The small model and how it learns responses by heart.

    Attributes:
        characters: Its vocabulary, beside the tokens that end and pad texts.
        context: Tokens that it takes at most.
        layers: Of the model.
        width: Of a layer.
        heads: Of attention.
        steps: Of training, at most.
        batch: Pairs a step.
        rate: Of AdamW.
        stop: Share of right answers, drawn at temperature 1, at which training ends; 1: never.
        every: Steps from one look at that to the next.
        seed: Of weights and pairs.
    """

    characters: str = "0123456789+="
    context: int = 16
    layers: int = 2
    width: int = 64
    heads: int = 4
    steps: int = 500
    batch: int = 128
    rate: float = 3e-3
    stop: float = 1.0
    every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("context", "layers", "width", "heads", "batch", "every"):
            whole(name, getattr(self, name), least=1)
        whole("steps", self.steps, least=0)
        whole("seed", self.seed, least=0)
        real("rate", self.rate, above=0)
        real("stop", self.stop, above=0, most=1)
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise ArgumentError(f"characters={shown(self.characters)}: expected distinct ones")
        if self.width % self.heads:
            raise ArgumentError(f"width={self.width}: expected a multiple of heads={self.heads}")


@checked
def character_tokenizer(characters: str) -> Any:
    """A tokenizer of transformers whose tokens are characters.

    Args:
        characters: The vocabulary; what is not in it is left out of a text.
    """
    with named("a tokenizer of characters", "language"):
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
        from tokenizers import Regex  # isort: skip
        from transformers import PreTrainedTokenizerFast
    if not characters or len(set(characters)) != len(characters):
        raise ArgumentError(f"characters={shown(characters)}: expected distinct ones")
    vocabulary = {c: i for i, c in enumerate((*characters, END, PAD))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token=PAD))
    known = "".join(f"\\x{{{ord(c):x}}}" for c in characters)
    inner.normalizer = normalizers.Replace(Regex(f"[^{known}]"), "")
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=END, pad_token=PAD, padding_side="left"
    )


def gpt2_config(sizes: Any, vocabulary: int, end: int) -> Any:
    """GPT-2's layout without dropout. The token that fills rows up is the tokenizer's to say: where
    the model knows it too, transformers takes finished rows for padding and warns of it.

    Args:
        sizes: Settings with `context`, `layers`, `width` and `heads`.
        vocabulary: Tokens.
        end: The token that begins and ends texts.
    """
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=vocabulary,
        n_positions=sizes.context,
        n_embd=sizes.width,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
    )


@checked
def character_model(settings: CharacterSettings) -> Any:
    """The model of these settings, untrained: pre-norm, GELU, learnt positions, no dropout."""
    n = len(settings.characters)
    with named("a model of characters", "language"):
        from transformers import GPT2LMHeadModel
    config = gpt2_config(settings, n + 2, n)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return GPT2LMHeadModel(config).eval()


@checked
def train_characters(
    settings: CharacterSettings,
    pairs: Callable[..., Any],
    check: Callable[..., Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Any:
    """Train the small model to give responses, or read it from a folder where that was done.

    Args:
        settings: Of model and training.
        pairs: (generator of NumPy, n) -> n prompts, n responses.
        check: As `pairs`, those on which `stop` is measured; None: `pairs`.
        folder: Where it is kept while it learns and at the end: a training that was interrupted
            goes on there; None: nowhere.

    Returns:
        The model of transformers; `character_tokenizer(settings.characters)` is its tokenizer.

    Raises:
        ArgumentError: The folder holds a model of other settings.
    """
    from ..core.checkpoint import keep

    if folder is not None and not isinstance(folder, (str, os.PathLike)):
        raise ArgumentTypeError(f"folder={shown(folder)}: expected a folder's path")
    s, tokenizer = settings, character_tokenizer(settings.characters)
    model = character_model(s)
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.rate)
    of = asdict(s)
    state = {"model": model, "optimizer": optimizer, "step": 0, "done": s.steps == 0, "of": of}
    file = None if folder is None else Path(folder) / "characters.safetensors"
    if file is not None and file.exists():
        go_on(file, state)
    while not state["done"]:
        step = state["step"]
        rng = np.random.default_rng([s.seed, 1, step])
        responses = written(tokenizer, *pairs(rng, s.batch))
        optimizer.zero_grad()
        loss = -logp(model, responses).logp.sum() / responses.mask.sum()
        loss.backward()
        optimizer.step()
        state["step"] = step + 1
        state["done"] = step + 1 >= s.steps
        if s.stop < 1 and (step + 1) % s.every == 0:
            state["done"] |= _right(model, tokenizer, check or pairs, s, step) >= s.stop
        if file is not None and ((step + 1) % EVERY == 0 or state["done"]):
            keep(file, state)
    return model.eval()


def go_on(file: Path, state: dict[str, Any]) -> None:
    """Bring a training to where it was kept.

    Args:
        file: Where `keep` wrote it.
        state: Of the beginning, filled in place; "of" says of which settings it is.

    Raises:
        ArgumentError: The file is of other settings, or damaged.
    """
    from ..core.checkpoint import decode

    folder = f"folder={str(file.parent)!r}"
    try:
        found = decode(file.read_bytes(), state)
    except CheckpointError as error:
        said = " ".join(str(error).split())[:200]
        raise ArgumentError(f"{folder}: it holds a model of other settings: {said}") from None
    if found["of"] != state["of"]:
        raise ArgumentError(f"{folder}: it holds a model of other settings")
    state.update({k: found[k] for k in ("step", "done") if k in state})


@checked
def train_folder(
    folder: str | os.PathLike[str],
    settings: CharacterSettings,
    pairs: Callable[..., Any],
    check: Callable[..., Any] | None = None,
) -> Path:
    """Train the small model in a folder and write it as transformers does, with its tokenizer; a
    training that was interrupted goes on there, to the same weights.

    Args:
        folder: It is made.
        settings: Of model and training.
        pairs: As in `train_characters`.
        check: As in `train_characters`.
    """
    model = train_characters(settings, pairs, check, folder)
    with quiet():
        model.save_pretrained(folder)
    character_tokenizer(settings.characters).save_pretrained(folder)
    return Path(folder)


def _right(model: Any, tokenizer: Any, pairs: Pairs, s: CharacterSettings, step: int) -> float:
    """Return the share of right answers, drawn at temperature 1."""
    prompts, wanted = pairs(np.random.default_rng([s.seed, 2, step]), 256)
    longest = max(len(w) for w in wanted) + 1
    found = generate(model, tokenizer, prompts, longest, seed=s.seed)
    return float(np.mean([f == w for f, w in zip(found.texts, wanted, strict=True)]))


def addition_pairs(digits: Sequence[int] = (1, 2, 3), width: int = 3) -> Pairs:
    """Sums to be learnt: "012+345=" and the sum's digits, the last first.

    Args:
        digits: Of the operands, in equal shares.
        width: To which operands are filled up with zeros; sums have one digit more.
    """

    def pairs(rng: np.random.Generator, n: int) -> tuple[list[str], list[str]]:
        sizes = np.asarray(digits)[rng.integers(len(digits), size=n)]
        a, b = (rng.integers(10**sizes) for _ in range(2))
        return sums(a.tolist(), b.tolist(), width)

    return pairs


def sums(a: Sequence[int], b: Sequence[int], width: int) -> tuple[list[str], list[str]]:
    """Questions and answers: operands filled up to a width, sums turned round."""
    prompts = [f"{i:0{width}d}+{j:0{width}d}=" for i, j in zip(a, b, strict=True)]
    return prompts, [f"{i + j:0{width + 1}d}"[::-1] for i, j in zip(a, b, strict=True)]
