"""Small problems and processes that the tests of the lab share."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from feasible.blackbox import BlackBox


def bowl(x: np.ndarray) -> dict[str, float]:
    """Smallest at (0.3, ..., 0.3) inside the limit."""
    return {"cost": float(((x - 0.3) ** 2).sum()), "load": float(x.sum())}


def toy(fun: Callable[..., Any] | None = bowl, d: int = 2, **more: Any) -> BlackBox:
    """A black box of d inputs in [0, 1] with one limit."""
    return BlackBox(
        fun,
        bounds=[(0.0, 1.0)] * d,
        **{"objective": "cost", "limits": {"load": ">= 0.5"}, "name": "toy", **more},
    )


def together(n: int, work: Callable[[int], Any], timeout: float = 60) -> list[Any]:
    """work(0), ..., work(n-1) in n forked processes that begin at the same moment. Raises what one
    of them raised.
    """
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(n), context.SimpleQueue()

    def one(i: int) -> None:
        try:
            gate.wait(timeout)
            answers.put((i, work(i), None))
        except BaseException:
            answers.put((i, None, traceback.format_exc()))

    processes = [context.Process(target=one, args=(i,), daemon=True) for i in range(n)]
    for p in processes:
        p.start()
    found: dict[int, Any] = {}
    errors = []
    for _ in range(n):
        i, value, error = answers.get()
        found[i] = value
        if error:
            errors.append(error)
    for p in processes:
        p.join(timeout)
    assert not errors, f"{len(errors)} of {n} processes failed; the first:\n{errors[0]}"
    return [found[i] for i in range(n)]


def same(a: Any, b: Any) -> None:
    """Assert that two results are equal bit for bit: answer, verdict, spending, trail and
    ledger."""
    assert a.answer.id == b.answer.id
    np.testing.assert_array_equal(a.answer.x, b.answer.x)
    assert a.verdict == b.verdict
    assert {k: v for k, v in a.spent.items() if k != "seconds"} == {
        k: v for k, v in b.spent.items() if k != "seconds"
    }
    assert (a.steps, a.stopped) == (b.steps, b.stopped)
    assert [
        (p.step, {k: v for k, v in p.spent.items() if k != "seconds"}, p.verdict) for p in a.trail
    ] == [
        (p.step, {k: v for k, v in p.spent.items() if k != "seconds"}, p.verdict) for p in b.trail
    ]
    same_ledger(a.ledger.all(), b.ledger.all())


def same_ledger(a: Any, b: Any) -> None:
    """Assert that two ledgers hold the same rows bit for bit."""
    for what in ("x", "objective", "constraints", "values", "status", "id"):
        np.testing.assert_array_equal(getattr(a, what), getattr(b, what), err_msg=what)
    assert a.reason == b.reason


def lines(path: Path) -> list[str]:
    """Lines of a log, none where there is no log."""
    return path.read_text().splitlines() if path.exists() else []
