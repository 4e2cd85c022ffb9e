"""Observers that show runs and races elsewhere: in a log, in TensorBoard, in MLflow.

Given to `feasible.solve` or `feasible.race` as `observers=`. None of them touches a run: what goes
wrong in one becomes a note of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Log", "MLflow", "TensorBoard"]

_WHERE = {"Log": "log", "MLflow": "mlflow", "TensorBoard": "tensorboard"}

if TYPE_CHECKING:
    from .log import Log as Log
    from .mlflow import MLflow as MLflow
    from .tensorboard import TensorBoard as TensorBoard


def __getattr__(name: str) -> Any:
    """Import an observer when it is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
