"""The functions to judge by, and the claim."""

import numpy as np
import pytest

from feasible.blackbox.bo_tutorial import instances as instances_bayes
from feasible.core.errors import UnknownName


@pytest.mark.parametrize("name", list(instances_bayes.PROBLEMS))
def test_the_best_known_point_is_feasible_and_has_its_value(name):
    problem = instances_bayes.get(name)
    seen = problem.measure(
        np.array([problem.best_point], dtype=float), np.array([-1]), np.array([-1])
    )
    assert seen.objective[0] == pytest.approx(problem.best_known, abs=1e-6)
    assert seen.violation[0] <= 1e-6
    others = problem.measure(
        problem.space.from_unit(np.random.default_rng(0).random((500, problem.space.d))),
        np.full(500, -1),
        np.full(500, -1),
    )
    assert others.objective[others.violation <= 0].min(initial=np.inf) >= problem.best_known - 1e-9
    with pytest.raises(UnknownName):
        instances_bayes.get(name + "x")


@pytest.mark.parametrize("name", ["rosenbrock", "ackley"])
def test_gradients_are_finite_differences(name):
    f = instances_bayes.with_gradient(name).fun
    x, h = np.array([[0.3, -0.7]]), 1e-6
    for j, e in enumerate(np.eye(2) * h):
        assert f(x)[f"d_x{j + 1}"][0] == pytest.approx(
            (f(x + e)["objective"][0] - f(x - e)["objective"][0]) / (2 * h), rel=1e-6
        )


def test_the_claim_is_read_off_its_figures():
    from feasible.blackbox.bo_tutorial.claim import claim, parts_of

    def figures(noisy, kg, mfkg, joint, gradients):
        """Of eight functions and five seeds that differ a little."""
        spread = np.linspace(0.9, 1.1, 8)
        drawn = {"plug-in EI": 1.0, "noisy EI": noisy, "discrete KG": kg}
        five = np.linspace(0.98, 1.02, 5)
        return {
            "noise": {"prior draws 1-D, noise 0.5": {k: v * spread for k, v in drawn.items()}},
            "fidelity": {"mfkg": mfkg * five, "single fidelity KG": 9.0 * five},
            "environment": {"joint KG": joint * five, "all environments": 20.0 * five},
            "gradients": dict.fromkeys(("rosenbrock", "ackley"), gradients * five),
        }

    good = figures(0.5, 0.4, 5.0, 9.0, 0.4)
    bad = figures(1.0, 2.0, 9.0, 20.0, 0.6)
    assert [p.state for p in parts_of(good)] == ["holds"] * 5
    assert [p.state for p in parts_of(bad)] == ["does not hold"] * 5
    for scale in ("smoke", "desk", "paper"):
        assert claim.experiments(scale, (0, 1, 2, 3, 4))
