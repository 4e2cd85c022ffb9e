import numpy as np
import pytest
import torch

from feasible.blackbox.private_gsd import Halfspaces, Marginals, Prefixes, PrivateTable
from feasible.blackbox.private_gsd.instances import acs_table, adult
from feasible.blackbox.private_gsd.peers import PGM
from feasible.blackbox.private_gsd.rap import RAP, Relaxed
from feasible.core.budget import Budget, Meter
from feasible.core.errors import ArgumentError
from feasible.core.run import Run, run

pytestmark = pytest.mark.filterwarnings("ignore")
FRAME, DOMAIN = acs_table(400, 100)
KEEP = ["c1", "c2", "c3"]


def solve(problem, method, seed=3, **budget):
    limits = Budget(**budget)
    return run(Run(problem, method, limits, seed, Meter(limits)))


def small():
    from feasible.blackbox.private_gsd import Domain

    return PrivateTable(FRAME[KEEP], Domain.of({"c1": 2, "c2": 2, "c3": 3}), Marginals(2))


def test_the_relaxed_answers_of_a_hard_table_are_the_true_ones():
    problem = PrivateTable(
        FRAME,
        DOMAIN,
        Marginals(2, bins=4)
        + Marginals(3, bins=0)
        + Prefixes(60)
        + Halfspaces(60)
        + Prefixes(20, k_cat=0, k_num=1),
    )
    x = DOMAIN.encode(FRAME)
    hard = []
    for j, size in enumerate(DOMAIN.sizes):
        v = torch.as_tensor(x[:, j], dtype=torch.float32)
        hard.append(
            60.0 * torch.nn.functional.one_hot(v.long(), size).float()
            if size
            else torch.logit(v.clamp(1e-6, 1 - 1e-6))[:, None]
        )
    answers = Relaxed(problem)(hard, 2.0**22).numpy()
    np.testing.assert_allclose(
        answers, problem.queries.count(x) / 400, atol=6e-3
    )  # rows within float32 of a threshold count by half


@pytest.mark.parametrize(
    "method",
    [RAP(noise_seed=1, rows=50, iterations=40), PGM(noise_seed=1, iterations=50)],
    ids=["rap", "pgm"],
)
def test_the_baselines_spend_all_of_the_budget_and_come_near_the_table(method):
    found = solve(small(), method, rho=0.5)
    assert 0.499 < found.spent["rho"] <= 0.5
    assert found.verdict.objective < 0.05


def test_a_graphical_model_refuses_what_is_no_marginal_and_what_is_too_large():
    problem = PrivateTable(FRAME, DOMAIN, Prefixes(5))
    with pytest.raises(ArgumentError, match="prefixes"):
        PGM().init(problem, np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="joint cells"):
        PGM().init(PrivateTable(FRAME, DOMAIN, Marginals(2, bins=64)), np.random.default_rng(0))


def test_adult_is_read_with_its_public_domain():
    problem = adult()
    assert problem.n == 48_842
    assert problem.domain.d == 10
    assert problem.judge(problem.data).objective == 0
    assert problem.data["income"].value_counts().to_dict() == {"<=50K": 37_155, ">50K": 11_687}
    assert adult(100).data.equals(problem.data[:100])
