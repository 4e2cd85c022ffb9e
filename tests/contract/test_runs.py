"""What every registered method of every room promises of its runs."""

from __future__ import annotations

import json
import random
from contextlib import suppress

import cases
import numpy as np
import pytest
import torch
from cases import FULL, Case

import feasible
from feasible.core.registry import load_method, methods
from feasible.lab.store import Store
from feasible.lab.stored import build_method, method_spec

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:noise_seed:UserWarning")]

NAMES = sorted(methods())
OURS = [n for n in reversed(NAMES) if not methods()[n].peer]
ONE_OF_EACH = sorted({methods()[n].solves: n for n in OURS}.values())
"""A method of ours for each class of problems."""
RESTORES = ("autolrs", "autolrs-adam")
"""These put torch's global stream back to where a stage began, as the model's dropout needs it."""


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest) -> Case:
    """A method on a small problem; its tests follow one another, so its whole run is made once."""
    return cases.case(request.param)


def streams() -> tuple[object, ...]:
    """The states of the global random streams."""
    return random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()


@pytest.mark.parametrize("name", NAMES if FULL else ONE_OF_EACH)
def test_the_same_seed_gives_the_same_answer(name):
    cases.same(cases.case(name).run(), cases.whole(name))


def test_no_run_spends_more_than_its_budget(case):
    step = case.limit / 10 if case.resource == "rho" else 1.0
    cuts = np.arange(step, case.limit, step) if FULL else [step, case.limit // 2 or case.limit]
    for cut in map(float, cuts):
        with suppress(feasible.errors.ArgumentError, feasible.errors.BudgetError):
            found = cases.whole(case.name) if cut == case.limit else case.run(limit=cut)
            assert found.spent[case.resource] <= cut
            if found.problem.keeps_ledger:
                assert found.spent["evaluations"] == len(found.ledger.all())
                assert found.spent["evaluations"] == cut or "budget" not in found.stopped


def test_answers_do_not_change_with_later_steps(case):
    for answer, digest in cases.watched(case.name).judged:
        assert cases.digest(answer) == digest


def test_a_method_comes_back_from_its_description(case):
    method = load_method(case.method)
    for reference in (case.method, None):
        stored = json.loads(json.dumps(method_spec(method, reference)))
        assert build_method(stored, case.name) == method


def test_an_interrupted_run_goes_on_to_the_answer_of_that_seed_and_touches_no_global_stream(
    case, tmp_path, checkpoint_each_step
):
    whole = cases.whole(case.name)  # what imports do to global streams is over
    before = streams()
    points = iter(whole.trail[: len(whole.trail) // 2])

    def interrupt(point):
        if next(points, None) is None:
            raise KeyboardInterrupt

    call = {"store": str(tmp_path / "r.db"), "name": "r"}
    with suppress(KeyboardInterrupt):  # where it comes while the last point is judged
        case.run(load_method(case.method), observers=[interrupt], **call)
    assert Store(call["store"]).run("r").state in ("interrupted", "failed")
    cases.same(case.run(load_method(case.method), **call), whole)
    if case.name not in RESTORES:
        assert streams() == before


@pytest.mark.kill
@pytest.mark.parametrize("name", NAMES if FULL else ONE_OF_EACH)
def test_a_killed_run_resumes_to_the_answer_of_the_uninterrupted_one(name, killed_and_resumed):
    case = cases.case(name)
    resumed = killed_and_resumed(case.run, at=len(cases.whole(name).trail) // 2)
    cases.same(resumed, cases.whole(name))
