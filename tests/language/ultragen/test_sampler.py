"""Pools, the two embeddings, and sets by each strategy."""

import numpy as np
import pytest
import torch

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.language.ultragen import (
    AttributePool,
    AttributeSampler,
    CorrelationEncoder,
    EncoderSettings,
    Frequency,
    Keyword,
    SamplerSettings,
    Soft,
    TextEmbedding,
    spread,
    triplet_loss,
)
from feasible.language.ultragen.embedding import draw_triplets


class Given:
    """Vectors of attributes that are given."""

    def __init__(self, pool, rows):
        self.rows = dict(zip(pool.attributes, np.asarray(rows, dtype=float), strict=True))

    def encode(self, attributes):
        return np.array([self.rows[a] for a in attributes])


def circle():
    """Four clusters on the unit circle, each with three soft and three hard attributes."""
    attributes, angles = [], []
    for c in range(4):
        for i in range(6):
            name = "abcd"[c] + "uvwxyz"[i]
            attributes.append(Soft(f"{name}: yes") if i < 3 else Keyword(name))
            angles.append([0.0, 1.6, 3.1, 4.65][c] + [0.02, -0.05, 0.11, 0.17, -0.13, 0.2][i])
    pool = AttributePool(tuple(attributes), tuple(tuple(range(6 * c, 6 * c + 6)) for c in range(4)))
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return pool, Given(pool, rows), rows


def sampler(strategy, k=6, rule="maxmin", seed=0, size=(5, 5), soft=(2, 2)):
    pool, vectors, _ = circle()
    settings = SamplerSettings(strategy, k, rule, size, soft, seed)
    return AttributeSampler(pool, vectors, settings, vectors)


def test_a_pool_keeps_an_included_word_included_and_draws_other_numbers_anew():
    pool = AttributePool.of(
        [[Keyword("lamp"), Frequency("key", 7)], [Frequency("lamp", 2), Frequency("key", 9)]]
    )
    lamp, key = pool.attributes
    assert lamp == Keyword("lamp")
    assert key in (Frequency("key", 2), Frequency("key", 3))
    assert pool.by_document == ((0, 1), (0, 1))
    assert AttributePool.of([[Keyword("lamp")]], seed=5) == AttributePool.of([[Keyword("lamp")]])


def test_bad_pools_are_refused():
    with pytest.raises(ArgumentError, match="corpus is empty"):
        AttributePool.from_corpus([])
    with pytest.raises(ArgumentError, match="pool is empty"):
        AttributePool.of([])
    with pytest.raises(ArgumentError, match="soft_extractor"):
        AttributePool.from_corpus(["a lamp"], lambda text: [Keyword("lamp")])
    with pytest.raises(ArgumentTypeError, match="texts"):
        AttributePool.from_corpus("a lamp")


@pytest.mark.parametrize("strategy", ["random", "correlated", "diverse", "correlated-diverse"])
def test_every_set_meets_both_quotas_and_comes_again_with_its_seed(strategy):
    sets = sampler(strategy).sample(24)
    for one in sets:
        assert len(set(one)) == 5
        assert sum(isinstance(a, Soft) for a in one) == 2
    assert sorted(s[0].text for s in sets[:12]) == sorted(s[0].text for s in sets[12:])
    assert len({s[0] for s in sets[:12]}) == 12
    assert sampler(strategy).sample(24) == sets
    assert sampler(strategy, seed=1).sample(24) != sets


def test_correlated_sets_stay_in_the_seeds_cluster():
    for strategy in ("correlated", "correlated-diverse"):
        for one in sampler(strategy).sample(12):
            names = {(a.text if isinstance(a, Soft) else a.word)[0] for a in one}
            assert len(names) == 1


def test_diverse_sets_follow_the_order_of_the_farthest_point():
    pool, _, rows = circle()
    soft = pool.soft
    for one in sampler("diverse").sample(12):
        places = [pool.attributes.index(a) for a in one]
        for n in range(1, 5):
            worst = np.max(rows @ rows[places[:n]].T, axis=1)
            quota = np.array([3, 2])[soft.astype(int)]  # of the kind of each
            met = np.array([(soft[places[:n]] == kind).sum() for kind in soft])
            able = (met < quota) & ~np.isin(np.arange(24), places[:n])
            assert able[places[n]]
            assert worst[places[n]] <= worst[able].min() + 1e-6


def test_the_rule_of_the_code_is_less_diverse_than_the_farthest_point():
    _, vectors, _ = circle()
    near = {r: spread(sampler("diverse", rule=r).sample(24), vectors).nearest
            for r in ("maxmin", "code")}  # fmt: skip
    assert near["maxmin"] < near["code"]


def test_quotas_that_cannot_be_met_are_refused_with_their_counts():
    with pytest.raises(ArgumentError, match=r"13 soft .* the pool has 12 soft"):
        sampler("random", size=(20, 20), soft=(13, 13)).sample(1)
    with pytest.raises(ArgumentError, match="encoder"):
        AttributeSampler(circle()[0])
    with pytest.warns(UserWarning, match="k=99 is larger"):
        sampler("correlated", k=99)
    with pytest.raises(ArgumentError, match="size"):
        SamplerSettings(size=(5, 4))


def test_a_kind_that_is_not_among_the_nearest_is_taken_from_beyond():
    for one in sampler("correlated-diverse", k=2, size=(8, 8), soft=(4, 4)).sample(12):
        assert sum(isinstance(a, Soft) for a in one) == 4


# -- embeddings ------------------------------------------------------------------------------------


def test_equal_embeddings_lose_the_margin_and_a_wide_split_nothing():
    a, b = torch.eye(2)
    assert triplet_loss(a, a, a, 0.7) == 0.7
    assert triplet_loss(a, a, b, 1.0) == 0.0


def test_triplets_take_positives_of_the_document_and_negatives_of_others():
    pool, _, _ = circle()
    found = draw_triplets(pool, 80, np.random.default_rng(0))
    assert len(found) == 80
    cluster = found // 6
    assert (cluster[:, 0] == cluster[:, 1]).all()
    assert (cluster[:, 0] != cluster[:, 2]).all()
    assert (found[:, 0] != found[:, 1]).all()
    patterns = {tuple(row) for row in pool.soft[found].tolist()}
    assert len(patterns) == 8
    with pytest.raises(ArgumentError, match="no triplets"):
        draw_triplets(AttributePool.of([[Keyword("a")]]), 8, np.random.default_rng(0))


def test_the_encoder_learns_which_attributes_come_together():
    pool, _, _ = circle()
    settings = EncoderSettings(
        8, hashed=256, hidden=16, triplets=600, epochs=8, batch=32, rate=0.02
    )
    found = CorrelationEncoder(settings).fit(pool)
    f = found.encode(pool.attributes)
    assert np.allclose(np.linalg.norm(f, axis=1), 1.0, atol=1e-6)
    assert found.accuracy > 0.95
    table = f @ f.T
    same = np.kron(np.eye(4), np.ones((6, 6))) > 0
    assert table[same].mean() > table[~same].mean() + 0.5
    assert np.array_equal(CorrelationEncoder(settings).fit(pool).encode(pool.attributes), f)
    with pytest.raises(ArgumentError, match="not fitted"):
        CorrelationEncoder().encode([Keyword("a")])


def test_attributes_that_say_the_same_words_are_alike():
    pool = AttributePool.of([[Keyword(w) for w in ("red lamp", "red key", "drum", "lamp")]])
    one, two, three, four = TextEmbedding(3).fit(pool).encode(pool.attributes)
    assert one @ four > one @ three
    assert one @ two > two @ three
    with pytest.raises(ArgumentError, match="not fitted"):
        TextEmbedding().encode(pool.attributes)
