"""What may be spent, and the meter that stops a charge before it passes the limit."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .annotations import Checked
from .errors import ArgumentError, BudgetError, BudgetExhausted, is_number, nearest

CLOCK = "seconds"
"""The one resource that nobody charges: a meter reads it from its clock."""
RESOURCES: dict[str, Resource] = {}
"""Every known resource by name."""


@dataclass(frozen=True)
class Resource(Checked):
    """Something that may be spent. To make one is to register it, so that budgets may limit it.

    Args:
        name: As budgets and `spend` name it; an identifier.
        unit: What one unit is, for people.
        counted: True where units are whole numbers (messages, labels), False where they are real
            (simulated time, kWh, cost).
        irreversible: True where spending cannot be had back (privacy, a person's label, a call that
            is paid for), so what it bought is stored before anybody sees it.

    Raises:
        ArgumentError: The name is no identifier, or another resource has it already.

    Examples:
        >>> energy = Resource("kwh", "energy drawn from the grid, in kWh", counted=False)
        >>> Budget(kwh=2.5)
        Budget(kwh=2.5)
    """

    name: str
    unit: str
    counted: bool = True
    irreversible: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ArgumentError(f"resource name={self.name!r:.60}: expected an identifier")
        known = RESOURCES.setdefault(self.name, self)
        if known != self:
            raise ArgumentError(f"resource '{self.name}' is known already as {known}, got {self}")


for _name, _unit in {
    "steps": "steps of the method",
    "evaluations": "evaluations of the objective",
    "checks": "cheap first-stage checks of constraints",
    "gradients": "gradients",
    "hessian_products": "Hessian-vector products",
    "messages": "messages between nodes",
    "bytes": "bytes sent from node to node, each message counted once",
    "env_steps": "transitions, counted over all copies of an environment",
    "samples": "samples drawn",
    "tokens": "tokens",
}.items():
    Resource(_name, _unit)
Resource("calls", "calls of a language model", irreversible=True)
Resource("cost", "cost of evaluations that are not all equally dear, in the user's unit", False)
Resource("labels", "answers of a person: a preference, or a utility", irreversible=True)
Resource("rho", "zero-concentrated differential privacy", False, irreversible=True)
Resource(CLOCK, "seconds of the method's own time", False)


def register_resource(name: str, unit: str) -> None:
    """Make `name` a counted resource. Deprecated: make a `Resource`."""
    warnings.warn(
        "register_resource(name, unit) goes in the next release: make a feasible.Resource(name, "
        "unit)",
        DeprecationWarning,
        stacklevel=2,
    )
    if name not in RESOURCES:
        Resource(name, unit)


_MOST = 1e18


class Budget(Mapping[str, float]):
    """Limits by resource, for example ``Budget(evaluations=200, seconds=60)``.

    Args:
        **limits: Units by resource; whole numbers where the resource is counted.

    Raises:
        BudgetError: No limit at all, an unknown resource, or a limit that is not a positive finite
            number.

    Examples:
        >>> Budget(evaluations=200, cost=2.5)
        Budget(evaluations=200, cost=2.5)
    """

    def __init__(self, **limits: float):
        if not limits:
            raise BudgetError(
                "budget is empty: give at least one limit, for example Budget(evaluations=200)"
            )
        self._limits: dict[str, float] = {}
        for name, limit in limits.items():
            if name not in RESOURCES:
                raise BudgetError(
                    f"budget names the unknown resource '{name}': {nearest(name, RESOURCES)}"
                )
            if not is_number(limit) or not -_MOST < limit < _MOST:
                raise BudgetError(f"budget {name}={limit!r:.40}: expected a positive finite number")
            if limit <= 0:
                raise BudgetError(
                    f"budget {name}={float(limit):g} leaves nothing to spend: expected a positive "
                    "number"
                )
            resource = RESOURCES[name]
            if resource.counted and limit != int(limit):
                raise BudgetError(
                    f"budget {name}={float(limit):g}: expected a whole number, {resource.unit} are "
                    "counted"
                )
            self._limits[name] = int(limit) if resource.counted else float(limit)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read text.

        Args:
            text: ``"evaluations=200,seconds=60"``, also separated by blanks.

        Raises:
            BudgetError: It cannot be read.
        """
        limits: dict[str, float] = {}
        for part in text.replace(",", " ").split():
            name, sign, value = part.partition("=")
            try:
                number = float(value)
            except ValueError:
                number = math.nan
            if not sign or math.isnan(number):
                raise BudgetError(
                    f"budget '{text}': cannot read '{part}', expected RESOURCE=NUMBER such as "
                    "evaluations=200"
                )
            if name in limits:
                raise BudgetError(f"budget '{text}' gives {name} twice")
            limits[name] = number
        return cls(**limits)

    @classmethod
    def of(cls, budget: Budget | Mapping[str, float] | str | int) -> Budget:
        """Take a budget as a user gives it.

        Args:
            budget: A Budget, a mapping, ``"evaluations=200"``, or a bare number of evaluations.

        Raises:
            BudgetError: It is none of these, or malformed.
        """
        if isinstance(budget, Budget):
            return budget
        if isinstance(budget, str):
            return cls.parse(budget)
        if isinstance(budget, Mapping):
            return cls(**{str(name): limit for name, limit in budget.items()})
        if is_number(budget):
            return cls(evaluations=budget)
        raise BudgetError(
            f"budget={budget!r}: expected a Budget, a mapping, or text such as 'evaluations=200'"
        )

    def __getitem__(self, name: str) -> float:
        return self._limits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._limits)

    def __len__(self) -> int:
        return len(self._limits)

    def __repr__(self) -> str:
        return "Budget(" + ", ".join(f"{k}={v:g}" for k, v in self._limits.items()) + ")"

    def __str__(self) -> str:
        return ",".join(f"{k}={v:g}" for k, v in self._limits.items())


class Meter:
    """Counts what a run spends. The clock stands still while the run judges or stores.

    Args:
        limits: Units by resource.
        spent: What an earlier part of the same run spent, so that a budget belongs to the run, not
            the call.
        clock: Seconds, from any start.

    Attributes:
        tally: Where charges are also noted by resource, see `charges`; None: nowhere.
    """

    __slots__ = ("_clock", "_paused", "_slack", "_started", "limits", "spent", "tally")

    def __init__(
        self,
        limits: Mapping[str, float],
        spent: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.limits: dict[str, float] = dict(limits)
        self.spent: dict[str, float] = dict.fromkeys(limits, 0) | dict(spent or {})
        self._slack = {
            r: 1e-12 * v for r, v in limits.items() if r in RESOURCES and not RESOURCES[r].counted
        }  # what is real is a sum that rounds; what is counted is exact
        self._clock = clock
        self._started = clock() - self.spent.get(CLOCK, 0.0)
        self._paused: float | None = None
        self.tally: dict[str, float] | None = None

    @property
    def seconds(self) -> float:
        """Seconds of the method's own time so far."""
        return (self._clock() if self._paused is None else self._paused) - self._started

    def pause(self) -> bool:
        """Stop the clock; False if it stood already, so that the inner of two nested pauses does
        not restart it.
        """
        if self._paused is not None:
            return False
        self._paused = self._clock()
        return True

    def go_on(self) -> None:
        """Start the clock again."""
        if self._paused is not None:
            self._started += self._clock() - self._paused
            self._paused = None

    def set_clock(self, seconds: float) -> None:
        """Put the clock forward to `seconds`, where a replayed row was recorded; never back."""
        now = self._clock() if self._paused is None else self._paused
        self._started = min(self._started, now - seconds)

    def grant(self, resource: str, n: float) -> float:
        """Charge as much of `n` as is left and return it (0 when nothing is left)."""
        self.check_time()
        spent = self.spent.get(resource, 0)
        limit = self.limits.get(resource)
        if limit is not None and spent + n > limit:
            n = max(limit - spent, 0)
        self.spent[resource] = spent + n
        return n

    def take(self, resource: str, n: float) -> bool:
        """Charge `n` units if all of them are left and no clock runs; otherwise charge nothing and
        say False.
        """
        spent = self.spent.get(resource, 0) + n
        if spent > self.limits.get(resource, math.inf) or CLOCK in self.limits:
            return False
        self.spent[resource] = spent
        return True

    def charge(self, resource: str, n: float) -> None:
        """Charge `n` units, or raise BudgetExhausted and charge nothing."""
        self.check_time()
        spent = self.spent.get(resource, 0)
        limit = self.limits.get(resource)
        if limit is not None and spent + n > limit + self._slack.get(resource, 0):
            raise BudgetExhausted(resource, limit, spent, n)
        self.spent[resource] = spent + n
        if self.tally is not None:
            self.tally[resource] = self.tally.get(resource, 0) + n

    def owe(self, resource: str, n: float) -> None:
        """Count `n` units that were spent elsewhere already, whatever the limit."""
        self.spent[resource] = self.spent.get(resource, 0) + n

    def refund(self, resource: str, n: float) -> None:
        """Give back units that were granted and not used."""
        self.spent[resource] -= n

    def left(self, resource: str) -> float:
        """Units left of a resource, infinite where it is not limited."""
        limit = self.limits.get(resource)
        if limit is None:
            return math.inf
        return max(limit - (self.seconds if resource == CLOCK else self.spent.get(resource, 0)), 0)

    def check_time(self) -> None:
        """Raise BudgetExhausted when the seconds are used up."""
        limit = self.limits.get(CLOCK)
        if limit is not None and self.seconds >= limit:
            raise BudgetExhausted(CLOCK, limit, self.seconds, 0)

    def restart(self, spent: Mapping[str, float]) -> None:
        """Go on from what another meter's snapshot says."""
        self.spent.update(spent)
        self._started = self._clock() - spent[CLOCK]

    def units(self) -> float:
        """All units that oracles charged, over all resources: no steps, no seconds."""
        return sum(v for r, v in self.spent.items() if r not in ("steps", CLOCK))

    def irreversible(self) -> float:
        """All units of irreversible resources."""
        return sum(v for r, v in self.spent.items() if r in RESOURCES and RESOURCES[r].irreversible)

    def snapshot(self) -> dict[str, float]:
        """What was spent so far, seconds included."""
        return self.spent | {CLOCK: self.seconds}


active_meter: ContextVar[Meter | None] = ContextVar("feasible_meter", default=None)
"""The meter of the run that is active in this context."""


@contextmanager
def charges() -> Iterator[dict[str, float]]:
    """Note what is charged inside, by resource: the mapping that this gives is filled meanwhile."""
    meter, found = active_meter.get(), dict[str, float]()
    if meter is None:
        yield found
        return
    before, meter.tally = meter.tally, found
    try:
        yield found
    finally:
        meter.tally = before


def spend(**amounts: float) -> None:
    """Charge the active run before doing the work: ``spend(evaluations=1)``. Outside a run nothing
    is charged.

    Raises BudgetExhausted, before anything is charged for that resource, if a limit would be
    passed.
    """
    meter = active_meter.get()
    if meter is None:
        return
    for resource, amount in amounts.items():
        if resource not in RESOURCES:
            raise BudgetError(
                f"spend names the unknown resource '{resource}': {nearest(resource, RESOURCES)}"
            )
        if not amount >= 0:
            raise BudgetError(f"spend({resource}={amount!r}): expected a number >= 0")
        meter.charge(resource, amount)


def reserve(amounts: Mapping[str, float]) -> None:
    """Charge all of some amounts to the active run, or none of them.

    Raises:
        BudgetExhausted: One of them would pass its limit.
    """
    meter = active_meter.get()
    if meter is None:
        return
    for resource, n in amounts.items():
        if n > meter.left(resource):
            limit = meter.limits[resource]
            raise BudgetExhausted(resource, limit, meter.spent.get(resource, 0), n)
    spend(**amounts)


def give_back(held: Mapping[str, float], used: Mapping[str, float]) -> None:
    """Give the active run back what was reserved and not used; what was used beyond is counted."""
    meter = active_meter.get()
    if meter is None:
        return
    for resource, n in held.items():
        left = n - used.get(resource, 0)
        if left >= 0:
            meter.refund(resource, left)
        else:
            meter.owe(resource, -left)


@contextmanager
def uncharged() -> Iterator[None]:
    """Charge nobody meanwhile."""
    token = active_meter.set(None)
    try:
        yield
    finally:
        active_meter.reset(token)
