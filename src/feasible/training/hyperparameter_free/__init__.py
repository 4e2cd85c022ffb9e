"""Optimisers that find their own rate, and a fair way to compare them.

Kasimbeg, Roulet, Agarwal, Medapati, Pedregosa, Agarwala, Dahl, "How far away are truly
hyperparameter-free learning algorithms?", 2025, arXiv 2505.24005. One setting is calibrated on many
workloads, and scored by the time to their targets.

Begin with `calibration` for the comparison, with `dog` for the optimisers.

- `calibration`: Workloads with targets, the search of one setting, AlgoPerf's score.
- `nadamw`: NAdamW, the baseline.
- `dadapt`: DAdaptAdam and DAdaptSGD (arXiv 2301.07733).
- `prodigy`: Prodigy (arXiv 2306.06101), by prodigyopt.
- `dog`: DoG and LDoG (arXiv 2302.12022), DoWG (arXiv 2305.16284).
- `averaging`: The average of iterates that these want.
- `cocob`: COCOB (arXiv 1705.07795).
- `mechanic`: `mechanize`, which learns the scale of any optimiser (arXiv 2306.00144).
- `momo`: MoMo and MoMoAdam (arXiv 2305.07583).
- `estimate`: What those share that estimate their rate, and a watch on the estimate.
- `named`: Some of them as recipes name them.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
