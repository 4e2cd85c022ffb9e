"""How far away are truly hyperparameter-free learning algorithms? (arXiv 2505.24005).

- `averaging`: Polynomial averaging of the iterates (Shamir, Zhang, ICML 2013), which takes the
  place of a decay of the rate.
- `calibration`: One setting for many trainings: calibrate a method on workloads that have
  targets, and score what came out as AlgoPerf does.
- `claim`: The claim of arXiv 2505.24005: learning-rate-free methods as published are poor with
  one setting for all workloads, calibration helps much, and the best calibrated one does not pass
  a calibrated NadamW.
- `dog`: Distance over gradients: DoG and LDoG (Ivgi, Hinder, Carmon, "DoG is SGD's Best Friend",
  ICML 2023, arXiv 2302.12022), and DoWG (Khaled, Mishchenko, Jin, NeurIPS 2023, arXiv
  2305.16284). Gradient steps without a rate:
- `mechanic`: Mechanic (Cutkosky, Defazio, Mehta, "Mechanic: A Learning Rate Tuner", NeurIPS 2023,
  arXiv 2306.00144): any optimiser's steps, times a scale that is learned by betting on <gradient,
  displacement>.
- `momo`: MoMo and MoMo-Adam (Schaipp, Ohana, Eickenberg, Defazio, Gower, "MoMo: Momentum Models
  for Adaptive Learning Rates", ICML 2024, arXiv 2305.07583): the rate of a step from the loss, lr
  being its upper bound.
- `nadamw`: NadamW: AdamW with Nesterov's momentum, as AlgoPerf's baselines have it (Kasimbeg et
  al., "How far away are truly hyperparameter-free learning algorithms?", 2025, arXiv 2505.24005;
  Dahl et al., "Benchmarking Neural Network Training Algorithms", 2023, arXiv 2306.07179).
- `packages`: Optimisers that find their own rate, as their packages ship them, and what one wants
  to know of them: the rate, and whether the estimate works.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
