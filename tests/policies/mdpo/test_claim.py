"""The claim at smoke scale, and what its figures are made of."""

import numpy as np
import pytest

import feasible
from feasible.policies.mdpo.claim import TASKS, ahead, experiments, iqm


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_claim_has_every_part_at_its_smallest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = feasible.reproduce("mdpo", scale="smoke", seeds=(100, 101))
    bars = [part["bar"] for part in found["parts"] if part["bar"] != "reported"]
    assert bars == [">= 5", ">= 1", ">= 0.9", ">= 0.8333", ">= 1", ">= -50", "<= 1e-12", "> 0"]
    assert all(np.isfinite(part["figure"]) for part in found["parts"])


def test_an_interquartile_mean_is_that_of_the_middle_half():
    assert iqm(np.array([[-100.0, 1, 2, 100], [-100.0, 3, 4, 100]])) == 2.5


def test_probability_of_improvement_counts_pairs_and_half_of_ties():
    values = {"a": np.array([[1.0, 2.0]]), "b": np.array([[1.0, 3.0]])}
    assert ahead("a", "b")(values) == (0.5 + 0 + 1 + 0) / 4


def test_batches_and_normalisation_are_equal_and_nothing_was_tuned_on_its_tasks():
    on, longer, _ = experiments("desk", range(5))
    for race in (on, longer):
        assert len({m.n_envs * m.n_steps for m in race.methods.values()}) == 1
        assert all(m.normalize for m in race.methods.values())
    assert not {"lunar-lander", "half-cheetah"} & set(TASKS)
