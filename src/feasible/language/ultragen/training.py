"""The two phases: auto-reconstruction, and preferences on sets that no text has.

AR: supervised learning of texts from the attributes that were read off them, in a new order each
time; the loss is that of the response alone.

GPO: several texts for each sampled set by the model of AR, the one that meets most and the one that
meets least are a pair, ties are dropped; then direct preference optimisation,

    -log sigmoid(beta [(log pi(y_w) - log pi_ref(y_w)) - (log pi(y_l) - log pi_ref(y_l))]),

with the model of AR as pi_ref.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ...core.annotations import Checked
from ...core.budget import give_back, reserve, spend
from ...core.checks import fraction, real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, FeasibleError
from ..policy import Responses, generate, joined, logp, written
from ..preference import dpo_loss
from .attributes import Attribute, of_attributes
from .report import Judge, judged, macro, satisfied
from .small import prompt_of

if TYPE_CHECKING:
    from torch import Tensor

Corpus = Sequence[tuple[str, Sequence[Attribute]]]
"""Texts, each with the attributes that were read off it."""
BLOCK = 8
"""Batches that are drawn together and sorted by length, so that little is filled up."""


@dataclass(frozen=True)
class UltraGenSettings(Checked):
    """Of both phases. The rates are for a small model from scratch: of a pretrained one the paper
    takes 6e-6 and 3e-6.

    Attributes:
        ar_steps: Of auto-reconstruction.
        ar_batch: Texts a step.
        ar_rate: AdamW's, after a warm-up, on a cosine schedule.
        order: "shuffled": attributes in a new order each time; "fixed": as they were read off.
        n_samples: Texts for each set, of which one pair is made.
        score: "macro": the mean over kinds, or "csr": the share of all, decides pairs.
        gpo_steps: Of preference optimisation, at most; three passes over the pairs end it too.
        gpo_batch: Pairs a step.
        gpo_rate: AdamW's, as above.
        beta: How strongly preferences hold to the model of AR.
        warm_up: Share of a phase's steps.
        decay: Weight decay of both phases.
        clip: Largest norm of a gradient.
    """

    ar_steps: int = 600
    ar_batch: int = 16
    ar_rate: float = 4e-3
    order: Literal["shuffled", "fixed"] = "shuffled"
    n_samples: int = 4
    score: Literal["macro", "csr"] = "macro"
    gpo_steps: int = 60
    gpo_batch: int = 16
    gpo_rate: float = 1e-4
    beta: float = 0.1
    warm_up: float = 0.1
    decay: float = 0.01
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("ar_steps", "gpo_steps"):
            whole(name, getattr(self, name), least=0)
        for name in ("ar_batch", "gpo_batch"):
            whole(name, getattr(self, name), least=1, most=10**6)
        whole("n_samples", self.n_samples, least=2, most=1000)
        for name in ("ar_rate", "gpo_rate"):
            real(name, getattr(self, name), above=0, most=10)
        real("beta", self.beta, above=0, most=1e6)
        fraction("warm_up", self.warm_up)
        real("decay", self.decay, least=0, most=1e6)
        real("clip", self.clip, above=0, infinite=True)

    def rate(self, top: float, step: int, steps: int) -> float:
        """The rate of a step, from 0 on: linear up, then half a cosine down to a twentieth."""
        warm = max(math.ceil(self.warm_up * steps), 1)
        falls = 0.5 * (1 + math.cos(math.pi * min(step / max(steps, 1), 1.0)))
        return top * min((step + 1) / warm, max(falls, 0.05))


def optimizer_of(model: Any, settings: UltraGenSettings) -> torch.optim.Optimizer:
    """AdamW of a phase, whose rate is set at each step."""
    return torch.optim.AdamW(model.parameters(), settings.ar_rate, weight_decay=settings.decay)


def in_order(
    attributes: Sequence[Attribute], order: str, rng: np.random.Generator
) -> list[Attribute]:
    """A set as a prompt says it."""
    if order == "fixed":
        return list(attributes)
    return [attributes[i] for i in rng.permutation(len(attributes))]


def descend(
    model: Any, optimizer: torch.optim.Optimizer, loss: Tensor, rate: float, clip: float
) -> float:
    """One step down; the loss.

    Raises:
        FeasibleError: The loss is no number.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FeasibleError(f"the loss became {value:g}; a smaller rate may help")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return value


def batch_of(texts: Sequence[str], size: int, seed: Sequence[int], step: int) -> list[int]:
    """Numbers of the texts of a step: texts of a batch are of like length."""
    rng = np.random.default_rng([*seed, step // BLOCK])
    drawn = rng.integers(len(texts), size=BLOCK * size)
    lengths = np.array([len(texts[i]) for i in drawn])
    batches = drawn[np.argsort(lengths, kind="stable")].reshape(BLOCK, size)
    found: list[int] = batches[rng.permutation(BLOCK)[step % BLOCK]].tolist()
    return found


def ar_step(
    model: Any,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer,
    corpus: Corpus,
    settings: UltraGenSettings,
    seed: int,
    step: int,
) -> float:
    """One step of auto-reconstruction; the loss in nats a token. Charges its tokens."""
    rows = batch_of([text for text, _ in corpus], settings.ar_batch, (seed, 1), step)
    rng = np.random.default_rng([seed, 2, step])
    prompts = [prompt_of(in_order(corpus[i][1], settings.order, rng)) for i in rows]
    responses = written(tokenizer, prompts, [corpus[i][0] for i in rows])
    spend(tokens=responses.tokens)
    loss = -logp(model, responses).logp.sum() / responses.mask.sum()
    rate = settings.rate(settings.ar_rate, step, settings.ar_steps)
    return descend(model, optimizer, loss, rate, settings.clip)


def write(
    model: Any,
    tokenizer: Any,
    sets: Sequence[Sequence[Attribute]],
    max_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
) -> Responses:
    """A text for each set, its attributes in the order given. Charges samples, and tokens: as many
    as there can be before they are drawn; what was not written is given back.
    """
    prompts = [prompt_of(one) for one in sets]
    lengths = map(len, tokenizer(prompts)["input_ids"]) if prompts else ()
    most = sum(lengths) + len(prompts) * max_tokens
    held = {"tokens": most, "samples": len(prompts)}
    reserve(held)
    found = generate(model, tokenizer, prompts, max_tokens, temperature, seed)
    give_back(held, held | {"tokens": found.tokens})
    return found


@dataclass
class Pairs:
    """What is preferred to what.

    Attributes:
        chosen: The better text of each pair.
        rejected: The worse one.
        by_chosen: (n,) log-probabilities of the former under the model of AR.
        by_rejected: (n,) of the latter.
        sets: Sets that were asked for.
        gain: Sum over pairs of the scores' differences.
    """

    chosen: Responses
    rejected: Responses
    by_chosen: Tensor
    by_rejected: Tensor
    sets: int = 0
    gain: float = 0.0

    @classmethod
    def none(cls) -> Pairs:
        """No pair yet."""
        ids, mask = torch.zeros((0, 0), dtype=torch.long), torch.zeros((0, 0), dtype=torch.bool)
        better, worse = (Responses(ids, mask, ids.clone(), mask.clone(), []) for _ in range(2))
        return cls(better, worse, torch.zeros(0), torch.zeros(0))

    def __len__(self) -> int:
        return len(self.chosen)

    def plus(self, more: Pairs, tokenizer: Any) -> Pairs:
        """These and others."""
        return Pairs(
            joined([self.chosen, more.chosen], tokenizer),
            joined([self.rejected, more.rejected], tokenizer),
            torch.cat([self.by_chosen, more.by_chosen]),
            torch.cat([self.by_rejected, more.by_rejected]),
            self.sets + more.sets,
            self.gain + more.gain,
        )


def best_and_worst(scores: np.ndarray) -> list[tuple[int, int, int]]:
    """Of each row the places of its best and its worst entry, the first of equal ones; rows whose
    entries are all equal are left out.

    Args:
        scores: (sets, samples).

    Examples:
        >>> best_and_worst(np.array([[0.2, 0.8, 0.5], [1.0, 1.0, 1.0]]))
        [(0, 1, 0)]
    """
    best, worst = scores.argmax(1), scores.argmin(1)
    rows = np.flatnonzero(scores.max(1) > scores.min(1))
    return [(int(i), int(best[i]), int(worst[i])) for i in rows]


def make_pairs(
    model: Any,
    tokenizer: Any,
    sets: Sequence[Sequence[Attribute]],
    settings: UltraGenSettings,
    soft_judge: Judge | None,
    max_tokens: int,
    seed: int,
) -> Pairs:
    """Pairs of the texts that a model writes for some sets. Charges samples and tokens."""
    n = settings.n_samples
    rng = np.random.default_rng([seed, 3])
    asked = [in_order(one, settings.order, rng) for one in sets]
    drawn = write(model, tokenizer, [one for one in asked for _ in range(n)], max_tokens, 1.0, seed)
    scores = np.array(
        [
            score(text, asked[i // n], settings.score, soft_judge)
            for i, text in enumerate(drawn.texts)
        ]
    ).reshape(len(sets), n)
    found = best_and_worst(scores)
    if not found:
        none = Pairs.none()
        none.sets = len(sets)
        return none
    chosen, rejected = (
        drawn[[i * n + b for i, b, _ in found]],
        drawn[[i * n + w for i, _, w in found]],
    )
    spend(tokens=chosen.tokens + rejected.tokens)
    with torch.no_grad():
        by = [logp(model, r).logp.sum(1) for r in (chosen, rejected)]
    gain = float(sum(scores[i, b] - scores[i, w] for i, b, w in found))
    return Pairs(chosen, rejected, by[0], by[1], len(sets), gain)


def score(text: str, attributes: Sequence[Attribute], kind: str, soft_judge: Judge | None) -> float:
    """What a text is worth to a set."""
    met = satisfied(text, attributes, soft_judge)
    return macro(met, attributes) if kind == "macro" else sum(met) / len(met)


def gpo_steps(pairs: Pairs, settings: UltraGenSettings) -> int:
    """Steps of preference optimisation: three passes over the pairs, at most as many as set."""
    return min(settings.gpo_steps, 3 * math.ceil(len(pairs) / settings.gpo_batch))


def gpo_step(
    model: Any,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer,
    pairs: Pairs,
    settings: UltraGenSettings,
    seed: int,
    step: int,
) -> float:
    """One step of preference optimisation; the loss. Charges its tokens."""
    size = min(settings.gpo_batch, len(pairs))
    a_pass = math.ceil(len(pairs) / size)
    order = np.random.default_rng([seed, 4, step // a_pass]).permutation(len(pairs))
    rows = order[step % a_pass * size :][:size].tolist()
    both = joined([pairs.chosen[rows], pairs.rejected[rows]], tokenizer)
    spend(tokens=both.tokens)
    of = logp(model, both).logp.sum(1)
    loss = dpo_loss(
        of[: len(rows)],
        of[len(rows) :],
        pairs.by_chosen[rows],
        pairs.by_rejected[rows],
        settings.beta,
    )
    rate = settings.rate(settings.gpo_rate, step, gpo_steps(pairs, settings))
    return descend(model, optimizer, loss, rate, settings.clip)


class UltraGen:
    """Fine-tune a causal model of transformers to meet long lists of attributes.

    Args:
        model: The model; it is trained in place.
        tokenizer: Its tokenizer.
        settings: See UltraGenSettings.
        soft_judge: Decides soft attributes of texts that the model writes.
        max_tokens: Of a text.
        seed: Of batches, orders and texts.

    Attributes:
        losses: Of every step, in nats a token; then of every pair.
        pairs: What the second phase preferred to what.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: UltraGenSettings | None = None,
        soft_judge: Judge | None = None,
        max_tokens: int = 90,
        seed: int = 0,
    ):
        if not hasattr(model, "generate"):
            raise ArgumentTypeError(
                f"model={shown(model)}: expected a causal model of transformers"
            )
        if not callable(tokenizer):
            raise ArgumentTypeError(f"tokenizer={shown(tokenizer)}: expected one of transformers")
        self.settings = UltraGenSettings() if settings is None else settings
        if not isinstance(self.settings, UltraGenSettings):
            raise ArgumentTypeError(f"settings={shown(settings)}: expected UltraGenSettings")
        if soft_judge is not None and not callable(soft_judge):
            raise ArgumentTypeError(f"soft_judge={shown(soft_judge)}: expected a function")
        self.model, self.tokenizer, self.soft_judge = model, tokenizer, soft_judge
        self.max_tokens = whole("max_tokens", max_tokens, least=1, most=10**6)
        self.seed = whole("seed", seed, least=0)
        self.losses: list[float] = []
        self.pairs = Pairs.none()

    def fit_ar(self, corpus: Corpus) -> UltraGen:
        """Learn to rebuild texts from their attributes.

        Args:
            corpus: Pairs of a text and its attributes: `zip(texts, corpus_attributes(texts))`.

        Raises:
            ArgumentError: The corpus is empty.
            PromptTooLong: An example is longer than the model's context.
        """
        corpus = checked_corpus(corpus)
        optimizer = optimizer_of(self.model, self.settings)
        for step in range(self.settings.ar_steps):
            args = (self.model, self.tokenizer, optimizer, corpus, self.settings, self.seed, step)
            self.losses.append(ar_step(*args))
        self.model.eval()
        return self

    def fit_gpo(self, sets: Sequence[Sequence[Attribute]]) -> UltraGen:
        """Prefer what meets more of sets that no text has.

        Args:
            sets: Their conflicts resolved; see `AttributeSampler` and `resolve_conflicts`.

        Raises:
            ArgumentError: No set, an empty one, or a soft attribute without a judge.
        """
        sets = [of_attributes(f"sets[{i}]", one) for i, one in enumerate(sets)]
        if not sets or not all(sets):
            raise ArgumentError("sets: expected sets of attributes, none of them empty")
        judged(sets, self.soft_judge)
        s = self.settings
        self.pairs = make_pairs(
            self.model, self.tokenizer, sets, s, self.soft_judge, self.max_tokens, self.seed
        )
        optimizer = optimizer_of(self.model, s)
        for step in range(gpo_steps(self.pairs, s)):
            args = (self.model, self.tokenizer, optimizer, self.pairs, s, self.seed, step)
            self.losses.append(gpo_step(*args))
        self.model.eval()
        return self

    def write(
        self, sets: Sequence[Sequence[Attribute]], temperature: float = 0.0, seed: int = 0
    ) -> list[str]:
        """A text for each set.

        Args:
            sets: Attributes in the order in which they are said.
            temperature: 0 writes the most likely words.
            seed: Of what is drawn.
        """
        return write(self.model, self.tokenizer, sets, self.max_tokens, temperature, seed).texts


def checked_corpus(corpus: Any) -> list[tuple[str, tuple[Attribute, ...]]]:
    """A corpus as a list.

    Raises:
        ArgumentError: It is empty, or an entry is no pair of a text and attributes.
    """
    try:
        found = [(text, of_attributes("corpus", list(given))) for text, given in corpus]
    except (TypeError, ValueError):
        found = []
    if not found or not all(isinstance(text, str) and given for text, given in found):
        raise ArgumentError(
            f"corpus={shown(corpus)}: expected pairs of a text and its attributes, at least one"
        )
    return found
