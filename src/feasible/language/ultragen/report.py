"""How many attributes of each set a text meets: by attribute, kind and position.

    CSR(x, A) = (1 / n) sum_k 1[x meets a_k]

A bare list of the keywords meets most attributes where most are keywords. The macro satisfaction,
the mean over kinds of the share that is met of each kind, does not reward it; it is what to aim at.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.checks import flag, real, shown
from ...core.child import Child, ChildLost
from ...core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, ShapeError, StopRun
from ...core.warning import warn
from ..scoring import ScoreWarning
from .attributes import (
    KINDS,
    Attribute,
    Frequency,
    Keyword,
    Soft,
    Start,
    Words as WordRange,
    of_attributes,
    parsed,
)
from .reading import Reading, contents

Judge = Callable[[str, Soft], bool]
"""Decides a soft attribute of a text."""
QUARTILES = 4


@dataclass(frozen=True)
class CSRResult:
    """What texts meet of their sets.

    Attributes:
        mean: Share of attributes, averaged over texts.
        macro: Mean over the kinds that there are of `by_kind`.
        hard: Share of all hard attributes; None where there are none.
        soft: Share of all soft attributes; None where there are none.
        by_kind: Share of all attributes of a kind.
        per_attribute: Rendered attribute -> share of the texts that had to meet it.
        per_position: Share by quarter of the position in the set, the first first; None for a
            quarter without attributes.
        met: For each text, whether each attribute is met.
    """

    mean: float
    macro: float
    hard: float | None
    soft: float | None
    by_kind: dict[str, float]
    per_attribute: dict[str, float]
    per_position: tuple[float | None, ...]
    met: list[list[bool]]


def satisfied(
    text: str, attributes: Sequence[Attribute], soft_judge: Judge | None = None
) -> list[bool]:
    """Whether a text meets each attribute; it is read once for all of them.

    Args:
        text: The text.
        attributes: One set.
        soft_judge: Decides the soft ones.

    Raises:
        ArgumentError: A soft attribute without a judge.
        ArgumentTypeError: The judge said neither True nor False.
        EvaluationFailed: The judge raised.
    """
    reading = Reading(text)
    return [
        _decided(text, a, soft_judge)
        if soft_judge is not None and isinstance(a, Soft)
        else a.holds(reading)
        for a in attributes
    ]


def _decided(text: str, attribute: Soft, judge: Judge) -> bool:
    """What a judge says of a soft attribute."""
    name = f"soft_judge of '{attribute.text:.40}'"
    try:
        said = judge(text, attribute)
    except StopRun:
        raise
    except Exception as error:
        raise EvaluationFailed(f"{name} raised {type(error).__name__}: {error}") from error
    return flag(name, said)


class TimedJudge:
    """A judge of soft attributes in a process of its own. Where it gives no answer in time it is
    ended and has said no, with a warning.

    Args:
        judge: (text, attribute) -> bool.
        timeout: Seconds for one answer.
    """

    def __init__(self, judge: Judge, timeout: float):
        if not callable(judge):
            raise ArgumentTypeError(f"soft_judge={shown(judge)}: expected a function")
        self.judge, self.timeout = judge, real("soft_timeout", timeout, above=0, most=86_400)
        self._child: tuple[int, Child] | None = None

    def __call__(self, text: str, attribute: Soft) -> bool:
        """What the judge says.

        Args:
            text: The text.
            attribute: The attribute.
        """
        if self._child is None or self._child[0] != os.getpid():  # a fork has none of its own
            self._child = (os.getpid(), Child(lambda asked: self.judge(*asked), self.timeout))
        try:
            said: bool = self._child[1].ask((text, attribute))
        except ChildLost as lost:
            self._child = None
            warn(
                f"soft_judge of '{attribute.text:.40}': {lost}; it counts as not met", ScoreWarning
            )
            return False
        return said

    def __getstate__(self) -> dict[str, Any]:
        """All but the process."""
        return vars(self) | {"_child": None}


def judged(
    sets: Iterable[Sequence[Attribute]], soft_judge: Judge | None, name: str = "sets"
) -> None:
    """Refuse soft attributes where nobody decides them, before anything is spent on them.

    Args:
        sets: The sets.
        soft_judge: Who decides.
        name: Of the argument that has the sets.

    Raises:
        ArgumentError: A soft attribute without a judge.
    """
    if soft_judge is not None:
        return
    soft = next((a for one in sets for a in one if isinstance(a, Soft)), None)
    if soft is not None:
        raise ArgumentError(
            f"soft_judge: expected a function, because {name} has '{soft.text:.60}', which no rule "
            "can decide"
        )


def csr(
    texts: Sequence[str],
    sets: Sequence[Sequence[Attribute]],
    soft_judge: Judge | None = None,
) -> CSRResult:
    """The report of some texts, each with a set of its own.

    Args:
        texts: (n,) texts.
        sets: (n,) sets; none is empty.
        soft_judge: (text, attribute) -> bool, for soft attributes.

    Raises:
        ShapeError: As many sets as texts are needed.
        ArgumentError: An empty set, no texts, or a soft attribute without a judge.

    Examples:
        >>> csr(["a lamp"], [[Keyword("lamp"), Keyword("key")]]).mean
        0.5
    """
    for name, value in (("texts", texts), ("sets", sets)):
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise ArgumentTypeError(f"{name}={shown(value)}: expected a sequence")
    if len(texts) != len(sets):
        raise ShapeError(f"sets: got {len(sets)} for {len(texts)} texts, expected one each")
    if not len(texts):
        raise ArgumentError("texts: there are none, so their satisfaction is undefined")
    met = []
    kinds: dict[str, list[bool]] = defaultdict(list)
    single: dict[str, list[bool]] = defaultdict(list)
    places: list[list[bool]] = [[] for _ in range(QUARTILES)]
    for i, (text, given) in enumerate(zip(texts, sets, strict=True)):
        one = of_attributes(f"sets[{i}]", given)
        if not one:
            raise ArgumentError(f"sets[{i}] is empty, so its satisfaction is undefined")
        met.append(satisfied(contents(f"texts[{i}]", text), one, soft_judge))
        for k, (a, found) in enumerate(zip(one, met[-1], strict=True)):
            kinds[a.kind].append(found)
            single[a.render()].append(found)
            places[QUARTILES * k // len(one)].append(found)
    by_kind = {k: _share(kinds[k]) for k in KINDS if k in kinds}
    hard = [found for k, row in kinds.items() if k != "soft" for found in row]
    return CSRResult(
        sum(map(_share, met)) / len(met),
        sum(by_kind.values()) / len(by_kind),
        _share(hard) if hard else None,
        by_kind.get("soft"),
        by_kind,
        {name: _share(row) for name, row in single.items()},
        tuple(_share(row) if row else None for row in places),
        met,
    )


def _share(row: Sequence[bool]) -> float:
    return sum(row) / len(row)


def macro(met: Sequence[bool], attributes: Sequence[Attribute]) -> float:
    """The macro satisfaction of one text.

    Args:
        met: What `satisfied` returned.
        attributes: The set.
    """
    kinds: dict[str, list[bool]] = defaultdict(list)
    for a, found in zip(attributes, met, strict=True):
        kinds[a.kind].append(found)
    return sum(map(_share, kinds.values())) / len(kinds)


class Satisfaction:
    """A reward function of TRL: the macro satisfaction of the set in a column of the data.

    Args:
        soft_judge: Decides soft attributes.
        plain: Take the share of all attributes instead.
    """

    __name__ = "satisfaction"

    def __init__(self, soft_judge: Judge | None = None, plain: bool = False):
        if soft_judge is not None and not callable(soft_judge):
            raise ArgumentTypeError(f"soft_judge={shown(soft_judge)}: expected a function")
        self.soft_judge, self.plain = soft_judge, flag("plain", plain)

    def __call__(
        self, completions: Sequence[Any], attributes: Sequence[Sequence[str]], **columns: Any
    ) -> list[float]:
        """One reward each.

        Args:
            completions: Texts, or conversations whose last message counts.
            attributes: The column: for each completion its set, rendered.
            columns: Not used.
        """
        rewards = []
        for completion, lines in zip(completions, attributes, strict=True):
            one = [line if isinstance(line, Attribute) else parsed(line) for line in lines]
            met = satisfied(contents("completions", completion), one, self.soft_judge)
            rewards.append(_share(met) if self.plain else macro(met, one))
        return rewards


def keyword_list(attributes: Sequence[Attribute], exact: bool = False) -> str:
    """The text that a cheat writes: the keywords, as often as they are asked for, and nothing else.

    Args:
        attributes: The set.
        exact: Put the first word first, and repeat it until the number of words is right.
    """
    words = [a.word for a in attributes if isinstance(a, Keyword)]
    words += [a.word for a in attributes if isinstance(a, Frequency) for _ in range(a.times)]
    first = next((a.word for a in attributes if isinstance(a, Start)), "")
    if exact:
        words = [first, *words] if first and words[:1] != [first] else words
        need = next((a.low for a in attributes if isinstance(a, WordRange)), 0)
        words += [first or "the"] * (need - sum(len(w.split()) for w in words))
    return " ".join(words)
