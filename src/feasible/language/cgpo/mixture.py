"""A mixture of judges: a list, satisfied where all of them are that apply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import naming, shown
from ...core.errors import ArgumentTypeError
from ..scoring import Scorer
from .judges import text_of

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

JudgeFunction = Callable[..., Any]


@dataclass
class Opinions:
    """What judges say of N responses.

    Attributes:
        satisfied: (N,) True where no judge that applies says no.
        by_judge: Name -> (N,) 1, 0, or NaN where it does not apply.
        reasons: "NAME, response i" -> why a judge gave no value; it counts as a no.
    """

    satisfied: Bool[np.ndarray, " N"]
    by_judge: dict[str, Float[np.ndarray, " N"]]
    reasons: dict[str, str]


class MixtureOfJudges(list[JudgeFunction]):
    """Judges, of which all must be satisfied; of none everything is.

    It is called as each of them is, so it is a judge too. A judge that raises has said no to the
    responses for which it does so, and the reason is kept (`report`).

    Args:
        judges: Functions f(completions, **columns) -> True, False or None for each; or a mapping
            from names to such.

    Raises:
        ArgumentTypeError: One is no function.

    Examples:
        >>> short = MixtureOfJudges([lambda completions, **_: [len(c) < 3 for c in completions]])
        >>> short(["ab", "abc"])
        [True, False]
    """

    def __init__(self, judges: Iterable[JudgeFunction] | Mapping[str, JudgeFunction] = ()) -> None:
        named = isinstance(judges, Mapping)
        if isinstance(judges, (str, bytes)) or not (named or hasattr(judges, "__iter__")):
            raise ArgumentTypeError(f"judges={shown(judges)}: expected functions")
        with naming("judges"):
            given = list(judges.values()) if isinstance(judges, Mapping) else list(judges)
        for i, judge in enumerate(given):
            if not callable(judge):
                raise ArgumentTypeError(f"judges[{i}]={shown(judge)}: expected a function")
        super().__init__(given)
        self.given_names = [str(n) for n in judges] if isinstance(judges, Mapping) else None

    def named(self) -> dict[str, JudgeFunction]:
        """The judges by name: the given one, else the function's or class's, with a number where
        several have the same.
        """
        if self.given_names is not None and len(self.given_names) == len(self):
            return dict(zip(self.given_names, self, strict=True))
        found: dict[str, JudgeFunction] = {}
        for judge in self:
            first = name = getattr(judge, "__name__", type(judge).__name__)
            number = 2
            while name in found:
                name, number = f"{first} {number}", number + 1
            found[name] = judge
        return found

    def report(self, completions: Sequence[Any], **columns: Any) -> Opinions:
        """What each judge says of each response.

        Args:
            completions: Text, or messages.
            **columns: Lists with an entry for each.

        Raises:
            ArgumentError: A judge said something else than True, False or None.
        """
        texts = [text_of(c) for c in completions]
        prompts = columns.pop("prompts", [""] * len(texts))
        satisfied = np.ones(len(texts), bool)
        by_judge: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        for name, judge in self.named().items():
            found = Scorer(name, judge, judge=True).ask(prompts, texts, columns)
            by_judge[name] = found.values
            reasons |= {f"{name}, response {i}": why for i, why in found.reasons.items()}
            satisfied &= ~(found.values == 0)
        return Opinions(satisfied, by_judge, reasons)

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[bool]:
        """Whether each response satisfies all judges that apply."""
        return [bool(y) for y in self.report(completions, **columns).satisfied]
