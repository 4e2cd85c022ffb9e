"""The dashboard in a real browser: a race watched while it runs, what a reader did is kept, nothing
is loaded from elsewhere, narrow and dark screens, the keyboard, 50,000 runs.
"""

from __future__ import annotations

import re
import shutil
import threading
import time

import numpy as np
import pytest
import sqlalchemy as sa
from serving import PAGES, fill, hostile, row, served, trail
from study_kit import begin, value

import feasible
from feasible.lab.store import Store
from feasible.lab.web.pages import frozen

MISSING = "Chromium is not installed: the dashboard's tests in a browser are left out"
PATIENCE = 60_000
"""Milliseconds for which a page is waited for; machines that run tests are busy."""


@pytest.fixture(scope="module")
def chromium():
    """A browser without a screen."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Watched:
    """A page of the browser that may load nothing but from one place; what goes wrong is kept."""

    def __init__(self, chromium, **options):
        self.context = chromium.new_context(
            viewport={"width": 1200, "height": 1600}, reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(PATIENCE)
        self.outside, self.wrong = [], []
        self.context.route("**/*", self._check)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on("dialog", lambda d: (self.wrong.append(d.message), d.dismiss()))
        self.page.on("console", self._heard)

    def _check(self, route):
        if re.match(r"http://127\.0\.0\.1:|file:", route.request.url):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def _heard(self, message):
        told = ("status of 404", "ERR_INCOMPLETE_CHUNKED", "ERR_CONNECTION_REFUSED")
        if message.type == "error" and not any(text in message.text for text in told):
            self.wrong.append(message.text)

    def open(self, address):
        self.page.goto(address, wait_until="load")
        return self.page

    def drawn(self):
        """Scroll through the page until every figure is drawn: how many there are."""
        self.page.evaluate("document.querySelectorAll('.plot').forEach(p => p.scrollIntoView())")
        self.page.wait_for_function("""() => [...document.querySelectorAll('.plot')].every(p => {
                if (p.dataset.drawn !== 'done') p.scrollIntoView();
                return p.dataset.drawn === 'done'; })""")
        return self.page.evaluate("document.querySelectorAll('.plot .main-svg').length > 0")

    def updated(self, before=0):
        """Wait until the page has changed itself once more."""
        self.page.wait_for_function(f"() => Number(document.body.dataset.updates || 0) > {before}")

    def says(self, text, there=True):
        """Wait until the line below the heading has a text, or has it no more."""
        self.page.wait_for_function(
            "([text, there]) => document.getElementById('lead').innerText.includes(text) === there",
            arg=[text, there],
        )

    def updates(self):
        return int(self.page.evaluate("Number(document.body.dataset.updates || 0)"))

    def range(self, figure, axis="xaxis"):
        return self.page.evaluate(f"document.getElementById('{figure}').layout.{axis}.range")


@pytest.fixture
def browser(chromium):
    """Make a page; nothing went wrong on it, and nothing was asked from elsewhere."""
    made = []

    def make(**options):
        made.append(Watched(chromium, **options))
        return made[-1]

    yield make
    for watched in made:
        watched.context.close()
        assert watched.wrong == []
        assert watched.outside == []


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A store with a race, a study and hostile names, and its dashboard."""
    file = tmp_path_factory.mktemp("lab") / "lab.db"
    with Store(file) as store:
        hostile(store)
    study = begin(file, budget=40)
    study.tell([value(r) for r in study.ask(30)[:26]])
    with served(file) as address:
        yield file, address, study.id


class Gate:
    """Observer of a race that lets one trial end at a time."""

    def __init__(self):
        self.open = threading.Semaphore(0)

    def on_trial(self, trial):
        self.open.acquire()


def test_a_race_is_watched_while_it_runs_and_the_zoom_stays(tmp_path, browser):
    file, gate = tmp_path / "lab.db", Gate()
    Store(file).close()
    problem = feasible.blackbox.BlackBox(
        lambda x: float(np.sum((x - 0.3) ** 2)), bounds=[(0, 1)] * 3, name="bowl"
    )
    racing = threading.Thread(
        target=lambda: feasible.race(
            [problem],
            ["random-search", "cbo[n_particles=5]"],
            {"evaluations": 40},
            3,
            store=str(file),
            name="watched",
            observers=gate,
        ),
        daemon=True,
    )
    racing.start()
    gate.open.release(3)
    store = Store(file, reading=True)
    while sum(r.state == "finished" for r in store.runs()) < 4:
        time.sleep(0.05)
    watching = browser()
    with served(file) as address:
        page = watching.open(f"{address}/race?id=1")
        assert "4 of 6 trials, as of" in page.inner_text("main")
        watching.drawn()
        page.click("#overall th:nth-child(1) button")
        area = page.locator("#convergence-0 .nsewdrag").first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=4)
        page.mouse.up()
        page.wait_for_function("() => location.search.includes('z.convergence-0')")
        zoom = watching.range("convergence-0"), watching.range("convergence-0", "yaxis")
        before, place = watching.updates(), area.bounding_box()["y"]
        gate.open.release(3)
        racing.join()
        page.wait_for_function("() => document.body.innerText.includes('6 of 6 trials')")
        assert watching.updates() > before
        for axis, was in zip(("xaxis", "yaxis"), zoom, strict=True):
            assert watching.range("convergence-0", axis) == pytest.approx(was, rel=1e-5)
        assert area.bounding_box()["y"] == pytest.approx(place, abs=2)
        sort = "document.querySelector('#overall th').getAttribute('aria-sort')"
        assert page.evaluate(sort) == "ascending"
        page.reload()
        watching.drawn()
        assert watching.range("convergence-0") == pytest.approx(zoom[0], rel=1e-5)
        assert page.evaluate(sort) == "ascending"
        assert "6 of 6 trials" in page.inner_text("main")


def test_names_of_a_store_run_nothing_and_every_figure_is_drawn(lab, browser):
    _, address, study = lab
    watching = browser()
    for place in ("race?id=1", "run?id=1", "compare?race=1"):
        watching.open(f"{address}/{place}")
        assert watching.drawn()
    for place in PAGES:
        watching.open(f"{address}/{place}")
    watching.open(f"{address}/run?id={study}")
    assert watching.drawn()
    assert "WebGL" not in watching.page.inner_text("main")


def test_filters_ticks_and_focus_stay_while_runs_come_in(tmp_path, browser):
    file = tmp_path / "lab.db"
    store = Store(file)
    fill(store, [row(i) for i in range(120)])
    watching = browser()
    with served(file) as address:
        page = watching.open(f"{address}/runs")
        page.check("#pick-119")
        page.fill("input[name=q]", "run-1")
        page.press("input[name=q]", "Enter")
        page.wait_for_url("**/runs?**q=run-1**")
        assert "31 match" in page.inner_text("#lead")
        page.check("#pick-12")
        page.click("thead >> text=best feasible")
        page.wait_for_url("**sort=best**")
        assert "pick=" in page.url
        assert page.inner_text("#picked").startswith("Compare 2 chosen runs")
        page.focus("#pick-12")
        before = watching.updates()
        fill(store, [row(500, name="run-1-new", updated=2e9)])
        watching.updated(before)
        watching.says("32 match")
        assert page.is_checked("#pick-12")
        assert page.evaluate("document.activeElement.id") == "pick-12"
        assert page.input_value("input[name=q]") == "run-1"
        page.click("#picked a")
        page.wait_for_url("**/compare?**")
        assert "2 runs" in page.inner_text("main")


def test_a_run_deleted_while_it_is_watched_is_said_and_so_is_a_server_that_ended(tmp_path, browser):
    file = tmp_path / "lab.db"
    store = Store(file)
    (number,) = fill(store, [row(0)])
    trail(store, number, [3.0, 2.0])
    watching = browser()
    with served(file) as address:
        page = watching.open(f"{address}/run?id={number}")
        with store.write() as connection:
            for table in ("points", "runs"):
                column = "run" if table == "points" else "id"
                connection.execute(
                    sa.text(f"DELETE FROM feasible_{table} WHERE {column} = {number}")
                )
        page.wait_for_function("() => document.body.innerText.includes('may have been deleted')")
    page.wait_for_function("() => document.getElementById('status').innerText.startsWith('not ')")


def test_narrow_and_dark_screens(lab, browser):
    _, address, study = lab
    watching = browser(color_scheme="dark")
    page = watching.page
    page.set_viewport_size({"width": 400, "height": 800})
    for place in (*PAGES, "race?id=1", f"run?id={study}", "compare?race=1"):
        watching.open(f"{address}/{place}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, place
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
    watching.drawn()
    colour = "document.querySelector('.plot').layout.font.color"
    assert page.evaluate(colour) == "#e4e8ee"
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"() => {colour} === '#1d2430'")


def test_the_keyboard_reaches_everything(lab, browser):
    _, address, _ = lab
    page = browser().open(f"{address}/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "(e => e.name || e.type || (e.closest('thead') && 'heading') || e.textContent)"
                "(document.activeElement)"
            )
        )
    assert {"q", "kind", "state", "problem", "method", "feasible", "submit"} <= reached
    assert {"heading", "checkbox", "runs.csv"} <= reached
    page.focus("thead th:nth-child(2) a")
    page.keyboard.press("Enter")
    page.wait_for_url("**sort=name**")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    page.keyboard.press("Tab")
    assert page.evaluate(outline) == "solid"


def test_fifty_thousand_runs_are_sorted_filtered_and_turned_over(tmp_path, browser):
    file = tmp_path / "lab.db"
    with Store(file) as store:
        fill(store, [row(i) for i in range(50_000)])
    watching = browser()
    with served(file) as address:
        page = watching.open(f"{address}/runs")
        assert "50,000 runs" in page.inner_text("#lead")
        assert page.locator("#runs tbody tr").count() == 50
        watching.says("so far", False)
        page.select_option("select[name=problem]", "toy-3")
        page.select_option("select[name=feasible]", "yes")
        page.click("#filters button[type=submit]")
        matching = sum(i % 7 == 3 and i % 3 != 0 for i in range(50_000))
        watching.says(f"{matching:,} match")
        page.click("thead >> text=best feasible")
        page.wait_for_url("**sort=best**")
        best = page.locator("#runs tbody td:nth-child(6)").all_inner_texts()
        least = sorted((i * 7919) % 1009 for i in range(50_000) if i % 7 == 3 and i % 3)
        assert [float(v) for v in best] == least[:50]
        page.click("a[rel=next]")
        page.wait_for_url("**page=2**")
        best = page.locator("#runs tbody td:nth-child(6)").all_inner_texts()
        assert [float(v) for v in best] == least[50:100]


def test_pages_work_below_the_path_of_a_proxy(lab, browser):
    file, _, study = lab
    watching = browser()
    with served(file, "/lab/7") as address:
        page = watching.open(f"{address}/")
        page.click("nav >> text=Studies")
        page.click("#studies a")
        assert page.url.startswith(f"{address}/run?id={study}")
        assert watching.drawn()


def test_a_frozen_page_draws_its_figures_from_its_file(lab, browser, tmp_path):
    file, _, study = lab
    out = tmp_path / "page.html"
    out.write_text(frozen(Store(file), f"/run?id={study}"), encoding="utf-8")
    watching = browser()
    watching.open(out.as_uri())
    assert watching.drawn()
    assert watching.page.locator("#status, .site").count() == 0
