"""Bidirectional Learning for Offline Model-based Biological Sequence Design.

Can Chen, Yingxue Zhang, Xue Liu, Mark Coates, ICML 2023, arXiv 2301.02931.

From sequences whose scores are known, propose new ones of high score, without measuring any. A
design is moved so that the data predict it to be good (forward) and that it predicts the data
(backward); the weight of both follows other models of the data.

Begin with `bib`: `advance` is a step of the paper's algorithm, `designer` the way in.

- `settings`: how designs move.
- `letters`: sequences as numbers, rules that designs must keep.
- `features`: a masked language model, k-mers.
- `ridge`: linear heads in closed form.
- `losses`: both directions.
- `adaptive`: step sizes that follow a model.
- `models`: what is fitted to the data once.
- `bib`: the algorithm.
- `designer`: fit and propose.
- `problem`: `SequenceDesign`, the problem of a run, and its judge.
- `run`: the method of a run.
- `baselines`: rankings, random search, mutants, ascent on a proxy.
- `peers`: CMA-ES.
- `instances`: measured and generated landscapes, Ehrlich functions; `data` says whence.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
