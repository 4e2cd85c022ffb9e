import dataclasses
import inspect
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from laws import any_law, h, information, laws

from feasible.core.budget import Budget, Meter
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    NotFinite,
    ShapeError,
    WrongProblem,
)
from feasible.core.registry import default_method, load_method, load_problem
from feasible.core.run import Run, run
from feasible.transport import (
    Code,
    CodingAgent,
    CodingGame,
    MarkovCodingGame,
    RateLimitedCoupling,
    dirichlet_law,
    entropy_bits,
    entropy_bottleneck_encoder,
    mec_bottleneck,
    min_entropy_coupling,
    play,
    zipf_law,
)
from feasible.transport.mec_bottleneck.coding_game import CodeSettings
from feasible.transport.mec_bottleneck.compiled_encoders import drop
from feasible.transport.mec_bottleneck.mec_bottleneck import (
    METHODS,
    BottleneckSettings,
    MECBottleneck,
)


def partitions(n):
    """Every map of n symbols, as restricted growth strings."""
    for labels in itertools.product(range(n), repeat=n):
        if all(label <= max(labels[:i], default=-1) + 1 for i, label in enumerate(labels)):
            yield np.array(labels)


# -- the encoder -----------------------------------------------------------------------------------


def test_a_merge_loses_the_entropy_that_the_formula_says():
    assert drop(0.25, 0.25) == 0.5
    assert drop(0.3, 0.0) == 0
    for p, q in np.random.default_rng(100).random((20, 2)):
        assert h([p]) + h([q]) - h([p + q]) == pytest.approx(drop(p, q))


def test_the_greedy_search_on_four_equal_symbols():
    four = [0.25] * 4
    half = entropy_bottleneck_encoder(four, 1.0, "greedy")
    assert half.information == half.rate == 1.0
    np.testing.assert_array_equal(np.sort(half.masses), [0.5, 0.5])
    np.testing.assert_array_equal(
        entropy_bottleneck_encoder(four, 2.0, "greedy").joint, np.diag(four)
    )
    assert entropy_bottleneck_encoder(four, 0.0, "greedy").joint.shape == (4, 1)


@given(any_law, st.floats(0, 1.2))
@settings(max_examples=120)
def test_every_encoder_keeps_its_law_and_its_rate_and_says_what_it_tells(p, share):
    rate = share * h(p)
    best = min(rate, h(p))
    found = {m: entropy_bottleneck_encoder(p, rate, m) for m in METHODS}
    for method, e in found.items():
        joint = e.joint
        assert joint.shape == (len(p), len(e.masses))
        assert (joint >= 0).all()
        assert (joint.sum(0) > 0).all()
        np.testing.assert_allclose(joint.sum(1), p, atol=1e-14)
        np.testing.assert_allclose(joint.sum(0), e.masses, atol=1e-14)
        assert e.rate <= rate + 1e-9, method
        assert e.information == pytest.approx(information(joint), abs=1e-9)
        assert e.gap_bound == pytest.approx(best - e.information, abs=1e-9)
        split = (joint > 0).sum(1) > 1
        assert split.sum() <= (method in ("greedy+interp", "exact"))
        assert (e.labels[p > 0] == joint.argmax(1)[p > 0]).all()
    second = np.sort(p)[-2] if len(p) > 1 else 0.0
    bound = h([second, 1 - second])
    assert found["greedy"].gap_bound <= bound + 1e-9
    assert (
        found["exact"].information
        >= found["greedy+interp"].information - 1e-9
        >= found["greedy"].information - 2e-9
    )
    assert found["exact"].information >= found["quantizer-identity"].information - 1e-9


@given(
    st.builds(
        lambda n, s: np.random.default_rng(s).dirichlet(np.ones(n)),
        st.integers(2, 5),
        st.integers(100, 10_000),
    ),
    st.floats(0.05, 0.95),
)
@settings(max_examples=25)
def test_the_exact_encoder_is_at_least_as_good_as_all_maps_and_a_fine_grid_of_their_splits(
    p, share
):
    rate = share * h(p)
    best = 0.0
    for labels in partitions(len(p)):
        joint = np.zeros((len(p), len(p) + 1))
        joint[np.arange(len(p)), labels] = p
        for x, to in itertools.product(range(len(p)), range(len(p) + 1)):
            for part in np.linspace(0, 1, 15):
                moved = joint.copy()
                moved[x, labels[x]] -= part * p[x]
                moved[x, to] += part * p[x]
                if h(moved.sum(0)) <= rate:
                    best = max(best, information(moved))
    assert entropy_bottleneck_encoder(p, rate, "exact").information >= best - 1e-9


def greedy_on_a_table(p, rate):
    """Algorithm 1 as it is written, on the whole joint table."""
    joint = np.diag(p)[:, p > 0]

    def merged(joint, i, j):
        out = np.delete(joint, j, axis=1)
        out[:, i - (i > j)] = joint[:, i] + joint[:, j]
        return out

    if h(p) <= rate + 1e-12:
        return joint
    while joint.shape[1] > 1:
        order = np.argsort(joint.sum(0), kind="stable")
        small, large = merged(joint, order[1], order[0]), merged(joint, order[-1], order[-2])
        if h(small.sum(0)) <= rate + 1e-12:
            return small
        joint = large
        if h(joint.sum(0)) <= rate + 1e-12:
            return joint
    return joint


@given(
    st.one_of(
        laws,
        st.builds(lambda s: np.random.default_rng(s).dirichlet(np.ones(40)), st.integers(100, 999)),
    ),
    st.floats(0.01, 1),
)
@settings(max_examples=60)
def test_the_walk_along_the_sorted_masses_is_the_search_on_the_table(p, share):
    rate = share * h(p)
    found, table = entropy_bottleneck_encoder(p, rate, "greedy"), greedy_on_a_table(p, rate)
    np.testing.assert_allclose(np.sort(found.masses), np.sort(table.sum(0)), atol=1e-12)


def test_splitting_one_symbol_uses_the_rate_and_pays_what_the_theorem_says():
    rng = np.random.default_rng(100)
    for _ in range(40):
        p = rng.dirichlet(np.ones(6))
        e = entropy_bottleneck_encoder(p, rng.uniform(0.1, h(p)), "greedy+interp")
        if e.split < 0:
            continue
        assert e.rate == pytest.approx(e.rate_bits, abs=1e-9)
        a, part = p[e.split], e.split_mass
        assert e.rate - e.information == pytest.approx(a * h([part / a, 1 - part / a]), abs=1e-9)
    # first order, upwards (Theorem 3): dI = d log(q/a), dH = d (log 1/d + log q + log2 e)
    q, a, d = 0.7, 0.2, 1e-7
    rise = h([q - d, d]) - h([q])
    assert rise == pytest.approx(
        d * (math.log2(1 / d) + math.log2(q) + math.log2(math.e)), rel=1e-5
    )
    assert rise - (h([a - d, d]) - h([a])) == pytest.approx(d * math.log2(q / a), rel=1e-4)


def test_interpolation_closes_at_least_a_third_of_the_greedy_gap():
    rng = np.random.default_rng(101)
    gaps = {"greedy": [], "greedy+interp": []}
    for _ in range(150):
        p = rng.dirichlet(np.full(rng.integers(3, 8), rng.choice([0.3, 1, 3])))
        rate = rng.uniform(0, h(p))
        for method, gap in gaps.items():
            gap.append(entropy_bottleneck_encoder(p, rate, method).gap_bound)
    assert np.mean(gaps["greedy+interp"]) <= 0.7 * np.mean(gaps["greedy"])


def test_the_quantiser_takes_blocks_and_drops_empty_ones():
    e = entropy_bottleneck_encoder([0.2] * 5, math.log2(3), "quantizer")
    np.testing.assert_array_equal(e.labels, [0, 0, 1, 1, 2])
    e = entropy_bottleneck_encoder([0.5, 0.0, 0.0, 0.0, 0.25, 0.25], math.log2(3), "quantizer")
    assert len(e.masses) == 2
    same = entropy_bottleneck_encoder([0.9, 0.05, 0.03, 0.02], 1.0, "quantizer-identity")
    assert len(same.masses) == 4
    assert entropy_bottleneck_encoder([0.9, 0.1], 5000.0, "quantizer").information == pytest.approx(
        h([0.9, 0.1])
    )


# -- both ------------------------------------------------------------------------------------------


@given(any_law, any_law, st.floats(0, 1.3), st.sampled_from(METHODS))
@settings(max_examples=100)
def test_a_chain_has_exact_marginals_and_obeys_the_data_processing_inequality(p, q, share, method):
    rate = share * h(p)
    c = mec_bottleneck(p, q, rate, method)
    xy, xt, ty = c.joint_xy, c.joint_xt, c.joint_ty
    np.testing.assert_allclose(xy, xt @ (ty / xt.sum(0)[:, None]), atol=1e-14)
    np.testing.assert_allclose(xy.sum(1), p, atol=1e-12)
    np.testing.assert_allclose(xy.sum(0), q, atol=1e-12)
    assert c.mutual_information == pytest.approx(information(xy), abs=1e-9)
    assert c.lower_bound - 1e-9 <= c.mutual_information <= c.upper_bound + 1e-9
    assert c.upper_bound <= min(rate, h(p), h(q)) + 1e-9
    assert c.mutual_information <= min(c.encoder.information, c.decoder.information) + 1e-9
    assert c.rate <= rate + 1e-9
    np.testing.assert_array_equal(c.rows(0, 1), xy[:1])
    judged = RateLimitedCoupling(p, q, rate).judge(c)
    assert judged.feasible
    assert judged.objective == pytest.approx(-c.mutual_information, abs=1e-9)
    assert judged.residual == pytest.approx(c.gap_bound, abs=1e-9)


def test_a_rate_that_holds_everything_is_plain_minimum_entropy_coupling():
    p, q = dirichlet_law(9, seed=100), dirichlet_law(5, seed=101)
    c, plain = mec_bottleneck(p, q, h(p)), min_entropy_coupling(p, q)
    np.testing.assert_allclose(c.joint_xy, plain.joint, atol=1e-15)
    assert mec_bottleneck(p, q, math.inf).mutual_information == pytest.approx(plain.information)
    assert mec_bottleneck(p, q, 0).mutual_information == pytest.approx(0, abs=1e-12)


def test_large_laws_stay_in_linear_memory_and_refuse_a_product_that_does_not():
    p = zipf_law(30_000)
    c = mec_bottleneck(p, p, 2.0)
    assert c.encoder.joint.nnz <= 30_001
    with pytest.raises(ArgumentError, match="rows"):
        _ = c.joint_xy
    np.testing.assert_allclose(c.rows(10, 13).sum(1), p[10:13], atol=1e-12)
    judged = RateLimitedCoupling(p, p, 2.0).judge(c)
    assert judged.feasible
    assert judged.objective == pytest.approx(-c.mutual_information, abs=1e-9)
    assert c.encoder.information > 2 - 1e-4


def test_torch_comes_back_as_torch_and_single_precision_stays_so():
    p = torch.full((4,), 0.25, dtype=torch.float32)
    c = mec_bottleneck(p, np.array([0.5, 0.5]), 1.0)
    for joint in (c.joint_xt, c.joint_ty, c.joint_xy, min_entropy_coupling(p, [1.0]).joint):
        assert isinstance(joint, torch.Tensor)
        assert joint.dtype == torch.float32
    assert RateLimitedCoupling(p, [0.5, 0.5], 1.0).judge(c).objective == -1
    sparse = min_entropy_coupling(p, [0.5, 0.5], sparse=True).joint
    assert sparse.is_sparse
    assert min_entropy_coupling(np.full(4, 0.25, np.float32), [1.0]).joint.dtype == np.float32
    for given_ in (np.array([1, 0]), np.full(8, 0.125)[::2] * 2, [0.25] * 4):
        assert min_entropy_coupling(given_, [0.5, 0.5]).entropy >= 1
    still = np.full(4, 0.25)
    still.flags.writeable = False
    assert mec_bottleneck(still, still, 1.0).mutual_information == 1


# -- runs ------------------------------------------------------------------------------------------


def solve(problem, method, seed=3, **budget):
    limits = Budget(**budget)
    return run(Run(problem, method, limits, seed, Meter(limits)))


@pytest.mark.parametrize("encoder", METHODS)
def test_a_run_finds_what_the_function_finds_and_repeats_itself(encoder):
    p, q = dirichlet_law(7, seed=100), dirichlet_law(6, seed=101)
    problem = RateLimitedCoupling(p, q, 1.5)
    first, again = (solve(problem, MECBottleneck(encoder), steps=9) for _ in range(2))
    assert np.array_equal(first.answer.masses_xt, again.answer.masses_xt)
    assert np.array_equal(first.answer.masses_ty, again.answer.masses_ty)
    assert first.verdict.feasible
    assert -first.verdict.objective == pytest.approx(
        mec_bottleneck(p, q, 1.5, encoder).mutual_information, abs=1e-9
    )
    assert first.spent["steps"] == 2
    assert solve(problem, MECBottleneck(encoder), steps=1).verdict.objective == pytest.approx(
        0, abs=1e-12
    )  # the code that says nothing


def test_the_judge_measures_an_answer_and_names_what_is_wrong():
    problem = RateLimitedCoupling([0.5, 0.5], [0.5, 0.5], 0.5)

    class Answer:
        joint_xt, joint_ty = np.eye(2) / 2, np.eye(2) / 2

    verdict = problem.judge(Answer)
    assert not verdict.feasible
    assert verdict.worst == "rate"
    assert verdict.violation == pytest.approx(0.5)
    assert verdict.metrics["information_bits"] == 1
    Answer.joint_xt = np.array([[0.4, 0.0], [0.0, 0.6]])
    assert problem.judge(Answer).violations["law of X"] == pytest.approx(0.2)
    assert problem.judge(Answer).violations["law of T"] == pytest.approx(0.2)
    Answer.joint_xt = np.array([[0.6, -0.1], [0.0, 0.5]])
    assert problem.judge(Answer).missing
    Answer.joint_xt = np.eye(3) / 3
    with pytest.raises(ShapeError, match="joint_xt"):
        problem.judge(Answer)
    assert problem.judge(None).missing


def test_an_answer_whose_symbols_are_all_split_is_measured_as_its_dense_joint_says():
    rng = np.random.default_rng(100)
    xt, ty = rng.dirichlet(np.ones(30)).reshape(6, 5), rng.random((5, 8))
    ty *= (xt.sum(0) / ty.sum(1))[:, None]

    class Answer:
        joint_xt, joint_ty = xt, ty

    problem = RateLimitedCoupling(xt.sum(1), ty.sum(0), 3.0)
    assert problem.judge(Answer).objective == pytest.approx(
        -information(xt @ (ty / ty.sum(1)[:, None])), abs=1e-12
    )


def test_the_problems_and_methods_are_named_and_chosen():
    problem = load_problem("dirichlet-bottleneck")
    assert default_method(problem, Budget(steps=2))[0] == load_method("mec-bottleneck")
    assert load_method("mec-bottleneck-exact") == MECBottleneck("exact")
    shown = {row[0] for row in solve(problem, load_method("mec-bottleneck"), steps=2).table()}
    assert {"information bits", "rate"} <= shown
    with pytest.raises(WrongProblem):
        solve(problem, load_method("coding-agent"), steps=2)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "error", "words"),
    [
        ([0.5, -0.5, 1.0], ArgumentError, r"\[1\].*>= 0"),
        ([0.5, math.nan], NotFinite, "nan"),
        ([0.5, math.inf], NotFinite, "inf"),
        ([0.5, 0.4], ArgumentError, "sums to 0.9"),
        ([], ShapeError, "empty"),
        ([[0.5, 0.5]], ShapeError, "one axis"),
        ([0.0, 0.0], ArgumentError, "no mass"),
        (["a"], ArgumentTypeError, "real numbers"),
    ],
    ids=str,
)
def test_laws_that_are_none_are_refused_by_name(p, error, words):
    for name, call in (
        ("p", lambda: min_entropy_coupling(p, [1.0])),
        ("q", lambda: min_entropy_coupling([1.0], p)),
        ("p", lambda: entropy_bottleneck_encoder(p, 1.0)),
        ("p_y", lambda: mec_bottleneck([1.0], p, 1.0)),
        ("p_x", lambda: RateLimitedCoupling(p, [1.0], 1.0)),
    ):
        with pytest.raises(error, match=f"{name}.*{words}"):
            call()


@pytest.mark.parametrize(
    ("rate", "error"),
    [
        (-0.1, ArgumentError),
        (math.nan, NotFinite),
        ("1", ArgumentTypeError),
        (True, ArgumentTypeError),
    ],
    ids=str,
)
def test_rates_that_are_none_are_refused(rate, error):
    with pytest.raises(error, match="rate_bits"):
        mec_bottleneck([0.5, 0.5], [1.0], rate)


def test_settings_that_are_not_known_are_refused():
    with pytest.raises(ArgumentError, match="greedy"):
        entropy_bottleneck_encoder([1.0], 1.0, "gredy")
    with pytest.raises(ArgumentError, match="at most 8"):
        entropy_bottleneck_encoder([1 / 9] * 9, 1.0, "exact")
    with pytest.raises(ArgumentTypeError, match="sparse"):
        min_entropy_coupling([1.0], [1.0], sparse="yes")
    with pytest.raises(ArgumentError, match="encoder"):
        MECBottleneck("best")
    assert entropy_bottleneck_encoder([1 / 8] * 8 + [0.0] * 4, 1.0, "exact").information == 1


def test_a_sum_that_is_off_by_rounding_is_divided_out():
    p = np.full(3, 1 / 3) * (1 + 5e-9)
    assert min_entropy_coupling(p, [1.0]).joint.sum() == pytest.approx(1, abs=1e-15)
    assert entropy_bits(np.full(8, 0.125)) == 3


def test_functions_methods_and_games_have_the_settings_defaults():
    assert dataclasses.asdict(MECBottleneck()) == dataclasses.asdict(BottleneckSettings())
    assert dataclasses.asdict(CodingAgent()) == dataclasses.asdict(CodeSettings())
    encoder, compress = dataclasses.astuple(CodeSettings())
    for function in (mec_bottleneck, entropy_bottleneck_encoder):
        assert inspect.signature(function).parameters["method"].default == encoder
    for game in (Code, MarkovCodingGame):
        signature = inspect.signature(game).parameters
        assert (signature["encoder"].default, signature["compress"].default) == (encoder, compress)
    for name in ("discount", "max_steps"):
        found = {inspect.signature(f).parameters[name].default for f in (CodingGame, play)}
        assert found == {inspect.signature(MarkovCodingGame).parameters[name].default}
