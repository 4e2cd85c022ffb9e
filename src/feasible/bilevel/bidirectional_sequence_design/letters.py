"""Sequences as letters, numbers and one-hot rows; rules that designs must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import flag, floats, naming, whole
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

DNA = "ACGT"
PROTEIN = "ACDEFGHIKLMNPQRSTVWY"


def alphabet_of(alphabet: Any) -> str:
    """Return an alphabet. Raises ArgumentError, ArgumentTypeError."""
    if not isinstance(alphabet, str):
        raise ArgumentTypeError(f"alphabet={alphabet!r:.60}: expected a text of its letters")
    if len(alphabet) < 2 or len(set(alphabet)) < len(alphabet):
        raise ArgumentError(f"alphabet={alphabet!r:.60}: expected two or more different letters")
    return alphabet


def encode(sequences: Any, alphabet: str, name: str = "sequences") -> Int[np.ndarray, "n L"]:
    """Return sequences as numbers of letters.

    Args:
        sequences: Texts of equal length.
        alphabet: Its letters, in their order.
        name: What an error calls them.

    Raises:
        ArgumentTypeError: They are no texts.
        ShapeError: Their lengths differ, or there are none.
        ArgumentError: A letter that is not in the alphabet.

    Example:
        >>> encode(["ACG", "TTT"], "ACGT").tolist()
        [[0, 1, 2], [3, 3, 3]]
    """
    if isinstance(sequences, str) or not isinstance(sequences, (Sequence, np.ndarray)):
        raise ArgumentTypeError(f"{name}={sequences!r:.60}: expected a list of texts")
    texts = list(np.atleast_1d(sequences)) if isinstance(sequences, np.ndarray) else list(sequences)
    if not texts:
        raise ShapeError(f"{name}: expected at least one")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ArgumentTypeError(f"{name}: number {i} is {text!r:.40}, expected a text")
        if len(text) != len(texts[0]) or not text:
            raise ShapeError(
                f"{name}: number {i} has {len(text)} letters, the first has {len(texts[0])}; "
                "expected equal lengths >= 1"
            )
    table = np.full(0x110000, -1, dtype=np.int16)
    table[[ord(c) for c in alphabet]] = np.arange(len(alphabet))
    codes = np.array("".join(texts), dtype=f"U{len(texts) * len(texts[0])}")
    found = table[codes.reshape(1).view(np.uint32)].reshape(len(texts), -1).astype(np.int64)
    if found.min() < 0:
        row, column = np.argwhere(found < 0)[0].tolist()
        raise ArgumentError(
            f"{name}: number {row} has '{texts[row][column]}' at place {column}: expected "
            f"letters of {alphabet}"
        )
    return found


def decode(codes: Int[np.ndarray, "n L"], alphabet: str) -> list[str]:
    """Return numbers of letters as texts."""
    letters = np.array(list(alphabet))
    return ["".join(row) for row in letters[codes]]


def one_hot(codes: Int[np.ndarray, "n L"], letters: int) -> Float[np.ndarray, "n L A"]:
    """Return (n, L, A) with a 1 at each letter."""
    return np.eye(letters)[codes]


def every(length: int, letters: int) -> Int[np.ndarray, "n L"]:
    """Return all sequences of a length, in the order of their letters."""
    n = letters**length
    return np.arange(n)[:, None] // letters ** np.arange(length)[::-1] % letters


def keys(codes: Int[np.ndarray, "n L"]) -> list[bytes]:
    """Return what tells rows apart."""
    return [row.tobytes() for row in np.ascontiguousarray(codes.astype(np.int16))]


@dataclass(frozen=True)
class SequenceRules:
    """What designs must keep to.

    Attributes:
        fixed: Place (from 0) -> the letter that stands there.
        forbidden: Texts that must not occur.
        gc: Least and largest share of G and C; None: any.
        most_changes: Largest number of places in which a design differs from its nearest start;
            None: any.
        known_pairs: Whether two neighbours must stand side by side somewhere in the data: where
            some letters cannot follow others, and only what can be made was measured.

    Raises:
        ArgumentError: A place below 0, or shares that cross.
        ArgumentTypeError: Something else than these.
    """

    fixed: Mapping[int, str] = field(default_factory=dict)
    forbidden: Sequence[str] = ()
    gc: tuple[float, float] | None = None
    most_changes: int | None = None
    known_pairs: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.fixed, Mapping):
            raise ArgumentTypeError(f"fixed={self.fixed!r:.60}: expected a mapping of places")
        for place, letter in self.fixed.items():
            whole("fixed", place, least=0)
            if not isinstance(letter, str) or len(letter) != 1:
                raise ArgumentError(f"fixed: place {place} has {letter!r:.40}, expected a letter")
        with naming("forbidden"):
            texts = [m for m in self.forbidden if isinstance(m, str) and m]
            if isinstance(self.forbidden, str) or len(texts) < len(self.forbidden):
                raise ArgumentError(f"forbidden={self.forbidden!r:.60}: expected a list of texts")
        if self.gc is not None:
            shares = floats("gc", self.gc).tolist()
            if np.shape(shares) != (2,) or not 0 <= shares[0] <= shares[1] <= 1:
                raise ArgumentError(f"gc={self.gc!r:.60}: expected (low, high) in [0, 1]")
        if self.most_changes is not None:
            whole("most_changes", self.most_changes, least=1, note=", or None")
        flag("known_pairs", self.known_pairs)

    def fit(self, length: int, alphabet: str) -> None:
        """Raise ArgumentError where a fixed place or letter is none of the sequences'."""
        for place, letter in self.fixed.items():
            if place >= length or letter not in alphabet:
                raise ArgumentError(
                    f"fixed: place {place} has {letter!r}: expected places below {length} and "
                    f"letters of {alphabet}"
                )

    def broken(
        self, codes: Int[np.ndarray, "n L"], starts: Int[np.ndarray, "m L"], alphabet: str
    ) -> dict[str, Bool[np.ndarray, " n"]]:
        """Return which designs break each rule, by name.

        Args:
            codes: Designs.
            starts: The data.
            alphabet: Its letters.
        """
        found: dict[str, np.ndarray] = {}
        if self.fixed:
            found["fixed"] = np.any(
                [codes[:, p] != alphabet.index(c) for p, c in self.fixed.items()], axis=0
            )
        if self.forbidden:
            texts = decode(codes, alphabet)
            found["forbidden"] = np.array([any(m in t for m in self.forbidden) for t in texts])
        if self.gc is not None:
            strong = [alphabet.index(c) for c in "GC" if c in alphabet]
            share = np.isin(codes, strong).mean(axis=1)
            found["gc"] = (share < self.gc[0] - 1e-12) | (share > self.gc[1] + 1e-12)
        if self.known_pairs:
            seen = np.zeros((len(alphabet), len(alphabet)), dtype=bool)
            seen[starts[:, :-1], starts[:, 1:]] = True
            found["known pairs"] = ~seen[codes[:, :-1], codes[:, 1:]].all(axis=1)
        if self.most_changes is not None:
            nearest = np.array([(starts != c).sum(axis=1).min() for c in codes])
            found["most changes"] = nearest > self.most_changes
        return found

    def kept(
        self, codes: Int[np.ndarray, "n L"], starts: Int[np.ndarray, "m L"], alphabet: str
    ) -> Bool[np.ndarray, " n"]:
        """Return which designs keep all rules."""
        if not len(codes):
            return np.zeros(0, dtype=bool)
        broken = self.broken(codes, starts, alphabet)
        return ~np.any([*broken.values(), np.zeros(len(codes), dtype=bool)], axis=0)


def new_designs(
    codes: Int[np.ndarray, "n L"],
    taken: set[bytes],
    rules: SequenceRules,
    starts: Int[np.ndarray, "m L"],
    alphabet: str,
) -> list[int]:
    """Return the rows of what is neither known nor there twice and keeps the rules; note it as
    taken.

    Args:
        codes: Candidates, best first.
        taken: Keys of what is known; grows.
        rules: What designs must keep to.
        starts: The data.
        alphabet: Its letters.
    """
    kept = []
    fine = rules.kept(codes, starts, alphabet)
    for i, key in enumerate(keys(codes)):
        if fine[i] and key not in taken:
            taken.add(key)
            kept.append(i)
    return kept
