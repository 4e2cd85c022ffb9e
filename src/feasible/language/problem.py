"""LanguageProblem: a model of words to be fine-tuned for a reward, with checks that must hold.

    maximise  E[reward(prompt, response)]   subject to   the share of responses that satisfy a
    judge within its limit, for each judge by name

Responses are drawn from the policy. Samples and tokens are paid for before they are drawn, calls of
a judge that is a model before they are made. The judge of a run writes responses to prompts that no
method sees, uncharged.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ..core.annotations import Checked
from ..core.budget import give_back, reserve, spend, uncharged
from ..core.cached import Cached
from ..core.checks import naming, real, shown, whole
from ..core.errors import ArgumentError, ArgumentTypeError, LimitError
from ..core.limits import Limits, read_limits
from ..core.problem import Problem
from ..core.verdict import Verdict
from .judged import Judged, Scores, share
from .policy import Responses, TokenLogps, context_of, generate, joined, logp, prompt_tokens
from .scoring import Asked, Scorer, columns_of
from .weights import digest, load_weights, read_policy, read_tokenizer

JUDGE = 2_000_003
"""Seed of the responses that the judge draws."""
TOGETHER = 512
"""Responses that the judge writes at once."""


@dataclass(eq=False)
class LanguageProblem(Cached, Problem, Checked):
    """Fine-tune a model of words for a reward.

    An answer is the model's weights, name -> tensor, as its `state_dict` has them. Rewards and
    judges are functions f(completions, prompts=..., **columns) that return a list with a number (of
    a judge, True or False) or None for each completion; None says that it does not apply.

    Attributes:
        policy: A causal model of transformers, a function that makes one, or a folder that
            `save_pretrained` wrote. It is not changed; a method begins with a copy.
        tokenizer: Its tokenizer, or a folder.
        prompts: What methods learn from.
        held_out: What they are judged on.
        reward: The function.
        data: Name -> an entry for each prompt, handed to reward and judges by name.
        held_out_data: The same for the held-out prompts.
        judges: Name -> function.
        limits: Judge -> limit on the share of responses that satisfy it, such as ">= 0.95"; of the
            most likely responses and of drawn ones, the smaller share counts.
        paid: Judge or "reward" -> calls that one response costs. What is in here is asked once for
            a response; 0 for what asks through a `Backend`, which charges by itself.
        bucket: A column by whose entries the reward is reported too; "": none.
        max_tokens: Of a response.
        temperature: At which responses are drawn.
        samples: Responses that the judge draws for each prompt, beside the most likely one.
        trail_prompts: Held-out prompts of a point of the trail, evenly spaced; a run's answer is
            judged on all.
        timeout: Seconds for one response, of reward or judge, which are then asked in another
            process; None: no limit.
        name: For tables.

    Raises:
        ArgumentError: A setting out of range, no prompts, columns that are missing.
        PromptTooLong: A prompt that does not fit into the context with its response.
        LimitError: A limit without a judge.
    """

    policy: Any
    tokenizer: Any
    prompts: Sequence[str]
    held_out: Sequence[str]
    reward: Callable[..., Any]
    data: Mapping[str, Sequence[Any]] | None = None
    held_out_data: Mapping[str, Sequence[Any]] | None = None
    judges: Mapping[str, Callable[..., Any]] | None = None
    limits: Mapping[str, Any] | None = None
    paid: Mapping[str, int] | None = None
    bucket: str = ""
    max_tokens: int = 64
    temperature: float = 1.0
    samples: int = 1
    trail_prompts: int = 200
    timeout: float | None = None
    name: str = "language-problem"

    sign: float = -1.0
    trail_growth: float = 1.5
    last: ClassVar[bool] = True
    example_budget: ClassVar[str] = "samples=4096"
    objective_title: ClassVar[str] = "reward"
    endings: ClassVar[tuple[str, ...]] = (".safetensors",)

    def __post_init__(self) -> None:
        whole("max_tokens", self.max_tokens, least=1, most=1_000_000)
        whole("samples", self.samples, least=1, most=10_000)
        whole("trail_prompts", self.trail_prompts, least=1)
        real("temperature", self.temperature, above=0, most=1e6)
        if self.timeout is not None:
            real("timeout", self.timeout, above=0, most=86_400)
        self.tokenizer = read_tokenizer(self.tokenizer)
        self._reference = read_policy(self.policy)
        for name in ("prompts", "held_out"):
            if not len(getattr(self, name)):
                raise ArgumentError(f"{name}: it has none")
            rows = prompt_tokens(
                self.tokenizer, getattr(self, name), context_of(self._reference), self.max_tokens
            )
            setattr(self, f"_{name}_tokens", [len(row) for row in rows])
        self._data = columns_of("data", self.data, len(self.prompts))
        self._held_out_data = columns_of("held_out_data", self.held_out_data, len(self.held_out))
        if set(self._data) != set(self._held_out_data):
            raise ArgumentError(
                f"held_out_data: {sorted(self._held_out_data)}, data: "
                f"{sorted(self._data)}; expected the same names"
            )
        if self.bucket and self.bucket not in self._data:
            raise ArgumentError(f"bucket={self.bucket!r:.60}: expected one of the columns")
        self._scorers()
        self.limited = Limits(read_limits(self.limits))
        for name in self.limited.names:
            if name not in (self.judges or {}):
                raise LimitError(f"limits: {name!r:.60} is no judge")

    def _scorers(self) -> None:
        """Read reward and judges."""
        for name, function in {"reward": self.reward, **(self.judges or {})}.items():
            if not callable(function):
                argument = name if name == "reward" else f"judges[{name!r:.40}]"
                raise ArgumentTypeError(f"{argument}={shown(function)}: expected a function")
        if "reward" in (self.judges or {}):
            raise ArgumentError("judges: 'reward' is the reward's name")
        self.scorer = Scorer("reward", self.reward, timeout=self.timeout)
        self.checks = {
            str(name): Scorer(str(name), f, True, self.timeout)
            for name, f in (self.judges or {}).items()
        }
        for name, calls in (self.paid or {}).items():
            if name != "reward" and name not in self.checks:
                raise ArgumentError(f"paid: {name!r:.60} is neither a judge nor 'reward'")
            whole(f"paid[{name!r:.40}]", calls, least=0)

    # -- oracles -----------------------------------------------------------------------------------

    def model(self, weights: Mapping[str, Any] | None = None) -> Any:
        """A copy of the policy at the beginning, or with other weights, to be trained."""
        made = copy.deepcopy(self._reference)
        made.requires_grad_(True)
        if weights is not None:
            load_weights(made, weights)
        return made

    @property
    def reference(self) -> Any:
        """The policy at the beginning, which must not be changed."""
        return self._reference

    def _asked(self, rows: Sequence[int]) -> list[int]:
        """Return the numbers of prompts, checked."""
        if isinstance(rows, (str, bytes, Mapping)) or not hasattr(rows, "__len__"):
            raise ArgumentTypeError(f"rows={shown(rows)}: expected numbers of prompts")
        last = len(self.prompts) - 1
        with naming("rows"):
            return [whole("rows", i, least=0, most=last) for i in rows]

    def projected(self, rows: Sequence[int]) -> dict[str, int]:
        """What responses to these prompts can cost at most, by resource.

        Args:
            rows: Numbers of prompts; one that is named n times gets n responses.
        """
        rows = self._asked(rows)
        lengths = self._prompts_tokens  # type: ignore[attr-defined]
        tokens = sum(lengths[i] for i in rows) + len(rows) * self.max_tokens
        calls = len(rows) * sum((self.paid or {}).values())
        return {"samples": len(rows), "tokens": tokens} | ({"calls": calls} if calls else {})

    def projected_spend(self, budget: Mapping[str, float], step: int, passes: int) -> list[str]:
        """What a run can spend at most, as a sentence.

        Args:
            budget: Of the run.
            step: Responses that a method draws before it learns anything.
            passes: How often it reads each of them for log-probabilities, at most.
        """
        longest = max(self._prompts_tokens) + self.max_tokens  # type: ignore[attr-defined]
        one = {"samples": 1, "tokens": longest * (1 + passes), "calls": sum(self.paid.values())
               if self.paid else 0}  # fmt: skip
        most = {k: budget.get(k, budget.get("samples", math.inf) * v) for k, v in one.items() if v}
        if "samples" in budget:
            most = {k: min(v, budget["samples"] * one[k]) for k, v in most.items()}
        total = ", ".join(f"{v:.0f} {k}" for k, v in most.items() if math.isfinite(v))
        each = ", ".join(f"{v} {k}" for k, v in one.items() if v and k != "samples")
        lines = [
            f"projected: at most {total or 'what the time takes'}; a response costs at most {each},"
            f" a step has {step} of them"
        ]
        least = {"samples": step, "tokens": step * (min(self._prompts_tokens) + self.max_tokens)}  # type: ignore[attr-defined]
        lines += [
            f"nothing will be learnt: a step needs {n} {name}, the budget has {budget[name]:g}"
            for name, n in least.items()
            if budget.get(name, math.inf) < n
        ]
        asking = [name for name, calls in (self.paid or {}).items() if not calls]
        if asking:
            lines.append(f"{', '.join(asking)}: charged as they ask, which is not in this")
        return lines

    def generate(self, model: Any, rows: Sequence[int], seed: int) -> Responses:
        """Responses to prompts, drawn at the problem's temperature.

        Charges a sample each, and the tokens of prompts and responses: as many as these can have
        before they are drawn, and what was not written is given back.

        Args:
            model: The policy.
            rows: Numbers of prompts; one that is named n times gets n responses.
            seed: Of what is drawn.

        Raises:
            BudgetExhausted: Before anything is drawn, where a limit could be passed.
        """
        rows = self._asked(rows)
        cost = self.projected(rows)
        held = {name: cost[name] for name in ("samples", "tokens")}
        reserve(held)
        prompts = [self.prompts[i] for i in rows]
        found = generate(
            model, self.tokenizer, prompts, self.max_tokens, float(self.temperature), seed
        )
        give_back(held, {"samples": len(rows), "tokens": found.tokens})
        return found

    def logp(self, model: Any, responses: Responses, entropy_gradient: bool = False) -> TokenLogps:
        """Log-probabilities of responses at the problem's temperature. Charges their tokens and
        those of the prompts.

        Args:
            model: The policy, or another one.
            responses: Of `generate`.
            entropy_gradient: Entropies have a gradient too.
        """
        spend(tokens=responses.tokens)
        return logp(model, responses, float(self.temperature), entropy_gradient)

    def score(
        self,
        rows: Sequence[int],
        texts: Sequence[str],
        known: dict[str, float | None] | None = None,
    ) -> Scores:
        """What reward and judges say of responses. Charges the calls of those that are paid for.

        Args:
            rows: (B) numbers of the prompts.
            texts: (B) responses.
            known: What those that are paid for said before, which is added to: a method keeps it
                in its state, so that a resumed run pays for nothing twice.

        Raises:
            BudgetExhausted: Before a call that would pass a limit.
            EvaluationFailed: The reward gave no value for any response.
        """
        rows = self._asked(rows)
        if isinstance(texts, str) or np.shape(texts) != (len(rows),):
            raise ArgumentTypeError(f"texts={shown(texts)}: expected {len(rows)} responses")
        if known is not None and not isinstance(known, dict):
            raise ArgumentTypeError(f"known={shown(known)}: expected a dict")
        columns = {name: [column[i] for i in rows] for name, column in self._data.items()}
        prompts = [self.prompts[i] for i in rows]
        return self._scored(prompts, texts, columns, {} if known is None else known)

    def _scored(
        self,
        prompts: Sequence[str],
        texts: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
        known: dict[str, float | None],
    ) -> Scores:
        """Ask the reward and each judge."""
        reasons: dict[str, str] = {}
        found: dict[str, Any] = {}
        for name, scorer in {"reward": self.scorer, **self.checks}.items():
            if name in (self.paid or {}):
                asked = self._once(scorer, prompts, texts, columns, known)
            else:
                asked = scorer.ask(prompts, texts, columns)
            found[name] = asked.values
            reasons |= {f"{name}, response {i}": why for i, why in asked.reasons.items()}
        return Scores(found.pop("reward"), found, reasons)

    def _once(
        self,
        scorer: Scorer,
        prompts: Sequence[str],
        texts: Sequence[str],
        columns: Mapping[str, Sequence[Any]],
        known: dict[str, float | None],
    ) -> Asked:
        """Ask for each pair of prompt and response that is not known, once."""
        entries = [{k: column[i] for k, column in columns.items()} for i in range(len(texts))]
        keys = [
            json.dumps([scorer.name, prompt, text, entry], default=str, sort_keys=True)
            for prompt, text, entry in zip(prompts, texts, entries, strict=True)
        ]
        calls, reasons = (self.paid or {})[scorer.name], dict[int, str]()
        for i, key in enumerate(keys):
            if key not in known:
                if calls:
                    spend(calls=calls)
                one = {name: [value] for name, value in entries[i].items()}
                said = scorer.ask([prompts[i]], [texts[i]], one)
                if said.reasons:
                    reasons[i] = said.reasons[0]
                value = float(said.values[0])
                known[key] = None if np.isnan(value) else value
        values = [known[key] for key in keys]
        return Asked(np.array([np.nan if v is None else v for v in values]), reasons)

    # -- judging -----------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """Write responses to held-out prompts, and say what reward and judges make of them."""
        n = min(self.trail_prompts, len(self.held_out))
        return self._verdict(answer, np.linspace(0, len(self.held_out) - 1, n).astype(int).tolist())

    def confirm(self, answer: Any, verdict: Verdict) -> Verdict:
        """The same on all held-out prompts."""
        if self.trail_prompts >= len(self.held_out):
            return verdict
        return self._verdict(answer, list(range(len(self.held_out))))

    def _verdict(self, answer: Any, rows: list[int]) -> Verdict:
        """Judge on some held-out prompts."""
        with uncharged():
            found = self.examine(answer, rows)
        objective, over = self.objective(found), {}
        if self.limited.limits:
            shares = [
                min(share(of.satisfied[name]) for of in (found.of_greedy, found.of_drawn))
                for name in self.limited.names
            ]
            over = self.limited.violations(self.limited.signed(np.array([shares]))[0])
        return Verdict(
            objective,
            max(over.values(), default=0.0),
            violations=over,
            metrics=self.measured(found),
        )

    def examine(self, answer: Any, rows: Sequence[int]) -> Judged:
        """Responses to held-out prompts and their scores, uncharged.

        Args:
            answer: Weights, or a model.
            rows: Numbers of held-out prompts.
        """
        model = answer if isinstance(answer, torch.nn.Module) else self._scratch(answer)
        rows = [whole("rows", i, least=0, most=len(self.held_out) - 1) for i in rows]
        columns = {name: [c[i] for i in rows] for name, c in self._held_out_data.items()}
        prompts = [self.held_out[i] for i in rows]
        known = self.cached("judged", dict)
        greedy = self._write(model, prompts, 0.0)
        many = self.samples
        drawn = self._write(model, [p for p in prompts for _ in range(many)], self.temperature)
        repeated = {name: [v for v in c for _ in range(many)] for name, c in columns.items()}
        with torch.no_grad():
            here = logp(model, drawn, float(self.temperature))
            before = logp(self._reference, drawn, float(self.temperature))
        return Judged(
            list(rows),
            greedy,
            drawn,
            self._scored(prompts, greedy.texts, columns, known),
            self._scored([p for p in prompts for _ in range(many)], drawn.texts, repeated, known),
            here,
            float((here.logp - before.logp).sum(1).mean()),
        )

    def _scratch(self, weights: Any) -> Any:
        """Return a model with these weights."""
        model = self.cached("scratch", lambda: copy.deepcopy(self._reference))
        load_weights(model, weights)
        return model

    def _write(self, model: Any, prompts: list[str], temperature: float) -> Responses:
        """Write responses, some at a time."""
        parts = []
        for k, i in enumerate(range(0, len(prompts), TOGETHER)):
            some = prompts[i : i + TOGETHER]
            parts.append(
                generate(
                    model, self.tokenizer, some, self.max_tokens, float(temperature), JUDGE + k
                )
            )
        return joined(parts, self.tokenizer)

    def objective(self, found: Judged) -> float:
        """What is minimised: minus the mean reward of the most likely responses."""
        return -share(found.of_greedy.reward)

    def measured(self, found: Judged) -> dict[str, float]:
        """What else is worth knowing; the first metric is the objective as people see it."""
        tokens = max(int(found.drawn.mask.sum()), 1)
        metrics = {
            "reward": share(found.of_greedy.reward),
            "reward, drawn": share(found.of_drawn.reward),
            "entropy": float(found.logps.entropy.sum()) / tokens,
            "kl": found.kl,
            "length": float(found.drawn.lengths.float().mean()),
            "ended": float(found.drawn.ended(self.tokenizer).float().mean()),
            "failed": float(len(found.of_greedy.reasons) + len(found.of_drawn.reasons)),
        }
        for name in self.checks:
            metrics[name] = share(found.of_greedy.satisfied[name])
            metrics[f"{name}, drawn"] = share(found.of_drawn.satisfied[name])
        if self.bucket:
            of = [self._held_out_data[self.bucket][i] for i in found.rows]
            for value in dict.fromkeys(sorted(of, key=str)):
                inside = np.array([v == value for v in of])
                metrics[f"reward, {self.bucket} {value}"] = share(found.of_greedy.reward[inside])
        return metrics

    # -- how it is shown ---------------------------------------------------------------------------

    def reached(self, verdict: Verdict) -> str:
        """The mean reward on held-out prompts."""
        return f"reward {self.sign * verdict.objective:.6g}"

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        rows: list[tuple[str, ...]] = [("metric", "value")]
        rows += [(name, f"{value:.6g}") for name, value in verdict.metrics.items()]
        rows += [(f"{k} misses its limit by", f"{v:.4g}") for k, v in verdict.violations.items()]
        return rows

    def write(self, answer: Any, path: str) -> None:
        """Write weights as safetensors."""
        from safetensors.torch import save_file

        save_file({name: value.clone().contiguous() for name, value in answer.items()}, path)

    def outline(self) -> list[str]:
        """Prompts, limits, and what one response to each prompt can cost at most."""
        cost = self.projected(range(len(self.prompts)))
        return [
            f"{len(self.prompts)} prompts, {len(self.held_out)} held out; responses of at most "
            f"{self.max_tokens} tokens at temperature {self.temperature:g}",
            "a response to each prompt can cost "
            + ", ".join(f"{value} {name}" for name, value in cost.items()),
            *(f"share that satisfies {q.name} {q.text}" for q in self.limited.limits),
        ]

    def fingerprint(self) -> dict[str, Any]:
        """Prompts, columns, weights at the beginning, and settings."""
        text = json.dumps(
            [list(self.prompts), list(self.held_out), self._data, self._held_out_data],
            default=str,
        )
        return {
            "prompts": hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            "weights": digest(self._reference),
            "limits": {q.name: q.text for q in self.limited.limits},
            "settings": [self.max_tokens, float(self.temperature), self.samples],
        }

    def sources(self) -> dict[str, Any]:
        """Reward and judges."""
        return {"reward": self.reward, **(self.judges or {})}
