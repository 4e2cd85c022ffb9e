"""What the models of bo-* and gp-* make of descriptors of choices and of an earlier study."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import feasible
from feasible.blackbox import BlackBox, Categorical, Real
from feasible.blackbox.bo_tutorial import BO
from feasible.blackbox.bo_tutorial.belief import BeliefData
from feasible.blackbox.bo_tutorial.learning import learn
from feasible.blackbox.bo_tutorial.search import ALIKE
from feasible.core.registry import load_method, methods

CHOICES = ["a", "b", "c", "d", "e"]
POLAR = [0.0, 1.0, 2.0, 9.0, 10.0]
OLD = {"c": ["a", "b", "d", "e", "d"], "t": [0.2, 0.6, 0.5, 0.4, 0.9]}


def cost(m):
    return (POLAR[CHOICES.index(m["c"])] / 10 - 0.8) ** 2 + (m["t"] - 0.4) ** 2


def reaction(*, told=True, history=False, **options):
    """Best with "d", whose descriptor is 9, at t = 0.4; the earlier study lies off by 3."""
    values = [3 + cost({"c": c, "t": t}) for c, t in zip(*OLD.values(), strict=True)]
    return BlackBox(
        cost,
        [
            Categorical("c", CHOICES, descriptors={"polarity": POLAR} if told else None),
            Real("t", 0, 1),
        ],
        objective="cost",
        pass_as="mapping",
        history=OLD | {"cost": values} if history else None,
        **options,
    )


def belief(problem, x, f):
    """The model of `bo-logei` given rows."""
    domain = BO().domain(problem.space, problem.known, problem.history)
    x, f = np.array(x, dtype=float), np.array(f, dtype=float)
    none = np.empty((len(x), 0))
    data = BeliefData(x, f, none, np.full_like(x, np.nan))
    return learn(BO(), domain, data, {}, x[:0], np.random.default_rng(0))


def expected(found, x):
    """Its mean of the objective and its standard deviation at points."""
    with torch.no_grad():
        mean, sd = found.predict(torch.as_tensor(found.domain.z(np.array(x, dtype=float))))
    values = -found.y.undo(mean.numpy()[:, :1])[:, 0]
    return values, sd.numpy()[:, 0]


def test_descriptors_are_features_beside_lower_indicators():
    domain = BO().domain(reaction().space, None)
    x = np.array([[3, 0.5], [0, 0.25]])
    z = domain.z(x)
    assert domain.columns == [[0, 1, 2, 3, 4], [5]]
    assert z[:, 6].tolist() == [0.9, 0.0]
    assert z[0, :5].tolist() == [0, 0, 0, ALIKE, 0]
    np.testing.assert_allclose(domain.x(z), x)
    plain = BO().domain(reaction(told=False).space, None)
    assert plain.z(x)[0, :5].tolist() == [0, 0, 0, 1, 0]
    assert domain.earlier is plain.earlier is None


def test_a_choice_that_nobody_tried_is_expected_to_be_like_those_with_its_descriptors():
    x = [[c, t] for c in (0, 1, 2, 4) for t in (0.2, 0.5, 0.8)]
    f = [cost({"c": CHOICES[c], "t": t}) for c, t in x]
    untried = [[3, 0.5]]
    told, told_sd = expected(belief(reaction(), x, f), untried)
    plain, plain_sd = expected(belief(reaction(told=False), x, f), untried)
    truth = cost({"c": "d", "t": 0.5})
    assert abs(told[0] - truth) < abs(plain[0] - truth) - 0.1
    assert told_sd[0] < plain_sd[0]


def test_an_earlier_study_says_where_to_look_before_anything_is_measured_there():
    x, f = [[1, 0.9], [0, 0.1]], [cost({"c": "b", "t": 0.9}), cost({"c": "a", "t": 0.1})]
    points = [[3, 0.5], [1, 0.6]]
    found = belief(reaction(history=True), x, f)
    assert found.domain.earlier == found.domain.k - 1
    assert found.domain.box()[:, found.domain.earlier].tolist() == [0.0, 0.0]
    known, _ = expected(found, points)
    assert known[0] < known[1] - 0.1  # as the earlier study found, though it lies off by 3
    nothing, _ = expected(belief(reaction(told=False), x, f), points)
    assert nothing[0] > known[0]


def test_an_earlier_study_halves_the_first_design():
    method = BO()
    problem = reaction(history=True)
    assert method.least(problem) == (method.least(reaction()) - 1 + 1) // 2 + 1
    state = method.init(problem, np.random.default_rng(0))
    assert len(state.design) + 1 == method.least(problem)


def test_what_a_method_learns_from_is_what_it_says():
    problem = reaction(history=True)
    rest = "; robust-bo learns from them"
    says = {
        "bo-logei": [],
        "robust-bo": [],
        "baybe": [],
        "gp-cei": ["gp-cei makes no use of history" + rest],
        "optuna-tpe": [
            "optuna-tpe makes no use of descriptors and history; robust-bo learns from them"
        ],
    }
    assert {name: problem.unused(load_method(name)) for name in says} == says
    bayes = BO(hyperparameters="bayes")
    assert bayes.uses_beforehand == ("descriptors",)
    assert bayes.domain(problem.space, None, problem.history).earlier is None


def test_the_processes_of_gp_cei_get_descriptors_as_inputs():
    from feasible.blackbox.descriptors import directions
    from feasible.blackbox.pfn_cbo.by_process import ProcessSurrogate
    from feasible.blackbox.pfn_cbo.columns import constrained

    space = reaction().space
    x = np.array([[c, t] for c in (0, 1, 2, 4) for t in (0.2, 0.8)], dtype=float)
    f = np.array([cost({"c": CHOICES[int(c)], "t": t}) for c, t in x])
    columns = constrained(f, np.empty((len(f), 0)), always=True, anywhere=False)
    told = {0: directions(space.variables[0].descriptors)}
    found = {
        name: ProcessSurrogate.of(
            name, columns, space.unit(x), x[:0], plus=False, restarts=1, raw=8, seed=0, told=given
        )
        for name, given in (("gp-cei", told), ("without", None))
    }
    assert found["gp-cei"].acquisition.model.covar_module.lengthscale.shape[-1] == 3
    assert found["without"].acquisition.model.covar_module.lengthscale.shape[-1] == 2
    scores = found["gp-cei"].score(space.unit(np.array([[3.0, 0.4], [0.0, 0.4]])))
    assert scores[0] > scores[1]  # "d" is like "e", which was good
    assert found["gp-cei"].climb(0).shape == (2,)


ALL = sorted(
    name
    for name, entry in methods().items()
    if name.startswith("bo-") and entry.paper == "bo-tutorial" and load_method(name).learns_history
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_acquisition_runs_on_what_is_known_beforehand(name):
    method = dataclasses.replace(load_method(name), n_init=3)
    result = feasible.solve(reaction(history=True), method, budget=5, seed=100)
    assert result.spent["evaluations"] == 5
    assert not any("could not be fitted" in note or "makes no use" in note for note in result.notes)
    assert result.answer["c"] in ("d", "e")
