"""Landscapes of sequences: measured DNA binding, a generated one of its kind, Ehrlich functions.

References:
    Barrera et al., "Survey of variation in human transcription factors reveals prevalent DNA
    binding changes", Science 351, 2016: the measurements.
    Trabucco et al., "Design-Bench", ICML 2022: TFBind8, TFBind10.
    Stanton et al., "Closed-form test functions for biophysical sequence design", 2024, arXiv
    2407.00236: Ehrlich functions.
"""

from __future__ import annotations

import hashlib
import lzma
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import whole
from ...core.errors import ArgumentError
from .features import SequenceLM
from .letters import DNA, PROTEIN, SequenceRules, decode, encode, every
from .problem import SequenceDesign

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

DATA = Path(__file__).parent / "data"
SIX6 = "bab64805d534be4446bd6f25b23f1320c3247e94dce0975cd71af7e1d2113c43"
"""SHA-256 of the measured integers."""
OFFLINE = 5000
"""Sequences of lowest score that are known: the reduced tasks of the paper."""


def numbers(codes: Int[np.ndarray, "n L"], letters: int = 4) -> Int[np.ndarray, " n"]:
    """Return the place of each sequence among all of its length."""
    return codes @ letters ** np.arange(codes.shape[1])[::-1]


def other_strand(codes: Int[np.ndarray, "n L"]) -> Int[np.ndarray, "n L"]:
    """Return the reverse complements of DNA."""
    return 3 - codes[:, ::-1]


@cache
def binding() -> Float[np.ndarray, " 65536"]:
    """Return the E-score of SIX6 for each 8-mer, in their order.

    Raises:
        ArgumentError: The file is not the one that was shipped.
    """
    raw = lzma.decompress((DATA / "six6_ref_r1.xz").read_bytes())
    if hashlib.sha256(raw).hexdigest() != SIX6:
        raise ArgumentError("data/six6_ref_r1.xz: its checksum is not that of the measurements")
    codes = every(8, 4)
    mine, other = np.arange(4**8), numbers(other_strand(codes))
    found = np.empty(4**8)
    found[mine <= other] = np.frombuffer(raw, dtype="<i4") * 1e-5
    found[mine > other] = found[other[mine > other]]
    found.setflags(write=False)
    return found


def bound() -> Int[np.ndarray, "n 8"]:
    """Return the 8-mers that other transcription factors bind most."""
    raw = np.frombuffer(lzma.decompress((DATA / "top_8mers.xz").read_bytes()), dtype="<u2")
    return every(8, 4)[raw.astype(np.int64)]


def corpus(count: int = 20_000, length: int = 32, seed: int = 0) -> list[str]:
    """Return random DNA with two 8-mers planted that other transcription factors bind.

    Args:
        count: How many.
        length: Of each, >= 16; a planted 8-mer stands anywhere in its half.
        seed: Of the draws.
    """
    half, known = whole("length", length, least=16) // 2, bound()
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (count, length))
    for begin in (0, half):
        at = begin + rng.integers(0, half - 7, count)
        codes[np.arange(count)[:, None], at[:, None] + np.arange(8)] = known[
            rng.integers(0, len(known), count)
        ]
    return decode(codes, DNA)


def pretrained(steps: int = 0, seed: int = 0) -> SequenceLM:
    """Return a language model of DNA that transcription factors bind.

    It stands in for DNABERT, which the paper uses.

    Args:
        steps: Steps of training on `corpus`; 0: the weights that are shipped, of 1500 steps.
        seed: Of weights, corpus and batches.
    """
    lm = SequenceLM(DNA, seed=seed)
    if steps:
        return lm.pretrain(corpus(seed=seed), steps, seed=seed)
    from safetensors.torch import load_file

    weights = load_file(str(DATA / "lm.safetensors"))
    lm.load_state_dict({name: w.float() for name, w in weights.items()})
    return lm


def lowest(
    codes: Int[np.ndarray, "n L"], values: Float[np.ndarray, " n"], count: int
) -> Int[np.ndarray, " m"]:
    """Return the rows of lowest value, in that order; ties by their order."""
    return np.argsort(values, kind="stable")[: min(count, len(codes))]


def tfbind8(n_designs: int = 128) -> SequenceDesign:
    """Binding of SIX6 to 8-mers: the 5000 worst are known, the best are asked for.

    The cut falls inside a tie of two strands of one sequence: one of them is known, and the other
    is not.

    Args:
        n_designs: How many designs are asked for.
    """
    values, codes = binding(), every(8, 4)
    rows = lowest(codes, values, OFFLINE)
    return SequenceDesign(
        decode(codes[rows], DNA),
        values[rows],
        truth=lambda texts: values[numbers(encode(texts, DNA))],
        scale=(float(values.min()), float(values.max())),
        features=pretrained(),
        n_designs=n_designs,
        name="tfbind8",
    )


@cache
def generated_landscape(seed: int = 0, length: int = 10) -> Float[np.ndarray, " n"]:
    """Return a score of each DNA sequence of a length, like that of binding.

        y(x) = log sum_(strands, offsets) exp(PWM(x at the offset)) + 0.3 NK(x)

    The PWM is 6 x 4, normal with deviation 1.5; NK is the mean over places of tables of uniform
    numbers on a place and the next three, cyclically.

    Args:
        seed: Of the tables.
        length: L, >= 6.
    """
    whole("length", length, least=6, most=12)
    rng = np.random.default_rng(seed)
    weights = 1.5 * rng.standard_normal((6, 4))
    tables = rng.random((length, 4**4))
    codes = every(length, 4).astype(np.int8)
    total = np.zeros(len(codes))
    for strand in (codes, 3 - codes[:, ::-1]):
        for at in range(length - 5):
            score = np.zeros(len(codes))
            for j in range(6):
                score += weights[j, strand[:, at + j]]
            total += np.exp(score)
    rugged = np.zeros(len(codes))
    for place in range(length):
        cell = np.zeros(len(codes), dtype=np.int64)
        for j in range(4):
            cell = 4 * cell + codes[:, (place + j) % length]
        rugged += tables[place, cell]
    found = np.log(total) + 0.3 * rugged / length
    found.setflags(write=False)
    return found


def generated(seed: int = 0, length: int = 10, n_designs: int = 128) -> SequenceDesign:
    """A generated landscape of 10-mers, whose best sequence is known by enumeration.

    Args:
        seed: Of the landscape.
        length: L.
        n_designs: How many designs are asked for.
    """
    values, codes = generated_landscape(seed, length), every(length, 4)
    rows = lowest(codes, values, OFFLINE)
    return SequenceDesign(
        decode(codes[rows], DNA),
        values[rows],
        truth=lambda texts: values[numbers(encode(texts, DNA))],
        scale=(float(values.min()), float(values.max())),
        n_designs=n_designs,
        name=f"generated-{length}mers",
    )


def small_landscape() -> SequenceDesign:
    """A generated landscape of 8-mers; sixteen designs are asked for."""
    return generated(0, 8, 16)


# -- Ehrlich functions -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Ehrlich:
    """An Ehrlich function: motifs with gaps must occur, and some letters must not follow others.

        f(x) = prod_i q(max_l sum_j 1[x_(l + s_ij) = m_ij] / k)  where x has no banned transition

    q rounds down to a multiple of 1 / quantization. The largest value is 1; of a sequence with a
    banned transition the value is minus infinity.

    Attributes:
        allowed: (A, A) whether the second letter may follow the first.
        motifs: (c, k) letters.
        spacings: (c, k) places from the first letter on, the first of them 0.
        quantization: Levels, at most k.
    """

    allowed: Bool[np.ndarray, "A A"]
    motifs: Int[np.ndarray, "c k"]
    spacings: Int[np.ndarray, "c k"]
    quantization: int

    def __post_init__(self) -> None:
        k = self.motifs.shape[1]
        whole("quantization", self.quantization, least=1, most=k)
        if self.motifs.shape != self.spacings.shape or (np.diff(self.spacings, axis=1) < 1).any():
            raise ArgumentError(
                f"spacings={self.spacings.tolist()}: expected a growing row for each motif"
            )

    @classmethod
    def draw(
        cls, letters: int, length: int, motifs: int, k: int, quantization: int, seed: int = 0
    ) -> Ehrlich:
        """Return a random one, which some sequence of this length solves.

        Args:
            letters: A.
            length: L.
            motifs: c.
            k: Letters of a motif, c k <= L.
            quantization: Levels.
            seed: Of the draws.

        Raises:
            ArgumentError: The motifs do not fit.
        """
        if motifs * k > length:
            raise ArgumentError(f"k={k}: {motifs} motifs do not fit into length={length}")
        rng = np.random.default_rng(seed)
        allowed = np.ones((letters, letters), dtype=bool)
        for a in range(letters):
            others = np.delete(np.arange(letters), [a, (a + 1) % letters])
            # a letter may follow itself, and the next: so every letter can be reached
            banned = rng.choice(others, size=int(letters * 0.4), replace=False)
            allowed[a, banned] = False
        chain = [int(rng.integers(letters))]
        while len(chain) < motifs * k:
            following = np.flatnonzero(allowed[chain[-1]])
            fresh = [c for c in following if c not in chain[-(len(chain) % k or k) :]]
            chain.append(int(rng.choice(fresh if fresh else following)))
        room = length // motifs - k
        spacings = []
        for _ in range(motifs):
            gaps = np.floor(room * rng.dirichlet(np.ones(k - 1))) if k > 1 else np.zeros(0)
            spacings.append(np.concatenate([[0], np.cumsum(1 + gaps)]).astype(int))
        shaped = np.array(chain).reshape(motifs, k)
        return cls(allowed, shaped, np.array(spacings), quantization)

    def feasible(self, codes: Int[np.ndarray, "n L"]) -> Bool[np.ndarray, " n"]:
        """Return which sequences have no banned transition."""
        return self.allowed[codes[:, :-1], codes[:, 1:]].all(axis=1)

    def __call__(self, codes: Int[np.ndarray, "n L"]) -> Float[np.ndarray, " n"]:
        """Return the value of each sequence."""
        found, k = np.ones(len(codes)), self.motifs.shape[1]
        for motif, spacing in zip(self.motifs, self.spacings, strict=True):
            places = np.arange(codes.shape[1] - spacing[-1])[:, None] + spacing
            hits = (codes[:, places] == motif).sum(axis=2).max(axis=1)
            found *= np.floor(hits * self.quantization / k) / self.quantization
        return np.where(self.feasible(codes), found, -np.inf)

    def solution(self, length: int) -> Int[np.ndarray, " L"]:
        """Return a sequence of value 1: each motif with its letters repeated across the gaps."""
        found: list[int] = []
        for motif, spacing in zip(self.motifs, self.spacings, strict=True):
            for i in range(int(spacing[-1]) + 1):
                found.append(int(motif[np.searchsorted(spacing, i, side="right") - 1]))
        return np.array(found + [found[-1]] * (length - len(found)))

    def sample(self, count: int, length: int, rng: np.random.Generator) -> Int[np.ndarray, "n L"]:
        """Return random sequences without banned transitions."""
        codes = np.empty((count, length), dtype=np.int64)
        codes[:, 0] = rng.integers(0, len(self.allowed), count)
        for place in range(1, length):
            weights = self.allowed[codes[:, place - 1]] * rng.random((count, len(self.allowed)))
            codes[:, place] = weights.argmax(axis=1)
        return codes


def ehrlich(
    letters: int = 20,
    length: int = 32,
    motifs: int = 4,
    k: int = 4,
    seed: int = 0,
    count: int = OFFLINE,
    n_designs: int = 128,
) -> SequenceDesign:
    """An Ehrlich function of 32 letters: 5000 random feasible sequences are known.

    Args:
        letters: A, at most 20.
        length: L.
        motifs: c.
        k: Letters of a motif.
        seed: Of function and data.
        count: Sequences that are known; mutated from one another, so that values differ.
        n_designs: How many designs are asked for.
    """
    whole("letters", letters, least=4, most=20)
    function = Ehrlich.draw(letters, length, motifs, k, k, seed)
    rng = np.random.default_rng([seed, 1])
    codes = function.sample(4 * count, length, rng)
    values = function(codes)
    # half at random, half of the best of those that were drawn: most values are 0
    best = np.argsort(-values, kind="stable")[: count // 2]
    rest = rng.permutation(np.setdiff1d(np.arange(len(codes)), best))[: count - count // 2]
    rows = np.concatenate([best, rest])
    alphabet = DNA if letters == len(DNA) else PROTEIN[:letters]
    return SequenceDesign(
        decode(codes[rows], alphabet),
        values[rows],
        alphabet,
        truth=lambda texts: function(encode(texts, alphabet)),
        scale=(0.0, 1.0),
        rules=SequenceRules(known_pairs=True),
        n_designs=n_designs,
        name=f"ehrlich-{length}",
    )


def ehrlich_32() -> SequenceDesign:
    """An Ehrlich function of 32 amino acids: four motifs of four, two fifths of steps banned."""
    return ehrlich()


def ehrlich_dna() -> SequenceDesign:
    """An Ehrlich function of 16 letters of DNA: two motifs of four."""
    return ehrlich(4, 16, 2, 4)
