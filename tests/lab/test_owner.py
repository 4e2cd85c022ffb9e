"""A process that claims a run is told from one that is gone, and from another with its number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from feasible.core.child import descendants
from feasible.lab import owner


def test_this_process_is_alive_and_always_the_same():
    assert owner.identity() == owner.identity()
    assert owner.alive(owner.identity())


def test_a_child_is_another_process():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(owner.identity()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    said = os.read(read, 1000).decode()
    assert f"'pid': {child}" in said
    assert said != repr(owner.identity())


def test_one_that_ended_is_not_alive_even_before_its_parent_asks_for_it():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    claim = {"host": socket.gethostname(), "pid": process.pid, "born": owner._born(process.pid)}
    assert owner.alive(claim)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not owner.alive(claim)
    process.communicate()
    assert not owner.alive(claim)


def test_another_process_with_the_same_number_is_not_the_owner():
    assert not owner.alive({**owner.identity(), "born": "12"})


def test_a_process_on_another_host_counts_as_alive():
    assert owner.alive({"host": "elsewhere", "pid": 1, "born": "12"})


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the births of old stores")
def test_births_are_those_that_stores_before_psutil_hold():
    with open("/proc/self/stat", encoding="ascii") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    assert os.sysconf("SC_CLK_TCK") == owner.TICKS
    assert abs(int(owner.identity()["born"]) - ticks) < owner.SLACK


def test_children_of_children_are_found():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    found: list[int] = []
    while not found:
        found = descendants(process.pid)
    os.kill(found[0], signal.SIGKILL)
    process.communicate()
    assert descendants(process.pid) == []
