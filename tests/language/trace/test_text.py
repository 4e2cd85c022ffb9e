"""Prompts, replies, and the optimisers that ask a model, answered by scripts."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.language import OPRO, Backend, OptoPrime, TextGrad, bundle, node, scripted, subgraph
from feasible.language.trace import ExtractionError, NoFeedbackWarning, parse, reset_names
from feasible.language.trace.prompt import SECTIONS, clip, summarize
from feasible.language.trace.replies import cast, code
from feasible.language.trace.rules import rules


def replying(*texts, **settings):
    """A backend that gives these replies, and the requests that it got."""
    asked, left = [], list(texts)

    def rule(request):
        asked.append(request)
        return left.pop(0) if len(left) > 1 else left[0]

    return Backend(scripted(rule), "scripted", wait=0.0, retries=0, **settings), asked


def suggest(**values):
    return json.dumps({"reasoning": "", "answer": "", "suggestion": values})


def user(request):
    return request["messages"][-1]["content"]


# -- prompts ---------------------------------------------------------------------------------------

GOLDEN = """\
#Instruction
Improve it.

#Code
multiply0 = multiply(x=a0, y=b0)
add0 = add(x=multiply0, y=float0)
power0 = power(x=add0, y=int0)
score0 = score(v=power0, goal=goal0)

#Documentation
[multiply] x * y
[add] x + y
[power] x ** y
[score] distance to the goal

#Variables
(float) a0=2.0

#Constraints
(float) a0: a > 0

#Inputs
(float) b0=3.0
(float) float0=1.0
(int) int0=2
(float) goal0=50.0

#Others
(float) multiply0=6.0
(float) add0=7.0
(float) power0=49.0

#Outputs
(float) score0=-1.0

#Feedback
closer to 0
"""


def program():
    reset_names()

    @bundle("[score] distance to the goal")
    def score(v, goal=50.0):
        return v - goal

    a = node(2.0, name="a", trainable=True, constraint="a > 0")
    return a, score((a * node(3.0, name="b") + 1.0) ** 2)


def test_the_prompt_of_a_fixed_program():
    a, out = program()
    assert summarize(subgraph(out, [a]), "closer to 0").text("Improve it.") == GOLDEN
    assert [line[1:] for line in GOLDEN.splitlines() if line.startswith("#")] == list(SECTIONS)


def test_long_values_are_cut_with_a_mark():
    assert clip("x" * 50, 50) == "x" * 50
    short = clip("a" * 5000 + "z" * 5000, 200)
    assert len(short) <= 200
    assert "[10000 characters, cut]" in short
    assert short.startswith("aaa")
    assert short.endswith("zzz")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [OptoPrime, OPRO])
def test_a_thousand_failures_leave_the_prompt_within_its_limit(kind):
    backend, asked = replying("no json at all")
    x = node("start " * 100, name="text", trainable=True)
    optimizer = kind([x], backend, memory_size=None, max_prompt_tokens=6000)
    for k in range(1000):
        optimizer.zero_feedback()
        out = x + " end"
        optimizer.backward(out, f"failure {k}: " + "e" * 3000)
        assert optimizer.step() == {}
    assert len(asked) == 1000 == optimizer.memory.replies.none
    sizes = [backend.size(r["messages"]) for r in asked]
    assert max(sizes) <= 6000
    assert "failure 999" in user(asked[-1])
    assert "failure 5:" not in user(asked[-1])
    assert x.data == "start " * 100


def test_a_graph_of_thousands_of_operations_fits_too():
    backend, asked = replying("TERMINATE")
    x = node(1.0, name="x", trainable=True)
    y = x
    for _ in range(3000):
        y = y + 1.0
    optimizer = OptoPrime([x], backend, max_prompt_tokens=5000)
    optimizer.backward(y, "less")
    optimizer.step()
    assert backend.size(asked[0]["messages"]) <= 5000
    assert "cut]" in user(asked[0])


# -- replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "how", "found"),
    [
        (suggest(x0=4.5), "json", {"x0": 4.5}),
        ("Of course!\n```json\n" + suggest(x0="a\\nb") + "\n```", "inner", {"x0": "a\\nb"}),
        ('{"reasoning": "a { b", "suggestion": {"x0": 4.5, "y1": "te', "pairs", {"x0": 4.5}),
        ("{'suggestion': {'x0': 3, 'y0': true}}", "pairs", {"x0": 3, "y0": True}),
        ("I cannot help with that.", "none", {}),
        ("", "none", {}),
        ("TERMINATE", "terminate", {}),
        ('{"answer": "TERMINATE", "suggestion": {"x0": 1}}', "terminate", {}),
        ('{"reasoning": "never TERMINATE here", "suggestion": {"x0": 1}}', "json", {"x0": 1}),
        ('{"suggestion": ["x0"]}', "none", {}),
        ("[" * 100_000, "none", {}),
    ],
)
def test_a_reply_is_read_whatever_its_shape(text, how, found):
    reply = parse(text)
    assert (reply.how, dict(reply.suggestion)) == (how, found)


@pytest.mark.parametrize(
    ("value", "like", "found"),
    [
        ("False", True, False), ("yes", False, True), (1, False, True), ("3.0", 1, 3),
        (4, 1.5, 4.0),
        ("2.5", 1.5, 2.5), (7, "a", "7"), ({"a": 1}, "t", '{"a": 1}'), ("[1, 2]", [0], [1, 2]),
        ([1, 2], (0,), (1, 2)), ("{'a': 1}", {}, {"a": 1}), ("anything", None, "anything"),
        (3, np.float32(1), np.float32(3)), (True, np.bool_(False), True),
    ],
)  # fmt: skip
def test_a_value_is_read_as_its_variables_type(value, like, found):
    got = cast("x", value, like)
    assert got == found
    assert type(got) is type(found)


def test_an_array_is_read_with_its_shape():
    assert np.array_equal(cast("x", [1, 2], np.zeros(2)), [1.0, 2.0])
    with pytest.raises(ExtractionError):
        cast("x", [1, 2, 3], np.zeros(2))


@pytest.mark.parametrize(
    ("value", "like"),
    [
        ("maybe", True), (2, False), ("3.7", 1), ("abc", 1.0), ("nan", 1.0), (float("inf"), 1.0),
        (True, 1.0), ("text", [1]), (3, [1]), ("__import__('os')", [1]), ([1], {}), (None, 1),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(value, like):
    with pytest.raises(ExtractionError, match="x: got"):
        cast("x", value, like)


def test_code_keeps_its_name_and_arguments():
    was = "def f(x, y=1):\n    return x"
    new = "def f(x, y=1):\n    return x + y"
    assert code("c", new, was) == new
    assert code("c", f"```python\n{new}\n```", was) == new
    for bad in ("", "not python", "def f(x):\n    return x", "def g(x, y=1):\n    return x"):
        with pytest.raises(ExtractionError, match=r"a function f\(x, y=1\)"):
            code("c", bad, was)


# -- optimisers ------------------------------------------------------------------------------------


def test_optoprime_makes_one_call_a_step_and_takes_the_values():
    backend, asked = replying(suggest(x0=4, other9=1), suggest(flag0="no"))
    reset_names()
    x = node(1.0, name="x", trainable=True)
    flag = node(True, name="flag", trainable=True)

    @bundle("[pick] one or the other")
    def pick(x, flag):
        return x if flag else -x

    optimizer = OptoPrime([x, flag], backend)
    for _ in range(2):
        optimizer.zero_feedback()
        optimizer.backward(pick(x, flag), "larger")
        optimizer.step()
    assert x.data == 4.0
    assert type(x.data) is float
    assert flag.data is False
    assert len(asked) == 2
    assert asked[0]["response_format"] == {"type": "json_object"}
    assert asked[0]["temperature"] == 0
    assert asked[0]["max_tokens"] == 4096


@pytest.mark.parametrize("size", range(9))
def test_memory_fills_up_to_its_size(size):
    x = node(1.0, name="x", trainable=True)
    backend, _ = replying("TERMINATE")
    optimizer, held = OptoPrime([x], backend, memory_size=size), []
    for i in range(12):
        optimizer.zero_feedback()
        optimizer.backward(x * 2.0, f"feedback {i}")
        optimizer.step()
        held.append([feedback for _, feedback in optimizer.memory.pairs])
    every = [f"feedback {i}" for i in range(12)]
    assert held == [every[max(i + 1 - size, 0) : i + 1] for i in range(12)]


def test_memory_has_the_last_pairs_and_not_the_present_one():
    backend, asked = replying(suggest(x0=2), suggest(x0=3), suggest(x0=4), suggest(x0=5))
    reset_names()
    x = node(1, name="x", trainable=True)
    optimizer = OptoPrime([x], backend, memory_size=2)
    for k in range(4):
        optimizer.zero_feedback()
        optimizer.backward(x + 0, f"feedback {k}")
        optimizer.step()
    said = [user(r) for r in asked]
    assert "Earlier values" not in said[0]
    assert [f"feedback {k}" in said[3] for k in range(4)] == [False, True, True, True]
    assert said[3].count("feedback 3") == 1
    assert said[3].index("feedback 1") < said[3].index("feedback 2")


def test_opro_shows_the_past_and_no_trace():
    backend, asked = replying(suggest(x0=2), suggest(x0=3))
    reset_names()
    x = node(1, name="x", trainable=True)
    optimizer = OPRO([x], backend)
    for k in range(2):
        optimizer.zero_feedback()
        optimizer.backward(x * 7, f"feedback {k}")
        optimizer.step()
    assert "#Code" not in user(asked[1])
    assert "multiply" not in user(asked[1])
    assert "(int) x0=1" in user(asked[1])
    assert "feedback 0" in user(asked[1])


def test_textgrad_makes_a_call_for_each_operation_and_each_parameter():
    reset_names()
    x = node(1.0, name="x", trainable=True)
    y = node(2.0, name="y", trainable=True)
    out = (x * 2.0 + x) * y  # multiply, add, multiply: three operations, x has two texts
    backend, asked = replying(
        '{"add0": "up", "y0": "down"}', '{"multiply0": "up", "x0": "a"}', '{"x0": "b"}',
        "both", suggest(x0=9), suggest(y0=8),
    )  # fmt: skip
    optimizer = TextGrad([x, y], backend)
    optimizer.backward(out, "larger")
    changed = optimizer.step()
    assert len(asked) == 3 + 1 + 2
    assert sorted(changed.values()) == [8.0, 9.0]
    kinds = ["#Operation", "#Operation", "#Operation", "#Value", "#Variables", "#Variables"]
    assert all(kind in user(r) for kind, r in zip(kinds, asked, strict=True))


def test_calls_do_not_grow_with_the_graph_for_optoprime_and_do_for_textgrad():
    calls = {}
    for kind in (OptoPrime, TextGrad):
        for n in (5, 10):
            backend, _asked = replying("{}")
            x = node(1.0, name="x", trainable=True)
            y = x
            for _ in range(n):
                y = y + 1.0
            optimizer = kind([x], backend)
            optimizer.backward(y, "f")
            backend2 = rules()
            optimizer.backend = Backend(backend2.client, "rules", wait=0.0)
            counted = []
            asking = optimizer._ask
            optimizer._ask = lambda *a, ask=asking, c=counted: (c.append(1), ask(*a))[1]
            y2 = y - 0.0
            optimizer.zero_feedback()
            optimizer.backward(y2, "The output should be lower by 1.")
            optimizer.step()
            calls[kind, n] = len(counted)
    assert calls[OptoPrime, 5] == calls[OptoPrime, 10] == 1
    assert calls[TextGrad, 10] - calls[TextGrad, 5] == 5


@pytest.mark.parametrize("reply", [500, 429, "garbage", b"<html>", '{"suggestion": {"x0": "te'])
def test_a_bad_reply_changes_nothing_and_is_counted(reply):
    backend, _ = replying(reply)
    reset_names()
    x = node(1.0, name="x", trainable=True)
    optimizer = OptoPrime([x], backend)
    optimizer.backward(x + 1, "f")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert optimizer.step() == {}
    counts = optimizer.memory.replies
    assert x.data == 1.0
    assert optimizer.memory.steps == 1
    assert counts.failed + counts.none + counts.pairs == 1


def test_constraints_are_checked_by_code():
    backend, _ = replying(suggest(x0=-3))
    reset_names()
    x = node(1.0, name="x", trainable=True, constraint="x > 0")
    optimizer = OptoPrime([x], backend, {"x": lambda v: v > 0})
    optimizer.backward(x + 1, "f")
    with pytest.warns(UserWarning, match="breaks its constraint; the old value is kept"):
        optimizer.step()
    assert x.data == 1.0
    assert optimizer.memory.replies.refused == 1
    strict = OptoPrime([x], backend, {"x": lambda v: v > 0}, ignore_extraction_error=False)
    with pytest.raises(ExtractionError, match="breaks its constraint"):
        strict.step()


def test_a_parameter_that_the_output_does_not_depend_on_is_named():
    backend, _ = replying("TERMINATE")
    x, lost = (node(1.0, name=n, trainable=True) for n in ("x", "lost"))
    optimizer = OptoPrime([x, lost], backend)
    optimizer.backward(x + lost.data, "f")
    with pytest.warns(NoFeedbackWarning, match="no feedback at lost:"):
        optimizer.step()
    optimizer.zero_feedback()
    with pytest.raises(ArgumentError, match="no feedback at x:"):
        optimizer.step()


def test_bad_input_is_named():
    backend, _ = replying("x")
    x = node(1.0, trainable=True)
    with pytest.raises(ArgumentTypeError, match="backend=None"):
        OptoPrime([x])
    with pytest.raises(ArgumentTypeError, match="one trainable node or more"):
        OptoPrime([node(1.0)], backend)
    with pytest.raises(ArgumentError, match="no setting 'memroy_size'"):
        OptoPrime([x], backend, memroy_size=3)
    with pytest.raises(ArgumentError, match="max_prompt_tokens=3"):
        OptoPrime([x], backend, max_prompt_tokens=3)


# -- examples in the form of trace-opt's README ----------------------------------------------------


def test_a_readme_loop_over_one_number():
    @bundle()
    def f(x):
        """Square of the distance to 3."""
        return (x - 3.0) ** 2

    x = node(0.0, name="x", trainable=True)
    backend, _ = replying(*(suggest(**{x.py_name: v}) for v in (1.0, 2.0, 3.0)))
    optimizer = OptoPrime([x], backend=backend)
    for _ in range(3):
        y = f(x)
        optimizer.zero_feedback()
        optimizer.backward(y, f"Minimise; got {y.data}")
        optimizer.step()
    assert f(x).data == 0.0


def test_a_readme_loop_that_repairs_an_error():
    from feasible.language import ExecutionError

    @bundle()
    def invert(x):
        """One over x."""
        return 1.0 / x

    x = node(0.0, name="x", trainable=True)
    backend, asked = replying(suggest(**{x.py_name: 2.0}))
    optimizer = OptoPrime([x], backend)
    for _ in range(2):
        try:
            target = invert(x)
            feedback = "right"
        except ExecutionError as error:
            target, feedback = error.exception_node, error.exception_node.data
        optimizer.zero_feedback()
        optimizer.backward(target, feedback)
        optimizer.step()
    assert x.data == 2.0
    assert "(ZeroDivisionError)" in user(asked[0])


def test_a_readme_agent_of_text():
    from feasible.language import model

    @model
    class Agent:
        def __init__(self):
            self.instruction = node("Be short.", name="instruction", trainable=True)

        def __call__(self, question):
            return self.instruction + " " + question

    agent = Agent()
    backend, _ = replying(suggest(**{agent.instruction.py_name: "Be exact."}))
    optimizer = OptoPrime(agent.parameters(), backend)
    out = agent("How far?")
    optimizer.backward(out, "too short")
    optimizer.step()
    assert agent("How far?").data == "Be exact. How far?"


def test_a_value_may_be_named_without_its_number_and_one_of_no_parameter_is_counted():
    x, y = node(1.0, name="x", trainable=True), node(2.0, name="y", trainable=True)
    model, _ = replying(suggest(x=3.0, z=4.0))
    optimizer = OptoPrime([x, y], model)
    optimizer.backward(x * y, "higher")
    assert optimizer.step() == {x.name: 3.0}
    assert optimizer.memory.replies.unknown == 1
    first, second = (node(v, name="w", trainable=True) for v in (1.0, 2.0))
    model, _ = replying(suggest(w=3.0))
    optimizer = OptoPrime([first, second], model)
    optimizer.backward(first * second, "higher")
    assert optimizer.step() == {}  # which of them is meant is not said
    assert optimizer.memory.replies.unknown == 1
