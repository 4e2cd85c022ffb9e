"""What becomes of each expert, as plain data that others can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.checks import real, shown
from ...core.errors import ArgumentError
from .merge import members_of
from .quantise import BITS

Table = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Recipe:
    """What becomes of each expert.

    Attributes:
        bits: (L, E) of a weight, 0 where the expert is dropped. Members of a group have the bits of
            their dominant expert.
        groups: (L, E) the dominant expert of the group that each is merged into, itself where it is
            not merged; None: none is.
        beta: (L,) an expert of a token whose weight is below beta times the largest is skipped; 0
            or None: none is.
        fast: (L, E) whether it lies in fast memory; None: all do.
        recover: "ridge": the last matrices are fitted anew to the calibration text, before they are
            stored in few bits; "none".
        aligned: Whether hidden units of a group are put in the dominant expert's order before they
            are averaged.
    """

    bits: list[list[int]]
    groups: list[list[int]] | None = None
    beta: list[float] | None = None
    fast: list[list[bool]] | None = None
    recover: str = "none"
    aligned: bool = True

    def plain(self) -> Any:
        """The bits alone where there is nothing else; else a mapping of what is there."""
        found = {k: v for k, v in asdict(self).items() if v is not None and v != "none"}
        if self.groups is None or self.aligned:
            del found["aligned"]
        return found["bits"] if len(found) == 1 else found

    @classmethod
    def read(cls, answer: Any, layers: int, experts: int, top_k: int) -> Recipe:
        """A recipe from plain data.

        Args:
            answer: As `plain` gives it.
            layers: Of the model.
            experts: Of a layer.
            top_k: Experts of a token.

        Raises:
            ArgumentError: Not a width for each expert, a layer with fewer experts than a token
                takes, or a group whose members are dropped or have several widths.
        """
        if isinstance(answer, cls):
            answer = asdict(answer)
        given = dict(answer) if isinstance(answer, Mapping) else {"bits": answer}
        unknown = set(given) - set(cls.__dataclass_fields__)
        if unknown or "bits" not in given:
            raise ArgumentError(
                f"answer={shown(answer)}: expected bits, and at most groups, beta, fast, recover, "
                "aligned"
            )
        bits = _table("bits", given["bits"], layers, experts)
        tables = {
            k: None if given.get(k) is None else _table(k, given[k], layers, experts)
            for k in ("groups", "fast")
        }
        fast = tables["fast"]
        found = cls(
            bits,
            tables["groups"],
            _beta(given.get("beta"), layers),
            None if fast is None else [[bool(v) for v in row] for row in fast],
            str(given.get("recover") or "none"),
            bool(given.get("aligned", True)),
        )
        found.check(top_k)
        return found

    def check(self, top_k: int) -> None:
        """Raise ArgumentError where it cannot be applied."""
        if self.recover not in ("none", "ridge"):
            raise ArgumentError(f"answer: recover={self.recover!r:.40}, expected 'none' or 'ridge'")
        for layer, row in enumerate(self.bits):
            if any(b not in (0, *BITS) for b in row):
                raise ArgumentError(f"answer: layer {layer} has {row}, expected 0 or one of {BITS}")
            if sum(b > 0 for b in row) < top_k:
                raise ArgumentError(
                    f"answer: layer {layer} keeps {sum(b > 0 for b in row)} experts, a token takes "
                    f"{top_k}"
                )
            if self.groups is None:
                continue
            group = self.groups[layer]
            for e, d in enumerate(group):
                if not 0 <= d < len(row) or group[d] != d or row[d] != row[e]:
                    raise ArgumentError(
                        f"answer: layer {layer} merges expert {e} into {d}: expected one that is "
                        "in its own group and has the same bits"
                    )

    def units(self, layer: int) -> list[list[int]]:
        """The experts of a layer that are stored, each with all that were merged into it, the
        dominant one first.
        """
        row = self.bits[layer]
        groups = list(range(len(row))) if self.groups is None else self.groups[layer]
        return [g for d, g in members_of(groups).items() if row[d]]


def _table(name: str, values: Any, layers: int, experts: int) -> list[list[int]]:
    """(L, E) whole numbers."""
    try:
        found = [[int(v) for v in row] for row in values]
    except (TypeError, ValueError):
        found = []
    if len(found) != layers or any(len(row) != experts for row in found):
        raise ArgumentError(
            f"answer={shown(values)}: expected {name} for {layers} layers of {experts} experts"
        )
    return found


def _beta(values: Any, layers: int) -> list[float] | None:
    """(L,) thresholds."""
    if values is None:
        return None
    found = [real("beta", v, least=0) for v in values]
    if len(found) != layers:
        raise ArgumentError(f"answer: beta has {len(found)} entries, expected {layers}")
    return found
