"""AttributeControl: a model of words is to write texts that meet long lists of attributes.

    minimise  -(macro satisfaction on held-out sets)
    with the larger of 1 - (share of hard attributes met) and 1 - fluency as the violation

The judge writes a text for each held-out set and counts. The sets are in parts by name: those of
texts ("local"), and those that no text has ("global"). Fluency is how likely a word is under a
model of word triples, over the same of the corpus's own texts, at most 1: satisfaction alone can be
had by a list of the keywords with the right number of words, which nobody would call a text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...core.annotations import checked
from ...core.checks import naming, real
from ...core.errors import ArgumentError
from ...core.verdict import Verdict
from ..judged import Judged
from ..problem import LanguageProblem
from .attributes import Attribute, of_attributes, parsed
from .fluency import Trigrams, distinct
from .report import Judge, Satisfaction, TimedJudge, csr, judged
from .small import prompt_of
from .training import Corpus, checked_corpus

OWN = 500
"""Texts of the corpus by which fluency is measured."""


@dataclass(eq=False)
class AttributeControl(LanguageProblem):
    """Meet long lists of attributes; `attribute_control` makes one.

    Attributes:
        soft_judge: Decides soft attributes; None: there are none.
        fluent: Texts of which a model of word triples learns what is fluent; none of the corpus
            and none of the held-out ones. Without them fluency is no limit.
        tolerance: Share of hard attributes that may be missed in a feasible answer, and share of
            fluency: at 0.5, texts of at most twice the corpus's perplexity are feasible.
    """

    soft_judge: Judge | None = None
    fluent: Sequence[str] = ()
    tolerance: float = 0.5

    objective_title: ClassVar[str] = "macro satisfaction"
    example_budget: ClassVar[str] = "tokens=200000"

    def __post_init__(self) -> None:
        real("tolerance", self.tolerance, least=0, most=1)
        super().__post_init__()
        for name in ("text", "attributes", "part"):
            if name not in (self.data or {}):
                raise ArgumentError(f"data: it has no column '{name}'; see attribute_control")
        judged(self.sets(held_out=True), self.soft_judge, "held_out")

    def sets(self, held_out: bool = False) -> list[tuple[Attribute, ...]]:
        """The attributes of each prompt.

        Args:
            held_out: Of the held-out prompts.
        """
        data = (self.held_out_data if held_out else self.data) or {}
        return [tuple(parsed(line) for line in lines) for lines in data["attributes"]]

    def corpus(self) -> list[tuple[str, tuple[Attribute, ...]]]:
        """Texts that methods learn from, with their attributes."""
        assert self.data is not None
        found: list[tuple[str, tuple[Attribute, ...]]] = self.cached(
            "corpus", lambda: list(zip((self.data or {})["text"], self.sets(), strict=True))
        )
        return found

    def _verdict(self, answer: Any, rows: list[int]) -> Verdict:
        """The violation is of hard attributes and fluency, the violations by kind."""
        found = super()._verdict(answer, rows)
        missed = {
            name.removeprefix("met, "): 1 - value
            for name, value in found.metrics.items()
            if name.startswith("met, ") or name == "fluency"
        }
        return dataclasses.replace(
            found,
            violation=max(1 - found.metrics["hard"], missed.get("fluency", 0.0)),
            tolerance=self.tolerance,
            violations=missed,
        )

    def objective(self, found: Judged) -> float:
        """Minus the macro satisfaction of the most likely texts."""
        return -csr(found.greedy.texts, self._asked_of(found), self.soft_judge).macro

    def _asked_of(self, found: Judged) -> list[tuple[Attribute, ...]]:
        """The sets of the held-out prompts that were judged on."""
        sets = self.cached("held out", lambda: self.sets(held_out=True))
        return [sets[i] for i in found.rows]

    def measured(self, found: Judged) -> dict[str, float]:
        """Satisfaction by kind, position and part, and whether the texts read like others."""
        sets, texts = self._asked_of(found), found.greedy.texts
        every = csr(texts, sets, self.soft_judge)
        drawn = [one for one in sets for _ in range(self.samples)]
        metrics = {
            "macro": every.macro,
            "satisfaction": every.mean,
            "hard": 1.0 if every.hard is None else every.hard,
            "macro, drawn": csr(found.drawn.texts, drawn, self.soft_judge).macro,
            "kl": found.kl,
            "distinct-2": distinct(texts),
            "ended": float(found.greedy.ended(self.tokenizer).float().mean()),
        }
        if self.fluent:
            metrics |= self.fluency(texts)
        metrics |= {f"met, {kind}": value for kind, value in every.by_kind.items()}
        metrics |= {
            f"satisfaction, quarter {i + 1}": value
            for i, value in enumerate(every.per_position)
            if value is not None
        }
        parts = [(self.held_out_data or {})["part"][i] for i in found.rows]
        for part in sorted(set(parts)):
            rows = [k for k, p in enumerate(parts) if p == part]
            some = csr([texts[k] for k in rows], [sets[k] for k in rows], self.soft_judge)
            metrics[f"macro, {part}"] = some.macro
        return metrics

    def fluency(self, texts: Sequence[str]) -> dict[str, float]:
        """Whether texts read like those of the corpus.

        Args:
            texts: The texts.

        Returns:
            "perplexity" under a model of word triples that learnt from `fluent`, and "fluency": the
            corpus's own perplexity over it, at most 1.
        """

        def learnt() -> tuple[Trigrams, float]:
            trigrams, own = Trigrams(self.fluent), (self.data or {})["text"]
            return trigrams, trigrams.perplexity(own[:: max(len(own) // OWN, 1)])

        trigrams, usual = self.cached("trigrams", learnt)
        here = trigrams.perplexity(texts)
        return {"perplexity": here, "fluency": min(usual / here, 1.0)}

    def reached(self, verdict: Verdict) -> str:
        """The macro satisfaction of held-out sets."""
        return f"macro satisfaction {-verdict.objective:.6g}"


@checked
def attribute_control(
    policy: Any,
    tokenizer: Any,
    corpus: Corpus,
    held_out: Mapping[str, Sequence[Sequence[Attribute]]],
    soft_judge: Judge | None = None,
    soft_timeout: float | None = None,
    **more: Any,
) -> AttributeControl:
    """The problem of a model, a corpus, and held-out sets.

    Args:
        policy: As of a LanguageProblem.
        tokenizer: As of a LanguageProblem.
        corpus: Texts, each with its attributes.
        held_out: Name of a part -> sets, in the order in which prompts say them.
        soft_judge: Decides soft attributes.
        soft_timeout: Seconds for one answer of it; it is asked in a process of its own then, and
            has said no where it gives none in time. None: no limit.
        more: Other fields of AttributeControl.

    Raises:
        ArgumentError: An empty corpus, no held-out set, an empty one, or one with a soft attribute
            that has no judge.
    """
    rows = checked_corpus(corpus)
    if soft_judge is not None and soft_timeout is not None:
        soft_judge = TimedJudge(soft_judge, soft_timeout)
    with naming("held_out"):
        asked = [
            (part, of_attributes("held_out", one))
            for part, sets in held_out.items()
            for one in sets
        ]
    if not asked or not all(one for _, one in asked):
        raise ArgumentError("held_out: expected parts with sets, none of them empty")

    def columns(texts: Sequence[str], parts: Sequence[str], sets: Sequence[Any]) -> dict[str, Any]:
        lines = [[a.render() for a in one] for one in sets]
        return {"text": list(texts), "part": list(parts), "attributes": lines}

    sets = [one for _, one in rows]
    return AttributeControl(
        policy,
        tokenizer,
        [prompt_of(one) for one in sets],
        [prompt_of(one) for _, one in asked],
        Satisfaction(soft_judge),
        columns([text for text, _ in rows], ["corpus"] * len(rows), sets),
        columns([""] * len(asked), [part for part, _ in asked], [one for _, one in asked]),
        soft_judge=soft_judge,
        **more,
    )
