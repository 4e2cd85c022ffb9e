"""The three losses against their formulas, by hand and by enumeration."""

import itertools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.language import calibrated, codpo_loss, crpg_loss, crpg_weights, crraft_loss


def real(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def yes(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def example(seed=0, n=3, k=4):
    """Log-probabilities with a gradient, those of the reference, rewards and judgements."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    logp = (-5 + draw(n, k)).requires_grad_()
    judged = torch.rand(n, k, generator=g) < 0.6
    return logp, -5 + draw(n, k), draw(n, k), draw(n), judged


def test_the_baseline_itself_is_worth_a_half():
    reward = real([3.0, -7.0])
    assert torch.equal(calibrated(reward[:, :1], real([3.0])[0]), real([0.5]))


@given(st.integers(0, 50), st.floats(-20, 20))
@settings(max_examples=20, deadline=None)
def test_a_constant_on_the_rewards_of_one_prompt_changes_nothing(seed, constant):
    logp, ref, reward, base, judged = example(seed)
    shift = torch.tensor([constant, 0.0, 0.0], dtype=torch.float64)
    for loss in (crpg_loss, crraft_loss):
        one = loss(logp, ref, reward, base, judged)
        other = loss(logp, ref, reward + shift[:, None], base + shift, judged)
        assert torch.isclose(one, other, atol=1e-9)


def test_crpg_of_nothing_satisfied_or_of_equal_weights_has_no_gradient():
    logp, ref, reward, base, judged = example()
    crpg_loss(logp, ref, reward, base, torch.zeros_like(judged)).backward()
    assert not logp.grad.any()
    same = torch.zeros(3, 4, dtype=torch.float64)
    crpg_loss(logp, logp.detach(), same, base * 0, torch.ones_like(judged)).backward()
    assert torch.allclose(logp.grad, same, atol=1e-15)


@pytest.mark.parametrize(("d", "factor"), [(5.0, 0.0), (-5.0, 2.0), (0.0, 1.0), (9.0, 0.0)])
def test_the_factor_of_the_divergence_falls_linearly_to_0(d, factor):
    zero = real([0.0])
    found = crpg_weights(zero + d, zero, zero, zero[0], yes([True]), 5.0)
    assert torch.allclose(found, real([0.5 * factor]))


def test_two_responses_by_hand():
    logp = real([0.0, 0.0]).requires_grad_()
    zero = real([0.0, 0.0])
    crpg_loss(logp, zero, zero, zero[0, :1], yes([True, False])).backward()
    assert torch.allclose(logp.grad, -real([0.25, -0.25]) / 2)  # R = (1/2, 0) less 1/4


def test_the_expected_gradient_by_enumeration_is_that_of_the_expected_weight():
    """Of two draws from three responses; the batch mean costs the factor 1 - 1/N."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    ref = torch.log_softmax(real([0.1, 0.4, -0.3]), 1)
    reward, base, judged = real([0.2, 1.0, -0.4]), real([0.1])[0], yes([True, True, False])
    logp = torch.log_softmax(logits, 0)[None]
    weights = crpg_weights(logp, ref, reward, base, judged)
    (wanted,) = torch.autograd.grad((logp.exp() * weights).sum(), logits, retain_graph=True)
    found = torch.zeros(3, dtype=torch.float64)
    for draw in itertools.product(range(3), repeat=2):
        i = torch.tensor([draw])
        at = [t.gather(1, i) for t in (logp, ref, reward, judged)]
        loss = crpg_loss(at[0], at[1], at[2], base, at[3])
        (g,) = torch.autograd.grad(loss, logits, retain_graph=True)
        found -= logp.detach().exp()[0, i[0]].prod() * g
    assert torch.allclose(found, (1 - 1 / 2) * wanted)


def test_tokens_divide_the_step_where_asked():
    logp, ref, reward, base, judged = example()
    sizes = torch.full((3, 4), 6)
    whole = crpg_loss(logp, ref, reward, base, judged)
    assert torch.isclose(
        crpg_loss(logp, ref, reward, base, judged, lengths=sizes, by_tokens=True), whole / 6
    )
    tight = crpg_loss(logp, ref, reward, base, judged, 5 / 6, lengths=sizes, per_token=True)
    assert torch.isclose(tight, whole)


def test_padding_that_is_masked_alike_changes_no_divergence():
    tokens, ref = real([-1.0, -2.0, -9.0]), real([-1.5, -1.0, -4.0])
    mask = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    zero = real([0.0])
    short = crpg_weights(
        (tokens * mask).sum(1, keepdim=True), (ref * mask).sum(1, keepdim=True), zero, zero[0],
        yes([True]),
    )  # fmt: skip
    assert torch.allclose(short, real([0.5 * (1 - (-3.0 + 2.5) / 5)]))


def test_crraft_takes_the_only_allowed_response():
    logp = real([-1.0, -2.0, -3.0]).requires_grad_()
    reward = real([9.0, 0.0, 5.0])
    crraft_loss(logp, logp.detach(), reward, real([0.0])[0], yes([False, True, False])).backward()
    assert torch.allclose(logp.grad, real([0.0, -0.5, 0.0]))


def test_crraft_refuses_what_is_too_far_from_the_reference():
    logp = real([-1.0, -2.0]).requires_grad_()
    ref = real([-7.0, -2.0])
    crraft_loss(logp, ref, real([9.0, 0.0]), real([0.0])[0], yes([True, True])).backward()
    assert torch.allclose(logp.grad, real([0.0, -0.5]))


def test_crraft_skips_a_prompt_without_an_allowed_one_and_divides_by_those_kept():
    logp = real([-1.0, -2.0], [-3.0, -4.0]).requires_grad_()
    zero = torch.zeros(2, dtype=torch.float64)
    judged = yes([False, False], [True, False])
    crraft_loss(logp, logp.detach(), logp.detach() * 0, zero, judged).backward()
    assert torch.allclose(logp.grad, real([0.0, 0.0], [-0.5, 0.0]))


@pytest.mark.parametrize("allowed", [True, False])
def test_crraft_falls_back_on_a_baseline_that_is_allowed(allowed):
    logp = real([-1.0, -2.0]).requires_grad_()
    base = torch.tensor([-1.5], dtype=torch.float64, requires_grad=True)
    crraft_loss(
        logp, logp.detach(), real([1.0, 2.0]), real([0.0])[0], yes([False, False]),
        base_logp=base, base_ref_logp=base.detach(), base_judged=torch.tensor([allowed]),
    ).backward()  # fmt: skip
    assert float(base.grad) == (-0.5 if allowed else 0.0)
    assert not logp.grad.any()


def test_codpo_of_negative_rewards_takes_the_best_satisfied_and_the_worst_violated():
    logp = real([0.0, 0.0, 0.0, 0.0]).requires_grad_()
    reward = real([-5.0, -2.0, 3.0, 1.0])
    codpo_loss(logp, logp.detach(), reward, yes([True, True, False, False]), 0.1, 0).backward()
    assert torch.allclose(logp.grad, real([0.0, -0.05, 0.0, 0.05]))


def test_codpo_of_all_satisfied_sets_the_best_over_the_worst():
    logp = real([0.0, 0.0, 0.0]).requires_grad_()
    codpo_loss(logp, logp.detach(), real([1.0, -3.0, 2.0]), yes([True] * 3), 0.1, 0).backward()
    assert torch.allclose(logp.grad, real([0.0, 0.05, -0.05]))


def test_codpo_skips_prompts_without_a_satisfied_response():
    logp = real([-1.0, -2.0], [-1.0, -2.0]).requires_grad_()
    judged = yes([False, False], [True, False])
    both = codpo_loss(logp, logp.detach(), logp.detach(), judged)
    alone = codpo_loss(logp[1:], logp.detach()[1:], logp.detach()[1:], judged[1:])
    assert torch.isclose(both, alone)
    codpo_loss(logp, logp.detach(), logp.detach(), yes([False] * 2, [False] * 2)).backward()
    assert not logp.grad.any()


def test_codpo_at_the_reference_is_log_2_less_the_chosen_ones_probability():
    logp, _, reward, _, judged = example()
    judged[:, 0] = True
    sizes = torch.full((3, 4), 2)
    at_zero = codpo_loss(logp, logp.detach(), reward, judged, 1e-9, 0.0)
    assert torch.isclose(at_zero, torch.tensor(math.log(2), dtype=torch.float64))
    best = reward.masked_fill(~judged, -math.inf).argmax(1, keepdim=True)
    wanted = math.log(2) - (0.7 / 2) * logp.gather(1, best).mean()
    assert torch.isclose(
        codpo_loss(logp, logp.detach(), reward, judged, 0.1, 0.7, lengths=sizes), wanted
    )


@pytest.mark.parametrize("loss", [crpg_loss, crraft_loss])
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ref_logp": torch.zeros(2, 3)}, ShapeError),
        ({"reward": torch.full((2, 2), math.nan)}, NotFinite),
        ({"judged": torch.full((2, 2), 2)}, ArgumentError),
        ({"base_reward": None}, ArgumentTypeError),
        ({"kl_max": 0.0}, ArgumentError),
        ({"lengths": torch.zeros(2, 2)}, ArgumentError),
        ({"per_token": True}, ArgumentError),
        ({"logp": torch.zeros(0, 2)}, ShapeError),
    ],
)
def test_bad_arguments_are_named(loss, change, error):
    zero = torch.zeros(2, 2)
    args = {"logp": zero, "ref_logp": zero, "reward": zero, "judged": zero.bool()}
    args["base_reward"] = torch.zeros(2)
    with pytest.raises(error, match=next(iter(change))):
        loss(**{**args, **change})


def test_codpo_needs_two_responses_and_crraft_the_whole_baseline():
    one = torch.zeros(2, 1)
    with pytest.raises(ShapeError, match="two responses"):
        codpo_loss(one, one, one, one.bool())
    with pytest.raises(ArgumentError, match="base_judged"):
        crraft_loss(one, one, one, torch.zeros(2), one.bool(), base_logp=torch.zeros(2))
