"""What a person is told whose function fails: the line, the inputs, the cause, what to do next."""

from __future__ import annotations

import pickle
import sys
import textwrap
import traceback

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, Categorical, Command, Real
from feasible.core.errors import EvaluationFailed

BOUNDS = {"width": (1, 5, "mm"), "height": (1, 5, "mm")}


def inner(a):
    return {}["missing"] + a


def breaks(x):
    return inner(x[0])


def failure(problem, **more) -> EvaluationFailed:
    with pytest.raises(EvaluationFailed) as caught:
        feasible.solve(problem, "random-search", budget=5, **more)
    return caught.value


@pytest.mark.parametrize("how", [{}, {"workers": 2}, {"retry": 1}, {"store": True}])
def test_the_error_names_the_failing_line_the_inputs_and_how_to_go_on(how, tmp_path):
    more = {"store": str(tmp_path / "s.db")} if how.get("store") else how
    error = failure(BlackBox(breaks, bounds=BOUNDS), **more)
    text = str(error)
    assert "KeyError: 'missing'" in text
    line = inner.__code__.co_firstlineno + 1
    assert f'test_failing.py, line {line}, in inner: return {{}}["missing"] + a' in text
    assert set(error.inputs) == {"width", "height"}
    assert f"width = {error.inputs['width']!r}, height = {error.inputs['height']!r}" in text
    assert 'on_failure="skip"' in text
    assert "--on-failure skip" in text
    assert "feasible resume" in text
    assert "in breaks" in error.trace
    assert "calling.py" not in error.trace


def test_the_cause_is_what_the_function_raised_with_its_frames():
    error = failure(BlackBox(breaks, bounds=BOUNDS))
    assert isinstance(error.__cause__, KeyError)
    names = [f.name for f in traceback.extract_tb(error.__cause__.__traceback__)]
    assert names == ["breaks", "inner"]


def test_from_a_worker_the_cause_is_the_traceback_as_text():
    cause = failure(BlackBox(breaks, bounds=BOUNDS), workers=2).__cause__
    assert "in inner" in str(cause)
    assert "KeyError: 'missing'" in str(cause)


def test_a_vectorised_function_and_a_constraint_are_named_too():
    def many(x):
        raise ValueError("no licence")

    error = failure(BlackBox(many, bounds=BOUNDS, vectorized=True))
    assert 'in many: raise ValueError("no licence")' in str(error)
    constraint = {"type": "ineq", "fun": breaks}
    error = failure(BlackBox(lambda x: x[0], bounds=BOUNDS, constraints=constraint))
    assert isinstance(error.__cause__, KeyError)
    assert "in inner" in error.line


def test_a_wrong_result_has_no_line_but_its_inputs():
    error = failure(BlackBox(lambda x: [1, 2, 3], bounds=BOUNDS))
    assert error.line == error.trace == ""
    assert "wrong shape" in str(error)
    assert "with width = " in str(error)


def test_the_error_survives_a_pickle():
    error = failure(BlackBox(breaks, bounds=BOUNDS))
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.reason, twin.inputs, twin.line, twin.trace) == (
        str(error),
        error.reason,
        error.inputs,
        error.line,
        error.trace,
    )


def test_inputs_are_given_by_name_and_category_and_the_first_of_many():
    def f(x):
        raise RuntimeError("no")

    variables = [Categorical("solvent", ["DMAc"]), Real("t", 0.5, 0.5)]
    assert "with solvent = 'DMAc', t = 0.5" in str(failure(BlackBox(f, variables=variables)))
    error = failure(BlackBox(f, bounds=[(0, 1)] * 30))
    assert "and 18 more" in str(error)
    assert len(error.inputs) == 30


def test_failures_that_are_skipped_hold_no_frames_of_the_function():
    result = feasible.solve(
        BlackBox(breaks, bounds=BOUNDS), "random-search", budget=5, on_failure="skip"
    )
    rows = result.ledger.all()
    assert set(rows.reason.values()) == {"KeyError: 'missing'"}
    assert not rows.failures


# -- how the function takes the point --------------------------------------------------------------


def keywords(width, height):
    return width * height


@pytest.mark.parametrize(
    ("fun", "more", "meant"),
    [
        (lambda x: x["width"], {}, 'pass_as="mapping"'),
        (lambda x: x.width, {}, 'pass_as="mapping"'),
        (keywords, {}, 'pass_as="keywords"'),
        (keywords, {"pass_as": "mapping"}, 'pass_as="keywords"'),
        (lambda x: x[0], {"pass_as": "mapping"}, 'pass_as="vector"'),
        (lambda x: x**2, {"pass_as": "mapping"}, 'pass_as="vector"'),
        (lambda x: x.width, {"pass_as": "mapping"}, "width is x['width']"),
        (lambda x: x, {"pass_as": "keywords"}, 'pass_as="vector"'),
        (lambda x: x["width"], {"vectorized": True}, "x[:, 0]"),
    ],
)
def test_a_function_that_takes_the_point_another_way_gets_a_hint(fun, more, meant):
    problem = BlackBox(fun, bounds=BOUNDS, **more)
    assert meant in str(failure(problem))
    skipped = feasible.solve(problem, "random-search", budget=3, on_failure="skip")
    assert sum(meant in note for note in skipped.notes) == 1


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: {}["other"],
        lambda x: np.zeros(2)[7],
        lambda x: x.depth,
        lambda x: inner(),
    ],
)
def test_other_errors_get_none(fun):
    assert "hint:" not in str(failure(BlackBox(fun, bounds=BOUNDS)))


# -- commands --------------------------------------------------------------------------------------


def test_a_failed_command_quotes_its_line_its_exit_code_and_the_end_of_its_errors(tmp_path):
    script = tmp_path / "sim.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        for i in range(50):
            print(f"warning {i}", file=sys.stderr)
        sys.exit(3)
        """)
    )
    command = Command([sys.executable, str(script), "{input}", "{output}"])
    text = str(failure(BlackBox(command, bounds=BOUNDS, objective="cost")))
    assert "exit code 3" in text
    assert f"{script} {{input}} {{output}}" in text
    assert "warning 49" in text
    assert "warning 40" in text
    assert "warning 39" not in text
