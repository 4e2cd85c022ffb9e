"""Transductive Few-Shot Learning: Clustering is All You Need? (arXiv 2106.09516).

- `claim`: The claim of arXiv 2106.09516: clustering all points, labels pinned, beats the nearest
  prototype and LaplacianShot at one label a class.
- `compiled`: The inner loops of transductive clustering: the bound iteration, mean shift,
  distances, and an exact neighbour search for many points.
- `episodes`: Few-shot episodes: from arrays of one's own, and ready-made ones on digits,
  sentences, blobs and moons.
- `features`: Features of frozen networks, for few-shot episodes: MiniLM for sentences, and a
  small convolutional network that learned on other classes.
- `iterations`: The iterations of transductive clustering (Ziko et al. 2021, arXiv 2106.09516;
  steps as there): prepare, start, advance until `why` is set.
- `peers`: scikit-learn's classifiers and K-means on few-shot problems, with the features prepared
  as the published methods prepare theirs.
- `problem`: FewShot: points of which a few have labels; find the labels of the others.
- `transductive`: Transductive clustering with a few labels (Ziko, Boudiaf, Dolz, Granger, Ben
  Ayed, "Transductive Few-Shot Learning: Clustering is All You Need?", 2021, arXiv 2106.09516):
  K-means, K-modes, SLK-Means and SLK-MS with pinned support, and LaplacianShot (Ziko et al., ICML
  2020).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
