"""LearnedDispatcher: train on a few shops, then schedule shops of any size."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ...core.annotations import checked
from ...core.checkpoint import decode, keep
from ...core.checks import generator, naming, real, seed as check_seed, whole
from ...core.errors import ArgumentError, CheckpointError, nearest
from ..jobshop import JobShop
from ..rules import bounded, rank
from ..schedule import Schedule
from .sampling import drawn_starts, greedy_starts, heats
from .settings import SamplingSettings, TrainingSettings
from .training import TrainingState, begin, check_shops, update

WEIGHTS = Path(__file__).parent / "weights"
PACKAGED = tuple(sorted(file.stem for file in WEIGHTS.glob("*.safetensors")))
"""Weights that come with the library: trained on four random 10 x 8 shops, by training seed."""
CHECKPOINT = "checkpoint.safetensors"


class LearnedDispatcher:
    """A dispatching policy that is learned from CP-SAT's completions of its own schedules.

    Minimises the makespan of a `JobShop` by drawing schedules, or by its most probable one. What is
    learned is 2,442 numbers that do not depend on the shop's size.

    Args:
        seed: Of the weights and of all that training draws.

    Attributes:
        network: The policy.
        notes: How it was trained: settings, seed, shops, and the mean makespans by update.

    Example:
        >>> from feasible.operations import LearnedDispatcher, benchmark
        >>> agent = LearnedDispatcher.load()
        >>> agent.solve(benchmark("ft06"), samples=32).makespan <= 61
        True

    References:
        Tassel, Gebser, Schekotihin, An end-to-end reinforcement learning approach for job-shop
        scheduling problems based on constraint programming, ICAPS 2023, arXiv 2306.05747.
    """

    @checked
    def __init__(self, seed: int = 0) -> None:
        self.seed = whole("seed", seed, least=0, most=2**63 - 1)
        self.network = begin(TrainingSettings(), seed).network
        self.notes: dict[str, Any] = {}

    @checked
    def fit(
        self,
        shops: Sequence[JobShop],
        settings: TrainingSettings | None = None,
        folder: str | os.PathLike[str] | None = None,
        told: Callable[[TrainingState], object] | None = None,
    ) -> LearnedDispatcher:
        """Train from new weights, or go on with the training in a folder.

        Args:
            shops: With equally many jobs, without due dates.
            settings: None: `TrainingSettings()`.
            folder: Where a checkpoint is written after every update; a training that it holds goes
                on, and ends where it would have ended without a stop.
            told: Called after every update, with where the training stands.

        Returns:
            Itself.

        Raises:
            ArgumentError: No shop, one with due dates, or a folder with another training.
            ShapeError: Shops with different numbers of jobs.
            MissingExtra: OR-Tools is not installed.
        """
        settings = TrainingSettings() if settings is None else settings
        check_shops(shops)
        with naming("folder"):
            file = None if folder is None else Path(folder) / CHECKPOINT
        state = begin(settings, self.seed)
        said = _said(shops, settings, self.seed)
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ArgumentError(f"folder={str(folder)!r:.80}: {error}") from None
            if file.exists():
                state = _restored(file, state, said)
        while state.done < settings.updates:
            update(state, shops, settings)
            if file is not None:
                _keep(file, state, said)
            if told is not None:
                told(state)
        self.network = state.network
        self.notes = said | {"sampled": state.sampled, "completed": state.completed}
        return self

    @checked
    def solve(
        self,
        shop: JobShop,
        samples: int = 32,
        time_limit: float | None = None,
        seed: int = 0,
        greedy: bool = False,
        coldest: float = SamplingSettings.coldest,
        hottest: float = SamplingSettings.hottest,
    ) -> Schedule:
        """Return the best of several drawn schedules.

        Args:
            shop: The shop.
            samples: Schedules that are drawn; the sample i at the temperature coldest + (hottest -
                coldest) (i mod 32) / 32.
            time_limit: Seconds; schedules that are not finished by then are finished by the most
                work left. None: no limit.
            seed: Of the draws.
            greedy: Build the most probable schedule too; with samples=0 it alone.
            coldest: Temperature of the first sample.
            hottest: Temperature that the samples approach.

        Returns:
            The schedule, with the shop's own lower bound.

        Raises:
            UnsupportedConstraint: The shop has due dates, which the policy does not see.
        """
        whole("samples", samples, least=0 if greedy else 1)
        limit = np.inf if time_limit is None else real("time_limit", time_limit, above=0)
        settings = SamplingSettings(coldest=coldest, hottest=hottest)
        until, rng = time.monotonic() + limit, generator("seed", seed)
        found = [greedy_starts(self.network, shop)] if greedy else []
        for first in range(0, samples, 32):
            if first and time.monotonic() > until:
                break
            heat = heats(settings, first, min(32, samples - first))
            found.append(drawn_starts(self.network, shop, heat, rng, until))
        return bounded(shop, min(found, key=lambda starts: rank(shop, starts)))

    @checked
    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write weights and notes as safetensors; return the path."""
        with naming("path"):
            file = Path(path)
        if file.suffix != ".safetensors":
            raise ArgumentError(
                f"path={str(path)!r:.80}: expected a name that ends in .safetensors"
            )
        state = {k: v.contiguous() for k, v in self.network.state_dict().items()}
        try:
            save_file(state, file, {"notes": json.dumps(self.notes)})
        except (OSError, SafetensorError) as error:
            raise ArgumentError(f"path={str(path)!r:.80}: {error}") from None
        return file

    @classmethod
    @checked
    def load(cls, name: str = PACKAGED[0]) -> LearnedDispatcher:
        """Load trained weights.

        Args:
            name: Of packaged weights, "10x8-0" to "10x8-4" by training seed; or a .safetensors file
                that `save` wrote.

        Raises:
            ArgumentError: There is none of that name.
            CheckpointError: The file is damaged, or holds something else.
        """
        packaged = not str(name).endswith(".safetensors")
        file = WEIGHTS / f"{name}.safetensors" if packaged else Path(name)
        if packaged and name not in PACKAGED:
            raise ArgumentError(f"name={name!r:.40}: {nearest(name, PACKAGED)}")
        agent = cls()
        try:
            with safe_open(file, framework="pt") as opened:
                notes = json.loads((opened.metadata() or {}).get("notes", "{}"))
            agent.network.load_state_dict(load_file(file))
        except FileNotFoundError as error:
            raise ArgumentError(f"name={name!r:.80}: {error}") from None
        except (OSError, ValueError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"{file.name} holds no dispatcher: {error}") from None
        agent.notes = notes
        agent.seed = int(notes.get("seed", 0))
        return agent


def _said(shops: Sequence[JobShop], settings: TrainingSettings, seed: int) -> dict[str, Any]:
    """Return what identifies a training, as plain data."""
    return {
        "settings": asdict(settings),
        "seed": check_seed("seed", seed)[0],
        "shops": [shop.name for shop in shops],
        "work": [int(shop.duration.sum()) for shop in shops],
    }


def _keep(file: Path, state: TrainingState, said: dict[str, Any]) -> None:
    """Write a checkpoint, in place of the former one when it is complete."""
    keep(file, state)
    file.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")


def _restored(file: Path, fresh: TrainingState, said: dict[str, Any]) -> TrainingState:
    """Return the training that a folder holds."""
    try:
        known = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file.parent}: {error}") from None
    other = next((key for key in said if known.get(key) != said[key]), None)
    if other is not None:
        raise ArgumentError(
            f"folder={str(file.parent)!r:.80}: it holds a training with other {other}: "
            f"{known.get(other)!r:.60}, not {said[other]!r:.60}; name another folder"
        )
    fresh.sampled, fresh.completed = [], []
    return decode(file.read_bytes(), fresh)
