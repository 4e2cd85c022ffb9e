"""A store in PostgreSQL: many processes, broken connections, a server that restarts, and what is
said where it cannot be reached.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from labkit import bowl, same, together, toy
from store_kit import new_run, one_row
from study_kit import begin, reserved
from throwaway import Server

import feasible
from feasible.core import errors
from feasible.core.ledger import DONE
from feasible.lab import postgres, working
from feasible.lab.driving import LEASE_SECONDS
from feasible.lab.place import store_place
from feasible.lab.proposing import Proposer
from feasible.lab.schema import HEAD, VERSION_TABLE, metadata
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

SECRET = "s3cr/t@x:y"


@pytest.fixture
def url(server):
    return server.new_database()


@pytest.fixture
def own():
    """A server that a test may stop, with few connections."""
    made = Server.begun(connections=6)
    yield made
    made.end()


def connections(server, url):
    """How many connections a database has."""
    name = sa.make_url(url).database
    ((n,),) = server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
    return n


# -- the schema ------------------------------------------------------------------------------------


def test_the_migrations_make_the_schema_of_the_code_beside_another_tools_tables(server, url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    name = sa.make_url(url).database
    server.execute("CREATE TABLE alembic_version (version_num text)", name)
    server.execute("INSERT INTO alembic_version VALUES ('theirs')", name)
    store = Store(url)
    with store.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "include_object": lambda _o, n, kind, *_: kind != "table" or n.startswith("feas"),
            },
        )
        assert compare_metadata(context, metadata) == []
        found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    assert found == HEAD
    assert server.execute("SELECT version_num FROM alembic_version", name) == [("theirs",)]


def test_a_newer_schema_is_refused_naming_the_command(server, url):
    Store(url).close()
    server.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'", sa.make_url(url).database)
    with pytest.raises(errors.StoreError, match=r"9999.*pip install --upgrade"):
        Store(url)


def test_numbers_of_64_bits_and_texts_with_a_zero_byte_are_kept(url):
    store = Store(url)
    run = store.create_run(
        kind="solve", problem="toy", method="m", seed=2**62, budget={}, spec={}, name="big"
    ).id
    assert store.run("big").seed == 2**62
    rows = one_row(0)
    rows.reason[0] = "a\0b"
    store.record(run, rows)
    assert store.evaluations(run)[0].reason == "a\\0b"
    new_run(store, "zero\0byte")
    assert store.run("zero\\0byte").name == "zero\\0byte"


# -- many at once ----------------------------------------------------------------------------------


def test_processes_create_one_store_and_write_their_rows_at_once(url):
    def work(i):
        store = Store(url)
        run = new_run(store, f"r{i}")
        for k in range(10):
            store.record(run, one_row(k))
        return store.count(run)

    assert together(8, work) == [10] * 8
    assert len(Store(url).runs()) == 8


@pytest.mark.slow
def test_more_workers_than_the_server_has_connections_make_exactly_the_budget(own):
    url = own.new_database()
    study = begin(url, problem=toy(bowl), method="random-search", budget=12)

    def work(_):
        store = Store(url)
        return Study(store, store.run(study.id), toy(bowl), study.method).work()

    made = together(8, work)
    assert sum(made) == 12
    assert reserved(study) == 12
    rows = study.store.evaluations(study.id)
    assert [r.row for r in rows] == list(range(12))
    assert {r.status for r in rows} == {DONE}
    assert len({tuple(r.x) for r in rows}) == 12


def test_no_connection_is_held_while_an_evaluation_goes_on(server, url):
    held = []

    def watched(x):
        until = time.monotonic() + 10  # after a quick one it is kept for a moment
        while (now := connections(server, url)) and study and time.monotonic() < until:
            time.sleep(0.01)
        held.append(now)
        return bowl(x)

    study = None
    feasible.solve(toy(watched), "random-search", budget=4, store=url)
    study = begin(url, problem=toy(watched), budget=3)
    assert study.work() == 3
    assert held == [0] * 7


def made(url, budget, monkeypatch, **more):
    """How many connections a worker makes whose evaluations are quick."""
    study = begin(url, problem=toy(bowl), method="cbo", budget=budget, **more)
    backend, count = study.store._backend, []
    with monkeypatch.context() as patch:
        real = backend._connect
        monkeypatch.setattr(postgres, "KEEP", 5.0)  # however busy this machine is
        sa.event.remove(backend.engine, "do_connect", real)
        sa.event.listen(backend.engine, "do_connect", lambda *a: count.append(0) or real(*a))
        patch.setattr(working, "QUICK", 5.0)
        assert study.work() == budget
    backend.close()
    return len(count)


def test_quick_evaluations_share_a_connection(url, server, monkeypatch):
    assert made(url, 12, monkeypatch) <= 3  # the first: nobody knows yet that they are quick
    assert connections(server, url) == 0


def test_a_connection_is_not_kept_where_others_ask_of_the_study(url, monkeypatch):
    @contextlib.contextmanager
    def waited(*_):
        yield False

    monkeypatch.setattr(postgres.turns, "turn", waited)
    assert made(url, 12, monkeypatch) >= 12


def test_those_who_wait_for_their_turn_on_a_machine_have_no_connection(server, url, monkeypatch):
    study, waiting, proposed = begin(url, problem=toy(bowl)), threading.Event(), []
    real = Proposer.propose

    def propose(self, n):
        if not proposed:
            proposed.append(n)
            other.start()
            assert waiting.wait(30)
            assert connections(server, url) == 1  # that of who proposes
        return real(self, n)

    def ask():
        again = Study(Store(url), study.row, study.problem, study.method)
        drop = again.store._backend._held.drop
        again.store._backend._held.drop = lambda: (drop(), waiting.set())
        with again.store.held():
            again.pending()  # on a connection, which is not kept for the wait
            again.ask()

    other = threading.Thread(target=ask)
    monkeypatch.setattr(Proposer, "propose", propose)
    study.ask()
    other.join(30)
    assert [r.row for r in study.pending()] == [0, 1]


@pytest.mark.parametrize("keep", [False, True])
def test_a_child_that_closes_the_store_leaves_the_parents_connection_alone(url, monkeypatch, keep):
    monkeypatch.setattr(postgres, "KEEP", 30.0)
    store = Store(url)

    def session():
        with store.read() as connection:
            return connection.execute(sa.text("SELECT pg_backend_pid()")).scalar()

    def forked():
        pid = os.fork()
        if pid == 0:
            store._backend.close()
            os._exit(0)
        os.waitpid(pid, 0)

    with store.held(keep=keep):
        before = session()
        if not keep:
            forked()
            assert session() == before
    if keep:
        forked()
        with store.held():
            assert session() == before


def test_a_kept_connection_that_the_server_cuts_loses_no_result(server, url, monkeypatch):
    monkeypatch.setattr(postgres, "KEEP", 5.0)
    monkeypatch.setattr(working, "QUICK", 5.0)
    name = sa.make_url(url).database

    def cut(x):
        server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        return bowl(x)

    study = begin(url, problem=toy(cut), method="cbo", budget=4)
    assert study.work() == 4
    assert [r.status for r in study.store.evaluations(study.id)] == [DONE] * 4


# -- what breaks -----------------------------------------------------------------------------------


def test_a_result_whose_connection_is_cut_is_written_by_another_and_charged_once(server, url):
    study = begin(url, problem=toy(bowl), budget=3)
    (row,) = study.ask()
    name = sa.make_url(url).database
    telling = threading.Thread(
        target=study.tell, args=([StudyReport(row.row, None, bowl(np.array(row.x)))],)
    )
    with psycopg.connect(host=str(server.folder), user="feasible", dbname=name) as holding:
        holding.execute("SELECT id FROM feasible_runs FOR UPDATE")
        telling.start()
        waiting = []
        while not waiting:  # until it waits for the row
            time.sleep(0.02)
            waiting = server.execute(
                f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' "
                "AND wait_event_type = 'Lock'"
            )
        server.execute(f"SELECT pg_terminate_backend({waiting[0][0]})")
    telling.join(30)
    assert not telling.is_alive()
    (told,) = study.store.evaluations(study.id)
    assert told.status == DONE
    assert reserved(study) == 1


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_server_that_restarts_in_the_middle_of_a_run_changes_nothing(own, mode):
    calls = []

    def through_a_restart(x):
        calls.append(x)
        if len(calls) == 3:
            own.stop(mode)
            threading.Timer(1.0, own.start).start()
        return bowl(x)

    call = {"budget": 8, "seed": 3}
    found = feasible.solve(
        toy(through_a_restart), "cobyqa", store=own.new_database(), name="r", **call
    )
    assert len(calls) == 8
    same(found, feasible.solve(toy(bowl), "cobyqa", **call))


def test_a_claim_holds_by_the_servers_clock(url, monkeypatch):
    store = Store(url)
    run = new_run(store)
    store.claim_run(run)
    here = time.time
    monkeypatch.setattr(time, "time", lambda: here() + 10 * LEASE_SECONDS)
    ahead = Store(url)
    assert ahead.clock() == pytest.approx(here(), abs=5)
    monkeypatch.setattr("feasible.lab.owner.alive", lambda owner: True)
    monkeypatch.setattr("feasible.lab.owner.identity", lambda: {"host": "elsewhere", "pid": 1})
    with pytest.raises(errors.RunBusy):
        ahead.claim_run(run)


# -- where it cannot be reached --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"database": "nobody"}, "create it first"),
        ({"username": "nobody"}, "create it first"),
        ({"query": {"host": "/tmp/no such folder"}}, "server"),
        ({"host": "127.0.0.1", "port": 1, "query": {}}, "is it running"),
    ],
)
def test_a_database_that_cannot_be_reached_is_said_at_once_and_no_password_is(url, change, words):
    wrong = sa.make_url(url).set(password=SECRET, **change)
    begun = time.monotonic()
    with pytest.raises(errors.StoreError, match=words) as caught:
        Store(wrong.render_as_string(hide_password=False))
    assert time.monotonic() - begun < postgres.PATIENCE / 2
    assert SECRET not in str(caught.value)
    assert "s3cr" not in str(caught.value)


def test_a_role_that_may_not_create_tables_is_told_what_it_needs(server, url):
    server.execute("DROP ROLE IF EXISTS reader")
    server.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(errors.StoreError, match="GRANT CREATE"):
        Store(url.replace("feasible@", "reader@"))


def test_a_server_that_is_too_old_is_refused(url, monkeypatch):
    monkeypatch.setattr(postgres, "OLDEST", 990000)
    with pytest.raises(errors.StoreError, match="expected 99 or newer"):
        Store(url)


def test_without_psycopg_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(errors.MissingExtra, match=r"feasible\[postgresql\]"):
        Store("postgresql://ann@db.example/runs")


@pytest.mark.parametrize(
    "bad",
    [
        f"postgresql://ann:{SECRET}@db.example/runs",
        "postgresql://ann@host:port/runs",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_with_its_form(bad):
    with pytest.raises(errors.StoreError, match=r"%40 for @") as caught:
        store_place(bad)
    assert SECRET not in str(caught.value)


def test_the_command_line_takes_a_url(url, ok, run):
    ok("solve", "three-bar-truss", "-m", "cbo", "-b", "evaluations=5", "--store", url)
    assert "three-bar-truss-1" in ok("show", "--store", url)
    ok("resume", "three-bar-truss-1", "--add", "evaluations=3", "--store", url)
    found = ok("show", "three-bar-truss-1", "--json", "--store", url)
    assert found["spent"]["evaluations"] == 8


@pytest.mark.slow
def test_forks_write_over_tls_while_the_parent_goes_on_writing(own):
    key, cert = (own.folder / "data" / name for name in ("server.key", "server.crt"))
    made = "openssl req -new -x509 -days 2 -nodes -batch -newkey rsa:2048 -subj /CN=localhost"
    subprocess.run(
        [*own.before, *made.split(), "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    key.chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (own.folder / "data" / "postgresql.conf").open("a") as conf:
        conf.write(f"ssl = on\nlisten_addresses = '127.0.0.1'\nport = {port}\n")
    own.stop()
    own.start()
    url = f"postgresql://feasible@127.0.0.1:{port}/postgres?sslmode=require"
    store = Store(url)
    run = new_run(store)

    def work(i):
        mine = new_run(store, f"r{i}")
        with store.held():
            for k in range(5):
                store.record(mine, one_row(k))
                store.record(run, one_row(5 * i + k))
        return store.count(mine)

    with store.held():
        with store.read() as connection:  # stays open in the parent while it forks
            assert connection.execute(sa.text("SELECT ssl FROM pg_stat_ssl WHERE ssl")).scalar()
        assert together(4, work) == [5] * 4
        assert store.count(run) == 20
    store.record(run, one_row(20))
    assert store.count(run) == 21
