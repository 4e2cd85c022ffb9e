"""The small model of stories: whole words as tokens, transformers' GPT-2, trained here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...core.annotations import Checked, checked
from ...core.checks import seed as seeds, whole
from ...core.errors import ArgumentError
from ...core.extras import named
from ..small import gpt2_config
from .attributes import Attribute
from .stories import UNSTATED, VALUES, VOCABULARY

TOKEN = re.compile(r"\n\n|[a-z']+:|[a-z']+|\d+|[^\s\w]")
SPECIAL = ("<pad>", "<end>", "<unk>", "<upper>", "<lower>")
HEAD, TAIL = "Attributes:", "Text:"
NUMBERS = 80
"""Numbers below this one are tokens."""


def prompt_of(attributes: Sequence[Attribute]) -> str:
    """A set as a prompt: a line for each attribute.

    Args:
        attributes: In the order in which they are to be said.
    """
    return "\n".join((HEAD, *(f"- {a.render()}" for a in attributes), TAIL, ""))


class StoryTokenizer:
    """Words and punctuation marks as tokens.

    A text in capitals begins with a token that says so, and so does one without any; other texts
    are written back in sentence case.
    """

    def __init__(self) -> None:
        topics = [f"{topic}: {v}" for topic, values in VALUES.items() for v in values]
        said = [
            HEAD, TAIL, "include: letters: words: to sentences: paragraphs: case: upper lower",
            "start: times: - . , ? ! \" ; \n\n",
            *(line for line in topics if line not in UNSTATED),
        ]  # fmt: skip
        tokens = [t for line in said for t in TOKEN.findall(line.lower())]
        known = dict.fromkeys((*tokens, "times", *VOCABULARY, *map(str, range(NUMBERS))))
        self.tokens = (*SPECIAL, *known)
        self.numbers = {token: i for i, token in enumerate(self.tokens)}
        self.pad_token_id, self.eos_token_id, self.unknown, self.upper, self.lower = range(5)

    def __call__(self, texts: Any, add_special_tokens: bool = True) -> dict[str, Any]:
        """Tokens of a text, or of each of several."""
        if isinstance(texts, str):
            return {"input_ids": self.encode(texts)}
        return {"input_ids": [self.encode(text) for text in texts]}

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        first = [self.upper] if text.isupper() else [self.lower] if text.islower() else []
        words = TOKEN.findall(text.lower())
        return first + [self.numbers.get(w, self.unknown) for w in words]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of tokens."""
        text, quoted = "", False
        for i in ids:
            token = self.tokens[int(i)]
            if token in SPECIAL:
                continue
            if token == "\n\n":
                text = text.rstrip(" ") + token
            elif token == '"':
                text = text.rstrip(" ") + '" ' if quoted else text + token
                quoted = not quoted
            elif re.fullmatch(r"[^\w\s]", token):
                text = text.rstrip(" ") + token + " "
            else:
                text += token + " "
        text = text.strip()
        if self.upper in ids:
            return text.upper()
        return text if self.lower in ids else _sentence_case(text)

    def __len__(self) -> int:
        return len(self.tokens)


def _sentence_case(text: str) -> str:
    """A text in lower case with capitals where sentences begin."""
    text = re.sub(r"(?:^|(?<=[.!?])\s+|\n\n)\"?[a-z]", lambda m: m[0].upper(), text)
    return re.sub(r"\bi\b", "I", text)


@dataclass(frozen=True)
class StoryModelSettings(Checked):
    """The small model.

    Attributes:
        layers: How many.
        width: Of a layer.
        heads: Of attention.
        context: Tokens of prompt and text.
        seed: Of the weights.
    """

    layers: int = 2
    width: int = 64
    heads: int = 4
    context: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "context"):
            whole(name, getattr(self, name), least=1, most=10**5)
        if self.width % self.heads:
            raise ArgumentError(f"width={self.width}: expected a multiple of heads={self.heads}")


@checked
def story_model(settings: StoryModelSettings) -> Any:
    """The model of these settings, untrained: pre-norm, GELU, learnt positions, no dropout.

    Attention begins by copying: the maps to and from its values have an identity added, so that
    words of the prompt are likely from the start, and what is to be learnt is which.

    Args:
        settings: Of the model.
    """
    with named("a model of stories", "language"):
        from transformers import GPT2LMHeadModel
    tokenizer = StoryTokenizer()
    config = gpt2_config(settings, len(tokenizer), tokenizer.eos_token_id)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds("seed", settings.seed)[0])
        model = GPT2LMHeadModel(config).eval()
        d = settings.width
        torch.nn.init.normal_(model.transformer.wte.weight, std=d**-0.5)
        torch.nn.init.normal_(model.transformer.wpe.weight, std=0.3 * d**-0.5)
    with torch.no_grad():
        for block in model.transformer.h:
            block.attn.c_attn.weight[:, 2 * d :] += 0.5 * torch.eye(d)
            block.attn.c_proj.weight += 0.5 * torch.eye(d)
    return model
