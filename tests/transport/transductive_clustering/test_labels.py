"""Labels of a transductive clustering that are words, and numbers of clusters that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.transport import TransductiveClustering

X = np.array([[1, 0.1], [1, 0.2], [1, 0.3], [0.1, 1], [0.2, 1], [0.3, 1]])


@pytest.mark.parametrize("none", [-1, "-1"])
@pytest.mark.parametrize("kind", [list, lambda y: np.array(y, dtype=object), np.array])
def test_words_are_labels_and_minus_one_among_them_is_none(kind, none):
    found = TransductiveClustering().fit(X, kind(["a", none, none, "b", none, none]))
    assert found.classes_.tolist() == ["a", "b"]
    assert found.transduction_.tolist() == ["a", "a", "a", "b", "b", "b"]
    assert found.predict(X[:1]).tolist() == ["a"]


def test_fewer_clusters_than_labelled_classes_are_not_silent():
    with pytest.warns(UserWarning, match="n_clusters=2, but y labels 3 classes"):
        TransductiveClustering(n_clusters=2).fit(X, [0, 1, -1, 2, -1, -1])
