"""Functions as operators, trainable code, modules."""

from __future__ import annotations

import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, BudgetExhausted
from feasible.language import ExecutionError, Module, Sandbox, bundle, gradient, model, node
from feasible.language.trace import CodeNotAllowed, ExceptionNode, HiddenDependency, subgraph


@bundle("[score] squared distance to the goal")
def score(v, goal=3.0):
    return (v - goal) ** 2


@bundle(trainable=True, allow_code_execution=True, sandbox=Sandbox(seconds=20.0))
def doubled(x):
    """Double a number."""
    return 2 * x


def test_arguments_and_defaults_become_parents():
    out = score(node(5.0, name="v"))
    assert out.data == 4.0
    assert {k: p.data for k, p in out.inputs.items()} == {"v": 5.0, "goal": 3.0}
    assert out.operation.text == "[score] squared distance to the goal"


def test_nodes_within_containers_are_unwrapped_and_become_parents():
    @bundle("[total] adds up")
    def total(parts, extra):
        return sum(parts) + extra["b"]

    a, b = node(1.0, name="a", trainable=True), node(2.0, name="b", trainable=True)
    out = total([a, 4.0], {"b": b})
    assert out.data == 7.0
    assert {id(p) for p in out.parents} == {id(a), id(b)}


def test_an_exception_becomes_a_node_with_the_source():
    @bundle()
    def fails(x):
        """Always raises."""
        raise KeyError("nothing here")

    x = node(1.0, name="x", trainable=True)
    with pytest.raises(ExecutionError) as caught:
        fails(x)
    assert isinstance(caught.value.exception_node, ExceptionNode)
    assert "(KeyError)" in caught.value.feedback
    assert "# def fails(x):" in caught.value.feedback
    caught.value.node.backward(caught.value.feedback)
    assert x.received


def test_what_it_raises_can_be_left_as_it_is():
    @bundle(catch_execution_error=False)
    def fails(x):
        return 1 / x

    with pytest.raises(ZeroDivisionError):
        fails(node(0))


def test_the_end_of_a_budget_is_no_error_of_the_program():
    @bundle()
    def spends(x):
        raise BudgetExhausted("calls", 1, 1, 1)

    with pytest.raises(BudgetExhausted):
        spends(node(1))


def test_a_node_that_is_read_must_be_passed():
    secret = node(10.0, name="secret", trainable=True)

    @bundle()
    def reads(x):
        return x + secret.data

    with pytest.raises(HiddenDependency, match="secret:"):
        reads(node(1.0))

    @bundle(allow_external_dependencies=True)
    def allowed(x):
        return x + secret.data

    out = allowed(node(1.0))
    assert out.data == 11.0
    assert any(p is secret for p in out.parents)


def test_nodes_that_it_makes_itself_are_no_dependencies():
    @bundle()
    def makes(x):
        inner = node(x) * 2
        return inner + score(inner, goal=0.0)

    assert makes(node(3.0)).data == 42.0


def test_trainable_nodes_within_traceable_code_receive_feedback():
    weight = node(2.0, name="weight", trainable=True)

    @bundle(traceable_code=True)
    def layer(x):
        return x * weight

    out = layer(node(3.0, name="x"))
    assert out.data == 6.0
    assert list(out.inputs) == ["x"]
    out.backward("larger")
    assert weight.received == [(out, "larger")]
    assert any(v is weight for v in subgraph(out, [weight]).nodes)


def test_a_derivative_can_be_given():
    @bundle(vjp=lambda g, out, v, goal: (2 * g * (v - goal), -2 * g * (v - goal)))
    def loss(v, goal):
        return (v - goal) ** 2

    x = node(5.0, name="x")
    assert gradient(loss(x * 2, 4.0), [x]) == [24.0]


def test_code_is_a_parameter_with_its_signature_as_constraint():
    (code,) = doubled.parameters()
    assert code.py_name.startswith("__code")
    assert code.data.startswith("def doubled(x):")
    assert code.constraint == "The code should start with: def doubled(x):"
    out = doubled(node(4.0))
    assert out.data == 8.0
    assert any(p is code for p in out.parents)


@pytest.mark.slow
def test_changed_code_runs_in_the_sandbox_only_where_it_may():
    (code,) = doubled.parameters()
    was = code._data
    try:
        code._data = "def doubled(x):\n    return 3 * x"
        assert doubled(node(4.0)).data == 12.0
        code._data = "def doubled(x):\n    return 1 / 0"
        with pytest.raises(ExecutionError, match=r"ZeroDivisionError"):
            doubled(node(4.0))
        code._data = "def doubled(x, y):\n    return x"
        with pytest.raises(ExecutionError, match=r"expected a function doubled\(x\)"):
            doubled(node(4.0))
        doubled.allowed = False
        with pytest.raises(CodeNotAllowed, match="allow_code_execution"):
            doubled(node(4.0))
    finally:
        code._data, doubled.allowed = was, True


def test_a_model_collects_what_is_trainable():
    @model
    class Agent:
        def __init__(self):
            self.rule = node("wait", name="rule", trainable=True)
            self.parts = {"deep": [node(1.0, name="w", trainable=True), node(2.0)]}

        @bundle("[act] what it does")
        def act(self, seen):
            return f"{seen}!"

        def __call__(self, seen):
            return self.act(self.rule + seen)

    agent = Agent()
    assert isinstance(agent, Module)
    assert type(agent).__name__ == "Agent"
    assert set(agent.parameters_dict()) == {"rule", "parts.deep.0"}
    out = agent(node(" here"))
    assert out.data == "wait here!"
    assert list(out.inputs) == ["seen"]
    out.backward("no")
    assert agent.rule.received
    saved = agent.state_dict()
    agent.rule._data = "run"
    agent.load_state_dict(saved)
    assert agent.rule.data == "wait"
    with pytest.raises(ArgumentError, match=r"parts\.deep\.0"):
        agent.load_state_dict({"rule": "x"})


def test_trainable_code_of_a_class_is_found_through_models_bases_and_modules_within():
    class Base(Module):
        @bundle(trainable=True)
        def act(self, seen):
            return seen

    class Derived(Base):
        def __init__(self):
            self.inner = Base()

    @model
    class Agent:
        @bundle(trainable=True)
        def answer(self, seen):
            return seen

    code = Base.act.code
    assert Base().parameters_dict() == {"act": code}
    assert list(Derived().parameters_dict()) == ["act"]
    assert Derived().parameters() == [code]
    outer = Module()
    outer.inner = Derived()
    assert list(outer.parameters_dict()) == ["inner.act"]
    assert list(Agent().parameters_dict()) == ["answer"]


def test_bad_input_is_named():
    with pytest.raises(ArgumentTypeError, match=r"write @bundle\(\)"):

        @bundle
        def f(x):
            return x

    with pytest.raises(ArgumentTypeError, match="score"):
        score()
    with pytest.raises(ArgumentError, match="an identifier"):
        bundle("[two words] text")(len)
    with pytest.raises(ArgumentError, match="source cannot be found"):
        bundle(trainable=True)(len)
