"""CompressedModel: a mixture of experts that has to fit into memory.

    minimise the log perplexity on held-out text;   stored bytes <= memory

An answer says for each expert of each layer how many bits a weight has, 0 where it is dropped. The
judge applies it, writes the file, counts the bytes of the tensors in the file, reads the model back
from it, and measures that.
"""

from __future__ import annotations

import copy
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from safetensors.torch import load_file, save_file

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import real, shown, whole
from ...core.errors import ArgumentError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .layout import blocks, log_perplexity
from .profile import Profile, inputs_of, profile_moe, quantised
from .quantise import BITS, GROUP, Stored

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class CompressedModel(Cached, Problem, Checked):
    """Choose the bits of every expert.

    Attributes:
        model: A model of transformers with fused experts; it is not changed.
        calibration: (n, length) tokens that methods may see.
        held_out: (n, length) tokens of the judge.
        memory: Bytes of all tensors.
        quantiser: "rtn" or "gptq".
        group: Columns that share a scale.
        name: For tables.

    Raises:
        ArgumentError: No block of experts, no text, or a memory below the smallest possible.
    """

    model: Any
    calibration: Any
    held_out: Any
    memory: float
    quantiser: Literal["rtn", "gptq"] = "rtn"
    group: int = GROUP
    name: str = "compressed-model"
    full: float = field(init=False, repr=False, default=math.nan)

    example_budget: ClassVar[str] = "tokens=20000"
    objective_title: ClassVar[str] = "log perplexity"

    def __post_init__(self) -> None:
        real("memory", self.memory, above=0)
        whole("group", self.group, least=1)
        for name in ("calibration", "held_out"):
            ids = getattr(self, name)
            if not isinstance(ids, torch.Tensor) or ids.dim() != 2 or not ids.numel():
                raise ArgumentError(f"{name}: the text is empty; expected tokens (n, length)")
        found = blocks(self.model)
        self.layers, self.experts = len(found), int(found[0].experts.gate_up_proj.shape[0])
        self.top_k = int(found[0].gate.top_k)
        self.full = log_perplexity(self.model, self.held_out)

    def profile(self, bits: tuple[int, ...]) -> Profile:
        """The profile on the calibration text. Charges its tokens once for the model's pass and
        once for each width, whoever asked before.
        """
        spend(tokens=self.calibration.numel() * (1 + len(bits)))
        found: Profile = self.cached(
            ("profile", bits),
            lambda: profile_moe(self.model, self.calibration, bits, self.quantiser, self.group),
        )
        return found

    def read(self, answer: Any) -> list[list[int]]:
        """The bits of an answer.

        Raises:
            ArgumentError: Not a width for each expert, or a layer with fewer experts than a token
                takes.
        """
        try:
            bits = [[int(b) for b in row] for row in answer]
        except (TypeError, ValueError):
            bits = []
        if len(bits) != self.layers or any(len(row) != self.experts for row in bits):
            raise ArgumentError(
                f"answer={shown(answer)}: expected bits for {self.layers} layers of {self.experts} "
                "experts"
            )
        for layer, row in enumerate(bits):
            if any(b not in (0, *BITS) for b in row):
                raise ArgumentError(f"answer: layer {layer} has {row}, expected 0 or one of {BITS}")
            if sum(b > 0 for b in row) < self.top_k:
                raise ArgumentError(
                    f"answer: layer {layer} keeps {sum(b > 0 for b in row)} experts, a token takes "
                    f"{self.top_k}"
                )
        return bits

    def judge(self, answer: Any) -> Verdict:
        """Write the file, count its bytes, and measure the model that is read back from it."""
        if answer is None:
            return Verdict(math.nan, math.inf)
        bits = self.read(answer)
        key = ("judged", tuple(map(tuple, bits)))
        size, loss = self.cached(key, lambda: self._measured(bits))
        over = (size - self.memory) / self.memory
        kept = [b for row in bits for b in row if b]
        return Verdict(
            loss,
            max(over, 0.0),
            violations={"memory": max(over, 0.0)},
            metrics={
                "bytes": size,
                "perplexity": math.exp(loss),
                "over 16 bits": math.exp(loss - self.full),
                "bits": sum(kept) / (self.layers * self.experts),
                "experts": float(len(kept)),
            },
        )

    def _measured(self, bits: list[list[int]]) -> tuple[float, float]:
        """Bytes in the file, and the log perplexity of the model in it."""
        with tempfile.TemporaryDirectory() as folder:
            path = self.save(bits, Path(folder) / "model.safetensors")
            size = float(sum(t.numel() * t.element_size() for t in load_file(path).values()))
            return size, log_perplexity(self.load(path), self.held_out)

    def save(self, bits: list[list[int]], path: str | os.PathLike[str]) -> Path:
        """Write the compressed model: packed codes, scales, zeros, and the rest in 16 bits.

        Args:
            bits: Of every expert.
            path: The file.
        """
        bits = self.read(bits)
        found = blocks(self.model)
        experts = {id(p) for b in found for p in b.experts.parameters()}
        kept: dict[str, Tensor] = {
            name: p.detach().half().contiguous()
            for name, p in self.model.named_parameters()
            if id(p) not in experts
        }
        names = {id(p): name for name, p in self.model.named_parameters()}
        meta: dict[str, str] = {}
        inputs: list[Any] = [None] * self.layers
        if self.quantiser == "gptq":
            inputs = self.cached("inputs", lambda: inputs_of(self.model, self.calibration))
        for layer, (block, row) in enumerate(zip(found, bits, strict=True)):
            rows = [e for e, b in enumerate(row) if b]
            gate = names[id(block.gate.weight)]
            kept[gate] = kept[gate][rows].contiguous()
            meta[f"layer {layer}"] = " ".join(str(row[e]) for e in rows)
            for place, e in enumerate(rows):
                self._stored(kept, f"{layer}.{place}", block, e, row[e], inputs[layer])
        save_file(kept, str(path), meta)
        return Path(path)

    def _stored(
        self, kept: dict[str, Tensor], key: str, block: Any, e: int, bits: int, x: Tensor | None
    ) -> None:
        """Add both matrices of an expert; `x` are the block's inputs, for GPTQ."""
        gate_up, down = block.experts.gate_up_proj[e], block.experts.down_proj[e]
        with torch.no_grad():
            if x is not None:
                x = x.float()
                logits = x @ block.gate.weight.float().T
                x = x[(logits.topk(self.top_k, dim=-1).indices == e).any(1)]
            pair = quantised(gate_up.detach(), down.detach(), bits, self.quantiser, self.group, x)
        for name, stored in zip(("gate_up", "down"), pair, strict=True):
            kept[f"{key}.{name}.codes"] = stored.codes.contiguous()
            if stored.scale is not None and stored.zero is not None:
                kept[f"{key}.{name}.scale"] = stored.scale.contiguous()
                kept[f"{key}.{name}.zero"] = stored.zero.contiguous()

    def load(self, path: str | os.PathLike[str]) -> Any:
        """The model of a file that `save` wrote, in single precision, to be run."""
        from safetensors import safe_open

        kept = load_file(str(path))
        with safe_open(str(path), "pt") as file:
            meta: Mapping[str, str] = file.metadata()
        model = copy.deepcopy(self.model)
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for layer, block in enumerate(blocks(model)):
                bits = [int(b) for b in meta[f"layer {layer}"].split()]
                for name in ("gate_up", "down"):
                    wide = getattr(block.experts, f"{name}_proj")
                    shape = tuple(wide.shape[1:])
                    made = [
                        self._read(kept, f"{layer}.{i}.{name}", b, shape)
                        for i, b in enumerate(bits)
                    ]
                    setattr(block.experts, f"{name}_proj", torch.nn.Parameter(torch.stack(made)))
                block.experts.num_experts = block.gate.num_experts = len(bits)
            routers = {id(b.gate.weight): b.gate for b in blocks(model)}
            for name, p in parameters.items():
                if name in kept and id(p) in routers:
                    routers[id(p)].weight = torch.nn.Parameter(kept[name].float())
                elif name in kept:
                    p.copy_(kept[name].float())
        return model.eval()

    def _read(
        self, kept: Mapping[str, Tensor], key: str, bits: int, shape: tuple[int, ...]
    ) -> Tensor:
        """A matrix of the file."""
        rows, columns = shape
        group = columns if bits == 1 else self.group
        parts = [kept.get(f"{key}.{part}") for part in ("scale", "zero")]
        return Stored(bits, (rows, columns), group, kept[f"{key}.codes"], *parts).weight()

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The bits, a row a layer."""
        return [(f"layer {i}", " ".join(map(str, row))) for i, row in enumerate(answer)]

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
        }
