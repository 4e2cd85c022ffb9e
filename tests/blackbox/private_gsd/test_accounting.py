"""Privacy: conversions against closed forms, noise against its distribution."""

import math
import random
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from feasible.blackbox.private_gsd import (
    Domain,
    Halfspaces,
    Marginals,
    Prefixes,
    PrivateTable,
    accounting,
    discrete,
)
from feasible.blackbox.private_gsd.accounting import (
    Noise,
    cdp_delta,
    cdp_epsilon,
    cdp_rho,
    gaussian_variance,
    gumbel_scale,
)
from feasible.blackbox.private_gsd.gsd import GSD
from feasible.blackbox.private_gsd.instances import acs_table

FRAME, DOMAIN = acs_table(300, 100)


@pytest.fixture(scope="module")
def table():
    return PrivateTable(
        FRAME, DOMAIN, Marginals(2, bins=4) + Prefixes(20) + Halfspaces(20), name="small"
    )


@pytest.mark.parametrize(
    ("epsilon", "n", "rho"),
    [
        (1, 2000, 0.0216695),
        (1, 20000, 0.0157903),
        (1, 200000, 0.0123773),
        (0.07, 2000, 1.40895e-4),
        (0.23, 2000, 1.34363e-3),
        (0.52, 2000, 6.30664e-3),
        (0.74, 2000, 0.0122865),
        (3, 20000, 0.126484),
    ],
)
def test_epsilon_and_delta_allow_the_rho_of_the_table_and_more_than_the_simple_bound(
    epsilon, n, rho
):
    delta = 1 / n**2
    assert cdp_rho(epsilon, delta) == pytest.approx(rho, rel=5e-6)
    log = math.log(1 / delta)
    assert cdp_rho(epsilon, delta) > (math.sqrt(log + epsilon) - math.sqrt(log)) ** 2


@given(st.floats(0.01, 10), st.floats(1e-12, 0.1))
@settings(max_examples=15)
def test_epsilon_and_rho_are_inverse_and_delta_is_kept(epsilon, delta):
    rho = cdp_rho(epsilon, delta)
    assert cdp_delta(rho, epsilon) <= delta
    assert cdp_epsilon(rho, delta) == pytest.approx(epsilon, rel=1e-6)


@pytest.mark.parametrize("sensitivity2", [1, 2])
def test_the_noise_of_a_workload_costs_its_rho_exactly(sensitivity2):
    for rho in (1e-6, 0.1, 1 / 3, 7.0):
        assert Fraction(sensitivity2) / (2 * gaussian_variance(sensitivity2, rho)) == Fraction(rho)
    for draws, rho in (
        (1, 0.1),
        (7, 0.03),
    ):  # draws of the exponential mechanism with epsilon 2/b, each epsilon^2/8-zCDP
        assert draws * (2 / gumbel_scale(draws, rho)) ** 2 / 8 == pytest.approx(rho)


@pytest.mark.parametrize("variance", [Fraction(1, 2), Fraction(3), Fraction(200)])
def test_discrete_gaussian_noise_has_its_distribution(variance):
    n = 100_000
    drawn = Noise("a").discrete_gaussian(variance, n)
    assert drawn.dtype.kind == "i"
    reach = math.ceil(4 * math.sqrt(variance))
    z = np.arange(-10 * reach, 10 * reach + 1)
    p = np.exp(-(z**2) / (2 * float(variance)))
    p /= p.sum()
    inner = (np.abs(z) <= reach) & (n * p >= 5)
    seen = np.array([(drawn == v).sum() for v in z[inner]])
    rest = n - seen.sum()
    expected = np.append(n * p[inner], n * (1 - p[inner].sum()))
    statistic = float(
        ((np.append(seen, rest) - expected) ** 2 / np.maximum(expected, 1e-9))[expected > 1].sum()
    )
    assert stats.chi2.sf(statistic, inner.sum()) > 1e-4
    low, high = stats.chi2.ppf([1e-5, 1 - 1e-5], n) / n
    assert low < (drawn.astype(float) ** 2).mean() / float((z**2 * p).sum()) < high


def test_few_random_bits_decide_as_all_of_them_would():
    """A number that begins with the first 48 bits of 1/3 is compared with 1/3: further bits decide,
    which are those of `first` again for 1/3."""
    first = 2**48 // 3
    for more, below in ((0, True), (first - 1, True), (first + 1, False), (2**48 - 1, False)):
        bits = (more << 16).to_bytes(8, "little")
        assert discrete._decide(first, 1, 3, lambda n, bits=bits: bits) == below
    n, one = 200_000, np.ones(200_000, np.int64)
    source = random.Random(1).randbytes
    for numerator, denominator in ((1, 3), (10**40, 3 * 10**40), (7, 2), (10**30 + 1, 10**30)):
        exponent = discrete._exponent(one.astype(object) * numerator, denominator)
        share = discrete._bernoulli_exp(exponent, source).mean()
        p = math.exp(-numerator / denominator)
        assert abs(share - p) < 4.5 * math.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("t", [1, 2, 7, 20_000])
def test_discrete_laplace_draws_have_their_variance(t):
    drawn = discrete._laplace(t, 200_000, random.Random(2).randbytes).astype(float)
    q = math.exp(-1 / t)
    variance = 2 * q / (1 - q) ** 2
    assert abs((drawn**2).mean() / variance - 1) < 5 * math.sqrt(5 / len(drawn))
    assert abs(drawn.mean()) < 5 * math.sqrt(variance / len(drawn))


def test_a_measurement_draws_in_bulk(table, monkeypatch):
    calls = []
    real = discrete.gaussian
    monkeypatch.setattr(accounting, "gaussian", lambda *args: calls.append(args[1]) or real(*args))
    table.measure(range(table.queries.w), 0.1, Noise())
    assert sum(calls) == table.queries.q
    assert len(calls) == 2  # by sensitivity, not by workload


def test_a_million_draws_ask_the_system_for_randomness_in_blocks():
    calls = []

    def draw(n):
        calls.append(n)
        return random.Random(len(calls)).randbytes(n)

    assert len(discrete.gaussian(Fraction(200_000), 100_000, draw)) == 100_000
    assert len(calls) < 2000


def audit(rho, factor, draws=5000):
    """A lower bound (Clopper-Pearson, 99.9 %) on epsilon at delta = 0.02, from the real measurement
    of two neighbouring tables.

    factor: on the noise.
    """
    frame = pd.DataFrame({"a": [0] * 10, "b": [0] * 10})
    other = frame.copy()
    other.loc[0] = 1
    domain = Domain.of({"a": 2, "b": 2})
    tables = [PrivateTable(f, domain, Marginals(2)) for f in (frame, other)]

    class Halved(Noise):
        def discrete_gaussian(self, variance, n):
            return super().discrete_gaussian(variance * Fraction(factor) ** 2, n)

    difference = (
        tables[0].queries.count(domain.encode(other))
        - tables[0].queries.count(domain.encode(frame))
    ) / 10
    source = Halved("audit")
    scores = []
    for t in tables:
        answers = t.measure([0] * draws, rho, source).answers.reshape(draws, -1)
        scores.append(answers @ difference)  # the likelihood ratio is a monotone function of it
    cut = np.quantile(np.concatenate([s[: draws // 2] for s in scores]), 0.8)
    hits = [int((s[draws // 2 :] > cut).sum()) for s in scores]
    n = draws - draws // 2
    miss = stats.beta.ppf(1 - 5e-4, hits[0] + 1, n - hits[0])
    power = stats.beta.ppf(5e-4, hits[1], n - hits[1] + 1)
    return math.log(max((power - 0.02) / miss, 1e-9))


def test_an_attack_on_the_mechanism_gains_no_more_than_promised_and_sees_halved_noise():
    rho = 0.5
    promised = cdp_epsilon(rho, 0.02)
    assert audit(rho, 1) <= promised
    assert audit(rho, Fraction(1, 2)) > promised


def test_noise_comes_from_the_operating_system_and_a_seed_is_said_not_to_be_private(table):
    assert not np.array_equal(
        Noise().discrete_gaussian(Fraction(10**6), 20),
        Noise().discrete_gaussian(Fraction(10**6), 20),
    )
    assert np.array_equal(
        Noise("k").discrete_gaussian(Fraction(10**6), 20),
        Noise("k").discrete_gaussian(Fraction(10**6), 20),
    )
    with pytest.warns(UserWarning, match="not private"):
        GSD(noise_seed=0).init(table, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GSD().init(table, np.random.default_rng(0))
