"""What `make bench` calls worse."""

import json

import pytest
from benchmarks import coco, common, s2mpj
from benchmarks.common import FLOOR, MARGIN, Figure, worse


@pytest.mark.parametrize(
    ("unit", "was", "now", "lost"),
    [
        ("ratio", 1.0, 1.0 + MARGIN, False),
        ("ratio", 1.0, 1.01 + MARGIN, True),
        ("ratio", 1.0, 0.1, False),
        ("at least", 20.0, 20.0 / (1 + MARGIN), False),
        ("at least", 20.0, 15.9, True),
        ("at least", 20.0, 40.0, False),
        ("ratio", 0.001, 0.001 + FLOOR, False),
        ("s", 1.0, 10.0, False),
    ],
)
def test_a_ratio_is_worse_beyond_the_margin_on_the_wrong_side(unit, was, now, lost):
    before, after = [Figure("x", was, 5.0, unit)], [Figure("x", now, 5.0, unit)]
    assert bool(worse(before, after)) == lost


def test_figures_without_a_bar_or_a_stored_one_are_not_compared():
    assert worse([Figure("x", 1.0)], [Figure("x", 9.0)]) == []
    assert worse([], [Figure("x", 9.0, 1.0)]) == []


class Bowl:
    """A problem as COCO's interface shows it: best value 5, one limit x <= 1."""

    number_of_constraints = 1
    lower_bounds, upper_bounds = (-2.0,), (2.0,)

    def __call__(self, x):
        return 5 + 10 * float(x[0]) ** 2

    def constraint(self, x):
        return [float(x[0]) - 1]


def test_targets_count_when_a_point_that_keeps_to_the_limits_first_reaches_them():
    fun = coco.Counted(Bowl(), 5.0, 4)
    fun([2.0])  # not allowed
    assert fun.hits == []
    fun([-1.0])
    fun([-1.0])  # the same point is remembered
    assert (fun.n, len(fun.hits), set(fun.hits)) == (2, 6, {2})  # 10^2 .. 10^1 in steps of 10^.2
    fun([0.0])
    assert (len(fun.hits), fun.hits[-1]) == (51, 3)
    fun([0.5])
    with pytest.raises(coco.Used):
        fun([0.25])


def test_shares_are_over_the_trials_that_all_methods_have(tmp_path, monkeypatch):
    def row(function, method, hits):
        key = {"suite": "bbob", "function": function, "d": 2, "instance": 1, "method": method}
        return key | {"budget": 10, "hits": hits, "n": 20, "seconds": 0.1}

    rows = [row(1, "a", [4] * 51), row(2, "a", []), row(1, "b", [4] * 17 + [19] * 17)]
    out = tmp_path / "coco.jsonl"
    out.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(coco, "OUT", out)
    found = {line.method: line.shares([1, 2, 10, 50]) for line in coco.lines([1])}
    assert found["a"] == {1: 0, 2: 1, 10: 1}
    assert found["b"] == {1: 0, 2: pytest.approx(1 / 3), 10: pytest.approx(2 / 3)}


def test_the_interval_of_the_gap_holds_its_mean_and_is_a_point_where_all_gaps_are_equal():
    def line(method, counts):
        trials = [{"hits": [1] * n, "budget": 10, "n": 1, "seconds": 0.1} for n in counts]
        return coco.Line("bbob", 2, method, trials)

    found = [line("a", [51, 51]), line("b", [0, 0]), line("mine", [34, 34])]
    gap = coco.against_the_best(found, "mine", 10)
    assert gap.what.endswith("mine minus a")
    assert gap.value == pytest.approx(-1 / 3, abs=1e-4)
    assert gap.note == "-0.333 to -0.333"


def test_a_report_in_parts_keeps_what_was_published_of_the_rest(tmp_path, monkeypatch):
    def figure(what, value):
        return Figure(f"bbob, d = {what}", value, unit="share")

    old = [figure("2, 5 d evaluations: a", 0.5), figure("2, 5 d evaluations: mine", 0.3)]
    old += [figure("2, 5 d evaluations: mine minus a", -0.2), figure("5, 5 d evaluations: a", 0.1)]
    monkeypatch.setattr(coco, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    common.write("coco", old, curves=[{"suite": "bbob", "d": 2, "method": "a"}])
    kept, curves = coco.published(lambda suite, d, method: (d, method) != (2, "mine"))
    assert kept == [old[0], old[3]]
    assert len(curves) == 1
    gap = coco.against_published(figure("2, 5 d evaluations: mine minus b", 0.15), 0.4, kept)
    assert (gap.what, gap.value) == ("bbob, d = 2, 5 d evaluations: mine minus a", -0.1)
    better = figure("2, 5 d evaluations: mine minus b", -0.3)
    assert coco.against_published(better, 0.4, kept) is better


def test_a_problem_is_solved_where_a_ten_thousandth_of_the_first_gap_is_left():
    trial = {"f0": 101.0, "d": 1, "better": [[10, 1.02], [41, 1.009]]}
    assert not s2mpj.solved(trial, 1.0, 20)
    assert s2mpj.solved(trial, 1.0, 50)
