"""CompressedModel: a mixture of experts that has to fit into memory.

    minimise the log perplexity on held-out text
    subject to  stored bytes <= memory,  bytes in fast memory <= fast,  seconds a token <= latency

An answer says for each expert of each layer how many bits a weight has, 0 where it is dropped, and
may say more (see `Recipe`). The judge applies it, writes the file, counts the bytes of the tensors
in the file, reads the model back from it, and measures that. Seconds are those of a machine that is
described by its rates, for the experts that the held-out text calls: simulated, not measured.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import real, whole
from ...core.problem import Problem
from ...core.verdict import Verdict
from .compress import apply_plan, load_compressed, save_compressed, stored_size
from .layout import blocks, log_perplexity, surprise, tokens_of
from .machine import Machine
from .profile import Profile, expert_bytes, profile_moe, rest_bytes, watch
from .quantise import GROUP
from .recipe import Recipe


@dataclass
class CompressedModel(Cached, Problem, Checked):
    """Choose the bits of every expert.

    Attributes:
        model: A model of transformers with fused experts; it is not changed.
        calibration: (n, length) tokens that methods may see.
        held_out: (n, length) tokens of the judge.
        memory: Bytes of all tensors.
        fast: Bytes of fast memory; None: as many as all.
        latency: Seconds a token; None: no limit.
        machine: What serves it.
        quantiser: "rtn", "search" or "gptq".
        group: Columns that share a scale.
        name: For tables.

    Raises:
        ArgumentError: No block of experts, no text, or a memory below the smallest possible.
    """

    model: Any
    calibration: Any
    held_out: Any
    memory: float
    quantiser: Literal["rtn", "search", "gptq"] = "rtn"
    group: int = GROUP
    name: str = "compressed-model"
    fast: float | None = None
    latency: float | None = None
    machine: Machine = field(default_factory=Machine)

    example_budget: ClassVar[str] = "tokens=20000"
    objective_title: ClassVar[str] = "log perplexity"

    def __post_init__(self) -> None:
        real("memory", self.memory, above=0)
        whole("group", self.group, least=1)
        for name in ("fast", "latency"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), above=0)
        tokens_of("calibration", self.calibration)
        tokens_of("held_out", self.held_out)
        found = blocks(self.model)
        self.layers, self.experts = len(found), int(found[0].experts.gate_up_proj.shape[0])
        self.top_k = int(found[0].gate.top_k)

    @property
    def full(self) -> float:
        """Log perplexity of the model as it is on the held-out text."""
        found: float = self.cached("full", lambda: log_perplexity(self.model, self.held_out))
        return found

    def profile(self, bits: tuple[int, ...], through: Recipe | None = None) -> Profile:
        """The profile on the calibration text. Charges its tokens once for the model's pass, and
        where there are widths once for its gradient and once for each, whoever asked before.

        Args:
            bits: Widths to try.
            through: Of the compressed model whose blocks' inputs are taken; None: the model's.
        """
        spend(tokens=self.calibration.numel() * (2 + len(bits) if bits else 1))

        def made() -> Profile:
            small = None if through is None else self.applied(through)
            return profile_moe(
                self.model, self.calibration, bits, self.quantiser, self.group, through=small
            )

        found: Profile = self.cached(("profile", bits, str(through)), made)
        return found

    def applied(self, recipe: Recipe) -> Any:
        """The model as a recipe makes it."""
        return apply_plan(self.model, recipe, self.calibration, self.quantiser, self.group)

    def read(self, answer: Any) -> Recipe:
        """The recipe of an answer.

        Raises:
            ArgumentError: It cannot be applied to this model.
        """
        return Recipe.read(answer, self.layers, self.experts, self.top_k)

    def judge(self, answer: Any) -> Verdict:
        """Write the file, count its bytes, and measure the model that is read back from it."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        recipe = self.read(answer)
        key = ("judged", str(recipe), str(self.machine))
        found: dict[str, float] = self.cached(key, lambda: self._measured(recipe))
        over = {"memory": found["bytes"] / self.memory - 1}
        if self.fast is not None:
            over["fast"] = found["fast bytes"] / self.fast - 1
        if self.latency is not None:
            over["latency"] = found["seconds"] / self.latency - 1
        over = {name: max(v, 0.0) for name, v in over.items()}
        loss = found["log perplexity"]
        kept = [b for row in recipe.bits for b in row if b]
        return Verdict(
            loss,
            max(over.values()),
            violations=over,
            metrics={
                **{k: v for k, v in found.items() if k != "log perplexity"},
                "perplexity": math.exp(loss),
                "over 16 bits": math.exp(loss - self.full),
                "bits": sum(kept) / (self.layers * self.experts),
                "experts": float(sum(len(recipe.units(i)) for i in range(self.layers))),
            },
        )

    def _measured(self, recipe: Recipe) -> dict[str, float]:
        """Bytes in the file; log perplexity, calls and simulated seconds of the model in it."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.save(recipe, Path(folder) / "model.safetensors")
            size = stored_size(path)
            model = self.load(path)
        seen, logits = watch(model, self.held_out)
        calls = [(s.chosen > 0).double().mean(0).numpy() for s in seen]
        each = self.size()
        fast, seconds = float(size), self.rest_seconds()
        for layer in range(self.layers):
            for i, unit in enumerate(recipe.units(layer)):
                bits = recipe.bits[layer][unit[0]]
                near = recipe.fast is None or recipe.fast[layer][unit[0]]
                fast -= 0 if near else each[bits]
                seconds += calls[layer][i] * self.expert_seconds(bits, near)
        return {
            "log perplexity": surprise(logits, self.held_out),
            "bytes": float(size), "fast bytes": fast, "seconds": seconds,
            "calls": sum(float(c.sum()) for c in calls) / self.layers,
        }  # fmt: skip

    def calibrated(self, answer: Any) -> float:
        """Log perplexity of an answer on the calibration text. Charges its tokens."""
        recipe = self.read(answer)
        spend(tokens=self.calibration.numel())

        def made() -> float:
            return log_perplexity(self.applied(recipe), self.calibration)

        found: float = self.cached(("calibrated", str(recipe)), made)
        return found

    @property
    def map_bytes(self) -> int:
        """Stored bytes of the maps from the routers' rows to experts, where none is dropped."""
        return 2 * self.layers * self.experts

    @property
    def rest_bytes(self) -> int:
        """Stored bytes of what is no expert, the maps with it."""
        return rest_bytes(self.model) + self.map_bytes

    def size(self) -> dict[int, int]:
        """Stored bytes of an expert by its bits."""
        found: dict[int, int] = self.cached("size", lambda: expert_bytes(self.model, self.group))
        return found

    def expert_seconds(self, bits: int, fast: bool = True) -> float:
        """Simulated seconds of a call of an expert."""
        experts = blocks(self.model)[0].experts
        weights = experts.gate_up_proj[0].numel() + experts.down_proj[0].numel()
        return self.machine.seconds(weights, self.size()[bits], fast)

    def rest_seconds(self) -> float:
        """Simulated seconds of a token in what is no expert."""
        size = rest_bytes(self.model)
        return self.machine.seconds(size / 2, size)

    def save(self, answer: Any, path: str | os.PathLike[str]) -> Path:
        """Write the compressed model: packed codes, scales, zeros, and the rest in 16 bits.

        Args:
            answer: As judged.
            path: The file.
        """
        recipe = self.read(answer)
        return save_compressed(
            self.model, recipe, path, self.calibration, self.quantiser, self.group
        )

    def load(self, path: str | os.PathLike[str]) -> Any:
        """The model of a file that `save` wrote, in single precision, to be run."""
        return load_compressed(path, self.model)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The bits, a row a layer."""
        recipe = self.read(answer)
        rows: list[tuple[str, ...]] = []
        for i, bits in enumerate(recipe.bits):
            text = " ".join(map(str, bits))
            merged = [u for u in recipe.units(i) if len(u) > 1]
            text += "".join(f"; {', '.join(map(str, u[1:]))} in {u[0]}" for u in merged)
            slow = [] if recipe.fast is None else [e for e, f in enumerate(recipe.fast[i]) if not f]
            text += f"; slow: {', '.join(map(str, slow))}" if slow else ""
            rows.append((f"layer {i}", text))
        return rows

    def reached(self, verdict: Verdict) -> str:
        """Perplexity and bytes."""
        m = verdict.metrics
        return f"perplexity {m['perplexity']:.4g} in {m['bytes']:.0f} bytes"

    def fingerprint(self) -> dict[str, Any]:
        """Memory, sizes and the model's own perplexity."""
        return {
            "memory": self.memory,
            "layers": self.layers,
            "experts": self.experts,
            "full": self.full,
            "quantiser": self.quantiser,
            "fast": self.fast,
            "latency": self.latency,
        }
