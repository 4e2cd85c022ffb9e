"""What is shown while a run or a race goes on, and what is said of idle workers."""

from __future__ import annotations

import io

from rich.console import Console

import feasible
from feasible.blackbox import BlackBox
from feasible.lab import console as shown
from feasible.lab.console import RaceProgress, SolveProgress


def bowl(**more):
    return BlackBox(
        lambda x: (x[0] - 0.3) ** 2,
        bounds=[(0, 1)],
        limits=None,
        name="bowl",
        **more,
    )


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_a_bar_shows_what_is_spent_the_time_left_and_the_best_feasible_value():
    console = terminal()
    watching = SolveProgress(console)
    drawn: list[str] = []

    def look(point):
        watching.bar.refresh()
        (task,) = watching.bar.tasks
        drawn.append(f"{task.completed:g} {task.fields['spent']} {task.fields['best']}")

    feasible.solve(bowl(), "random-search", 20, observers=(watching, look))
    assert drawn[-1].startswith("1 20 of 20 evaluations best feasible ")
    assert drawn[9].startswith("0.5 10 of 20 evaluations best feasible ")
    text = console.file.getvalue()
    assert "left" in text
    assert "best feasible" in text
    assert not watching.bar.live.is_started


def test_the_share_of_a_budget_is_that_of_the_resource_which_ends_first():
    watching = SolveProgress(terminal())
    seen = []
    feasible.solve(
        bowl(),
        "random-search",
        {"evaluations": 10_000, "steps": 4},
        observers=(watching, lambda point: seen.append(watching.share()[1])),
    )
    assert seen[-1] == "4 of 4 steps"


def test_nothing_is_shown_where_there_is_no_terminal(capsys):
    feasible.solve(bowl(), "random-search", 20)
    feasible.race([bowl()], ["random-search"], 5, seeds=2)
    assert capsys.readouterr().err == ""


def test_asked_for_on_a_pipe_it_prints_lines_with_the_time_left(capsys, monkeypatch):
    monkeypatch.setattr(shown, "EVERY", 0.0)
    feasible.solve(bowl(), "random-search", 20, progress=True)
    line = capsys.readouterr().err.splitlines()[4]
    assert line.startswith("5 of 20 evaluations: best feasible ")
    assert line.endswith(" left")
    feasible.race([bowl()], ["random-search"], 5, seeds=2, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("1 of 2 trials, about ")
    assert lines[2] == "2 of 2 trials"


def test_the_bar_of_a_race_counts_the_parts_of_running_trials():
    watching = RaceProgress(terminal())
    race = feasible.race([bowl()], ["random-search"], 5, seeds=4, observers=watching)
    assert len(race.trials) == 4
    watching.done, watching.running = 1, {}
    watching.on_progress(("bowl", "random-search", 9), 0.5)
    watching.bar.refresh()
    assert watching.bar.tasks[0].completed == 1.5
    watching.stop()


def test_a_method_that_proposes_one_point_at_a_time_says_that_workers_are_idle():
    result = feasible.solve(bowl(), "cobyqa", 12, workers=2)
    (note,) = [n for n in result.notes if n.startswith("workers=2: cobyqa proposes one point")]
    assert note in str(result)


def test_a_method_that_proposes_batches_does_not():
    result = feasible.solve(bowl(), "cbo", 40, workers=2)
    assert not [n for n in result.notes if n.startswith("workers=")]
