"""SequenceDesign: new sequences from scores that are known already; nobody measures more."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import nn

from ...core.cached import Cached
from ...core.checks import floats, whole
from ...core.errors import ArgumentError, ArgumentTypeError, TableError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .designer import checked_data
from .features import KmerFeatures
from .letters import DNA, SequenceRules, alphabet_of, decode, encode, keys, one_hot
from .models import Auxiliary, Offline
from .settings import BIBSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

JUDGED_ROWS = 1500
"""Rows of the data that the judge's own model is fitted to, where nobody knows the truth."""
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Designs:
    """An answer: new sequences.

    Attributes:
        sequences: Texts, best predicted first.
        predicted: (n,) their scores as the method predicts them.
    """

    sequences: list[str]
    predicted: Float[np.ndarray, " n"]


@dataclass
class SequenceDesign(Cached, Problem):
    """Propose n new sequences of high score, from sequences whose scores are known.

    An answer is `Designs`. What is judged are those that differ from one another and from the data
    and keep the rules; a design that is missing counts as the worst score. The objective is minus
    the median of n, on a scale where the data's own best is reported as `offline best`. Where the
    truth is not known, everything is a prediction by a model of the judge's own, and named so.

    Attributes:
        sequences: N texts of equal length.
        scores: (N,) larger is better.
        alphabet: Their letters.
        truth: From texts to scores, read by the judge alone; None where nobody knows it.
        scale: Scores that count as 0 and 1; None: the smallest and largest of the data.
        features: A torch module from one-hot rows to features; None: `KmerFeatures`.
        rules: What designs must keep to.
        n_designs: How many are asked for.
        name: Its name.

    Raises:
        ShapeError: Unequal lengths, or not as many scores as sequences.
        NotFinite: A score that is NaN or infinite.
        ArgumentError: Foreign letters, scores all alike, more designs than sequences.
        ArgumentTypeError: Something of a wrong type.
    """

    sequences: Any
    scores: Any
    alphabet: str = DNA
    truth: Callable[[list[str]], Any] | None = None
    scale: tuple[float, float] | None = None
    features: nn.Module | None = None
    rules: SequenceRules = field(default_factory=SequenceRules)
    n_designs: int = 128
    name: str = "sequence-design"

    example_budget: ClassVar[str] = "steps=100"
    last: ClassVar[bool] = True  # the truth must not choose
    answers: ClassVar[tuple[type, ...]] = (Designs,)
    endings: ClassVar[tuple[str, ...]] = (".json", ".csv", ".npz", ".npy")
    sign: float = -1.0
    trail_growth: float = 1.5

    def __post_init__(self) -> None:
        self.alphabet = alphabet_of(self.alphabet)
        whole("n_designs", self.n_designs, least=1)
        self.codes, self.scores = checked_data(
            self.sequences, self.scores, self.alphabet, self.n_designs
        )
        if self.truth is not None and not callable(self.truth):
            raise ArgumentTypeError(f"truth={self.truth!r:.60}: expected a function, or None")
        if self.features is not None and not isinstance(self.features, nn.Module):
            raise ArgumentTypeError(f"features={self.features!r:.60}: expected a torch module")
        if not isinstance(self.rules, SequenceRules):
            raise ArgumentTypeError(f"rules={self.rules!r:.60}: expected SequenceRules")
        self.rules.fit(self.codes.shape[1], self.alphabet)
        if self.scale is None:
            self.scale = float(self.scores.min()), float(self.scores.max())
        ends = floats("scale", self.scale)
        if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
            raise ArgumentError(f"scale={self.scale!r:.60}: expected (low, high), low < high")
        predicted = "predicted " * (self.truth is None)
        self.objective_title = f"{predicted}median score"  # type: ignore[misc]

    @classmethod
    def from_csv(
        cls, path: str, sequence: str = "sequence", score: str = "score", **more: Any
    ) -> SequenceDesign:
        """Return a problem from a table.

        Args:
            path: A CSV file with a heading.
            sequence: Heading of the sequences.
            score: Heading of the scores.
            **more: Other attributes.

        Raises:
            TableError: The file cannot be read, a column is missing, or a score is no number.
        """
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except OSError as error:
            raise TableError(f"table '{path}' cannot be read: {error.strerror}") from error
        for wanted in (sequence, score):
            if not rows or wanted not in rows[0]:
                has = ", ".join(map(str, rows[0])) if rows else "no rows"
                raise TableError(f"table '{path}' has no column '{wanted}'; it has {has}")
        scores = []
        for line, row in enumerate(rows, 2):
            try:
                scores.append(float(row[score]))
            except (TypeError, ValueError):
                raise TableError(
                    f"table '{path}', line {line}: {score}={row[score]!r}: expected a number"
                ) from None
        texts = [(row[sequence] or "").strip().upper() for row in rows]
        return cls(texts, scores, **{"name": Path(path).stem, **more})

    # -- what methods read -------------------------------------------------------------------------

    @property
    def letters(self) -> int:
        """A, letters of the alphabet."""
        return len(self.alphabet)

    def offline(self, settings: BIBSettings) -> Offline:
        """What is fitted to the data once, for these settings."""

        def make() -> Offline:
            length = self.codes.shape[1]
            features = self.features or KmerFeatures.usual(self.letters, length)
            return Offline.of(
                features, self.codes, self.scores, self.letters, settings.beta, settings.target
            )

        return self.cached(("offline", settings.beta, settings.target), make)

    def auxiliary(self, settings: BIBSettings) -> Auxiliary:
        """The auxiliary models, for these settings."""
        offline = self.offline(settings)
        key = ("aux", settings.aux, settings.beta, settings.target)
        return self.cached(key, lambda: Auxiliary(offline, self.letters, settings.aux))

    # -- the judge ---------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """Look up, or predict, the scores of what is new and keeps the rules."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        assert self.scale is not None
        codes, broken = self.judged(answer.sequences)
        low, high = self.scale
        if self.truth is None:
            found, quality = self.predicted(codes)
        else:
            texts = decode(codes, self.alphabet)
            found = np.asarray(self.truth(texts) if texts else [], dtype=float)
            quality = {"infeasible": float((~np.isfinite(found)).sum())}
        values = np.where(np.isfinite(found), (found - low) / (high - low), 0.0)
        missing = max(self.n_designs - len(values), 0)
        filled = np.concatenate([values, np.zeros(missing)])
        word = "predicted " * (self.truth is None)
        metrics = {
            f"{word}max": float(filled.max()),
            f"{word}median": float(np.median(filled)),
            f"{word}median of those": float(np.median(values)) if len(values) else 0.0,
            "distinct": float(len(values)),
            "offline best": float((self.scores.max() - low) / (high - low)),
            **quality,
            **{f"broken: {rule}": float(n) for rule, n in broken.items()},
        }
        return Verdict(-metrics[f"{word}median"], metrics=metrics)

    def judged(self, sequences: list[str]) -> tuple[Int[np.ndarray, "k L"], dict[str, int]]:
        """Return what counts of an answer, and how many of it break each rule."""
        if not sequences:
            return self.codes[:0], {}
        codes = encode(sequences, self.alphabet)
        if codes.shape[1] != self.codes.shape[1]:
            raise ArgumentError(
                f"answer: sequences of {codes.shape[1]} letters, expected {self.codes.shape[1]}"
            )
        codes = codes[: self.n_designs]
        broken = self.rules.broken(codes, self.codes, self.alphabet)
        taken, kept = set(keys(self.codes)), []
        for i, key in enumerate(keys(codes)):
            if key not in taken and not any(b[i] for b in broken.values()):
                kept.append(i)
            taken.add(key)
        return codes[kept], {rule: int(b.sum()) for rule, b in broken.items() if b.any()}

    def predicted(self, codes: Int[np.ndarray, "k L"]) -> tuple[np.ndarray, dict[str, float]]:
        """Return scores of designs by the judge's own model, and how good it is on held-out data.

        Kernel ridge regression with the kernel exp(-2 share of different letters), of the data's
        best and of random others; its ridge is the best of five by held-out error.
        """
        rows, y, dual, right = self.cached("judge", self._fit_judge)
        found = similarity(codes, rows) @ dual + y.mean()
        return found, {"held-out correlation": right}

    def _fit_judge(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        order = np.argsort(-self.scores, kind="stable")
        rest = np.random.default_rng(0).permutation(order[JUDGED_ROWS // 2 :])
        rows = np.concatenate([order[: JUDGED_ROWS // 2], rest[: JUDGED_ROWS // 2]])
        rows = np.random.default_rng(1).permutation(rows)
        codes, y = self.codes[rows], self.scores[rows]
        kernel, fold = similarity(codes, codes), np.arange(len(y)) % FOLDS
        best, chosen, right = np.inf, 1.0, 0.0
        for ridge in (1e-3, 1e-2, 1e-1, 1.0, 10.0):
            guess = np.empty(len(y))
            for part in range(FOLDS):
                out, into = fold == part, fold != part
                if not into.any():
                    guess[out] = 0.0
                    continue
                matrix = kernel[np.ix_(into, into)] + ridge * np.eye(int(into.sum()))
                centre = y[into].mean()
                weights = np.linalg.solve(matrix, y[into] - centre)
                guess[out] = kernel[np.ix_(out, into)] @ weights + centre
            error = float(((guess - y) ** 2).mean())
            if error < best:
                spread = guess.std() * y.std()
                shared = ((guess - guess.mean()) * (y - y.mean())).mean()
                best, chosen, right = error, ridge, float(shared / spread) if spread > 0 else 0.0
        dual = np.linalg.solve(kernel + chosen * np.eye(len(y)), y - y.mean())
        return codes, y, dual, right

    # -- how it is shown ---------------------------------------------------------------------------

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The first designs, and the figures of the verdict."""
        shown = [] if answer is None else list(answer.sequences)[:10]
        return [
            ("variable", "value"),
            *((f"design {i + 1}", text) for i, text in enumerate(shown)),
            ("metric", "value"),
            *((k, f"{v:.6g}") for k, v in verdict.metrics.items()),
        ]

    def design(self, answer: Any) -> dict[str, Any]:
        """The sequences with their predicted scores."""
        return {
            "sequences": list(answer.sequences),
            "predicted": np.asarray(answer.predicted).tolist(),
        }

    def fingerprint(self) -> dict[str, Any]:
        """Its data's size and letters."""
        return {"data": [list(self.codes.shape), self.alphabet, self.n_designs]}


def similarity(a: Int[np.ndarray, "n L"], b: Int[np.ndarray, "m L"]) -> Float[np.ndarray, "n m"]:
    """Return exp(-2 share of different letters)."""
    letters = int(max(a.max(initial=0), b.max(initial=0))) + 1
    flat_a, flat_b = (one_hot(c, letters).reshape(len(c), letters * c.shape[1]) for c in (a, b))
    return np.exp(-2 * (1 - flat_a @ flat_b.T / a.shape[1]))
