"""The rules as methods of runs on tables of responses: one iteration a step.

Each iteration draws K responses to every prompt, has them judged, and takes a step of Adam on the
rule's loss (Algorithm 1 of Xu et al., 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from ...core.checks import real, whole
from ...core.problem import Method, Problem
from ...core.warning import warn
from .contradiction import budget_warning, contradiction
from .rules import CODPO, CRPG, CRRAFT, DPO, RAFT, RLOO, BanditPPO, Lagrangian, Rule
from .table import ResponseTable


@dataclass
class TableState:
    """What changes from step to step.

    Attributes:
        logits: (n, m) of the policy.
        optimizer: Adam on them.
        generator: What responses are drawn from.
        multiplier: The Lagrangian's.
        steps: Iterations so far.
        ended: Why it cannot go on; "" while it can.
        said: What the result should say.
    """

    logits: torch.Tensor
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    multiplier: float = 0.0
    steps: int = 0
    ended: str = ""
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TableMethod(Method):
    """A rule on a table of responses; stands before the rule among the bases.

    Attributes:
        k: Responses a prompt in each iteration.
        rate: Of Adam, on the logits.
        warm_up: First iterations, which are steps of online DPO instead.
    """

    solves: ClassVar[type[Problem]] = ResponseTable
    k: int = 8
    rate: float = 0.05
    warm_up: int = 0

    def __post_init__(self) -> None:
        whole("k", self.k, least=2)
        real("rate", self.rate, above=0)
        whole("warm_up", self.warm_up, least=0)
        super().__post_init__()  # type: ignore[misc]

    @property
    def rule(self) -> Rule:
        """Itself, as what makes the loss."""
        assert isinstance(self, Rule)
        return self

    def init(self, problem: ResponseTable, rng: np.random.Generator) -> TableState:
        """Begin at the reference."""
        logits = problem.tables()["reference"].clone().requires_grad_()
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return TableState(logits, torch.optim.Adam([logits], lr=self.rate), generator)

    def step(self, problem: ResponseTable, state: TableState) -> TableState:
        """Draw, judge and learn."""
        warming = state.steps < self.warm_up
        rule = DPO(use_judges=self.rule.judging) if warming else self.rule
        policy = torch.log_softmax(state.logits, -1)
        source = problem.tables()["reference"] if rule.offline and not warming else policy
        drawn = problem.draw(source, self.k, state.generator)
        if state.steps == 0:
            state.said = self.first(problem, drawn)
        old = policy.detach().gather(1, drawn)
        for _ in range(rule.epochs):
            found = problem.rollouts(torch.log_softmax(state.logits, -1), drawn)
            found.old_logp = old
            loss = rule.loss(found, state.multiplier)
            if not bool(torch.isfinite(loss)):
                state.ended = f"the loss is {float(loss.detach())}"
                return state
            state.optimizer.zero_grad()
            loss.backward()
            state.optimizer.step()
        violated = 1 - float(found.judged.double().mean())
        state.multiplier = rule.raised(state.multiplier, violated)
        state.steps += 1
        return state

    def first(self, problem: ResponseTable, drawn: torch.Tensor) -> list[str]:
        """What the first responses, which are the reference's, say of the constraints."""
        judged = {
            name: torch.as_tensor(v).gather(1, drawn).numpy() for name, v in problem.judges.items()
        }
        found = [contradiction(judged)]
        kl_max = getattr(self, "kl_max", None)
        if kl_max is not None and self.rule.judging:
            found.append(budget_warning(kl_max, problem.tables()["satisfied"].gather(1, drawn)))
        said = [text for text in found if text]
        for text in said:
            warn(text)
        return said

    def answer(self, problem: ResponseTable, state: TableState) -> np.ndarray:
        """The policy's log-probabilities."""
        found: np.ndarray = torch.log_softmax(state.logits.detach(), -1).numpy().copy()
        return found

    def done(self, problem: ResponseTable, state: TableState) -> str | None:
        """Where a loss is no number."""
        return state.ended or None

    def remarks(self, problem: ResponseTable, state: TableState) -> list[str]:
        """Judges that contradict each other, and a kl_max that is too small."""
        return list(state.said)


@dataclass(frozen=True)
class TableCRPG(TableMethod, CRPG):
    """CRPG on a table; see CRPG and TableMethod."""

    name: ClassVar[str] = "crpg-table"


@dataclass(frozen=True)
class TableCRRAFT(TableMethod, CRRAFT):
    """CRRAFT on a table; see CRRAFT and TableMethod."""

    name: ClassVar[str] = "crraft-table"


@dataclass(frozen=True)
class TableCODPO(TableMethod, CODPO):
    """CODPO on a table; see CODPO and TableMethod."""

    name: ClassVar[str] = "codpo-table"


@dataclass(frozen=True)
class TableLagrangian(TableMethod, Lagrangian):
    """RLOO with a multiplier on a table; see Lagrangian and TableMethod."""

    name: ClassVar[str] = "lagrangian-table"


@dataclass(frozen=True)
class TableRLOO(TableMethod, RLOO):
    """RLOO on a table; see RLOO and TableMethod."""

    name: ClassVar[str] = "rloo-table"


@dataclass(frozen=True)
class TablePPO(TableMethod, BanditPPO):
    """PPO of one action on a table; see BanditPPO and TableMethod."""

    name: ClassVar[str] = "ppo-table"


@dataclass(frozen=True)
class TableRAFT(TableMethod, RAFT):
    """RAFT on a table; see RAFT and TableMethod."""

    name: ClassVar[str] = "raft-table"


@dataclass(frozen=True)
class TableDPO(TableMethod, DPO):
    """DPO on the reference's own responses; see DPO and TableMethod."""

    name: ClassVar[str] = "dpo-table"
