"""Random laws, and their figures by the textbook's formulas."""

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st


def h(p):
    """Entropy in bits."""
    p = np.asarray(p, float).ravel()
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def information(joint):
    """Mutual information of a joint law, in bits."""
    joint = joint.toarray() if sp.issparse(joint) else np.asarray(joint)
    return h(joint.sum(0)) + h(joint.sum(1)) - h(joint)


laws = st.builds(
    lambda n, c, s, zeros: np.concatenate(
        [np.random.default_rng(s).dirichlet(np.full(n, c)), np.zeros(zeros)]
    ),
    st.integers(1, 7),
    st.sampled_from([0.3, 1.0, 3.0]),
    st.integers(100, 10_000),
    st.integers(0, 2),
)
ties = (
    st.lists(st.integers(0, 4), min_size=1, max_size=7)
    .filter(any)
    .map(lambda w: np.array(w) / sum(w))
)
any_law = st.one_of(laws, ties)
