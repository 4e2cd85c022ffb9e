"""Workflows in runs: what is charged, judged and answered, and what a run survives."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import feasible
from feasible.core.budget import Budget, spend
from feasible.core.errors import ArgumentError, ArgumentTypeError, BudgetError, WrongProblem
from feasible.core.registry import load_method, methods
from feasible.language import Backend, NumericTrace, Recorded, Variable, Workflow, node, scripted
from feasible.language.trace import OptoPrimeRun, bundle, rules, sin, tanh
from feasible.language.trace.instances import CharacterModel, numeric_program, prompt_pieces
from feasible.language.trace.run import NumericTraceRun, RandomMutation

NAMES = [n for n, e in methods().items() if e.solves == "Workflow"]


def cube(**more):
    return Workflow(lambda x: x * x * x + x, {"x": 1.0}, lambda y: y - 30.0, name="cube", **more)


@bundle("[words] how many letters differ from the goal")
def words(first, second, loud):
    said = f"{first} {second}"
    said = said.upper() if loud else said
    return sum(a != b for a, b in itertools.zip_longest(said, "GOOD DAY"))


def greeting():
    return Workflow(
        lambda **nodes: words(**nodes),
        {
            "first": Variable("bad", choices=("bad", "good", "no")),
            "second": Variable("day", choices=("night", "day")),
            "loud": Variable(False),
        },
        lambda n: (f"{n} letters differ", float(n)),
        "least",
        name="greeting",
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_method_keeps_to_its_executions_and_improves_on_the_start(name):
    problem = greeting() if name == "enumerate" else numeric_program(2, 103)
    start = problem.judge(problem.starts).objective
    result = feasible.solve(problem, name, {"evaluations": 20}, seed=100)
    assert result.spent["evaluations"] <= 20
    assert set(result.answer) == set(problem.params)
    assert result.verdict.objective < start
    assert result.verdict.feasible
    fresh = numeric_program(2, 103) if name != "enumerate" else greeting()
    assert fresh.judge(result.answer).objective == result.verdict.objective


def test_numeric_trace_finds_the_root_to_machine_precision():
    result = feasible.solve(cube(), "numeric-trace", {"evaluations": 30}, seed=100)
    assert abs(result.answer["x"] - 3.0) < 1e-9


def test_a_root_is_found_once_the_error_has_changed_its_sign():
    problem = Workflow(
        lambda x, y: tanh(x * 5) + sin(y) * 0.01, {"x": -4.0, "y": 0.0}, lambda v: v - 0.2
    )
    result = feasible.solve(problem, "numeric-trace", {"evaluations": 60}, seed=100)
    assert result.verdict.objective < 1e-8


def test_a_loss_is_minimised_by_bfgs():
    problem = Workflow(
        lambda x, y: (x - 1) ** 2 + (y - x**2) ** 2 * 10, {"x": -1.0, "y": 2.0},
        lambda v: v, "least",
    )  # fmt: skip
    result = feasible.solve(problem, "numeric-trace", {"evaluations": 120}, seed=100)
    assert result.verdict.objective < 1e-10


def test_bounds_hold_at_every_execution():
    seen = []

    def program(x):
        seen.append(x.data)
        return x * x

    problem = Workflow(program, {"x": Variable(1.0, low=0.5, high=2.0)}, lambda y: y - 9.0)
    for name in ("numeric-trace", "random-mutation"):
        result = feasible.solve(problem, name, {"evaluations": 30}, seed=100)
        assert result.answer["x"] == 2.0
    assert min(seen) >= 0.5
    assert max(seen) <= 2.0


def test_at_a_bound_the_other_variables_go_on_by_newtons_steps():
    problem = Workflow(
        lambda x, y: x**2 * y + 0.1 * x,
        {"x": Variable(1.0, low=0.5, high=4.0), "y": Variable(0.2, low=0.1, high=0.5)},
        lambda v: v - 2.0,
    )
    result = feasible.solve(problem, "numeric-trace", {"evaluations": 20}, seed=100)
    assert result.verdict.feasible
    assert result.verdict.objective < 1e-9


def test_the_native_loop_is_torchs():
    x = node(1.0, name="x", trainable=True)
    optimizer = NumericTrace([x])
    for _ in range(12):
        y = x * x * x + x
        optimizer.zero_feedback()
        optimizer.backward(y, y.data - 30.0)
        optimizer.step()
    assert abs(x.data - 3.0) < 1e-9


def test_enumerate_finds_the_best_of_all_combinations():
    problem = greeting()
    everything = itertools.product(*(v.finite for v in problem.params.values()))
    best = min(
        problem.judge(dict(zip(problem.params, values, strict=True))).objective
        for values in everything
    )
    result = feasible.solve(greeting(), budget={"evaluations": 100}, seed=100)
    assert result.method == "enumerate"
    assert result.stopped == "all combinations were tried"
    assert result.spent["evaluations"] == 12
    assert result.verdict.objective == best == 0.0


@pytest.mark.slow
def test_prompt_pieces_by_enumeration_are_the_exhaustive_optimum():
    problem = prompt_pieces(100)
    result = feasible.solve(problem, "enumerate", {"evaluations": 1000}, seed=100)
    fresh = prompt_pieces(100)
    values = itertools.product(*(v.choices for v in fresh.params.values()))
    names = list(fresh.params)
    best = min(fresh.judge(dict(zip(names, v, strict=True))).objective for v in values)
    assert result.verdict.objective == best < fresh.judge(fresh.starts).objective


def test_the_character_models_probabilities_add_up():
    model = CharacterModel("abracadabra, abracadabra")
    for before in ("", "abr", "zzz", "dabra"):
        total = sum(model.probability(before, c) for c in set("abracadabra, "))
        unseen = model.probability(before, "?")
        assert total + unseen == pytest.approx(1.0)


def test_the_default_goes_by_the_variables():
    assert feasible.solve(cube(), budget=3).method == "numeric-trace"
    assert feasible.solve(greeting(), budget=5).method == "random-mutation"
    mixed = Workflow(lambda x, n: x // n, {"x": 1.0, "n": 3}, lambda y: y - 2.0)
    assert feasible.solve(mixed, budget=3).method == "random-mutation"


def test_mutations_keep_types_choices_and_bounds():
    problem = Workflow(
        lambda a, n, c, t, flag: a * n, {
            "a": Variable(0.5, low=0.0, high=1.0), "n": Variable(3, low=1, high=5),
            "c": Variable("x", choices=("x", "y")), "t": "fixed text", "flag": True,
        }, lambda y: y - 4.0,
    )  # fmt: skip
    result = feasible.solve(problem, RandomMutation(), 200, seed=100)
    a = result.answer
    assert type(a["n"]) is int
    assert 1 <= a["n"] <= 5
    assert 0 <= a["a"] <= 1
    assert a["t"] == "fixed text"
    assert type(a["flag"]) is bool
    assert result.verdict.objective < 0.05


@pytest.mark.parametrize(
    ("start", "kind"), [(np.int64(3), int), (np.float32(3.0), float), (np.float64(3.0), float)]
)
def test_a_start_that_is_a_number_of_numpy_is_a_number(start, kind):
    problem = Workflow(lambda x: x * 1, {"x": Variable(start, low=0, high=9)}, lambda y: y - 7)
    result = feasible.solve(problem, "random-mutation", 100, seed=100)
    assert type(result.answer["x"]) is kind
    assert result.verdict.objective < 0.1
    assert Variable(np.True_).finite == (False, True)


def test_a_program_that_raises_is_an_execution_without_a_value():
    def program(x):
        return 1.0 / (x - 1.0)

    problem = Workflow(program, {"x": 1.0}, lambda y: y - 4.0)
    found = problem.execute({"x": 1.0})
    assert math.isnan(found.objective)
    assert found.text.startswith("(ZeroDivisionError)")
    assert not problem.judge({"x": 1.0}).feasible
    for name in ("random-mutation", "numeric-trace", "scipy-nelder-mead"):
        result = feasible.solve(problem, name, {"evaluations": 60}, seed=100)
        assert result.verdict.feasible
        assert result.verdict.objective < 0.1, name


def test_what_a_program_raises_outside_of_operators_is_feedback_too_and_is_counted():
    def program(prompt):
        return bundle()(lambda text: text)(json.loads(str(prompt.data)))

    problem = Workflow(program, {"prompt": Variable("no JSON")}, lambda n: n - 3.0)
    found = problem.execute({"prompt": "no JSON"})
    assert found.text.startswith("(JSONDecodeError) Expecting value")
    assert [n.name for n in found.output.parents] == ["prompt:0"]
    said = lambda request: '{"suggestion": {"prompt": "3.0"}}'  # noqa: E731
    method = OptoPrimeRun(backend=Backend(scripted(said), "m"))
    result = feasible.solve(problem, method, {"evaluations": 5}, seed=100)
    assert result.answer == {"prompt": "3.0"}
    assert "1 of 2 executions raised; the first: (JSONDecodeError) Expecting" in str(result.notes)
    broken = Workflow(lambda x: x.nothing, {"x": 1.0}, lambda n: n)
    result = feasible.solve(broken, "random-mutation", {"evaluations": 3}, seed=100)
    assert "3 of 3 executions raised; the first: (AttributeError)" in str(result.notes)


def test_the_end_of_a_budget_within_a_program_ends_the_run():
    def program(x):
        spend(calls=1)
        return x + 0.0

    problem = Workflow(program, {"x": 1.0}, lambda n: n - 3.0)
    result = feasible.solve(problem, "random-mutation", {"calls": 4}, seed=100)
    assert result.spent["calls"] == 4
    assert "budget" in result.stopped


def test_a_program_of_other_names_is_refused_when_the_problem_is_made():
    with pytest.raises(ArgumentError, match=r"program: expected a function of b, by name .*'a'"):
        Workflow(lambda a: a, {"b": 1.0}, lambda n: n)


@pytest.mark.parametrize("name", ["numeric-trace", "random-mutation"])
def test_no_value_that_a_check_refuses_is_executed(name):
    seen = []

    def program(a, b):
        seen.append(b.data)
        return a * b

    variables = {
        "a": Variable(1.0, low=0, high=10),
        "b": Variable(2.0, low=0, high=3, check=lambda v: v < 2.5),
    }
    problem = Workflow(program, variables, lambda n: n - 20.0)
    result = feasible.solve(problem, name, {"evaluations": 60}, seed=100)
    assert max(seen) < 2.5
    assert result.verdict.feasible
    assert result.verdict.objective < (1e-9 if name == "numeric-trace" else 5)


def test_the_check_of_a_variable_with_choices_counts():
    v = Variable("a", choices=("a", "b"), check=lambda text: text == "a")
    assert [v.violation(text) for text in ("a", "b", "c")] == [0, 1, 1]


@pytest.mark.parametrize("given", [{}, {"price": (1.0, 4.0)}])
def test_a_limit_on_dollars_needs_a_price(given):
    method = OptoPrimeRun(base_url="http://127.0.0.1:9/v1", model="m", **given)
    budget = {"usd": 1e-9, "evaluations": 1}
    if given:
        assert feasible.solve(cube(), method, budget).spent["usd"] == 0
        assert method.made(cube()).prices == {"m": (1.0, 4.0)}
    else:
        with pytest.raises(BudgetError, match=r"usd=1e-09: no price of the model 'm' is known"):
            feasible.solve(cube(), method, budget)
    with pytest.raises(ArgumentError, match="price"):
        OptoPrimeRun(backend="rules", price=(1.0, 1.0))
    feasible.solve(cube(), OptoPrimeRun(backend="rules"), {"usd": 1.0, "evaluations": 2})  # free


def test_judging_is_not_charged_and_does_not_trust_the_method():
    problem = numeric_program(2, 103)
    result = feasible.solve(problem, "random-mutation", {"evaluations": 5}, seed=100)
    assert result.spent["evaluations"] == 5
    assert cube().judge({"x": 0.0}).objective == 30.0
    bad = Workflow(lambda x: x * 1, {"x": Variable(1.0, check=lambda v: v < 5)}, lambda y: y - 9)
    verdict = bad.judge({"x": 9.0})
    assert verdict.objective == 0.0
    assert not verdict.feasible
    assert verdict.violations == {"x": 1.0}


def test_values_that_numpy_writes_alike_are_judged_apart():
    long, near = np.zeros(2000), np.full(2, 0.5)
    one = Workflow(lambda x: x[1000] * 1.0, {"x": long}, lambda y: float(y) - 4.0)
    other = Workflow(lambda x: x[0] * 1.0, {"x": near}, lambda y: float(y) - 0.5)
    moved = long.copy()
    moved[1000] = 5.0
    assert [one.judge({"x": x}).objective for x in (long, moved)] == [4.0, 1.0]
    assert other.judge({"x": near}).objective == 0.0
    assert other.judge({"x": near + 1e-12}).objective > 0.0


def test_the_fingerprint_tells_long_starts_apart():
    texts = ("a" * 500, "a" * 499 + "b", "short")
    marks = [
        json.dumps(Workflow(lambda x: x.length(), {"x": t}, float).fingerprint()) for t in texts
    ]
    assert len(set(marks)) == 3
    assert "'short'" in marks[2]


# -- with a model ----------------------------------------------------------------------------------


class Service:
    """The rules behind the real client, counting requests, with faults at some of them."""

    def __init__(self, faults=()):
        self.asked, self.faults, self.distinct = 0, dict(faults), set()

    def __call__(self, request):
        from feasible.language.trace.rules import answer

        self.asked += 1
        self.distinct.add(json.dumps(request))
        return self.faults.get(self.asked) or answer(request)


def optoprime(service, path=None, **more):
    client = scripted(service)
    backend = Backend(client if path is None else Recorded(client, path), "m", wait=0.0, **more)
    return OptoPrimeRun(backend=backend)


def test_a_rule_that_reads_the_prompt_solves_programs_by_its_text_alone():
    for seed in (103, 104):
        result = feasible.solve(numeric_program(3, seed), "optoprime-rules", 20, seed=100)
        assert result.verdict.objective < 0.01
        assert "rule-based backend, no language model" in result.notes[0]


@pytest.mark.filterwarnings("ignore")
def test_faults_are_charged_and_nothing_is_lost():
    late = importlib.import_module(type(scripted(str)._client).__module__.partition(".")[0])
    late = late.ReadTimeout("slow")
    faults = {1: 429, 2: late, 4: "half {", 5: 503, 7: b"<html>", 9: '{"suggestion": {"x0": "a'}
    service = Service(faults)
    result = feasible.solve(numeric_program(3, 106), optoprime(service), 20, seed=100)
    assert result.spent["calls"] == service.asked == result.spent["evaluations"] + 4
    assert result.verdict.objective < 0.5
    assert re.search(r"\d+ json, \d none", result.notes[0])


def test_wherever_the_budget_ends_the_best_so_far_is_the_answer():
    whole = feasible.solve(numeric_program(2, 103), optoprime(Service()), {"calls": 8}, seed=100)
    reached = []
    for tokens in range(2000, int(whole.spent["tokens"]) + 9000, 1500):
        service = Service()
        result = feasible.solve(
            numeric_program(2, 103), optoprime(service), {"tokens": tokens, "calls": 8}, seed=100
        )
        assert result.spent["tokens"] <= tokens
        assert result.spent["calls"] == service.asked
        assert result.answer is not None
        assert result.verdict.feasible
        reached.append(result.verdict.objective)
    assert reached == sorted(reached, reverse=True)


def test_dollars_are_a_hard_limit():
    prices = {"m": (10.0, 1000.0)}
    result = feasible.solve(
        numeric_program(2, 103), optoprime(Service(), prices=prices), {"usd": 4.3}, seed=100
    )
    assert 0 < result.spent["usd"] <= 4.3
    assert "usd" in result.stopped
    assert result.verdict.feasible


def test_a_resumed_run_asks_for_nothing_twice(tmp_path):
    whole, service = Service(), Service()
    once = feasible.solve(numeric_program(2, 105), optoprime(whole), 10, seed=100)
    path, store = tmp_path / "replies.jsonl", str(tmp_path / "r.db")

    def interrupt(point):
        if service.asked >= 4:
            raise KeyboardInterrupt

    call = {"budget": 10, "seed": 100, "store": store, "name": "r"}
    method = optoprime(service, path)
    first = feasible.solve(numeric_program(2, 105), method, observers=[interrupt], **call)
    assert first.stopped.startswith("interrupted")
    again = feasible.solve(numeric_program(2, 105), optoprime(service, path), **call)
    assert service.distinct == whole.distinct
    assert service.asked == len(whole.distinct)
    assert again.answer == once.answer
    assert again.spent["calls"] == once.spent["calls"]
    assert len(path.read_text().splitlines()) == service.asked


def test_what_a_call_can_cost_is_said_before_the_first(capsys):
    feasible.solve(numeric_program(1, 104), optoprime(Service()), 2, seed=100)
    assert capsys.readouterr().err == (
        "projected: at most 8 calls, 288768 tokens; a call of m takes at most 36096 tokens\n"
    )
    dear = Backend(scripted(Service()), "m", prices={"m": (1.0, 2.0)})
    method = OptoPrimeRun(backend=dear, max_tokens=1000)
    (line,) = method.projected_spend(cube(), Budget(calls=5, usd=0.1))
    assert "at most 5 calls, 165000 tokens, 0.1 usd" in line
    assert "33000 tokens, 0.034 usd" in line
    assert OptoPrimeRun(backend="rules").projected_spend(cube(), Budget(calls=5)) == []


def test_without_a_backend_it_says_what_it_needs():
    with pytest.raises(ArgumentError, match=r"has no backend: expected backend=Backend"):
        feasible.solve(cube(), OptoPrimeRun(), 3)
    with pytest.raises(ArgumentError, match="backend='gpt': expected 'rules'"):
        OptoPrimeRun(backend="gpt")
    made = load_method(
        "feasible.language.trace:OptoPrimeRun[base_url=http://127.0.0.1:9/v1,model=m]"
    )
    assert made.made(cube()).model == "m"


def test_the_rules_say_nothing_where_they_know_nothing():
    reply = rules().complete([{"role": "user", "content": "#Variables\n(str) x0=a\n#Feedback\nno"}])
    assert json.loads(reply.text)["suggestion"] == {}


# -- bad input -------------------------------------------------------------------------------------


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match="variables"):
        Workflow(lambda: node(1.0), {}, float)
    with pytest.raises(ArgumentError, match="'not a name' is no identifier"):
        Workflow(lambda x: x, {"not a name": 1.0}, float)
    with pytest.raises(ArgumentError, match="goal='most'"):
        cube(goal="most")
    with pytest.raises(ArgumentError, match="low=2 is above high=1"):
        Variable(1.5, low=2.0, high=1.0)
    with pytest.raises(ArgumentError, match=r"start=5\.0: expected a value that keeps"):
        Variable(5.0, high=1.0)
    with pytest.raises(ArgumentError, match="start='z'"):
        Variable("z", choices=("a", "b"))
    with pytest.raises(ArgumentTypeError, match=r"program: returned 3\.0, expected a node"):
        Workflow(lambda x: 3.0, {"x": 1.0}, float).execute({"x": 1.0})
    with pytest.raises(ArgumentTypeError, match="feedback: returned 'good'"):
        Workflow(lambda x: x + 1, {"x": 1.0}, lambda y: "good").execute({"x": 1.0})
    with pytest.raises(ArgumentError, match="expected a value for each of x"):
        cube().judge({"y": 1.0})
    with pytest.raises(WrongProblem, match="variable first is no real number"):
        feasible.solve(greeting(), NumericTraceRun(), 3)
    with pytest.raises(WrongProblem, match="variable x has no finite set of values"):
        feasible.solve(cube(), "enumerate", 3)
    with pytest.raises(WrongProblem, match=r"floor_divide.*no derivative"):
        feasible.solve(Workflow(lambda x: x // 2, {"x": 1.0}, float), "numeric-trace", 3)
    with pytest.raises(ArgumentTypeError, match="real numbers"):
        NumericTrace([node("a", trainable=True)])


def test_a_nan_from_the_program_never_wins():
    problem = Workflow(lambda x: x * math.nan, {"x": 1.0}, lambda y: y - 1.0)
    result = feasible.solve(problem, "random-mutation", 5, seed=100)
    assert not result.verdict.feasible
    assert np.isnan(result.verdict.objective)


def test_nothing_of_a_reply_or_a_file_is_run_in_this_process():
    folder = Path(feasible.language.__file__).parent
    for file in folder.rglob("*.py"):
        tree = ast.parse(file.read_text())
        called = {
            ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)
        }  # the sandbox's child is a text here
        assert not called & {"eval", "exec", "compile", "pickle.load", "pickle.loads"}, file
        assert "pickle" not in {
            a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
        }


def test_a_budget_that_is_too_small_to_try_anything_is_said():
    result = feasible.solve(numeric_program(2, 103), "numeric-trace", {"evaluations": 1}, seed=100)
    assert any("needs at least 2 evaluations" in note for note in result.notes)
    result = feasible.solve(numeric_program(1, 104), optoprime(Service()), {"tokens": 100}, seed=1)
    assert not result.spent.get("calls")
    assert "tokens" in result.stopped
