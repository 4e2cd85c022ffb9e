"""Few-shot episodes: from arrays of one's own, and ready-made ones on digits, sentences, blobs and
moons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.annotations import checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError, ShapeError
from ..arrays import plain, whole_numbers
from .features import embed
from .problem import FewShot

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy.typing import ArrayLike


class Episode(NamedTuple):
    """A few-shot episode, the support first.

    Attributes:
        X: (N, D) features.
        y: (N,) labels, -1 for the queries.
        truth: (N,) all labels.
        rows: (N,) their rows in the data.
        base_mean: (D,) mean of the rows of all classes that are not in the episode; None where it
            has them all.
    """

    X: Float[np.ndarray, "N D"]
    y: Int[np.ndarray, " N"]
    truth: Int[np.ndarray, " N"]
    rows: Int[np.ndarray, " N"]
    base_mean: Float[np.ndarray, " D"] | None

    def problem(self, name: str = "few-shot") -> FewShot:
        """The episode as a problem of a run."""
        return FewShot(self.X, self.y, self.truth, name, self.base_mean)


@checked
def fewshot_episodes(
    X: ArrayLike,
    y: ArrayLike,
    n_way: int,
    n_shot: int,
    n_query: int,
    seed: int = 0,
    *,
    imbalance: float | None = None,
    n_episodes: int = 600,
) -> Iterator[Episode]:
    """Draw few-shot episodes: n_way classes, of each n_shot labelled rows and n_query others.

    Args:
        X: (n, D) features.
        y: (n,) whole numbers >= 0.
        n_way: Classes of an episode, at least two.
        n_shot: Labelled rows of each class.
        n_query: Unlabelled rows of each class, on average.
        seed: Episode i depends on (seed, i) only.
        imbalance: alpha of a Dirichlet law of the classes' shares of the n_way * n_query queries (2
            is usual, small is uneven); None for equal shares.
        n_episodes: How many; the official code's 600.

    Returns:
        An iterator over `Episode`.

    Raises:
        ArgumentError: Fewer than n_way classes with n_shot + n_query rows (with imbalance n_shot +
            1); negative labels; numbers out of range.
        ShapeError: Lengths that differ.
        NotFinite: X with NaN or infinities.

    Examples:
        >>> import numpy as np
        >>> from feasible.transport import fewshot_episodes
        >>> X, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
        >>> episode = next(fewshot_episodes(X, y, n_way=2, n_shot=1, n_query=5, seed=0))
        >>> episode.X.shape, int((episode.y >= 0).sum())
        ((12, 4), 2)
    """
    X = plain(X, "X")
    if X.ndim != 2:
        raise ShapeError(f"X has shape {X.shape}, expected (rows, features)")
    y = whole_numbers(y, "y", len(X))
    n_way, n_shot, n_query = (
        whole("n_way", n_way, least=2),
        whole("n_shot", n_shot, least=1),
        whole("n_query", n_query, least=1),
    )
    whole("seed", seed, least=0)
    if y.min(initial=0) < 0:
        raise ArgumentError("y has negative labels: expected whole numbers >= 0")
    alpha = None if imbalance is None else real("imbalance", imbalance, above=0)
    need = n_shot + (n_query if alpha is None else 1)
    values, counts = np.unique(y, return_counts=True)
    able = values[counts >= need]
    if len(able) < n_way:
        raise ArgumentError(
            f"n_way={n_way}: only {len(able)} classes have the {need} rows that n_shot={n_shot} "
            f"and n_query={n_query} need"
        )
    members = {int(v): np.flatnonzero(y == v) for v in able}
    return (
        _episode(X, y, members, n_way, n_shot, n_query, alpha, np.random.default_rng([seed, i]))
        for i in range(whole("n_episodes", n_episodes, least=1))
    )


def _episode(
    X: np.ndarray,
    y: np.ndarray,
    members: dict[int, np.ndarray],
    n_way: int,
    n_shot: int,
    n_query: int,
    alpha: float | None,
    rng: np.random.Generator,
) -> Episode:
    """Draw one episode; `members` lists the rows of each class."""
    chosen = rng.choice(list(members), n_way, replace=False)
    counts = np.full(n_way, n_query)
    if alpha is not None:
        room = np.array([len(members[int(c)]) - n_shot for c in chosen])
        shares = rng.dirichlet(np.full(n_way, alpha))
        counts, left = np.zeros(n_way, int), min(n_way * n_query, int(room.sum()))
        while left:  # what does not fit into a class is drawn again among the others
            open_ = np.where(counts < room, shares + 1e-12, 0.0)
            counts = np.minimum(counts + rng.multinomial(left, open_ / open_.sum()), room)
            left = min(n_way * n_query, int(room.sum())) - int(counts.sum())
    drawn = [rng.permutation(members[int(c)]) for c in chosen]
    rows = np.concatenate(
        [d[:n_shot] for d in drawn]
        + [d[n_shot : n_shot + m] for d, m in zip(drawn, counts, strict=True)]
    )
    truth = y[rows]
    labels = np.where(np.arange(len(rows)) < n_way * n_shot, truth, -1)
    others = ~np.isin(y, chosen)
    return Episode(X[rows], labels, truth, rows, X[others].mean(0) if others.any() else None)


# -- data ------------------------------------------------------------------------------------------


@cache
def digits() -> tuple[Float[np.ndarray, "1797 64"], Int[np.ndarray, " 1797"]]:
    """scikit-learn's digits: 8x8 pixels from 0 to 16, and the digit."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data.astype(float), data.target.astype(np.int64)


SUBJECTS: dict[str, tuple[str, ...]] = {
    "cards": (
        "my new card",
        "the card I ordered",
        "the replacement card",
        "my virtual card",
        "the black card",
    ),
    "transfers": (
        "the transfer to my sister",
        "my rent payment",
        "the money I sent abroad",
        "a standing order",
        "the wire from my employer",
    ),
    "fees": (
        "the monthly fee",
        "a charge of two pounds",
        "the exchange rate you used",
        "an overdraft charge",
        "the commission on my purchase",
    ),
    "passwords": (
        "my password",
        "the login code",
        "the fingerprint sign-in",
        "my security question",
        "the confirmation text message",
    ),
    "deliveries": (
        "my parcel",
        "the courier",
        "the order from last week",
        "the package for my office",
        "the second half of my order",
    ),
    "refunds": (
        "my refund",
        "the money for the shoes I sent back",
        "the returned jacket",
        "the deposit for the hire car",
        "the cancelled booking",
    ),
    "flights": (
        "my flight to Lisbon",
        "the connecting flight",
        "my seat on the plane",
        "the boarding pass",
        "my checked suitcase",
    ),
    "hotels": (
        "our hotel room",
        "the reservation for two nights",
        "breakfast at the hotel",
        "the late check-out",
        "the room with a sea view",
    ),
    "internet": (
        "the broadband",
        "my router",
        "the wifi upstairs",
        "the download speed",
        "the fibre line",
    ),
    "phones": (
        "my phone's battery",
        "the cracked screen",
        "the SIM card",
        "the handset I bought",
        "my mobile contract",
    ),
    "insurance": (
        "my insurance claim",
        "the policy for my car",
        "the cover for my bicycle",
        "the damage report",
        "my travel insurance",
    ),
    "energy": (
        "my electricity bill",
        "the gas meter",
        "the smart meter reading",
        "the heating tariff",
        "the solar feed-in payment",
    ),
}
"""Topic -> what its sentences are about."""
FRAMES = (
    "Can you tell me what is going on with {}?",
    "I still have a question about {}.",
    "Somebody should look at {} today, please.",
    "Yesterday I called you because of {} and nobody helped.",
    "Is it normal that {} is not what I was promised?",
    "Thank you for sorting out {} so quickly.",
    "I would like to change something about {}.",
    "There is something wrong with {} again.",
    "Who is responsible for {}?",
    "My neighbour told me to ask you about {}.",
    "How long will I have to wait for {}?",
    "Please send me a written confirmation about {}.",
    "The app shows an error whenever I open the page on {}.",
    "I was charged twice because of {}, and I want my money back.",
    "We travel on Monday, so {} is urgent.",
    "Since the update, {} does not work on my phone.",
    "Your letter about {} went to my old address.",
    "I forgot the password and cannot see {}.",
)
"""What people say about them, mixing in words of other topics."""
ASIDES = (
    "",
    "I am quite upset.",
    "No hurry, though.",
    "Thanks in advance.",
    "I only found out this morning.",
    "Greetings from Leeds.",
)


@cache
def sentences(per_topic: int = 60, seed: int = 0) -> tuple[tuple[str, ...], Int[np.ndarray, " n"]]:
    """Messages to a help desk about 12 topics, drawn from templates.

    Args:
        per_topic: Different messages of each topic, at most 540.
        seed: Of the draw.

    Returns:
        The texts, and (n,) the topic's number of each.

    Raises:
        ArgumentError: More than the templates give.
    """
    whole("per_topic", per_topic, least=1)
    most = 5 * len(FRAMES) * len(ASIDES)
    if per_topic > most:
        raise ArgumentError(f"per_topic={per_topic}: the templates give {most} sentences a topic")
    rng = np.random.default_rng([seed, 12])
    texts, labels = [], []
    for topic, subjects in enumerate(SUBJECTS.values()):
        every = [f"{f.format(s)} {a}".strip() for s in subjects for f in FRAMES for a in ASIDES]
        texts += [every[i] for i in rng.permutation(len(every))[:per_topic]]
        labels += [topic] * per_topic
    return tuple(texts), np.array(labels)


@cache
def embedded_sentences(
    per_topic: int = 60, seed: int = 0
) -> tuple[Float[np.ndarray, "n 384"], Int[np.ndarray, " n"]]:
    """`sentences`, embedded: some seconds on one core, once a process."""
    texts, labels = sentences(per_topic, seed)
    return embed(texts), labels


def _blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three overlapping Gaussian blobs of n points in all, and the blob of each."""
    rng = np.random.default_rng([seed, 3])
    truth = np.arange(n) % 3
    return np.array([[0.0, 0.0], [3.0, 0.0], [1.5, 2.6]])[truth] + rng.normal(size=(n, 2)), truth


def _moons(n: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles of n points in all with noise, and the half circle of each."""
    rng = np.random.default_rng([seed, 2])
    truth, angle = np.arange(n) % 2, np.pi * rng.random(n)
    x = np.stack(
        [
            np.where(truth, 1 - np.cos(angle), np.cos(angle)),
            np.where(truth, 0.5 - np.sin(angle), np.sin(angle)),
        ],
        axis=1,
    )
    return x + noise * rng.normal(size=x.shape), truth


def _some_labels(x: np.ndarray, truth: np.ndarray, shots: int, seed: int, name: str) -> FewShot:
    """A problem in which `shots` points of each class, drawn at random, have labels."""
    rng = np.random.default_rng([seed, 1])
    labels = np.full(len(truth), -1)
    for k in np.unique(truth):
        labels[rng.choice(np.flatnonzero(truth == k), shots, replace=False)] = k
    return FewShot(x, labels, truth, name, normalize=None)


# -- ready-made problems ---------------------------------------------------------------------------


def digits_episode(n_shot: int = 1, seed: int = 0, imbalance: float | None = None) -> FewShot:
    """Five digits, `n_shot` labelled images of each and 75 others.

    Features are raw pixels, centred with the mean of the other five digits.

    Args:
        n_shot: Labelled images of each digit.
        seed: Of the draw.
        imbalance: alpha of the Dirichlet law of the others' digits; None for 15 of each.
    """
    name = f"digits-{n_shot}-shot" if imbalance is None else "digits-imbalanced"
    return next(fewshot_episodes(*digits(), 5, n_shot, 15, seed, imbalance=imbalance)).problem(name)


def digits_1_shot() -> FewShot:
    """Five digits with one labelled image each, and 75 to be labelled: raw pixels of scikit-learn's
    digits.
    """
    return digits_episode(1)


def digits_5_shot() -> FewShot:
    """Five digits with five labelled images each, and 75 to be labelled."""
    return digits_episode(5)


def digits_imbalanced() -> FewShot:
    """Five digits with one labelled image each, and 75 others whose classes have shares of a
    Dirichlet(2) law.
    """
    return digits_episode(1, imbalance=2.0)


def sentences_episode(n_shot: int = 1, seed: int = 0) -> FewShot:
    """Messages about five of twelve topics, `n_shot` labelled and 15 others of each, embedded by
    MiniLM (the extra `text`).

    The base mean is that of 8 messages about each of the other topics: no more than that is
      embedded.
    """
    texts, topics = sentences()
    drawn = next(
        fewshot_episodes(np.arange(len(texts), dtype=float)[:, None], topics, 5, n_shot, 15, seed)
    )
    others = [
        int(i) for t in np.setdiff1d(topics, drawn.truth) for i in np.flatnonzero(topics == t)[:8]
    ]
    found = embed([texts[i] for i in [*drawn.rows.tolist(), *others]])
    n = len(drawn.rows)
    return FewShot(found[:n], drawn.y, drawn.truth, f"sentences-{n_shot}-shot", found[n:].mean(0))


def sentences_1_shot() -> FewShot:
    """Messages to a help desk about five topics with one labelled each, and 75 to be labelled,
    embedded by MiniLM (the extra `text`).
    """
    return sentences_episode(1)


def blobs_few_labels() -> FewShot:
    """Three overlapping Gaussian blobs in the plane, 300 points, one label each."""
    return _some_labels(*_blobs(300, 0), 1, 0, "blobs-few-labels")


def moons_few_labels() -> FewShot:
    """Two interleaved half circles, 200 points, noise 0.05, two labels each: classes that are no
    blobs.
    """
    return _some_labels(*_moons(200, 0.05, 0), 2, 0, "moons-few-labels")


PROBLEMS: dict[str, Callable[[], FewShot]] = {
    "digits-1-shot": digits_1_shot,
    "digits-5-shot": digits_5_shot,
    "digits-imbalanced": digits_imbalanced,
    "sentences-1-shot": sentences_1_shot,
    "blobs-few-labels": blobs_few_labels,
    "moons-few-labels": moons_few_labels,
}
