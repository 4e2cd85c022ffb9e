"""A black box for people: its designs as tables, its rows as data frames, what it is in a few
lines.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.ledger import STATUS, Observation, Observations
from ..core.limits import Limits
from ..core.pareto import Cloud
from ..core.plain import is_plain, plain
from ..core.problem import Method, Problem
from ..core.verdict import Verdict
from . import fronts
from .fronts import ObservedFront
from .history import History
from .objective import Objective
from .reading import Reader
from .space import Known, Space

if TYPE_CHECKING:
    import pandas as pd

OWN = ("violation", "feasible", "status", "reason", "best", "front")
"""Columns of a frame that are not the user's."""


class Shown(Problem):
    """The part of a `BlackBox` that people see.

    Attributes:
        fun: The user's function.
        space: The variables.
        reader: The objectives and limits.
        tolerance: Largest violation that counts as feasible.
        best_point: From the literature.
        truth: True if fun is the truth.
        free_repeats: True if exact repeats are answered from the ledger.
    """

    fun: Callable[..., Any] | None
    space: Space
    reader: Reader
    best_point: Any
    truth: bool
    free_repeats: bool
    check: Callable[..., Any] | None
    history: History | None
    _tests: list[Known]

    @property
    def goal(self) -> Objective:
        """What is optimised."""
        return self.reader.objective

    @property
    def objective(self) -> str | None:
        """Name of the metric that is optimised; None until it is known, or where several are."""
        return None if self.several else self.reader.objective.name

    @property
    def maximize(self) -> bool:
        """True if large values of the objective are good."""
        return self.reader.objective.maximize

    @property
    def target(self) -> float | None:
        """The value that the objective should have, if any."""
        return self.reader.objective.target

    @property
    def unit(self) -> str:
        """The objective's unit."""
        return self.reader.objective.unit

    @property
    def noise(self) -> float | bool:
        """Standard deviation of the objective, 0 where it repeats, True where it is unknown; of
        several objectives the largest.
        """
        return max(o.noise for o in self.reader.parts)

    @property
    def sign(self) -> float:  # type: ignore[override]
        """-1 where the objective is maximised, as the hypervolume of several is, else 1."""
        return -1.0 if self.several else self.reader.objective.sign

    @property
    def limits(self) -> Limits:
        """What is limited."""
        return self.reader.limits

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Metrics that every row has: the objective, then what is limited."""
        return self.reader.columns

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the variables."""
        return self.space.names

    @property
    def metric_titles(self) -> dict[str, str]:
        """Column heading by metric, with units."""
        titles = {
            c: o.titled(c) for c, o in zip(self.reader.objectives, self.reader.parts, strict=True)
        }
        limited = {
            q.name: f"{q.name} [{q.unit}]" if q.unit else q.name for q in self.reader.limits.limits
        }
        return titles | limited

    @property
    def objective_title(self) -> str:  # type: ignore[override]
        """Heading of what is minimised or maximised, with its unit; with a target, its distance
        from it; of several objectives the hypervolume.
        """
        if self.reader.several:
            return "hypervolume"
        title, target = next(iter(self.metric_titles.values())), self.reader.objective.target
        return title if target is None else f"distance of {title} from {target:g}"

    def stated_limits(self, answer: Any = None) -> dict[str, str]:
        """Each limit as people write it, with the tolerance that it is judged with, in its unit.

        Args:
            answer: An observation or a front of a run, which knows the sizes of limits whose bound
                is 0; without one, or where nothing was measured, these say what the size will be.
        """
        sizes = answer.sizes if isinstance(answer, Observation) else None
        if isinstance(answer, ObservedFront) and answer.rows.sizes is not None:
            sizes = answer.rows.sizes.of(self.reader.limits.m)
        known = self.reader.limits.sizes(sizes)
        return {q.name: q.stated(self.tolerance, known[q.name]) for q in self.reader.limits.limits}

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The design and its constraints one by one, as rows of text; of a front its points."""
        if isinstance(answer, ObservedFront):
            return fronts.table(answer, self.metric_titles, fronts.SHOWN)
        if answer is None:
            return [("variable", "value", "unit"), ("(none)", "nothing was evaluated", "")]
        rows: list[tuple[str, ...]] = [("variable", "value", "unit")]
        rows += [
            (v.name, v.show(float(a)), v.unit)
            for v, a in zip(self.space.variables, answer, strict=True)
        ]
        rows.append(("metric", "value", "limit", "slack", "unit"))
        for name, objective in zip(self.reader.objectives, self.reader.parts, strict=True):
            value = verdict.metrics.get(name, math.nan)
            if self.reader.several is None and objective.target is None:
                value = objective.sign * verdict.objective
            rows.append((name, f"{value:.8g}", objective.sense, "", objective.unit))
        stated = self.stated_limits(answer)
        for q in self.reader.limits.limits:
            value = verdict.metrics.get(q.name, math.nan)
            text = ("yes" if value else "no") if q.yes_no and value == value else f"{value:.8g}"
            slack = "" if q.yes_no else f"{q.slack(value):.3g}"
            rows.append((q.name, text, stated[q.name], slack, q.unit))
        return rows

    def frame(self, rows: Observations) -> pd.DataFrame:
        """One row per evaluation: id, variables, raw metrics, violation, feasible, status, reason,
        best so far (feasible only; of several objectives the hypervolume, and which rows are the
        front).
        """
        import pandas as pd

        data: dict[str, Any] = {"id": rows.id}
        for j, v in enumerate(self.space.variables):
            x = rows.x[:, j]
            whole = x.astype(int) if v.integer else x
            data[v.title] = [v.choices[round(c)] for c in x] if v.choices else whole
        titles = self.metric_titles
        for j, c in enumerate(rows.columns):
            title, column = titles.get(c, c), rows.values[:, j]
            if c in self.reader.columns or not np.isnan(column).all():
                data[title if title not in {*data, *OWN} else f"{title} (metric)"] = column
        good = fronts.feasible_rows(rows, self.tolerance)
        data |= {
            "violation": rows.violation,
            "feasible": good,
            "status": [STATUS[s] for s in rows.status],
            "reason": [rows.reason.get(i, "") for i in range(len(rows))],
        }
        if self.reader.several:
            data["best"], data["front"] = fronts.best_so_far(self.reader, self.tolerance, rows)
        else:
            best = np.fmin.accumulate(np.where(good, rows.objective, np.nan))
            data["best"] = self.reader.objective.sign * best
        return pd.DataFrame(data)

    def fingerprint(self) -> dict[str, Any]:
        """Variables with their bounds, sense or target, limits: what a stored run relies on."""
        several = self.reader.several
        aims = several and {
            o.name: [o.maximize, o.target, r]
            for o, r in zip(several.parts, several.reference, strict=True)
        }
        return {
            **({"objectives": aims} if aims else {}),
            "maximize": self.reader.objective.maximize,
            "target": self.reader.objective.target,
            "variables": {
                v.name: [
                    plain(float(v.low)),
                    plain(float(v.high)),
                    v.integer,
                    v.log,
                    [str(c) for c in v.choices],
                ]
                for v in self.space.variables
            },
            "limits": {q.name: q.text for q in self.reader.limits.limits},
            "scales": {
                q.name: q.scale for q in self.reader.limits.limits if q.scale and not q.yes_no
            },
        }

    def declaration(self) -> dict[str, Any]:
        """Variables, objectives, limits and constraints, without any function; read back by
        `stored.stored_problem`.
        """
        reader, several = self.reader, self.reader.several
        return {
            "name": self.name,
            "variables": [
                {**asdict(v), "choices": [c if is_plain(c) else str(c) for c in v.choices]}
                for v in self.space.variables
            ],
            "objectives": [asdict(part) for part in reader.parts],
            "reference": several and dict(zip(several.names, several.reference, strict=True)),
            "limits": [asdict(limit) for limit in reader.declared],
            "constraints": [
                {"name": f.name, "low": f.low, "high": f.high} for f in reader.functions
            ],
            "staged": reader.staged,
            "free_repeats": self.free_repeats,
            "tolerance": self.tolerance,
        }

    def sources(self) -> dict[str, Any]:
        """Its functions: fun, check, the known constraints and SciPy's."""
        known = {f"known {i + 1}": test for i, test in enumerate(self._tests)}
        constraints = {f"constraint {f.name}": f.fun for f in self.reader.functions}
        return {**super().sources(), "fun": self.fun, "check": self.check, **known, **constraints}

    def unused(self, method: Method) -> list[str]:
        """Descriptors and an earlier study, of which most methods know nothing."""
        told = {
            "descriptors": any(v.descriptors for v in self.space.variables),
            "history": self.history is not None,
        }
        uses = method.uses_beforehand
        known = tuple(told) if uses is True else uses or ()
        given = " and ".join(name for name, so in told.items() if so and name not in known)
        if not given:
            return []
        return [f"{method.name} makes no use of {given}; robust-bo learns from them"]

    def outline(self) -> list[str]:
        """Variables, several objectives and limits, as lines."""
        lines = [
            "variables:",
            *(f"  {v.title} in [{v.low:g}, {v.high:g}]" for v in self.space.variables),
        ]
        if several := self.reader.several:
            lines += ["objectives:"]
            for o, r in zip(several.parts, several.reference, strict=True):
                lines += [f"  {o.sense} {o.titled(str(o.name))}, reference {r:g}"]
        stated = self.stated_limits()
        return lines + (["limits:", *(f"  {n} {q}" for n, q in stated.items())] if stated else [])

    def facts(self) -> dict[str, Any]:
        """Variables and limits as plain data; constraints: the number of their finite sides."""
        return {
            "variables": [
                {"name": v.name, "low": v.low, "high": v.high, "unit": v.unit}
                for v in self.space.variables
            ],
            "limits": {q.name: q.text for q in self.reader.limits.limits},
            "constraints": self.reader.limits.m,
            **({"objectives": list(self.reader.objectives)} if self.reader.several else {}),
        }

    def present(self, answer: Any) -> Any:
        """An observation that gives categories by their choice: ``answer["solvent"]`` is "DMAc",
        not its code.
        """
        choices = tuple(v.choices for v in self.space.variables)
        return (
            replace(answer, choices=choices)
            if isinstance(answer, Observation) and any(choices)
            else answer
        )

    def design(self, answer: Any) -> dict[str, Any] | None:
        """The design by variable name; of a front the points' values of each variable and
        objective.
        """
        if isinstance(answer, ObservedFront):
            names = (*self.names, *self.reader.objectives)
            return {"id": answer.rows.id.tolist()} | {n: answer[n].tolist() for n in names}
        return self.space.mapping(answer.x) if isinstance(answer, Observation) else None

    def reached(self, verdict: Verdict) -> str:
        """The objective's value; of several the hypervolume and the number of points."""
        if not self.several:
            return super().reached(verdict)
        count = verdict.metrics.get("points", 0)
        return f"hypervolume {-verdict.objective:.8g} by {count:g} points"

    def listing(self, answer: Any) -> list[str]:
        """The front's objectives, some of them where they are many."""
        front = isinstance(answer, ObservedFront)
        return fronts.lines(answer, self.metric_titles) if front else []

    def cloud(self, rows: Observations) -> Cloud | None:
        """The rows by their objectives, where these are several."""
        if not self.several:
            return None
        return fronts.cloud(self.reader, self.tolerance, rows, self.metric_titles)

    def best_answer(self) -> Any:
        """The literature's best point, where the truth of a point is known."""
        return self.best_point if self.truth else None

    def about(self) -> str:
        """What its function says of itself."""
        return inspect.getdoc(self if self.fun is None else self.fun) or ""
