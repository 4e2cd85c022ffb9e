"""Transductive Few-Shot Learning: Clustering is All You Need?

Imtiaz Masud Ziko, Malik Boudiaf, Jose Dolz, Eric Granger, Ismail Ben Ayed, 2021, arXiv 2106.09516.

Features of N points of K classes are given, and labels of a few of the points (the support); the
other points (the queries) are labelled by clustering all of them together:

    minimise    sum_pk z_pk F(x_p, m_k) - (lam/2) sum_pq w_pq z_p' z_q
    subject to  z_p in the simplex,  z_p one-hot at its label on the support

Begin with `transductive.TransductiveClustering`, the scikit-learn classifier; the algorithm is
`iterations.advance`.

- `iterations`: the settings, and the algorithm step by step: features prepared, a graph of
  neighbours, prototypes, assignments.
- `transductive`: the classifier, and the method of a run.
- `compiled`: the inner loops: the bound's iteration, mean shift, distances, nearest neighbours.
- `problem`: `FewShot`, the problem of a run.
- `episodes`: few-shot episodes of arrays of one's own, and ready-made ones.
- `features`: features of frozen networks, of sentences and of small images.
- `peers`: scikit-learn's classifiers and K-means.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
