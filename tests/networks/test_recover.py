"""A live run that was killed goes on from the events that both of their ends had written down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import networkx as nx
import numpy as np
import pytest

from feasible.core.errors import ArgumentError
from feasible.networks import EventLog, dadao, recover_log
from feasible.networks.events import EXCHANGE, GRADIENT
from feasible.networks.live import PAST, SUFFIX, Writer

RING = nx.cycle_graph(4)
GIVEN = {"L": 1.0, "mu": 1.0, "x0": [0.0], "engine": "processes", "live": True, "pace": 50.0}
SCRIPT = f"""
import networkx as nx
from feasible.networks import dadao
dadao(lambda i, x: x - i, nx.cycle_graph(4), t_max=1e5, folder="run", **{GIVEN!r})
"""


def sizes(folder):
    """Bytes that each node has written."""
    return [path.stat().st_size for path in sorted(folder.glob(f"*{SUFFIX}"))]


@pytest.mark.kill
def test_a_killed_live_run_goes_on_from_its_last_events_and_leaves_no_node_behind(tmp_path):
    driver = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=tmp_path)
    folder = tmp_path / "run"
    try:
        for _ in range(600):
            if len(sizes(folder)) == 4 and min(sizes(folder)) > 48 * 20:
                break
            time.sleep(0.1)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    for _ in range(10):  # its nodes end by themselves
        before = sizes(folder)
        time.sleep(1.5)
        if sizes(folder) == before:
            break
    else:
        pytest.fail("nodes went on without the process that began them")
    log = recover_log(folder)
    assert min((log.i == k).sum() for k in range(3)) > 5
    assert (np.diff(log.t) >= 0).all()
    end = float(log.t[-1]) + 20.0
    found = dadao(lambda i, x: x - i, RING, t_max=end, since=log, **GIVEN)
    np.testing.assert_array_equal(found.log.t[: len(log)], log.t)
    assert len(found.log) > len(log)
    assert found.lost == ()


def test_an_exchange_counts_where_both_ends_wrote_it_down(tmp_path):
    EventLog.empty().save(tmp_path / PAST)
    first, second = (Writer(tmp_path / f"{i}{SUFFIX}") for i in range(2))
    first(1.0, EXCHANGE, 0, 1, 0, 0)
    second(1.0, EXCHANGE, 0, 1, 0, 0)
    second(1.5, GRADIENT, 1, -1, -1, 7)
    first(2.0, EXCHANGE, 0, 1, 0, 0)  # the other end was killed before it wrote
    with (tmp_path / f"1{SUFFIX}").open("ab") as half:
        half.write(b"half a row")
    log = recover_log(tmp_path)
    assert log.t.tolist() == [1.0, 1.5]
    assert log.kind.tolist() == [EXCHANGE, GRADIENT]


def test_the_folder_of_a_run_that_went_on_holds_all_of_it(tmp_path):
    first = dadao(lambda i, x: x - i, RING, t_max=5.0, folder=tmp_path / "a", **GIVEN)
    more = {"since": recover_log(tmp_path / "a"), "folder": tmp_path / "b"}
    found = dadao(lambda i, x: x - i, RING, t_max=10.0, **GIVEN, **more)
    log = recover_log(tmp_path / "b")
    np.testing.assert_array_equal(log.t, found.log.t)
    np.testing.assert_array_equal(log.seq, np.arange(len(log)))
    assert len(log) > len(first.log)


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    (tmp_path / "something").write_text("else")
    plain = GIVEN | {"live": False}
    with pytest.raises(ArgumentError, match=r"folder=.*expected an empty one"):
        dadao(lambda i, x: x, RING, folder=tmp_path, **GIVEN)
    with pytest.raises(ArgumentError, match=r"folder=.*only a live run"):
        dadao(lambda i, x: x, RING, folder=tmp_path / "new", **plain)
    with pytest.raises(ArgumentError, match="no event log"):
        recover_log(tmp_path)
