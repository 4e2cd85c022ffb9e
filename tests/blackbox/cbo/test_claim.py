"""Restarts, and the claim read off its races."""

import numpy as np
import pytest

from feasible.blackbox.cbo.cbo import CBO
from feasible.blackbox.cbo.hopping import Hopping
from feasible.blackbox.problem import BlackBox


def bowl(x):
    return np.sum((x - 0.3) ** 2, axis=-1)


def box(d=3, **options):
    return BlackBox(bowl, bounds=[(-2, 2)] * d, vectorized=True, **options)


@pytest.mark.parametrize("memory", [True, False])
def test_restarts_double_the_particles_and_stay_in_the_box(memory):
    problem = box(repeats="charged")
    method = CBO(memory=memory)
    state = method.init(problem, np.random.default_rng(0))
    sizes = []
    for _ in range(250):
        method.step(problem, state)
        sizes.append(len(state.generation.x))
    assert sorted(set(sizes))[:3] == [15, 30, 60]
    assert (np.abs(state.generation.x) <= 2).all()


def trial(problem, method, seed, answer, objective, seconds=1.0):
    from feasible.lab.trials import Trial

    return Trial(
        problem,
        method,
        seed,
        objective=objective,
        violation=0.0,
        feasible=True,
        seconds=seconds,
        answer=answer,
    )


@pytest.mark.parametrize("good", [True, False])
def test_the_claim_is_read_off_the_races(good):
    from feasible.blackbox.cbo.claim import CANYON, claim
    from feasible.lab.trials import Contest, Race

    there, away, seeds = [0.1, 0.2], [2.3, 2.5], list(range(40))
    winners = (
        {"cbo", "hopping s=0.7"} if good else {"hopping s=0.4", "gradient-descent", "langevin"}
    )

    def canyon_race(name, methods):
        trials = [
            trial(CANYON, m, s, there if m in winners else away, 1.0)
            for m in methods
            for s in seeds
        ]
        return Race(name, [Contest(CANYON)], methods, seeds, {}, trials)

    two = ["cbo (published settings)", "cbx (same settings)"]
    rates = dict(zip(two, (0.1, 9.0) if good else (9.0, 0.1), strict=True))
    races = {
        "canyon": canyon_race("canyon", ["cbo", "hopping s=0.7", "hopping s=0.4"]),
        "canyon, gradients": canyon_race("canyon, gradients", ["gradient-descent", "langevin"]),
        "same settings": Race(
            "same settings",
            [Contest("ackley-4d")],
            two,
            seeds,
            {},
            [trial("ackley-4d", m, s, there, rates[m], 0.1 + rates[m]) for m in two for s in seeds],
        ),
    }
    if good:
        races["same settings"].trials[:] = [
            trial("ackley-4d", m, s, there, rates[m], 1.0 if m == two[0] else 2.0)
            for m in two
            for s in seeds
        ]
    parts = claim.check(races)
    assert len(parts) == 7
    assert [p.holds for p in parts] == [good] * 7


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_the_claims_experiments_are_built_for_every_scale(scale):
    from feasible.blackbox.cbo.claim import claim

    for e in claim.experiments(scale, (0, 1, 2, 3, 4)):
        assert e.budget["evaluations"] > 0
        assert len({p.name for p in e.problems}) == len(e.problems)


@pytest.mark.parametrize("method", [CBO(n_particles=20), Hopping(n_particles=20)])
def test_a_budget_in_which_nothing_moves_is_warned_of(method):
    import feasible

    problem = feasible.blackbox.instances.get("sphere", d=2)
    assert any(
        "needs at least 21 evaluations" in note
        for note in feasible.solve(problem, method, 20).notes
    )
    assert not any("needs at least" in note for note in feasible.solve(problem, method, 21).notes)
