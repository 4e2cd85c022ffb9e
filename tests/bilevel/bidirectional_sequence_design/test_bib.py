"""Bidirectional design: heads, losses, adaptive weights, designs and their rules."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feasible.bilevel.bidirectional_sequence_design import (
    AdaptiveEta,
    BIBDesigner,
    BIBSettings,
    KmerFeatures,
    SequenceLM,
    SequenceRules,
)
from feasible.bilevel.bidirectional_sequence_design.bib import advance, begin, first_logits
from feasible.bilevel.bidirectional_sequence_design.features import straight_through
from feasible.bilevel.bidirectional_sequence_design.letters import decode, encode, every
from feasible.bilevel.bidirectional_sequence_design.losses import Directions, standardised
from feasible.bilevel.bidirectional_sequence_design.models import Auxiliary, Offline
from feasible.bilevel.bidirectional_sequence_design.ridge import dual, primal
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

RNG = np.random.default_rng(0)


def tensor(*shape, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).standard_normal(shape))


class Letters(torch.nn.Module):
    """One-hot rows as they are."""

    def forward(self, x):
        return x.flatten(1)


class Smooth(torch.nn.Module):
    """A smooth function of relaxed rows, without a straight-through argmax."""

    def relaxed(self, p):
        return self(p)

    def forward(self, x):
        return torch.tanh(x.flatten(1) @ torch.as_tensor(self.weights, dtype=x.dtype))

    weights = np.random.default_rng(5).standard_normal((20, 6))


def additive(length=5, seed=0, count=300):
    """All sequences' values of an additive score, and the known ones: the worst."""
    weights = np.random.default_rng(seed).standard_normal((length, 4))
    codes = every(length, 4)
    values = weights[np.arange(length), codes].sum(axis=1)
    rows = np.argsort(values)[:count]
    return codes, values, rows


@pytest.fixture(scope="module")
def smooth():
    codes, values, rows = additive()
    offline = Offline.of(Smooth(), codes[rows], values[rows], 4, 1e-2, 10.0)
    return offline, Auxiliary(offline, 4, "heads")


@pytest.mark.parametrize(("beta", "close"), [(1e-6, 1e-6), (1e-2, 1e-8), (1.0, 1e-10)])
def test_the_primal_and_the_dual_head_predict_the_same(beta, close):
    phi, y = tensor(200, 30), tensor(200, seed=1)
    one, other = phi @ primal(phi, y, beta), phi @ dual(phi, y, beta)
    assert (one - other).abs().max() <= close * one.abs().max()


def test_the_backward_loss_is_the_ridge_regression_of_one_design():
    phi, y, design = tensor(50, 7), tensor(50, seed=1), tensor(3, 7, seed=2)
    both = Directions.of(phi, y, 1e-2, 10.0)
    for i, found in enumerate(both.backward(design)):
        kernel = design[i] @ design[i]
        alpha = 10.0 / (kernel + 1e-6 * kernel)  # (K + beta I)^-1 y_h, 1 x 1
        assert found == pytest.approx(float(((y - phi @ design[i] * alpha) ** 2).mean()), rel=1e-10)
    W = primal(phi, y, 1e-2)
    torch.testing.assert_close(both.forward(design), (10.0 - design @ W) ** 2)


def test_the_backward_loss_depends_on_scale_and_sign_of_the_features():
    phi, y, design = tensor(50, 7), tensor(50, seed=1), tensor(1, 7, seed=2)
    both = Directions.of(phi, y, 1e-2, 10.0)
    values = [float(both.backward(c * design)) for c in (1.0, 2.0, -1.0)]
    assert len({round(v, 6) for v in values}) == 3


def test_scores_are_standardised_with_n_minus_1():
    y = standardised(torch.tensor([1.0, 2.0, 4.0]))
    assert float(y.var(unbiased=True)) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", ["forward", "backward"])
def test_gradients_on_the_smooth_path_are_those_of_differences(smooth, loss):
    offline, _ = smooth
    X = tensor(1, 5, 4, seed=3).requires_grad_()

    def value(X):
        phi = offline.normalised(offline.features.relaxed(torch.softmax(X, dim=2)))
        return getattr(offline.both, loss)(phi).sum()

    (found,) = torch.autograd.grad(value(X), X)
    for place in [(0, 0, 0), (0, 2, 1), (0, 4, 3)]:
        move = torch.zeros_like(X)
        move[place] = 1e-6
        slope = (value(X + move) - value(X - move)).item() / 2e-6
        assert float(found[place]) == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_gamma_and_eta_move_as_the_auxiliary_score_changes_after_a_step(smooth):
    offline, aux = smooth
    X = tensor(2, 5, 4, seed=3)

    def phi_of(X):
        return offline.normalised(offline.features.relaxed(torch.softmax(X, dim=2)))

    def score(X):
        return aux.each(X, phi_of(X)).mean(dim=1)

    def slope(value):
        leaf = X.clone().requires_grad_()
        return torch.autograd.grad(value(leaf).sum(), leaf)[0]

    g_a = slope(score)
    g_f, g_b = (
        slope(lambda X, f=f: f(phi_of(X))) for f in (offline.both.forward, offline.both.backward)
    )
    eta, gamma, h = 1e-5, 0.4, 1e-2

    def after(gamma, eta):
        return score(X - eta * (gamma * g_f + (1 - gamma) * g_b))

    by_gamma = (after(gamma + h, eta) - after(gamma - h, eta)) / (2 * h)
    formula = -eta * (g_a * (g_f - g_b)).flatten(1).sum(dim=1)
    torch.testing.assert_close(by_gamma, formula, rtol=1e-3, atol=1e-12)
    direction = gamma * g_f + (1 - gamma) * g_b
    by_eta = (after(gamma, 1e-6) - after(gamma, -1e-6)) / 2e-6
    torch.testing.assert_close(
        by_eta, -(g_a * direction).flatten(1).sum(dim=1), rtol=1e-4, atol=1e-9
    )
    adapter = AdaptiveEta(score, base=0.1, rate=0.01, bounds=(1e-4, 0.5))
    expected = (0.1 + 0.01 * (g_a * direction).flatten(1).sum(dim=1)).clamp(1e-4, 0.5)
    torch.testing.assert_close(adapter(X, direction), expected)


def test_designs_begin_at_their_starts():
    codes = RNG.integers(0, 4, (20, 8))
    X = first_logits(codes, 4, 0.01, np.random.default_rng(1))
    np.testing.assert_array_equal(X.argmax(dim=2), codes)
    assert float(X.abs().max()) < 0.1


@pytest.mark.parametrize("mode", ["bib", "bdi", "forward", "backward"])
@pytest.mark.parametrize("adaptive_lr", [False, True])
def test_gamma_and_eta_stay_in_their_bounds(mode, adaptive_lr):
    codes, values, rows = additive()
    settings = BIBSettings(
        mode=mode, adaptive_lr=adaptive_lr, eta_rate=10.0, gamma_lr=0.7, aux="heads"
    )
    offline = Offline.of(Letters(), codes[rows], values[rows], 4, 1e-6, 10.0)
    aux = Auxiliary(offline, 4, "heads")
    rules = SequenceRules()
    state = begin(offline, "ACGT", 10, settings, np.random.default_rng(0), rules)
    seen = set()
    for _ in range(20):
        advance(offline, aux if settings.needs_aux else None, settings, state, rules)
        assert ((state.gamma >= 0) & (state.gamma <= 1)).all()
        assert ((state.eta >= 1e-4) & (state.eta <= 0.5)).all()
        seen |= set(state.eta.tolist())
    assert (len(seen) > 1) == adaptive_lr
    assert not any(t.requires_grad for t in (state.X, state.mean, state.square, state.gamma))
    if mode in ("forward", "backward"):
        assert set(state.gamma.tolist()) == {float(mode == "forward")}


def test_the_forward_loss_on_letters_proposes_the_optimum_of_an_additive_score():
    codes, values, rows = additive()
    designer = BIBDesigner(Letters(), mode="forward", n_designs=20, steps=60, aux="heads")
    found = designer.fit(decode(codes[rows], "ACGT"), values[rows]).propose()
    assert found.sequences[0] == decode(codes[[values.argmax()]], "ACGT")[0]
    assert found.predicted[0] == pytest.approx(values.max(), rel=1e-3)


def test_settings_and_single_fields_of_them_go_together():
    designer = BIBDesigner(settings=BIBSettings(steps=7), mode="bdi")
    assert designer.settings == BIBSettings(steps=7, mode="bdi")


def test_designs_are_new_distinct_ranked_and_the_same_each_time():
    codes, values, rows = additive()
    known = decode(codes[rows], "ACGT")
    one, other = (
        BIBDesigner(n_designs=12, steps=30, aux="heads").fit(known, values[rows]).propose()
        for _ in range(2)
    )
    assert one.sequences == other.sequences
    assert one.n_distinct == len(set(one.sequences)) == 12
    assert not set(one.sequences) & set(known)
    assert (np.diff(one.predicted) <= 0).all()
    assert (one.disagreement > 0).any()
    assert len(one.gamma) == 30 * round(len(one.gamma) / 30)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        (SequenceRules(fixed={0: "A"}), lambda s: s[0] == "A"),
        (SequenceRules(forbidden=["GG", "TTT"]), lambda s: "GG" not in s and "TTT" not in s),
        (SequenceRules(gc=(0.2, 0.6)), lambda s: 0.2 <= sum(c in "GC" for c in s) / 5 <= 0.6),
    ],
)
def test_designs_keep_the_rules(rules, kept):
    codes, values, rows = additive()
    designer = BIBDesigner(n_designs=10, steps=30, rules=rules, aux="heads")
    found = designer.fit(decode(codes[rows], "ACGT"), values[rows]).propose()
    assert found.n_distinct > 0
    assert all(map(kept, found.sequences))


def test_designs_have_no_neighbours_but_those_of_the_data():
    codes, values, rows = additive()
    texts = decode(codes, "ACGT")
    pair = texts[values.argmax()][:2]
    rows = [i for i in rows if pair not in texts[i]]

    def designs(**more):
        designer = BIBDesigner(Letters(), mode="forward", n_designs=20, steps=60, **more)
        return designer.fit([texts[i] for i in rows], values[rows]).propose().sequences

    assert any(pair in s for s in designs())
    kept = designs(rules=SequenceRules(known_pairs=True))
    assert kept
    assert not any(pair in s for s in kept)


def test_neighbours_that_never_stand_side_by_side_in_the_data_break_the_rule():
    rules, data = SequenceRules(known_pairs=True), encode(["ACGT", "GGTA"], "ACGT")
    designs = encode(["ACGG", "CGTA", "TACA", "AAAA"], "ACGT")
    np.testing.assert_array_equal(
        rules.broken(designs, data, "ACGT")["known pairs"], [False, False, True, True]
    )


def test_designs_stay_within_a_number_of_changes_of_what_is_known():
    codes, values, rows = additive(8, count=200)
    rules = SequenceRules(most_changes=2)
    designer = BIBDesigner(Letters(), n_designs=10, steps=60, rules=rules, aux="heads")
    found = encode(
        designer.fit(decode(codes[rows], "ACGT"), values[rows]).propose().sequences, "ACGT"
    )
    assert max((codes[rows] != row).sum(axis=1).min() for row in found) <= 2


def test_a_language_model_learns_to_guess_masked_letters():
    corpus = ["ACGT" * 4, "TGCA" * 4] * 10
    lm = SequenceLM(width=16, layers=2).pretrain(corpus, steps=150, lr=1e-2)
    assert np.mean(lm.losses[-20:]) < 0.6 < 1.2 < np.mean(lm.losses[:5])
    again = SequenceLM(width=16, layers=2).pretrain(corpus, steps=150, lr=1e-2)
    torch.testing.assert_close(lm.embed(corpus[:2]), again.embed(corpus[:2]), rtol=0, atol=0)
    state = torch.get_rng_state()
    SequenceLM(width=8)
    assert (torch.get_rng_state() == state).all()


def test_kmers_are_counted_and_straight_through_where_relaxed():
    features = KmerFeatures(4, 6, 3)
    x = torch.as_tensor(np.eye(4)[encode(["ACGACG"], "ACGT")])
    shares = features(x)[0, :64]
    index = {"ACG": 0 * 16 + 1 * 4 + 2, "CGA": 1 * 16 + 2 * 4, "GAC": 2 * 16 + 1}
    for kmer, count in {"ACG": 2, "CGA": 1, "GAC": 1}.items():
        assert float(shares[index[kmer]]) == pytest.approx(count / 4)
    assert float(shares.sum()) == pytest.approx(1.0)
    p = torch.softmax(tensor(1, 6, 4), dim=2).requires_grad_()
    hard = straight_through(p)
    np.testing.assert_allclose(hard.detach().sum(dim=2), 1.0)
    torch.testing.assert_close(
        torch.autograd.grad(hard[0, 0, 1], p)[0], torch.autograd.grad(p[0, 0, 1], p)[0]
    )


SIX = ["ACGT", "ACGA", "TTTT", "GGGG", "CCCC", "AAAA"]


@pytest.mark.parametrize(
    ("sequences", "scores", "error", "said"),
    [
        (["ACGT", "ACG"], [1.0, 2.0], ShapeError, "number 1 has 3 letters"),
        (["ACGT", "ACGU"], [1.0, 2.0], ArgumentError, "number 1 has 'U' at place 3"),
        (["ACGT", 3], [1.0, 2.0], ArgumentTypeError, "number 1 is 3"),
        ("ACGT", [1.0], ArgumentTypeError, "expected a list of texts"),
        ([], [], ShapeError, "at least one"),
        (SIX, np.ones(6), ArgumentError, "scores are all alike"),
        (SIX, [1, 2, 3, np.nan, 5, 6], NotFinite, "number 3 is nan"),
        (SIX, [1.0, 2.0], ShapeError, "scores has shape"),
        (SIX[:2], [1.0, 2.0], ArgumentError, "n_designs=4"),
    ],
)
def test_bad_data_is_refused_by_name(sequences, scores, error, said):
    with pytest.raises(error, match=said):
        BIBDesigner(n_designs=4).fit(sequences, scores)


def test_what_cannot_be_is_refused_by_name():
    class Nothing(torch.nn.Module):
        def forward(self, x):
            return torch.zeros(len(x), 3)

    with pytest.raises(ArgumentError, match="tell sequences apart"):
        BIBDesigner(Nothing(), n_designs=2).fit(SIX, range(6))
    with pytest.raises(ArgumentError, match="propose before fit"):
        BIBDesigner().propose()
    with pytest.raises(ArgumentError, match="mode='both'"):
        BIBDesigner(mode="both")
    with pytest.raises(ArgumentTypeError, match="features=3"):
        BIBDesigner(3)
    with pytest.raises(ArgumentError, match="they cross"):
        AdaptiveEta(torch.sum, bounds=(0.5, 0.1))
    with pytest.raises(ArgumentError, match="gc="):
        SequenceRules(gc=(0.6, 0.2))
    with pytest.raises(ArgumentError, match="fixed: place 9"):
        BIBDesigner(n_designs=2, rules=SequenceRules(fixed={9: "A"})).fit(SIX, range(6))
    with pytest.raises(ArgumentError, match="kernel=4"):
        SequenceLM(kernel=4)
