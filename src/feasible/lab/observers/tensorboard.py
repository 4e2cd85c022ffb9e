"""Runs and races in TensorBoard."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.extras import named
from .curves import Curves, Ended


class TensorBoard(Curves):
    """Observer that writes event files, a folder for each run: `tensorboard --logdir FOLDER` shows
    the curves while it runs. Of a race each trial is one, written when it ends.

    Curves are the objective in the user's sense, the violation, what was spent and every metric of
    the verdict, over what was spent of the budget's first resource.

    Args:
        folder: Where.

    Raises:
        MissingExtra: The package tensorboard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str] = "runs"):
        super().__init__()
        with named("the observer TensorBoard"):
            from tensorboard.summary import Writer
        self.folder, self._writer = Path(folder), Writer

    def begin(self, name: str, made: Mapping[str, str], parent: Any = None) -> Any:
        """Open the event file of a run, in a folder of its name."""
        parts = [re.sub(r"[^\w.=,\[\]-]+", "_", part).strip(".") or "_" for part in name.split("/")]
        return self._writer(str(self.folder.joinpath(*parts)))

    def draw(self, curve: Any, points: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """Write scalars; they are on the disk when this returns."""
        for step, at, seen in points:
            for name, value in seen.items():
                curve.add_scalar(name, value, step, wall_time=at)
        curve.flush()

    def end(self, curve: Any, ended: Ended) -> None:
        """Close the file."""
        curve.close()
