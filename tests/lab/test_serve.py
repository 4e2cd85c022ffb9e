"""The dashboard, request by request: what it shows is what the store holds, whatever that is, and
nothing is written, imported or let in on the way.
"""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import sqlalchemy as sa
from labkit import toy
from races import HOSTILE
from serving import (
    PAGES,
    Client,
    Parsed,
    a_race,
    contrast,
    figure,
    fill,
    hostile,
    numbers,
    result,
    row,
    trail,
    trial_row,
    variables,
)
from study_kit import begin, value

import feasible
from feasible.core.registry import load_method, load_problem
from feasible.lab.html import source
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport
from feasible.lab.web import run_page
from feasible.lab.web.asked import Asked
from feasible.lab.web.index import Index
from feasible.lab.web.listings import chosen
from feasible.lab.web.opened import Opened
from feasible.lab.web.pages import BUILDERS, frozen

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
    first, second = fill(store, made)
    trail(store, first, [math.nan, math.nan])
    trail(store, second, [math.inf, 1.0])


def handed_out(store):
    begin(store.where).ask(3)


def two_objectives(store):
    problem, method = load_problem("binh-korn"), load_method("random-search")
    Study.create(store, problem, method, feasible.Budget(evaluations=12)).work(limit=12)


STORES = [empty, all_failed, all_infeasible, not_begun, without_numbers, handed_out]
STORES += [two_objectives, hostile]


@pytest.mark.parametrize("make", STORES)
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
        assert make is not two_objectives or "run?" not in address or 'id="front"' in answer.text


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


@pytest.mark.both
def test_a_damaged_row_of_the_store_costs_its_own_line_only(db):
    with Store(db) as store:
        _, second, _ = fill(store, [row(0), row(1), row(2)])
        with store.write() as connection:
            damage = "UPDATE feasible_runs SET result = '{no', budget = 'x', state = 'running' "
            damage += "WHERE id = :id"
            connection.execute(sa.text(damage), {"id": second})
    get = Client(db)
    page = get("/").page
    assert "3 runs" in page.words
    assert all(f"run-{i}" in page.text for i in range(3))
    broken = get(f"/run?id={second}")
    assert (broken.status, "is damaged" in broken.page.words) == (503, True)


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


def test_a_race_lists_all_that_was_raced_and_draws_one_problem(file):
    store = Store(file)
    race = a_race(store, problems=("toy", "top"))
    fill(store, [trial_row(i, race, "a", 0, problem=p) for i, p in enumerate(("toy", "top"))])
    page = Client(file)(f"/race?id={race}&problem=top").page
    drawn = {a["id"] for a in page.all("section") if (a.get("id") or "").startswith("problem-")}
    assert drawn == {"problem-1"}
    _, raced = page.words.split("What was raced")[1:]
    assert "toyminimise" in raced
    assert "topminimise" in raced


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
    made = contours(told, "c", "a")
    drawn = json.loads(str(made.data).replace("\\u003c", "<").replace("\\u003e", ">"))["data"][0]
    best = x[np.argmin(told.y)]
    c, a, z = (numbers(drawn[k]) for k in "xyz")
    exact = 2 * a[:, None] - best[1] + 3 * c[None, :]
    assert z.reshape(exact.shape) == pytest.approx(exact, abs=1e-4)
    assert "errs by 0%" in made.caption


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
    made = [row(i, problem="toy", method="ab"[i // 3], result=result(1.0 + i)) for i in range(6)]
    curves = [[10.0 + i, 5.0 + i % 3, 1.0 + i] for i in range(6)]
    for number, curve in zip(fill(store, made), curves, strict=True):
        trail(store, number, curve)
    get = Client(file)
    answer = get("/compare?run=1,2,3&run=4&run=5&run=6&run=77")
    page = answer.page
    assert "Not in the store: 77" in page.words
    assert "Settings that differ" in page.words
    assert "method" in page.words
    assert "versions.numpy" not in page.words
    assert "versions.numpy" in get("/compare?run=1&run=2&all=1").page.words
    lines = [t for t in figure(answer.text, "curve-0") if t.get("showlegend") is not False]
    assert [t["name"] for t in lines] == ["a", "b"]
    for line, mine in zip(lines, (curves[:3], curves[3:]), strict=True):
        assert numbers(line["y"])[:3].tolist() == np.median(mine, axis=0).tolist()


def test_packages_that_one_run_did_not_import_are_no_difference_and_other_versions_are(file):
    version = ({"numpy": "2", "torch": "2.13"}, {"numpy": "2"}, {"numpy": "1"})
    made = [row(i, problem="toy", result=result(1.0, versions=v)) for i, v in enumerate(version)]
    fill(Store(file), made)
    get = Client(file)
    assert "versions." not in get("/compare?run=1&run=2").page.words
    found = get("/compare?run=1&run=2&run=3").page.words
    assert "versions.numpy" in found
    assert "versions.torch" not in found
    assert "versions.torch" in get("/compare?run=1&run=2&all=1").page.words


def test_commands_on_pages_name_the_store(tmp_path):
    file = tmp_path / "a b.db"
    study = begin(file, budget=40)
    study.ask(1)
    with Store(file) as store:
        race = a_race(store)
        feasible.solve(toy(), "random-search", budget=4, store=store, name="kept")
    get = Client(file, named=str(file))
    at = f"--store '{file}'"
    for address, command in (
        ("run?name=kept", "feasible show kept"),
        (f"run?id={study.id}", f"feasible show {study.name}"),
        (f"race?id={race}", "feasible resume r"),
    ):
        assert f"{command} {at}" in get(f"/{address}").page.words
        assert f"{command} {at}" in Parsed(frozen(Store(file), f"/{address}", str(file))).words


def test_a_worker_that_has_an_experiment_is_named(file):
    study = begin(file, problem=toy(), budget=40)
    study.ask(worker={"host": "n7", "pid": 42, "born": "1", "claim": "c"})
    words = Client(file)(f"/run?id={study.id}").page.words
    assert "a worker, process 42 on n7" in words
    assert "claim" not in words


def test_evidence_is_read_once_for_the_gallery(file, monkeypatch):
    from feasible.lab import papers

    real, read = papers.read_evidence, []
    monkeypatch.setattr(papers, "read_evidence", lambda slug: read.append(slug) or real(slug))
    Store(file).close()
    Client(file)("/papers")
    assert len(read) == len(set(read)) == 46


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
