"""The dashboard, request by request: what it shows is what the store holds, whatever that is, and
nothing is written, imported or let in on the way.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import math
import re
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from races import HOSTILE
from serving import PAGES, Client, Parsed, contrast, fill, hostile, result, row, trail, variables
from study_kit import begin, value

from feasible.core import errors
from feasible.lab.html import source
from feasible.lab.schema import VERSION_TABLE
from feasible.lab.store import Store
from feasible.lab.study import StudyReport
from feasible.lab.web import app as web, run_page
from feasible.lab.web.app import check_open, listening
from feasible.lab.web.asked import Asked
from feasible.lab.web.index import Index
from feasible.lab.web.listings import chosen
from feasible.lab.web.opened import Opened
from feasible.lab.web.pages import BUILDERS, frozen

TOKEN = "0123456789abcdef0123"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lab.db"


def a_race(store, methods=("a", "b"), seeds=(0, 1, 2), **more):
    spec = {
        "problems": {"toy": None},
        "methods": dict.fromkeys(methods),
        "seeds": list(seeds),
        "budget": {"evaluations": 40.0},
        "versions": {},
        "contests": {},
    }
    number, _ = store.create_race("r", spec)
    return number


def trial_row(i, race, method, seed, **more):
    return row(i, kind="trial", race=race, problem="toy", method=method, seed=seed, **more)


# -- what is shown ---------------------------------------------------------------------------------


def empty(store):
    pass


def all_failed(store):
    race = a_race(store)
    fill(
        store,
        [
            trial_row(i, race, m, s, state="failed", result={"error": "ValueError: no"})
            for i, (m, s) in enumerate((m, s) for m in "ab" for s in range(3))
        ],
    )


def all_infeasible(store):
    race = a_race(store)
    made = [
        trial_row(i, race, m, s, result=result(2.0, 0.5))
        for i, (m, s) in enumerate((m, s) for m in "ab" for s in range(3))
    ]
    for number in fill(store, made):
        trail(store, number, [3.0, 2.0], violation=0.5)


def not_begun(store):
    a_race(store)


def without_numbers(store):
    race = a_race(store)
    made = [trial_row(0, race, "a", 0, result=result(None)), trial_row(1, race, "b", 0)]
    made[1]["result"] = json.dumps(result(1.0) | {"verdict": result(1.0)["verdict"]})
    first, second = fill(store, made)
    trail(store, first, [math.nan, math.nan])
    trail(store, second, [math.inf, 1.0])


def handed_out(store):
    begin(store.where).ask(3)


@pytest.mark.parametrize(
    "make", [empty, all_failed, all_infeasible, not_begun, without_numbers, handed_out, hostile]
)
def test_every_page_of_every_store_is_shown(make, file):
    with Store(file) as store:
        make(store)
        numbers = [r.id for r in store.runs()]
        races = [r["id"] for r in store.races()]
    get = Client(file)
    for address in (
        *(f"/{p}" for p in ("", *PAGES)),
        *(f"/run?id={i}" for i in numbers),
        *(f"/race?id={i}" for i in races),
        "/compare?" + "&".join(f"run={i}" for i in numbers),
        "/runs?sort=best&state=failed&q=x&page=99",
    ):
        answer = get(address)
        assert answer.status == 200, address
        assert "cannot be drawn" not in answer.text


def test_names_are_text_wherever_they_stand(file):
    with Store(file) as store:
        hostile(store)
        numbers = [r.id for r in store.runs()]
    get = Client(file)
    shown = ""
    for address in ("/", "/races", "/race?id=1", *(f"/run?id={i}" for i in numbers)):
        page = get(address).page
        shown += page.text
        assert {t for t, _ in page.tags} & {"img", "b", "iframe"} == set()
        for script in page.all("script"):
            assert script.get("src", "").startswith("static/") or script["type"].endswith("json")
        for tag, attributes in page.tags:
            assert not any(name.startswith("on") for name in attributes), tag
    for name in HOSTILE:
        assert " ".join(name.split()) in " ".join(shown.split())


def test_a_failed_row_of_the_store_costs_its_own_line_only(file):
    with Store(file) as store:
        fill(store, [row(0), row(1), row(2)])
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE feasible_runs SET result = '{no', budget = 'x' WHERE id = 2")
    get = Client(file)
    page = get("/").page
    assert "3 runs" in page.words
    assert get("/run?id=2").status in (400, 503)
    assert "run-1" in page.text


def test_runs_are_filtered_and_sorted_as_a_plain_loop_does(file):
    rows = [row(i, state=("finished", "failed")[i % 4 == 1]) for i in range(300)]
    for i in range(0, 300, 4):
        rows[i]["spec"] = json.dumps({"shown": {"sign": -1.0}})
    with Store(file) as store:
        fill(store, rows)
    index = Index(Opened(file))
    lines = index.all()
    assert len(lines) == 300

    def objective(i):
        return float((i * 7919) % 1009)

    ok = [i for i in range(300) if i % 3 and i % 4 != 1 and i % 7 == 2]
    found = chosen(lines, Asked.read("runs?state=finished&problem=toy-2&feasible=yes&sort=best"))
    assert [line.seed for line in found] == sorted(ok, key=objective)
    down = chosen(lines, Asked.read("runs?sort=violation&down=1"))
    assert [line.violation for line in down] == sorted(float(i % 3 == 0) for i in range(300))[::-1]
    named = chosen(lines, Asked.read("runs?q=RUN-29"))
    assert [line.seed for line in named] == [*range(299, 289, -1), 29]
    text = Client(file)("/runs.csv?problem=toy-2&state=finished&feasible=yes&sort=best").text
    header, *body = text.splitlines()
    assert [int(line.split(",")[4]) for line in body] == sorted(ok, key=objective)
    assert header.startswith("name,kind,problem")
    best = [float(line.split(",")[6]) for line in body]
    assert best == [
        -objective(i) if i % 4 == 0 else objective(i) for i in sorted(ok, key=objective)
    ]


def test_a_running_run_shows_its_best_so_far_and_who_has_it(file):
    store = Store(file)
    run = store.create_run(
        kind="solve", problem="toy", method="cbo", seed=0, budget={"evaluations": 40.0}, spec={}
    )
    trail(store, run.id, [5.0, 4.25, 4.125])
    store.claim_run(run.id)
    get = Client(file)
    assert "4.125" in get("/").page.text
    assert "3 of 40 evaluations" in get("/").page.text
    page = get(f"/run?id={run.id}").page
    assert "driven by process" in page.words
    assert re.search(r"about \d+ s left", page.words)
    store.update_run(run.id, lease=1.0)
    page = get(f"/run?id={run.id}").page
    assert "drives it no longer" in page.words
    assert "lost" in get("/").page.words


def test_a_race_says_how_many_of_its_trials_it_rests_on(file):
    store = Store(file)
    race = a_race(store)
    ids = fill(store, [trial_row(i, race, "ab"[i % 2], i // 2) for i in range(4)])
    get = Client(file)
    assert "4 of 6 trials, as of" in get("/race?id=1").page.words
    assert "4 of 6" in get("/races").page.words
    fill(store, [trial_row(9, race, "a", 2, state="failed", result={"error": "no"})])
    assert "5 of 6 trials, as of" in get("/race?id=1").page.words
    store.update_run(ids[0], state="open", result=None)
    assert "4 of 6 trials, as of" in get("/race?id=1").page.words


def test_a_study_shows_what_is_open_what_failed_and_how_things_go_together(file):
    study = begin(file, budget=40)
    rows = study.ask(30)
    study.tell([value(r) for r in rows[:25]])
    study.tell([StudyReport(rows[25].row, None, {}, status="failed", note="it <b>gelled</b>")])
    get = Client(file)
    page = get(f"/run?id={study.id}").page
    assert "waits for 4 experiments" in page.words
    assert "it <b>gelled</b>" in page.text
    figures = {a["id"] for a in page.all("div") if a.get("class") == "plot"}
    assert {"history", "parallel", "slices", "model"} <= figures
    assert "of their spread" in page.words
    assert re.search(r"26\s*4\s*30 of 40", get("/studies").page.text)


def test_the_model_of_a_study_goes_through_a_plane(file):
    from feasible.lab.web.study_figures import Told, contours

    rng = np.random.default_rng(0)
    x = rng.random((40, 3))
    told = Told(
        *("p", ["a", "b", "c"], x, {}, 2 * x[:, 0] - x[:, 1] + 3 * x[:, 2]),
        *(np.ones(40, dtype=bool), "f", 1.0),
    )
    figure = json.loads(str(contours(told, "c", "a").data).encode().decode("unicode_escape"))
    drawn = figure["data"][0]
    best = x[np.argmin(told.y)]

    def numbers(found):
        if isinstance(found, dict):
            import base64

            return np.frombuffer(base64.b64decode(found["bdata"]), dtype=found["dtype"])
        return np.asarray(found, dtype=float)

    c, a, z = (numbers(drawn[k]) for k in "xyz")
    exact = 2 * a[:, None] - best[1] + 3 * c[None, :]
    assert z.reshape(exact.shape) == pytest.approx(exact, abs=1e-4)
    assert "errs by 0%" in str(contours(told, "c", "a").caption)


def test_a_panel_that_cannot_be_made_leaves_the_others(file, monkeypatch):
    study = begin(file, budget=40)
    study.tell([value(r) for r in study.ask(20)])

    def broken(*_):
        raise ZeroDivisionError("no contours")

    monkeypatch.setattr(run_page.study_figures, "contours", broken)
    answer = Client(file)(f"/run?id={study.id}")
    assert answer.status == 200
    assert "model cannot be drawn: ZeroDivisionError: no contours" in answer.page.words
    assert 'id="slices"' in answer.text


def test_compared_runs_show_what_differs_and_the_median_of_each_method(file):
    store = Store(file)
    made = [row(i, problem="toy", method="ab"[i // 3], state="finished") for i in range(6)]
    curves = {}
    for i, number in enumerate(fill(store, made)):
        curves[i] = [10.0 + i, 5.0 + (i % 3), 1.0 + i]
        trail(store, number, curves[i])
    get = Client(file)
    answer = get("/compare?run=1,2,3&run=4&run=5&run=6&run=77")
    page = answer.page
    assert "Not in the store: 77" in page.words
    assert "Settings that differ" in page.words
    assert "method" in page.words
    assert "versions.numpy" not in page.words
    assert "versions.numpy" in get("/compare?run=1&run=2&all=1").page.words
    raw = re.search(r'id="curve-0-data">(.*?)</script>', answer.text).group(1)
    lines = [t for t in json.loads(raw)["data"] if t.get("showlegend") is not False]
    assert [t["name"] for t in lines] == ["a", "b"]


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


def test_a_store_of_an_older_version_is_shown_from_a_copy(tmp_path):
    old = tmp_path / "old.db"
    packed = Path(__file__).parent / "stores" / "0.1.0.sqlite.gz"
    with gzip.open(packed) as source_file, old.open("wb") as target:
        shutil.copyfileobj(source_file, target)
    before = mark_of(tmp_path)
    get = Client(old)
    assert get.site.index.total > 0
    for line in get.site.index.all():
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
    assert get.site.mark(Asked.read(f"run?id={second}")) != before
    store.close()
    for path in tmp_path.glob("lab.db*"):
        path.unlink()
    lost = get("/")
    assert (lost.status, "there is no store at" in lost.page.words) == (503, True)
    with Store(file) as again:
        fill(again, [row(5), row(6), row(7)])
    assert "3 runs" in get("/").page.words


def test_what_is_kept_of_races_is_bounded(file):
    store = Store(file)
    for i in range(12):
        race, _ = store.create_race(f"r{i}", {**SPEC, "seeds": [0]})
        fill(store, [trial_row(i, race, "a", 0, name=f"r{i}")])
    get = Client(file)
    for i in range(12):
        assert get(f"/race?id={i + 1}").status == 200
    assert len(get.site.kept.trials) <= 4


SPEC = {
    "problems": {"toy": None},
    "methods": {"a": None},
    "budget": {"evaluations": 40.0},
    "versions": {},
    "contests": {},
}


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
    assert get("/runs?" + "q=1&" * 3000).status == 400


# -- frozen, and for every eye ---------------------------------------------------------------------


def test_every_page_can_be_frozen_into_one_file(file, tmp_path, ok, run):
    with Store(file) as store:
        hostile(store)
    for page in BUILDERS:
        query = {"run": "?id=1", "race": "?id=1", "compare": "?race=1"}.get(page, "")
        text = frozen(Store(file), f"/{page}{query}")
        for tag, attributes in Parsed(text).tags:
            links = [attributes.get(name, "#") for name in ("src", "href", "action")]
            assert all(link.startswith(("#", "data:")) for link in links), (page, tag, links)
        assert "Content-Security-Policy" in text
    out = tmp_path / "page.html"
    ok("report", "/runs?state=failed", "--store", file, "-o", out)
    assert "4 match" in out.read_text(encoding="utf-8")
    code, _, err = run("report", "/nope", "--store", file, "-o", out)
    assert (code, "there is no page '/nope'" in err) == (2, True)


def test_colours_of_text_have_the_contrast_of_wcag_aa_in_light_and_dark():
    schemes = variables(source("page.css"))
    assert len(schemes) == 2
    for colours in schemes:
        for text in ("fg", "soft", "accent", "good", "bad", "open"):
            for ground in ("bg", "panel"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["fg"], colours["warn"]) >= 4.5
        for ground in ("bg", "panel"):
            assert contrast(colours["edge"], colours[ground]) >= 3


def test_every_field_has_a_name_and_every_page_one_heading(file):
    with Store(file) as store:
        hostile(store)
    get = Client(file)
    for address in ("/", "/races", "/race?id=1", "/run?id=1", "/studies", "/compare?race=1"):
        page = get(address).page
        assert len(page.all("h1")) == 1
        assert page.all("html")[0]["lang"] == "en"
        assert page.all("main")[0]["id"] == "main"
        assert any(a.get("class") == "skip" for a in page.all("a"))
        for box in page.all("input"):
            named = "aria-label" in box or box.get("type") in ("hidden", "search")
            assert named, box
