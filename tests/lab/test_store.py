"""The store keeps every row, for many processes at once, beside other tools, and says what to do
when it cannot.
"""

from __future__ import annotations

import sqlite3
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from labkit import bowl, same, together, toy
from store_kit import new_run, one_row

import feasible
from feasible.core import errors
from feasible.core.registry import load_method
from feasible.lab import sqlite as store_module
from feasible.lab.schema import HEAD, VERSION_TABLE
from feasible.lab.store import Store, StoreWarning

pytestmark = pytest.mark.file

# -- opening ---------------------------------------------------------------------------------------


def test_a_new_store_has_the_newest_schema_in_its_own_version_table(db):
    Store(db).close()
    with sqlite3.connect(db) as raw:
        assert raw.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(HEAD,)]
        names = {n for (n,) in raw.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    assert names == {
        VERSION_TABLE,
        "feasible_races",
        "feasible_runs",
        "feasible_evaluations",
        "feasible_points",
        "feasible_checkpoints",
        "feasible_answers",
    }


def test_migrations_make_the_schema_that_the_code_declares(db):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from feasible.lab.schema import metadata

    store = Store(db)
    with store.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, metadata) == []


def test_an_empty_database_file_becomes_a_store(db):
    sqlite3.connect(db).close()
    db.touch()
    assert Store(db).runs() == []


def test_the_store_lives_beside_another_tools_tables_and_its_alembic_version(db):
    with sqlite3.connect(db) as raw:
        raw.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        raw.execute("INSERT INTO alembic_version VALUES ('v4.1.0')")
        raw.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, what TEXT)")
        raw.execute("INSERT INTO runs VALUES (1, 'theirs')")
    store = Store(db)
    store.record(new_run(store), one_row(0))
    store.close()
    Store(db).close()
    with sqlite3.connect(db) as raw:
        assert raw.execute("SELECT * FROM alembic_version").fetchall() == [("v4.1.0",)]
        assert raw.execute("SELECT * FROM runs").fetchall() == [(1, "theirs")]


def test_a_newer_schema_is_refused_naming_both_versions_and_the_command(db):
    Store(db).close()
    with sqlite3.connect(db) as raw:
        raw.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0042'")
    with pytest.raises(errors.StoreError, match=f"0042.*{HEAD}.*pip install --upgrade feasible"):
        Store(db)


def test_a_migration_that_breaks_in_the_middle_leaves_nothing_behind(db, monkeypatch):
    import alembic.command

    def broken(config, target):
        config.attributes["connection"].exec_driver_sql("CREATE TABLE feasible_races (id INTEGER)")
        raise sqlite3.OperationalError("power cut")

    monkeypatch.setattr(alembic.command, "upgrade", broken)
    with pytest.raises(errors.StoreError, match="power cut"):
        Store(db)
    monkeypatch.undo()
    assert Store(db).runs() == []


def test_a_file_that_is_no_database_is_named_as_such(db):
    db.write_text("these are not the rows you are looking for" * 50)
    with pytest.raises(errors.StoreError, match=r"not a database.*name another"):
        Store(db)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(errors.StoreError, match="nowhere does not exist"):
        Store(tmp_path / "nowhere" / "a.db")


def test_a_folder_is_not_taken_for_a_store(tmp_path):
    with pytest.raises(errors.StoreError, match="must exist and be writable"):
        Store(tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/a.db",
        "sqlite:///a.db?mode=ro",
        ":memory:",
        "",
        "a\0b",
        "wat://x",
        "://",
    ],
)
def test_a_url_that_is_no_lasting_store_is_a_store_error(url):
    with pytest.raises(errors.StoreError):
        Store(url)


def test_a_read_only_store_can_be_read_and_says_what_to_do_when_written(db, monkeypatch):
    store = Store(db)
    new_run(store)
    store.close()
    prepare = store_module._prepare

    def read_only(raw, record):
        prepare(raw, record)
        raw.execute("PRAGMA query_only=ON")

    monkeypatch.setattr(store_module, "_prepare", read_only)
    store = Store(db)
    assert [r.name for r in store.runs()] == ["r"]
    with pytest.raises(errors.StoreError, match=r"readonly.*copy it to a place"):
        new_run(store, "s")
    with pytest.raises(errors.StoreError, match=r"readonly.*copy it to a place"):
        store.record(1, one_row(0))


def test_a_lock_that_is_held_too_long_becomes_a_sentence(db, monkeypatch):
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.2)
    store = Store(db)
    run = new_run(store)
    blocker = sqlite3.connect(db, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for write in (lambda: store.record(run, one_row(0)), lambda: new_run(store, "s")):
        with pytest.raises(errors.StoreError, match=r"locked.*end that process or wait"):
            write()
    assert store.count(run) == 0
    blocker.execute("ROLLBACK")
    store.record(run, one_row(0))
    assert store.count(run) == 1


def test_a_lock_that_ends_in_time_is_waited_for(db):
    store = Store(db)
    run = new_run(store)
    store.close()

    def hold_or_write(i: int) -> float:
        if i == 0:
            raw = sqlite3.connect(db, isolation_level=None)
            raw.execute("BEGIN IMMEDIATE")
            time.sleep(0.5)
            raw.execute("COMMIT")
        else:
            time.sleep(0.2)
            store.record(run, one_row(i))
        return 0.0

    together(2, hold_or_write)
    assert store.count(run) == 1


def test_a_full_disk_is_named_and_what_was_committed_is_safe(db, monkeypatch):
    store = Store(db)
    run = new_run(store)
    store.record(run, one_row(0))
    store.close()
    prepare = store_module._prepare

    def small(raw, record):
        prepare(raw, record)
        raw.execute(f"PRAGMA max_page_count={raw.execute('PRAGMA page_count').fetchone()[0] + 2}")

    monkeypatch.setattr(store_module, "_prepare", small)
    store = Store(db)

    def until_full():
        for i in range(1, 2000):
            store.record(run, one_row(i))

    with pytest.raises(errors.StoreError, match=r"full.*free some space.*resume"):
        until_full()
    monkeypatch.undo()
    with sqlite3.connect(db) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = Store(db).evaluations(run)
    assert [r.row for r in rows] == list(range(len(rows)))
    assert len(rows) > 1


def test_a_run_on_a_full_disk_fails_with_the_store_error_and_resumes(db, monkeypatch):
    prepare = store_module._prepare

    def small(raw, record):
        prepare(raw, record)
        raw.execute("PRAGMA max_page_count=20")

    Store(db).close()
    monkeypatch.setattr(store_module, "_prepare", small)
    with pytest.raises(errors.StoreError, match="full"):
        feasible.solve(toy(), "random-search", budget=400, store=str(db), name="r")
    monkeypatch.undo()
    again = feasible.solve(toy(), "random-search", budget=400, store=str(db), name="r")
    same(again, feasible.solve(toy(), "random-search", budget=400))


def test_what_cannot_begin_leaves_no_run_in_the_store(db, monkeypatch):
    from feasible.core import extras
    from feasible.lab.study import Study

    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    wrong = "sinkhorn-newton"
    with pytest.raises(errors.MissingExtra, match="cma"):
        feasible.solve(toy(), "cma-es", budget=5, store=str(db))
    monkeypatch.undo()
    with pytest.raises(errors.WrongProblem):
        feasible.solve(toy(), wrong, budget={"steps": 5}, store=str(db))
    with Store(db) as store:
        with pytest.raises(errors.WrongProblem):
            Study.create(store, toy(), load_method(wrong), feasible.Budget(evaluations=5))
        assert store.runs() == []


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_warned_about_before_the_first_evaluation(db, monkeypatch, kind):
    monkeypatch.setattr(store_module, "file_system", lambda path: kind)
    warned: list[bool] = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")

        def watching(x):
            warned.append(any(issubclass(w.category, StoreWarning) for w in seen))
            return bowl(x)

        feasible.solve(toy(watching), "random-search", budget=1, store=str(db))
    assert warned == [True]
    text = next(str(w.message) for w in seen if issubclass(w.category, StoreWarning))
    assert kind in text
    assert "local path" in text


def test_a_local_file_system_is_not_warned_about(db):
    with warnings.catch_warnings():
        warnings.simplefilter("error", StoreWarning)
        Store(db)


def test_the_file_system_of_a_path_is_the_deepest_mount(monkeypatch, tmp_path):
    mounts = [
        SimpleNamespace(mountpoint=where, fstype=kind)
        for where, kind in (
            ("/", "ext4"),
            (str(tmp_path), "nfs4"),
            (f"{tmp_path}/deep er", "tmpfs"),
        )
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    assert store_module.file_system(tmp_path) == "nfs4"
    assert store_module.file_system(tmp_path / "deep er" / "x") == "tmpfs"
    assert store_module.file_system(Path("/usr")) == "ext4"
