"""Ready-made graph-learning problems: simulated as the field does, with the true graph known."""

from __future__ import annotations

from typing import TypeVar

from .problem import DAGLearning, NeuralDAGLearning
from .simulate import simulate_dag, simulate_linear, simulate_logistic, simulate_mlp

P = TypeVar("P", bound=DAGLearning)


def linear_dag(
    d: int = 20,
    k: int = 4,
    graph: str = "er",
    noise: str = "gauss",
    n: int = 1000,
    seed: int = 0,
    standardised: bool = False,
) -> DAGLearning:
    """A linear graph with k d edges and unit noise.

    Args:
        d: Variables.
        k: Edges a variable.
        graph: "er" or "sf".
        noise: "gauss", "exp" or "gumbel".
        n: Rows.
        seed: Of graph and data.
        standardised: Divide columns by their standard deviation, which takes the direction's trace
            out of least squares.
    """
    truth = simulate_dag(d, k, graph, seed)
    x = simulate_linear(truth, n, noise, seed=[seed, 1])
    if standardised:
        x = (x - x.mean(0)) / x.std(0)
    kind = "standardised " if standardised else ""
    return DAGLearning(x, truth, name=f"{kind}{graph}{k}-{d}-{noise}-{seed}")


def logistic_dag(d: int = 8, k: int = 1, n: int = 2000, seed: int = 0) -> DAGLearning:
    """A graph of binary variables."""
    truth = simulate_dag(d, k, "er", seed)
    x = simulate_logistic(truth, n, seed=[seed, 1])
    return DAGLearning(x, truth, name=f"logistic-{d}-{seed}", model="logistic")


def neural_dag(
    d: int = 10, k: int = 1, n: int = 500, hidden: int = 10, seed: int = 0, loss: str = "l2"
) -> NeuralDAGLearning:
    """A graph whose variables are random networks of their parents, 100 units wide."""
    truth = (simulate_dag(d, k, "er", seed) != 0).astype(float)
    x = simulate_mlp(truth, n, 100, seed=[seed, 1])
    return NeuralDAGLearning(x, truth, name=f"neural-{d}-{seed}", loss=loss, hidden=hidden)


def _named(name: str, problem: P) -> P:
    """The problem under its registered name."""
    problem.name = name
    return problem


def er4_20() -> DAGLearning:
    """Erdos-Renyi, 20 variables, 80 edges."""
    return _named("er4-20", linear_dag(20, 4, "er"))


def er4_50() -> DAGLearning:
    """Erdos-Renyi, 50 variables, 200 edges."""
    return _named("er4-50", linear_dag(50, 4, "er"))


def sf4_30() -> DAGLearning:
    """Scale-free, 30 variables, 104 edges."""
    return _named("sf4-30", linear_dag(30, 4, "sf"))


def er1_5() -> DAGLearning:
    """Erdos-Renyi, 5 variables, 5 edges, 200 rows."""
    return _named("er1-5", linear_dag(5, 1, n=200))


def neural_3() -> NeuralDAGLearning:
    """Three variables, each a network of 3 units of its parents, 40 rows."""
    return _named("neural-3", neural_dag(3, 1, 40, 3))


def er2_10() -> DAGLearning:
    """Erdos-Renyi, 10 variables, 20 edges."""
    return _named("er2-10", linear_dag(10, 2, "er"))


def er4_20_standardised() -> DAGLearning:
    """Erdos-Renyi with columns of variance 1: least squares is the wrong score there."""
    return _named("er4-20-standardised", linear_dag(20, 4, "er", standardised=True))


def logistic_8() -> DAGLearning:
    """Eight binary variables."""
    return _named("logistic-8", logistic_dag())


def neural_10() -> NeuralDAGLearning:
    """Ten variables, each a network of its parents."""
    return _named("neural-10", neural_dag())
