"""Where a store is: any path is a path, other databases are refused, and no password is shown."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from labkit import bowl, toy
from store_kit import new_run, one_row

import feasible
from feasible.core import errors
from feasible.core.secrets import hide_passwords, legible
from feasible.lab.place import store_file
from feasible.lab.store import Store

pytestmark = pytest.mark.file
ODD = ["run?1.db", "run?2.db", "a#b.db", "50%20.db", "two words.db", "~tilde.db", "ü&=;'\".db"]


# -- paths -----------------------------------------------------------------------------------------


def test_paths_that_differ_are_files_that_differ_whatever_characters_they_have(tmp_path):
    for n, name in enumerate(ODD):
        with Store(tmp_path / name) as store:
            run = new_run(store)
            for i in range(n + 1):
                store.record(run, one_row(i))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(ODD)
    for n, name in enumerate(ODD):
        assert Store(str(tmp_path / name)).count(1) == n + 1
        assert Store(f"sqlite:///{tmp_path}/{name}").count(1) == n + 1 if "?" not in name else True


@pytest.mark.parametrize("name", ODD)
def test_show_looks_where_solve_wrote(name, tmp_path, monkeypatch, ok, run):
    monkeypatch.chdir(tmp_path)
    code, _out, err = run("show", "--store", name)
    assert code == 2
    assert name in err
    ok("solve", "three-bar-truss", "-m", "cbo", "-b", "evaluations=5", "--store", name)
    assert {p.name.removesuffix("-wal").removesuffix("-shm") for p in tmp_path.iterdir()} == {name}
    assert "three-bar-truss-1" in ok("show", "--store", name)
    with pytest.raises(errors.UnknownName) as caught:
        Store(name).run("nobody")
    assert name in str(caught.value)


def test_a_path_object_is_a_path_also_where_it_looks_like_a_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "postgresql:").mkdir()
    Store(Path("postgresql://x.db")).close()
    assert (tmp_path / "postgresql:" / "x.db").is_file()


def test_what_is_no_path_is_an_error_that_names_the_argument():
    with pytest.raises(errors.ArgumentTypeError, match="store=3"):
        feasible.solve(toy(), "cbo", budget=3, store=3)


# -- other databases -------------------------------------------------------------------------------

SECRET = "s3cr/t@x:y"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://ann:{SECRET}@db/runs",
        f"mssql://db/runs?password={SECRET}",
        f"wat://:{SECRET}@",
        f"sqlite://ann:{SECRET}@host/x.db",
    ],
)
def test_other_databases_are_refused_before_anything_is_spent_and_no_password_is_shown(url, run):
    calls = []

    def counted(x):
        calls.append(x)
        return bowl(x)

    for attempt in (
        lambda: feasible.solve(toy(counted), "random-search", budget=3, store=url),
        lambda: feasible.race(toy(counted), "random-search", 3, 2, store=url),
        lambda: store_file(url),
    ):
        with pytest.raises(errors.StoreError, match=r"expected a path such as runs\.db") as caught:
            attempt()
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
    assert calls == []
    for command in (["solve", "three-bar-truss", "-b", "evaluations=3"], ["show"], ["resume", "r"]):
        code, out, err = run(*command, "--store", url)
        assert code == 2
        assert "Traceback" not in out + err
        assert SECRET not in out + err


def test_a_password_in_a_failure_of_the_users_function_is_neither_stored_nor_shown(tmp_path):
    def asks_a_database(x):
        raise RuntimeError(f"no answer from postgresql://ann:{SECRET}@db/x, password={SECRET}")

    path = tmp_path / "lab.db"
    call = {"store": str(path), "budget": 2}
    skipped = feasible.solve(toy(asks_a_database), "random-search", on_failure="skip", **call)
    with pytest.raises(errors.EvaluationFailed) as caught:
        feasible.solve(toy(asks_a_database), "random-search", **call)
    shown = str(caught.value) + str(skipped) + str(skipped.ledger.all().reason)
    assert SECRET not in shown
    assert "ann:***@db/x" in shown
    Store(path).close()
    assert SECRET.encode() not in path.read_bytes()


def test_what_holds_no_password_stays_as_it_is():
    for text in ("12:30 a@b", "http://host:80/x", "a: b@c", "tokens=5", "x://y", "C:\\a@b"):
        assert hide_passwords(text) == text


def test_a_text_that_utf_8_cannot_hold_becomes_one_that_it_can():
    assert legible("a\udc80ü") == "a\\udc80ü"


# -- files that may only be read -------------------------------------------------------------------


def as_nobody(work) -> None:
    """Call a function in a child process that may write nothing of root's."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def open_folder(tmp_path):
    """A folder that everybody may enter and nobody may write."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == tmp_path or folder.name.startswith(("pytest-", "popen-")):
            folder.chmod(0o755)
    folder = tmp_path / "shared"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_store_that_may_only_be_read_is_shown_and_not_written(open_folder, what):
    path = open_folder / "lab.db"
    feasible.solve(toy(), "random-search", budget=5, store=str(path), name="r")
    path.chmod(0o444)
    open_folder.chmod(0o555 if what == "folder" else 0o777)

    def look():
        store = Store(path)
        assert store.read_only
        assert len(store.evaluations(1)) == 5
        with pytest.raises(errors.StoreError, match=r"readonly.*copy it to a place"):
            new_run(store, "s")
        with pytest.raises(errors.StoreError, match=r"readonly.*copy it to a place"):
            store.record(1, one_row(7))

    as_nobody(look)
    assert [p.name for p in open_folder.iterdir()] == ["lab.db"]


def test_the_log_of_a_process_that_was_killed_is_read_too_where_nothing_may_be_written(open_folder):
    path = open_folder / "lab.db"
    pid = os.fork()
    if pid == 0:
        store = Store(path)
        run = new_run(store)
        for i in range(7):
            store.record(run, one_row(i))
        os._exit(0)  # like kill -9: nothing is closed
    os.waitpid(pid, 0)
    assert (open_folder / "lab.db-wal").stat().st_size
    (open_folder / "lab.db-shm").unlink()
    for file in open_folder.iterdir():
        file.chmod(0o444)
    open_folder.chmod(0o555)
    as_nobody(lambda: _seven_rows(path))


def _seven_rows(path: Path) -> None:
    assert Store(path).count(1) == 7


def test_an_older_schema_that_may_only_be_read_is_shown(open_folder):
    path = open_folder / "old.db"
    made = Path(__file__).parent / "stores" / "0.1.0.sqlite.gz"
    path.write_bytes(gzip.decompress(made.read_bytes()))
    before = path.read_bytes()
    path.chmod(0o444)
    open_folder.chmod(0o555)
    as_nobody(lambda: _has_runs(path))
    assert path.read_bytes() == before


def _has_runs(path: Path) -> None:
    assert Store(path).run("by-name").state == "finished"


# -- files that are written ------------------------------------------------------------------------


def test_a_store_that_is_closed_is_one_file(tmp_path, ok):
    path = tmp_path / "lab.db"
    feasible.solve(toy(), "random-search", budget=5, store=str(path), name="r")
    assert [p.name for p in tmp_path.iterdir()] == ["lab.db"]
    feasible.race(toy(), "random-search", 3, 2, store=str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["lab.db"]


def test_a_program_that_ends_without_closing_its_store_leaves_one_file(tmp_path):
    path = tmp_path / "lab.db"
    code = f"""
import feasible
from feasible.lab.store import Store
kept = Store({str(path)!r})
kept.create_run(kind="solve", problem="p", method="m", seed=0, budget={{}}, spec={{}}, name="r")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["lab.db"]
    assert Store(path).run("r").state == "open"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_a_store_obeys_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        Store(tmp_path / "lab.db").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lab.db").stat().st_mode) == 0o644 & ~mask
