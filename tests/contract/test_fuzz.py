"""Bad values of every setting end in a method, or in an error of ours that names the setting."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bad_values import BAD, outcome

import feasible
from feasible.core.registry import load_method, methods

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
]

TEXTS = ("nan", "inf", "-inf", "-1", "0", "1.5", "1e400", "1" + "0" * 40, "text", "none", "true")
CLASSES = {type(load_method(name)): name for name in sorted(methods(), reverse=True)}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_bad_setting_is_taken_or_refused_by_name(cls):
    for field in dataclasses.fields(cls):
        for value in BAD.values():
            said = outcome(lambda field=field, value=value: repr(cls(**{field.name: value})))
            assert field.name in (said or field.name)


@pytest.mark.parametrize("name", CLASSES.values())
def test_a_bad_setting_on_the_command_line_is_taken_or_refused_by_name(name):
    for field in dataclasses.fields(load_method(name)):
        for text in TEXTS:
            reference = f"{name}[{field.name}={text}]"
            said = outcome(lambda reference=reference: load_method(reference))
            assert field.name in (said or field.name)


@pytest.mark.parametrize("setting", ["popsize=3", "sigma0=1e300"])
def test_an_error_of_another_library_names_the_settings_that_were_changed(setting, monkeypatch):
    method = load_method(f"cma-es[{setting}]")
    monkeypatch.setattr(type(method), "step", lambda *_: [][0])
    problem = feasible.blackbox.BlackBox(lambda x: x[0] ** 2, bounds=[(-1, 1), (0, 1)])
    said = outcome(lambda: feasible.solve(problem, method, {"evaluations": 5}))
    assert setting.split("=")[0] in said
    assert "IndexError" in said
    with pytest.raises(IndexError):  # where no setting was changed it is not one's fault
        feasible.solve(problem, "cma-es", {"evaluations": 5})


def test_a_size_beyond_memory_names_the_setting():
    problem = feasible.blackbox.BlackBox(lambda x: x[0] ** 2, bounds=[(-1, 1), (0, 1)])
    method = feasible.blackbox.CBO(n_particles=10**15)
    assert "n_particles=1000000" in outcome(
        lambda: feasible.solve(problem, method, {"evaluations": 5})
    )


def test_a_matrix_as_a_seed_does_not_end_the_process():
    matrix = np.matrix([[1.0, 2.0]])
    for call in (
        lambda: feasible.training.LRSearch(1e-3, 1.0, seed=matrix).ask(),
        lambda: feasible.blackbox.hop(lambda x: x[:, 0], [1.0], 0.1, 1.0, seed=matrix),
        lambda: feasible.blackbox.ConstrainedBO([(0, 1)], seed=matrix),
    ):
        assert "seed=matrix" in outcome(call)
