"""DisCO's loss and its rivals', from the mathematics."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from feasible.core import errors
from feasible.language.disco import (
    DisCOLoss,
    dapo_loss,
    disco_loss,
    dr_grpo_loss,
    group_advantages,
    grpo_loss,
    leave_one_out,
    overlong_penalty,
    rloo_loss,
    trpa_loss,
)

D = torch.float64


def batch(G=8, k=3, Q=2, T=5, seed=0, shift=0.0, lengths=None):
    """Q groups of G responses with k right ones; the policy is `shift` away from the old one."""
    stream = torch.Generator().manual_seed(seed)
    B = Q * G
    old = -torch.rand(B, T, generator=stream, dtype=D) - 0.1
    logp = (old + shift * torch.randn(B, T, generator=stream, dtype=D)).requires_grad_()
    n = torch.randint(1, T + 1, (B,), generator=stream) if lengths is None else lengths
    mask = (torch.arange(T) < n[:, None]).to(D)
    reward = (torch.arange(G) < k).to(D).repeat(Q)
    return logp, old, mask, reward, torch.arange(Q).repeat_interleave(G)


def slope(loss, logp):
    """The gradient by the log-probabilities."""
    return torch.autograd.grad(loss, logp)[0]


# -- on policy, in closed form ---------------------------------------------------------------------


@pytest.mark.parametrize("score", ["logl", "lratio"])
@pytest.mark.parametrize("k", [1, 4, 7])
def test_on_policy_disco_b_weighs_every_question_alike(score, k):
    logp, old, mask, reward, group = batch(k=k)
    out = disco_loss(logp, old, mask, reward, group, score, dro=False)
    n, P = mask.sum(1, keepdim=True), torch.where(reward == 1, k, 8 - k)[:, None]
    sign = torch.where(reward == 1, -1.0, 1.0)[:, None]
    torch.testing.assert_close(slope(out.loss, logp), sign * mask / (P * n * 2))
    assert out.valid_fraction == 1


@pytest.mark.parametrize("k", range(1, 8))
def test_grpo_and_dr_grpo_weigh_by_how_sure_the_question_is(k):
    logp, old, mask, reward, group = batch(k=k, lengths=torch.full((16,), 5))
    right = reward == 1
    for loss, weight in (
        (grpo_loss(logp, old, mask, reward, group, eps=0.0),
         math.sqrt(k * (8 - k) * 7 / 8**3)),
        (dr_grpo_loss(logp, old, mask, reward, group, longest=5), k * (8 - k) / 64),
    ):  # fmt: skip
        found = slope(loss.loss, logp)
        assert found[right].sum() == pytest.approx(-weight)
        assert found[~right].sum() == pytest.approx(weight)


def test_the_weights_are_those_of_the_table():
    assert math.sqrt(1 * 7 * 7 / 512) == pytest.approx(0.3094, abs=5e-5)
    assert math.sqrt(4 * 4 * 7 / 512) == pytest.approx(0.4677, abs=5e-5)
    assert math.sqrt(16 / 7) == pytest.approx(1.5119, abs=5e-5)


def test_equal_scores_make_disco_disco_b():
    logp, old, mask, reward, group = batch(lengths=torch.full((16,), 5))
    for tau in (1e-2, 1.0):
        robust = disco_loss(logp, old, mask, reward, group, "lratio", tau)
        plain = disco_loss(logp, old, mask, reward, group, "lratio", dro=False)
        torch.testing.assert_close(slope(robust.loss, logp), slope(plain.loss, logp))


# -- the robust mean -------------------------------------------------------------------------------


def test_tau_goes_from_the_plain_mean_to_the_hardest_wrong_response():
    logp, old, mask, reward, group = batch()
    score = ((logp * mask).sum(1) / mask.sum(1)).detach()
    plain = disco_loss(logp, old, mask, reward, group, dro=False).objective
    assert disco_loss(logp, old, mask, reward, group, tau=1e6).objective == pytest.approx(
        float(plain), abs=1e-5
    )
    assert disco_loss(logp, old, mask, reward, group, tau=math.inf).objective == plain
    hardest = [score[q * 8 : q * 8 + 3].mean() - score[q * 8 + 3 : q * 8 + 8].max() for q in (0, 1)]
    assert disco_loss(logp, old, mask, reward, group, tau=1e-3).objective == pytest.approx(
        float(sum(hardest)) / 2, abs=3e-3
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.floats(1e-2, 100.0))
def test_the_robust_objective_is_never_above_the_plain_one(seed, k, tau):
    given = batch(k=k, seed=seed, shift=0.5)
    plain = disco_loss(*given, dro=False).objective
    assert disco_loss(*given, tau=tau).objective <= plain + 1e-12


def test_the_gradient_of_wrong_responses_is_a_softmax_of_their_scores():
    logp, old, mask, reward, group = batch(Q=1)
    score = ((logp * mask).sum(1) / mask.sum(1)).detach()
    found = slope(disco_loss(logp, old, mask, reward, group, tau=0.2).loss, logp).sum(1)
    torch.testing.assert_close(found[3:], (score[3:] / 0.2).softmax(0))


# -- the constraint --------------------------------------------------------------------------------


@pytest.mark.parametrize("kl", ["k1", "k3"])
def test_within_the_bound_the_constraint_does_nothing(kl):
    logp, old, mask, reward, group = batch(shift=0.3)
    free = disco_loss(logp, old, mask, reward, group, beta=0.0)
    within = disco_loss(logp, old, mask, reward, group, delta=10.0, beta=1e5, kl=kl)
    assert torch.equal(slope(free.loss, logp), slope(within.loss, logp))
    assert within.penalty == 0


@pytest.mark.parametrize("kl", ["k1", "k3"])
def test_beyond_it_the_gradient_is_that_of_the_squared_hinge(kl):
    logp, old, mask, reward, group = batch(shift=0.3, seed=3)
    old = old + 0.2
    given = (old, mask, reward, group)
    out = disco_loss(logp, *given, delta=1e-3, beta=50.0, kl=kl)
    assert out.kl > 1e-3

    def penalised(x):
        found = disco_loss(x, *given, delta=1e-3, beta=50.0, kl=kl)
        return float(-found.objective + found.penalty)

    found = slope(out.loss, logp)
    for i, t in ((0, 0), (5, 0), (12, 0)):
        step = torch.zeros_like(old)
        step[i, t] = 1e-6
        finite = (penalised(logp.detach() + step) - penalised(logp.detach() - step)) / 2e-6
        assert float(found[i, t]) == pytest.approx(finite, abs=1e-7)


def test_k1_is_the_kl_divergence_in_expectation():
    stream = torch.Generator().manual_seed(1)
    old, new = torch.randn(2, 6, generator=stream, dtype=D).log_softmax(1)
    exact = (old.exp() * (old - new)).sum()
    one = [
        float(disco_loss(new[None, a : a + 1], old[None, a : a + 1], torch.ones(1, 1, dtype=D),
                         torch.ones(1, dtype=D), torch.zeros(1)).kl)
        for a in range(6)
    ]  # fmt: skip
    assert sum(float(p) * v for p, v in zip(old.exp(), one, strict=True)) == pytest.approx(
        float(exact)
    )
    three = [
        float(disco_loss(new[None, a : a + 1], old[None, a : a + 1], torch.ones(1, 1, dtype=D),
                         torch.ones(1, dtype=D), torch.zeros(1), kl="k3").kl)
        for a in range(6)
    ]  # fmt: skip
    assert min(three) >= 0
    assert sum(float(p) * v for p, v in zip(old.exp(), three, strict=True)) == pytest.approx(
        float(exact)
    )


# -- groups ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 8])
def test_questions_without_a_choice_have_no_gradient_but_the_constraint_acts(k):
    logp, old, mask, reward, group = batch(k=k, shift=0.1)
    free = disco_loss(logp, old, mask, reward, group, beta=0.0)
    assert not slope(free.loss, logp).any()
    assert free.valid_fraction == 0
    held = disco_loss(logp, old + 0.2, mask, reward, group, delta=0.0, beta=1.0)
    assert slope(held.loss, logp).any()


LOSSES = {
    "disco": lambda *a: disco_loss(*a, tau=0.1),
    "lratio": lambda *a: disco_loss(*a, score="lratio", tau=0.1),
    "disco-b": lambda *a: disco_loss(*a, dro=False),
    "grpo": lambda *a: grpo_loss(*a, ref_logp=a[1] - 0.1, entropy=a[0] ** 2),
    "dr-grpo": lambda *a: dr_grpo_loss(*a, longest=5),
    "dapo": dapo_loss,
    "rloo": rloo_loss,
    "trpa": lambda *a: trpa_loss(*a, ref_logp=a[1] - 0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_responses_changes_nothing(name):
    given = batch(shift=0.1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    one, other = LOSSES[name](*given), LOSSES[name](*(x[order] for x in given))
    torch.testing.assert_close(one.loss, other.loss)
    torch.testing.assert_close(one.objective, other.objective)


@pytest.mark.parametrize("name", LOSSES)
def test_padding_counts_nowhere_whatever_is_in_it(name):
    logp, old, mask, reward, group = batch(shift=0.1)
    dirty = torch.where(mask > 0, logp, math.nan)
    one = LOSSES[name](logp, old, mask, reward, group)
    other = LOSSES[name](dirty, torch.where(mask > 0, old, -math.inf), mask, reward, group)
    if name not in ("grpo", "trpa"):  # what these are given besides is dirty here too
        torch.testing.assert_close(one.loss, other.loss)
        torch.testing.assert_close(slope(one.loss, logp), slope(other.loss, logp))


@pytest.mark.parametrize("name", LOSSES)
def test_a_reward_that_does_not_apply_is_in_no_group(name):
    logp, old, mask, reward, group = batch(shift=0.1, Q=1)
    nan = reward.clone()
    nan[[0, 5]] = math.nan
    kept = [i for i in range(8) if i not in (0, 5)]
    found = slope(LOSSES[name](logp, old, mask, nan, group).loss, logp)
    if name in ("disco", "lratio", "disco-b"):
        free = disco_loss(logp, old, mask, nan, group, beta=0.0)
        fewer = disco_loss(*(x[kept] for x in (logp, old, mask, reward, group)), beta=0.0)
        torch.testing.assert_close(free.objective, fewer.objective)
    elif name not in ("grpo", "trpa"):
        assert not found[[0, 5]].any()
    assert torch.isfinite(found).all()


def test_ragged_groups_and_groups_of_one():
    logp, old, mask, _, _ = batch(Q=1)
    reward = torch.tensor([1, 0, 1, 0, 0, 1, 0, 1], dtype=D)
    group = torch.tensor([7, 7, 7, 3, 3, 3, 3, 9])  # the last has no other
    out = disco_loss(logp, old, mask, reward, group, beta=0.0, dro=False)
    s = ((logp * mask).sum(1) / mask.sum(1)).detach()
    expected = (s[[0, 2]].mean() - s[1] + s[5] - s[[3, 4, 6]].mean()) / 3
    assert float(out.objective) == pytest.approx(float(expected))
    assert float(out.valid_fraction) == pytest.approx(2 / 3)
    for name in LOSSES:
        assert torch.isfinite(slope(LOSSES[name](logp, old, mask, reward, group).loss, logp)).all()


# -- advantages ------------------------------------------------------------------------------------


def test_advantages_have_mean_zero_and_unit_deviation():
    reward = torch.rand(24, generator=torch.Generator().manual_seed(0), dtype=D)
    group = torch.arange(3).repeat(8)
    A = group_advantages(reward, group, eps=0.0)
    for q in range(3):
        torch.testing.assert_close(A[group == q].mean(), torch.zeros((), dtype=D))
        torch.testing.assert_close(A[group == q].std(), torch.ones((), dtype=D))
    assert not group_advantages(torch.ones(4), torch.zeros(4), eps=0.0).any()


def test_leave_one_out_is_the_reward_less_the_others_mean():
    reward, group = torch.tensor([1.0, 0, 0, 5]), torch.tensor([0, 0, 0, 1])
    assert leave_one_out(reward, group).tolist() == pytest.approx([1.0, -0.5, -0.5, 0.0])


def test_rloo_is_reinforce_on_policy():
    logp, old, mask, reward, group = batch()
    A = leave_one_out(reward, group)
    found = slope(rloo_loss(logp, old, mask, reward, group).loss, logp)
    torch.testing.assert_close(found, -A[:, None] * mask / 16)


def test_long_responses_are_punished_softly():
    lengths = torch.tensor([0, 60, 80, 90, 100])
    assert overlong_penalty(lengths, 100, 20).tolist() == [0, 0, 0, -0.5, -1]
    ended = torch.tensor([True, True, False, True, True])
    assert overlong_penalty(lengths, 100, 20, ended).tolist() == [0, 0, -1, -0.5, -1]


@pytest.mark.parametrize(("sign", "edge"), [(1, 1.28), (-1, 0.8)])
def test_dapo_stops_pushing_beyond_its_own_clip_range(sign, edge):
    reward = torch.tensor([1.0, 0.0], dtype=D)
    for rho, moves in ((edge - 0.01 * sign, True), (edge + 0.01 * sign, False)):
        logp = torch.full((2, 1), math.log(rho), dtype=D, requires_grad=True)
        old = torch.zeros(2, 1, dtype=D)
        out = dapo_loss(logp, old, torch.ones(2, 1, dtype=D), reward, torch.zeros(2))
        row = 0 if sign > 0 else 1
        assert bool(slope(out.loss, logp)[row].any()) == moves


# -- TRPA ------------------------------------------------------------------------------------------


def test_trpa_is_the_mean_over_all_pairs():
    logp, old, mask, _, group = batch(G=4, shift=0.1)
    ref = old - 0.3
    reward = torch.tensor([1.0, 0.5, 0.0, 0.5, 0.0, 0.0, 0.5, 1.0], dtype=D)
    ratio = (((logp - ref) * mask).sum(1) / mask.sum(1)).detach()
    terms = [
        torch.nn.functional.logsigmoid(
            (2.5 if reward[i] >= 1 else 1.0) * 0.1 * (ratio[i] - ratio[j])
        )
        for i, j in itertools.permutations(range(8), 2)
        if group[i] == group[j] and reward[i] > reward[j]
    ]
    assert len(terms) == 10
    out = trpa_loss(logp, old, mask, reward, group, ref, trust=0.0)
    assert float(out.objective) == pytest.approx(float(torch.stack(terms).mean()))
    none = trpa_loss(logp, old, mask, torch.ones(8, dtype=D), group, ref, trust=0.0)
    assert none.loss == 0
    assert not slope(none.loss, logp).any()


# -- TRL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "ref"), [("grpo", False), ("grpo", True), ("dr_grpo", False), ("dapo", False)]
)
def test_losses_and_gradients_equal_those_of_trl(kind, ref):
    from feasible.language.disco.peers import trl_loss

    logp, old, mask, reward, group = batch(shift=0.3, T=7, seed=5)
    reference = old - 0.1 * torch.rand(16, 7, dtype=D) if ref else None
    A = group_advantages(reward, group, scale=kind != "dr_grpo", eps=1e-4)
    theirs = trl_loss(kind, logp, old, mask, A, reference, 1e-3 if ref else 0.0, longest=7)
    ours = {
        "grpo": lambda: grpo_loss(logp, old, mask, reward, group, reference, eps=1e-4),
        "dr_grpo": lambda: dr_grpo_loss(logp, old, mask, reward, group, longest=7),
        "dapo": lambda: dapo_loss(logp, old, mask, reward, group, eps=1e-4),
    }[kind]()
    assert abs(float(ours.loss.detach() - theirs.detach())) <= 1e-12
    torch.testing.assert_close(slope(ours.loss, logp), slope(theirs, logp), rtol=0, atol=1e-12)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"old_logp": torch.zeros(16, 4, dtype=D)}, errors.ShapeError, "old_logp has shape"),
        ({"group": torch.zeros(4)}, errors.ShapeError, "group has shape"),
        ({"mask": torch.zeros(16, 5)}, errors.ArgumentError, "mask: row 0 has no token"),
        ({"logp": torch.full((16, 5), math.nan)}, errors.NotFinite, "logp: NaN"),
        ({"reward": torch.full((16,), 0.5)}, errors.ArgumentError, "reward: 0.5 among them"),
        ({"tau": 0.0}, errors.ArgumentError, "tau=0"),
        ({"delta": -1.0}, errors.ArgumentError, "delta=-1"),
        ({"score": "l"}, errors.ArgumentError, "score='l'"),
        ({"logp": None}, errors.ArgumentTypeError, "logp=None"),
    ],
)
def test_bad_input_is_named(change, error, said):
    given = dict(zip(("logp", "old_logp", "mask", "reward", "group"), batch(), strict=True))
    with pytest.raises(error, match=said):
        disco_loss(**{**given, **change})


def test_an_old_log_probability_with_a_gradient_is_refused():
    logp, old, mask, reward, group = batch()
    with pytest.raises(errors.ArgumentError, match="old_logp"):
        disco_loss(logp, old.requires_grad_(), mask, reward, group)


def test_a_threshold_tells_right_from_wrong():
    logp, old, mask, reward, group = batch()
    graded = torch.where(reward == 1, 0.8, 0.3)
    one = disco_loss(logp, old, mask, graded, group, threshold=0.5)
    assert one.loss == disco_loss(logp, old, mask, reward, group).loss
    assert DisCOLoss(threshold=0.5)(logp, old, mask, graded, group).loss == one.loss


def test_half_precision_is_widened():
    logp, old, mask, reward, group = batch(shift=0.1)
    half = disco_loss(logp.bfloat16(), old.bfloat16(), mask, reward, group)
    assert half.kl.dtype == torch.float32
    wide = disco_loss(logp.bfloat16().float(), old.bfloat16().float(), mask.float(), reward, group)
    assert half.loss == wide.loss
