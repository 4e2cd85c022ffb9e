"""The dashboard, whoever asks and whatever happens to the store: nothing is written or imported."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import math
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from serving import Client, a_race, fill, hostile, result, row, trail, trial_row
from study_kit import begin, value

from feasible.core import errors
from feasible.lab.schema import VERSION_TABLE
from feasible.lab.store import Store
from feasible.lab.web import app as web, views
from feasible.lab.web.app import check_open, listening
from feasible.lab.web.asked import Asked

TOKEN = "0123456789abcdef0123"


# -- nothing is written, and nothing is run --------------------------------------------------------


def mark_of(folder):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.suffix == ".db"
    }


def test_looking_changes_nothing_and_there_is_nothing_to_write_with(file):
    with Store(file) as store:
        hostile(store)
    before = mark_of(file.parent)
    get = Client(file)
    for address in ("/", "/race?id=1", "/run?id=1", "/studies", "/compare?race=1", "/runs.csv"):
        assert get(address).status == 200
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert get(address, method).status == 405
    with pytest.raises(errors.StoreError, match="readonly"):
        get.site.opened.store().update_run(1, state="open")
    assert mark_of(file.parent) == before


@pytest.mark.both
def test_the_database_itself_refuses_what_is_written_through_the_dashboard(db):
    with Store(db) as store:
        fill(store, [row(i) for i in range(3)])
    get = Client(db)
    assert "3 runs" in get("/").page.words
    assert "run-1" in get("/run?id=2").page.text
    looked = get.site.opened.store()
    with pytest.raises(errors.StoreError, match=r"read-?only"), looked.read() as connection:
        connection.execute(sa.text("DELETE FROM feasible_runs"))
    assert len(Store(db).runs()) == 3


@pytest.mark.both
def test_an_index_takes_in_what_is_new_changed_and_gone(db):
    store = Store(db)
    fill(store, [row(i) for i in range(40)])
    get = Client(db)
    index = get.site.index
    seen = index.version

    def look():
        index._looked = -math.inf
        index.fresh()
        return {line.id: line for line in index.all()}

    assert len(look()) == 40
    assert index.version == seen
    new = store.create_run(
        kind="solve", problem="p", method="m", seed=0, budget={"evaluations": 9}, spec={}
    )
    assert look()[new.id].name == new.name
    store.update_run(new.id, state="finished", result=result(2.5))
    assert (look()[new.id].objective, look()[new.id].feasible) == (2.5, True)
    assert index.version > seen
    with store.write() as connection:
        connection.execute(sa.text(f"DELETE FROM feasible_runs WHERE id = {new.id}"))
    assert new.id not in look()
    assert index.total == 40


def test_what_a_store_names_is_not_imported(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    evil = tmp_path / "evil_study.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nproblem = method = None\n")
    named = {"problem": "evil_study.py:problem", "method": {"target": "evil_study:method"}}
    study = begin(file)
    with study.store as store:
        store.update_run(study.id, spec={**study.row.spec, **named})
        race, _ = store.create_race(
            "r",
            {
                "problems": {"p": "evil_study.py:problem"},
                "methods": {"m": {"target": "evil_study:method", "settings": {}}},
                "seeds": [0],
                "budget": {"evaluations": 1},
                "versions": {},
            },
        )
        fill(store, [row(0, spec=named), row(1, spec=named, race=race, problem="p", method="m")])
    get = Client(file)
    for address in ("/run?id=1", "/run?id=2", "/run?id=3", "/race?id=1", "/compare?run=1,2,3"):
        assert get(address).status == 200, address
    assert not (tmp_path / "ran").exists()
    assert "evil_study" not in sys.modules


def test_a_store_that_may_only_be_read_is_read_and_its_folder_stays_as_it_is(
    file, tmp_path, monkeypatch
):
    with Store(file) as store:
        fill(store, [row(0)])
    monkeypatch.setattr("feasible.lab.sqlite.os.access", lambda *_: False)
    before = mark_of(tmp_path), sorted(tmp_path.iterdir())
    assert "run-0" in Client(file)("/").page.text
    assert (mark_of(tmp_path), sorted(tmp_path.iterdir())) == before


@pytest.mark.file
def test_a_store_of_an_older_version_is_shown_from_a_copy(tmp_path):
    old = tmp_path / "old.db"
    packed = Path(__file__).parent / "stores" / "0.1.0.sqlite.gz"
    with gzip.open(packed) as source_file, old.open("wb") as target:
        shutil.copyfileobj(source_file, target)
    before = mark_of(tmp_path)
    get = Client(old)
    assert get.site.index.total > 0
    for line in get.site.index.all()[:4]:
        assert get(f"/run?id={line.id}").status == 200
    assert get("/races").status == 200
    assert mark_of(tmp_path) == before


def test_what_is_no_store_is_refused_and_stays_as_it_is(tmp_path):
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE t (a)")
    newer = tmp_path / "newer.db"
    with Store(newer) as store, store.write() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0999'"))
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    before = mark_of(tmp_path)
    for path, said in (
        (other, "without a feasible store"),
        (newer, "newer feasible"),
        (text, "not a database"),
        (tmp_path / "none.db", "there is no store"),
    ):
        with pytest.raises(errors.StoreError, match=said):
            Client(path)
    assert mark_of(tmp_path) == before


@pytest.mark.parametrize("version", ["0003", "0999"])
def test_a_server_with_another_schema_is_refused_and_left_as_it_is(version, server):
    url = server.new_database()
    schema = sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
    with Store(url) as store, store.write() as connection:
        connection.execute(schema)
    with pytest.raises(errors.StoreError, match="schema of another version"):
        Client(url)
    found = server.execute(f"SELECT version_num FROM {VERSION_TABLE}", sa.make_url(url).database)
    assert found == [(version,)]


# -- while it is watched ---------------------------------------------------------------------------


def test_a_page_changes_its_mark_when_what_it_shows_moved_and_not_else(file):
    store = Store(file)
    run = store.create_run(
        kind="solve", problem="toy", method="cbo", seed=0, budget={"evaluations": 40.0}, spec={}
    )
    other = store.create_run(
        kind="solve", problem="toy", method="cbo", seed=1, budget={"evaluations": 40.0}, spec={}
    )
    store.claim_run(run.id)
    site = Client(file).site

    def mark(address):
        site.index._looked = -math.inf
        return site.mark(Asked.read(address))

    pages = {a: mark(a) for a in ("runs", f"run?id={run.id}", f"run?id={other.id}")}
    assert pages == {a: mark(a) for a in pages}
    trail(store, run.id, [3.0])
    now = {a: mark(a) for a in pages}
    assert [now[a] != pages[a] for a in pages] == [True, True, False]


@pytest.mark.parametrize("kind", ["race", "study"])
def test_figures_stand_a_while_say_so_and_are_drawn_again(kind, file, monkeypatch):
    monkeypatch.setattr(views, "PATIENCE", 1e9)
    monkeypatch.setattr(views, "AT_ONCE", 1e9)
    if kind == "study":
        study = begin(file, budget=40)
        study.tell([value(r) for r in study.ask(10)])
        address = f"run?id={study.id}"

        def change():
            study.tell([value(r) for r in study.ask(1)])

    else:
        store = Store(file)
        race = a_race(store)
        fill(store, [trial_row(i, race, "ab"[i % 2], i // 2) for i in range(4)])
        address = f"race?id={race}"

        def change():
            fill(store, [trial_row(4, race, "a", 2)])

    get = Client(file)
    site = get.site
    monkeypatch.setattr("feasible.lab.web.index.PAUSE", 0.0)
    assert "Figures as of" not in get(f"/{address}").page.words
    change()
    assert "Figures as of" in get(f"/{address}").page.words
    standing = site.mark(Asked.read(address))
    for drawn in next(iter(site.kept.drawn.values())).values():
        drawn.until = 0.0
    assert site.mark(Asked.read(address)) != standing
    assert "Figures as of" not in get(f"/{address}").page.words
    assert site.mark(Asked.read(address)) == standing


def test_at_one_look_only_some_figures_are_drawn_again_and_all_in_the_end(file, monkeypatch):
    monkeypatch.setattr(views, "AT_ONCE", 1e-9)
    monkeypatch.setattr(views, "PATIENCE", 0.0)
    monkeypatch.setattr("feasible.lab.web.index.PAUSE", 0.0)
    store = Store(file)
    address = f"race?id={(race := a_race(store))}"
    fill(store, [trial_row(i, race, "ab"[i % 2], i // 2) for i in range(4)])
    get = Client(file)
    site, count = get.site, get.site.kept
    get(f"/{address}")
    all_of_them = count.drawings
    assert all_of_them >= 6
    fill(store, [trial_row(4, race, "a", 2)])
    marks = []
    for looks in range(1, all_of_them + 1):
        marks.append(site.mark(Asked.read(address)))
        said = "Figures as of" in get(f"/{address}").page.words
        assert count.drawings == all_of_them + looks
        assert said == (looks < all_of_them)
    assert len(set(marks)) == len(marks)  # so that the page is told of each
    get(f"/{address}")
    assert count.drawings == 2 * all_of_them


def test_events_say_that_a_page_changed(file, monkeypatch):
    monkeypatch.setattr(web, "EVERY", 0.01)
    monkeypatch.setattr("feasible.lab.web.index.PAUSE", 0.0)
    store = Store(file)
    (number,) = fill(store, [row(0)])
    site = Client(file).site

    async def watched():
        events = web._events(site, Asked.read(f"run?id={number}"))
        first = [await anext(events), await anext(events)]
        store.update_run(number, state="open")
        second = await anext(events)
        await events.aclose()
        return first[1], second

    first, second = asyncio.run(watched())
    assert first.startswith("event: changed\ndata: ")
    assert second.startswith("event: changed\ndata: ")
    assert first != second


@pytest.mark.file
def test_what_is_deleted_while_it_is_watched_is_said(file, tmp_path):
    store = Store(file)
    _, second = fill(store, [row(0), row(1)])
    get = Client(file)
    assert get(f"/run?id={second}").status == 200
    before = get.site.mark(Asked.read(f"run?id={second}"))
    with store.write() as connection:
        connection.execute(sa.text(f"DELETE FROM feasible_runs WHERE id = {second}"))
    gone = get(f"/run?id={second}")
    assert (gone.status, "it may have been deleted" in gone.page.words) == (404, True)
    assert "as of" not in gone.page.words
    assert "feasible report" not in gone.page.words
    assert get.site.mark(Asked.read(f"run?id={second}")) != before
    store.close()
    for path in tmp_path.glob("lab.db*"):
        path.unlink()
    lost = get("/")
    assert (lost.status, "there is no store at" in lost.page.words) == (503, True)
    assert get("/runs.csv").status == 503
    with Store(file) as again:
        fill(again, [row(5), row(6), row(7)])
    assert "3 runs" in get("/").page.words


def test_what_is_kept_of_races_is_bounded(file):
    store = Store(file)
    for i in range(12):
        race = a_race(store, ("a",), (0,), name=f"r{i}")
        fill(store, [trial_row(i, race, "a", 0, name=f"r{i}")])
    get = Client(file)
    for i in range(12):
        assert get(f"/race?id={i + 1}").status == 200
    assert len(get.site.kept.trials) <= 4


# -- who is let in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "lab.example"])
def test_an_address_that_others_reach_needs_a_token(host):
    with pytest.raises(errors.ArgumentError, match="--token-file"):
        check_open(host, None)
    with pytest.raises(errors.ArgumentError, match="at least 16"):
        check_open(host, "short")
    check_open(host, TOKEN)
    for here in ("127.0.0.1", "::1", "localhost", "127.3.2.1"):
        check_open(here, None)


def test_the_token_is_asked_for_as_a_password_and_stands_nowhere(file, caplog):
    import base64

    Store(file).close()
    get = Client(file, token=TOKEN, hosts=None)
    for wrong in ("", "Basic", "Basic !!", "Bearer x", f"Bearer {TOKEN}x", "Basic Og=="):
        answer = get("/", headers={"authorization": wrong})
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    right = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
    for given in (f"Basic {right}", f"Bearer {TOKEN}"):
        for address in ("/", "/run?id=9", "/static/live.js", "/papers"):
            answer = get(address, headers={"authorization": given})
            assert answer.status != 401
            assert TOKEN not in answer.text
    assert TOKEN not in caplog.text
    assert get("/events?page=runs").status == 401
    assert get("/static/page.css").status == 401


def test_a_page_of_elsewhere_does_not_reach_it_under_a_name_of_its_own(file):
    Store(file).close()
    get = Client(file)
    for host in ("127.0.0.1:8080", "localhost", "[::1]:80"):
        assert get("/", headers={"host": host}).status == 200
    for host in ("evil.example", "127.0.0.1.evil.example:80", ""):
        assert get("/", headers={"host": host}).status == 421
    policy = get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


def test_two_dashboards_on_one_port_are_refused_by_name():
    with listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(errors.ArgumentError, match=f"port={port} on 127.0.0.1.*--port 0"):
            listening("127.0.0.1", port)
    with pytest.raises(errors.ArgumentError, match="no-such-host"):
        listening("no-such-host.invalid", 0)


@pytest.mark.file
def test_the_command_serves_until_it_is_interrupted(file):
    with Store(file) as store:
        fill(store, [row(0)])
    command = [sys.executable, "-m", "feasible", "serve", str(file), "--port", "0"]
    command += ["--root-path", "lab"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        address = it.stdout.readline().split()[-1]
        assert address.endswith("/lab/")
        assert "read only" in it.stdout.readline()
        with urllib.request.urlopen(address) as answer:
            assert "run-0" in answer.read().decode()
        it.send_signal(signal.SIGINT)
        assert it.wait(60) == 0
        assert it.stderr.read() == ""


def test_every_link_is_relative_so_that_a_prefix_of_a_proxy_does_not_matter(file):
    with Store(file) as store:
        hostile(store)
    get, below = Client(file), Client(file, root_path="/lab/7/")
    for address in ("/", "/races", "/race?id=1", "/run?id=1", "/compare?race=1", "/papers"):
        page = get(address).page
        for tag, attributes in page.tags:
            for name in ("href", "src", "action"):
                link = attributes.get(name)
                assert link is None or not re.match(r"/|\w+://|\\", link), (tag, link)
        for place in (f"/lab/7{address}", address):
            assert below(place).page.all("a") == page.all("a")


def test_no_address_breaks_a_page(file):
    with Store(file) as store:
        fill(store, [row(0)])
    get = Client(file)
    for query in (
        *(
            "page=-1",
            "page=0",
            "page=9e99",
            "sort=__class__",
            "down=x",
            "q=%00%ff",
            "race=999999999999",
        ),
        *(
            "kind=%3Cscript%3E",
            "state=%F0%9F%92%A5",
            "feasible=maybe",
            "&&&===",
            "page=" + "9" * 400,
        ),
    ):
        assert get(f"/runs?{query}").status == 200, query
        assert "<script>" not in get(f"/runs?{query}").text
    for query in ("id=-1", "id=99999999999999999999999", "id=1%27--", "name=", "id=%C2%B2", ""):
        for page in ("run", "race"):
            assert get(f"/{page}?{query}").status == 404, query
    assert get("/events?page=nothing").status == 404
    assert get("/static/..%2f..%2fapp.py").status == 404
    assert get("/nothing").status == 404
    long = "q=1&" * 3000
    for address in (f"/runs?{long}", f"/runs.csv?{long}", f"/events?page={quote(f'runs?{long}')}"):
        assert get(address).status == 400
