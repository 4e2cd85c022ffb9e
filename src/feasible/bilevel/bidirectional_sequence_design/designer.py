"""The way in for those who have sequences with scores: fit, then propose.

References:
    Chen et al., ICML 2023, arXiv 2301.02931.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.checks import floats, generator, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .bib import advance, begin, close_round
from .features import KmerFeatures
from .letters import DNA, SequenceRules, alphabet_of, decode, encode, one_hot
from .models import Auxiliary, Offline, embedded
from .settings import BIBSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Proposed:
    """New sequences.

    Attributes:
        sequences: Texts, best predicted first; all differ, and none is in the data.
        predicted: (n,) their scores as the model predicts them. Nobody measured them.
        disagreement: (n,) standard deviation of five models, each of half of the data.
        n_distinct: How many there are.
        gamma: (steps,) mean weight of the forward loss at each step.
        logits: (n, L, A) of the last round.
        status: Why it ended.
    """

    sequences: list[str]
    predicted: Float[np.ndarray, " n"]
    disagreement: Float[np.ndarray, " n"]
    n_distinct: int
    gamma: Float[np.ndarray, " steps"] = field(repr=False)
    logits: Float[Tensor, "n L A"] = field(repr=False)
    status: str = ""


def checked_data(
    sequences: Any, scores: Any, alphabet: str, n_designs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of letters and scores.

    Raises:
        ShapeError: Not as many scores as sequences.
        NotFinite: A score that is NaN or infinite.
        ArgumentError: Fewer than two different scores, or fewer sequences than designs.
    """
    codes = encode(sequences, alphabet)
    values = floats("scores", scores)
    if values.shape != (len(codes),):
        raise ShapeError(f"scores has shape {values.shape}: expected ({len(codes)},)")
    if not np.isfinite(values).all():
        at = int(np.flatnonzero(~np.isfinite(values))[0])
        raise NotFinite(f"scores: number {at} is {values[at]}; expected finite numbers")
    if len(np.unique(values)) < 2:
        raise ArgumentError("scores are all alike: expected two different ones at least")
    if n_designs > len(codes):
        raise ArgumentError(
            f"n_designs={n_designs}: expected at most {len(codes)}, the number of sequences"
        )
    return codes, values


class BIBDesigner:
    """Bidirectional design of sequences from scores that are known already.

    Args:
        features: A torch module from one-hot rows (n, L, A) to features (n, d), such as a
            `SequenceLM`; None: `KmerFeatures`.
        alphabet: Letters of the sequences.
        n_designs: How many to propose.
        rules: What they must keep to.
        seed: Of the noise that designs begin with.
        settings: See `BIBSettings`.
        **given: Fields of the settings, by name.

    Example:
        >>> from feasible.bilevel.bidirectional_sequence_design.letters import every
        >>> known = decode(every(4, 4)[::2], "ACGT")
        >>> scores = [s.count("G") - s.count("T") for s in known]
        >>> designer = BIBDesigner(n_designs=4, steps=20).fit(known, scores)
        >>> set(designer.propose().sequences) & set(known)
        set()

    References:
        Chen et al., ICML 2023, arXiv 2301.02931.
    """

    def __init__(
        self,
        features: nn.Module | None = None,
        alphabet: str = DNA,
        n_designs: int = 128,
        rules: SequenceRules | None = None,
        seed: int = 0,
        settings: BIBSettings | None = None,
        **given: Any,
    ):
        if features is not None and not isinstance(features, nn.Module):
            raise ArgumentTypeError(f"features={features!r:.60}: expected a torch module, or None")
        if rules is not None and not isinstance(rules, SequenceRules):
            raise ArgumentTypeError(f"rules={rules!r:.60}: expected SequenceRules, or None")
        self.settings = replace(settings or BIBSettings(), **given)
        self.alphabet = alphabet_of(alphabet)
        self.n_designs = whole("n_designs", n_designs, least=1)
        self.features, self.rules = features, rules or SequenceRules()
        self.seed = seed
        generator("seed", seed)
        self.offline: Offline | None = None
        self.aux: Auxiliary | None = None

    def fit(self, sequences: Any, scores: Any) -> BIBDesigner:
        """Take the data, and return the designer.

        Args:
            sequences: N texts of equal length.
            scores: (N,), larger is better.
        """
        codes, values = checked_data(sequences, scores, self.alphabet, self.n_designs)
        self.rules.fit(codes.shape[1], self.alphabet)
        letters = len(self.alphabet)
        features = self.features or KmerFeatures.usual(letters, codes.shape[1])
        s = self.settings
        self.offline = Offline.of(features, codes, values, letters, s.beta, s.target)
        self.aux = Auxiliary(self.offline, letters, s.aux)
        return self

    def propose(self, n: int | None = None) -> Proposed:
        """Return new sequences.

        Args:
            n: How many; None: n_designs.

        Raises:
            ArgumentError: Nothing was fitted, or more than there are sequences.
        """
        offline, aux = self.offline, self.aux
        if offline is None or aux is None:
            raise ArgumentError("propose before fit: expected data, fit(sequences, scores)")
        count = self.n_designs if n is None else whole("n", n, least=1, most=len(offline.codes))
        letters, settings = len(self.alphabet), self.settings
        rng = generator("seed", self.seed)
        state = begin(offline, self.alphabet, count, settings, rng, self.rules)
        status, asked = None, aux if settings.needs_aux else None
        while status is None:
            for _ in range(settings.steps):
                advance(offline, asked, settings, state, self.rules)
            status = close_round(offline, count, settings, state, self.rules, self.alphabet)
        predicted = offline.predict(state.found, letters)
        order = np.argsort(-predicted, kind="stable")
        codes = state.found[order]
        with torch.no_grad():
            phi = offline.normalised(embedded(offline.features, codes, letters))
            each = aux.each(torch.as_tensor(one_hot(codes, letters)).float(), phi)
        spread = each.std(dim=1).numpy() * offline.std
        texts = decode(codes, self.alphabet)
        return Proposed(texts, predicted[order], spread, len(texts), state.gammas, state.X, status)
