"""Reports: one file, no network, nothing in a name is ever run."""

import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser

import pytest
from races import HOSTILE, make_race, race_of, trial

from feasible.core.errors import ArgumentError
from feasible.lab import html
from feasible.lab.report import (
    beside,
    gallery_html,
    report_html,
    script_data,
    write_gallery,
    write_report,
)
from feasible.lab.trials import Race


class Page(HTMLParser):
    """Tags, scripts and visible text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.text, self._open = [], [], "", None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open != "style":
            self.text += data


@pytest.fixture(scope="module")
def small_race():
    return make_race(3)


@pytest.fixture(scope="module")
def page(small_race):
    return Page(report_html(small_race, "feasible race welded-beam --seeds 3"))


def hostile_race():
    race = race_of(
        [
            trial(
                p,
                m,
                s,
                2.0,
                trail=[(10, 3.0), (20, 2.0)],
                design=[(h, h, h) for h in HOSTILE],
                stopped=HOSTILE[0],
            )
            for p in HOSTILE
            for m in HOSTILE[:3]
            for s in range(2)
        ],
        1.0,
    )
    race.name = HOSTILE[1]
    race.trials[0].status, race.trials[0].error, race.trials[0].run = (
        "failed",
        HOSTILE[0],
        HOSTILE[2],
    )
    race.versions = {h: h for h in HOSTILE}
    for contest in race.contests:
        contest.objective, contest.best_design = (
            HOSTILE[0],
            [("variable", "value", "unit"), (HOSTILE[0], HOSTILE[1], HOSTILE[3])],
        )
    return race


def test_all_that_a_reader_needs_is_there(page, small_race):
    for text in (
        *small_race.methods,
        "welded-beam",
        "cost (USD)",
        "mesh generator returned exit code 3",
        "feasible race welded-beam --seeds 3",
        "200 evaluations",
        "numpy",
        "value, best known",
        "1 pending",
        "best known value: not known",
    ):
        assert text in page.text


def test_every_figure_has_its_place_and_its_data(page):
    places = [a["id"] for tag, a in page.tags if a.get("class") == "plot"]
    data = {
        a["id"]: json.loads(text) for a, text in page.scripts if a.get("type") == "application/json"
    }
    assert len(places) == len(set(places)) >= 3 * 2 + 4
    assert set(data) == {f"{p}-data" for p in places}
    assert all(d["data"] for d in data.values())


def test_table_of_contents_leads_somewhere(page):
    ids = {a["id"] for _, a in page.tags if "id" in a}
    targets = [a["href"] for tag, a in page.tags if tag == "a" and "download" not in a]
    assert targets
    assert all(t.startswith("#") and t[1:] in ids for t in targets)


@pytest.mark.parametrize(
    "make",
    [
        lambda: report_html(make_race(1)),
        lambda: report_html(hostile_race(), HOSTILE[1]),
        lambda: gallery_html([paper()]),
    ],
)
def test_nothing_is_loaded_from_anywhere(make):
    page = Page(make())
    assert not [
        tag
        for tag, _ in page.tags
        if tag in ("link", "img", "iframe", "object", "embed", "base", "form")
    ]
    for _tag, attributes in page.tags:
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith(("#", "data:text/csv;"))
    policy = next(
        a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")


def test_library_is_there_once_and_only_the_pages_own_scripts_may_run(page):
    code = [text for a, text in page.scripts if a.get("type") != "application/json"]
    assert len(code) == 2
    assert sum("plotly.js v" in text for text in code) == 1
    policy = next(
        a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    for text in code:
        assert (
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            in policy
        )
    assert "showSendToCloud: false" in code[1]
    script_rule = next(part for part in policy.split(";") if "script-src" in part)
    assert "unsafe" not in script_rule


def test_names_are_shown_and_never_executed():
    race = hostile_race()
    page = Page(report_html(race, HOSTILE[1]))
    assert len([1 for a, _ in page.scripts if a.get("type") != "application/json"]) == 2
    assert not any(
        "alert(" in text
        for a, text in page.scripts
        if a.get("type") != "application/json" and "plotly.js v" not in text
    )
    for a, text in page.scripts:
        if a.get("type") == "application/json":
            assert not re.search(r"[<>&\u2028\u2029]", text)
            json.loads(text)
    for name in (HOSTILE[0], HOSTILE[1], "{{7*7}}"):
        assert name in page.text
    assert "49" not in page.text.split("What was raced")[1].split("Seeds")[0]


@pytest.mark.parametrize("text", [*HOSTILE, "\u2029", "]]>", "&lt;"])
def test_script_data_survives_the_round_trip(text):
    data = script_data(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(data) == {"a": text}
    assert not set("<>&\u2028\u2029") & set(data)


@pytest.mark.parametrize(
    "race",
    [
        race_of([]),
        Race("", [], [], [], {}, []),
        race_of([trial(status="pending")]),
        race_of([trial(status="failed")]),
        race_of([trial(objective=float("nan"))]),
        race_of([trial(objective=1.0)], None),
        race_of([trial("\ud800", objective=1.0)]),
    ],
)
def test_degenerate_races_have_a_report(race, tmp_path):
    assert write_report(race, tmp_path / "r.html").stat().st_size > 4e6


def test_only_the_given_path_decides_where(tmp_path):
    race = race_of([trial(objective=1.0)])
    race.name = "../../escaped"
    folder = tmp_path / "a" / "b"
    assert write_report(race, folder / "report.html") == folder / "report.html"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [folder / "report.html"]


def test_folder_as_path_is_refused_with_a_hint(tmp_path):
    with pytest.raises(ArgumentError, match="is a folder: expected the name of a file"):
        write_report(race_of([]), tmp_path)


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(html.os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_gallery([], target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_file_has_the_usual_permissions(tmp_path):
    old = os.umask(0o022)
    try:
        assert write_gallery([], tmp_path / "g.html").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)


def test_same_race_gives_the_same_bytes(small_race):
    assert report_html(small_race) == report_html(small_race)


# ------------------------------------------------------------------------------------------------
# designs


def test_designs_stand_side_by_side_under_the_same_names():
    found = [
        ("variable", "value", "unit"),
        ("h", "1", "in"),
        ("metric", "value", "limit", "slack", "unit"),
        ("stress", "9", "<= 10", "1", "MPa"),
    ]
    known = [
        ("variable", "value", "unit"),
        ("h", "2", "in"),
        ("t", "3", "in"),
        ("metric", "value", "limit", "slack", "unit"),
        ("stress", "10", "<= 10", "0", "MPa"),
    ]
    variables, metrics = beside(found, known)
    assert variables.header == ("variable", "value, best found", "value, best known", "unit")
    assert variables.rows == [("h", "1", "2", "in"), ("t", "–", "3", "in")]
    assert metrics.rows == [("stress", "9", "10", "<= 10", "1", "0", "MPa")]


def test_variable_called_variable_or_metric_is_a_row():
    sections = beside(
        [("variable", "value", "unit"), ("metric", "3", "m"), ("variable", "4", "m")], []
    )
    assert sections[0].rows == [("metric", "3", "m"), ("variable", "4", "m")]


def test_design_without_headings_is_still_shown():
    assert beside([("answer", "[1, 2]")], [])[0].rows == [("answer", "[1, 2]")]
    assert beside([], []) == []


def test_the_page_says_where_it_ran_with_which_settings_and_how_ties_and_failures_rank():
    race = make_race(2)
    race.commit, race.machine = "abc1234", "Linux x86_64, 8 cores"
    race.settings = {m: f"size={i}, name='<i>'" for i, m in enumerate(race.methods[1:])}
    text = Page(report_html(race)).text
    assert "Code: commit abc1234. Machine: Linux x86_64, 8 cores." in text
    assert "size=0, name='<i>'" in text
    assert "chosen by problem" in text
    assert "A trial that failed (it raised, died or took too long) is last" in text
    assert "Equals share the average of their ranks" in text


def test_every_trial_is_in_a_file_behind_a_link():
    import io

    import pandas as pd

    race = make_race(2)
    race.trials[0].stopped = "=HYPERLINK(1)"
    race.contests[0].maximize = True
    (link,) = [a for tag, a in Page(report_html(race)).tags if a.get("download") == "trials.csv"]
    kind, _, data = link["href"].partition(",")
    assert kind == "data:text/csv;charset=utf-8;base64"
    frame = pd.read_csv(io.BytesIO(base64.b64decode(data)))
    assert len(frame) == len(race.trials)
    assert frame["stopped"][0] == "'=HYPERLINK(1)"
    assert frame["objective"][0] == pytest.approx(-race.trials[0].objective, nan_ok=True)
    assert set(frame["status"]) == {t.status for t in race.trials}


# ------------------------------------------------------------------------------------------------
# gallery


def paper(**more):
    return {
        "slug": "cei",
        "title": "Constrained <b>EI</b>",
        "room": "blackbox",
        "claim": HOSTILE[1],
        "state": "holds",
        "seeds": [0, 1],
        "parts": [
            {
                "statement": HOSTILE[0],
                "figure": 0.00234,
                "interval": [0.002, 0.0031],
                "bar": "<= 0.01",
                "state": "holds",
            }
        ],
        "command": "feasible reproduce cei",
        "why": HOSTILE[3],
        "versions": {"numpy": "2.2"},
        "commit": "abc",
    } | more


def test_gallery_says_of_each_paper_whether_it_holds():
    page = Page(
        gallery_html(
            [
                paper(),
                paper(slug="b", state="does not hold"),
                paper(slug="c", state="undecided"),
                paper(slug="d", state=None, parts=None, figures={"x": None, "y": "inf"}),
            ]
        )
    )
    assert [a["data-status"] for tag, a in page.tags if tag == "article"] == [
        "holds",
        "does-not-hold",
        "undecided",
        "not-measured-yet",
    ]
    assert "4 papers: 1 holds, 1 does not hold, 1 undecided, 1 not measured yet." in page.text
    assert "0.00234 (0.002 to 0.0031)" in page.text
    assert HOSTILE[0] in page.text
    assert len(page.scripts) == 1


def test_gallery_begins_with_the_claims_that_hold():
    a, z = paper(slug="a", room="a", state="undecided"), paper(slug="z", room="z")
    shown = [t["data-status"] for tag, t in Page(gallery_html([a, z])).tags if tag == "article"]
    assert shown == ["holds", "undecided"]


def test_gallery_takes_evidence_with_little_in_it(tmp_path):
    assert "No evidence" in Page(write_gallery([], tmp_path / "g.html").read_text()).text
    assert "feasible reproduce x" in Page(gallery_html([{"slug": "x"}])).text
