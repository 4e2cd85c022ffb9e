"""A process that is killed pays for no measurement again."""

import copy
import os
import signal

import numpy as np
import pytest

import feasible
from feasible.blackbox.private_gsd.gsd import GSD
from feasible.core.checkpoint import decode
from feasible.core.registry import load_problem
from feasible.core.resume import Saved
from feasible.lab.store import Store

DRIVE = """
import os, signal
from feasible import solve
from feasible.blackbox.private_gsd.accounting import Noise
from feasible.blackbox.private_gsd.gsd import GSD
from feasible.blackbox.private_gsd.instances import acs_like_small
from feasible.lab.store import Store

drawn, saved = Noise.discrete_gaussian, Store.save_checkpoint
DIES = {dies!r}

def draw(self, variance, n):
    with open({log!r}, "a") as f:
        f.write(str(n) + chr(10))
    return drawn(self, variance, n)

def save(self, run, blob, **more):
    if DIES == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    saved(self, run, blob, **more)
    if DIES == "after":
        os.kill(os.getpid(), signal.SIGKILL)

Noise.discrete_gaussian, Store.save_checkpoint = draw, save
method = GSD(rows=60, generations=3000, tolerance=0.0, stop="plateau")
solve(acs_like_small(), method, budget={{"rho": 0.05}}, seed=3, store={db!r}, name="r")
"""


def drive(tmp_path, dies):
    """The exit code of a process that solves with noise of the operating system, and dies by
    SIGKILL at its first checkpoint; or lives (None).
    """
    text = DRIVE.format(dies=dies, log=str(tmp_path / "log"), db=str(tmp_path / "lab.db"))
    pid = os.fork()  # nothing is imported again
    if pid == 0:
        try:
            os.setsid()
            exec(compile(text, "drive.py", "exec"), {"__name__": "__main__"})
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.kill
def test_after_kill_9_no_charged_measurement_is_drawn_again_and_none_was_seen_unstored(
    tmp_path,
):
    problem = load_problem("acs-like-small")
    template = GSD(rows=60).init(problem, np.random.default_rng(3))

    def stored():
        store = Store(tmp_path / "lab.db")
        blob, trail = store.checkpoint(1), store.trail(1)
        store.close()
        if blob is None:
            return None, 0.0, trail
        saved = decode(
            blob[0],
            Saved(
                0, 0, {}, [], 1, copy.deepcopy(template), [GSD().answer(problem, template), None]
            ),
        )
        return saved.state.held, saved.spent["rho"], trail

    def draws():
        return sum(map(int, (tmp_path / "log").read_text().split()))

    assert drive(tmp_path, "before") == -signal.SIGKILL
    once = draws()
    answers, rho, trail = stored()
    assert answers is None
    assert rho == 0
    assert all(p.verdict.missing for p in trail)  # nothing that depends on the noise got out
    assert drive(tmp_path, "after") == -signal.SIGKILL
    assert draws() == 2 * once
    answers, rho, trail = stored()
    assert once == answers.size  # one number for each cell
    assert 0.05 * (1 - 1e-6) < rho <= 0.05
    assert all(p.verdict.missing for p in trail)
    assert drive(tmp_path, None) == 0
    assert draws() == 2 * once
    again, spent, trail = stored()
    assert np.array_equal(again, answers)
    assert spent == rho
    assert not trail[-1].verdict.missing
    # more budget for a run that is over: the answers stay those that were paid for
    more = feasible.solve(
        problem,
        GSD(rows=60, generations=3000, tolerance=0.0, stop="plateau"),
        budget={"rho": 0.08},
        seed=3,
        store=str(tmp_path / "lab.db"),
        name="r",
    )
    assert more.spent["rho"] == rho
    assert np.array_equal(stored()[0], answers)
