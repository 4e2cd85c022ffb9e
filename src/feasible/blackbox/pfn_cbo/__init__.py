"""Fast and Accurate Bayesian Optimization with Pre-trained Transformers for Constrained Engineering
Problems (arXiv 2404.04495).

- `bars`: The bar distribution of prior-fitted networks: a histogram whose first and last bar are
  half-normal tails, with everything in closed form.
- `botorch`: A prior-fitted network as a BoTorch model, so that BoTorch's acquisition functions
  and optimisers can use it.
- `by_network`: The acquisition of constrained Bayesian optimisation under a prior-fitted network:
  one pass for the objective and all constraints.
- `by_process`: The acquisition of constrained Bayesian optimisation under Gaussian processes of
  BoTorch: the baseline of arXiv 2404.04495, made fair.
- `claim`: The claim of arXiv 2404.04495: a pre-trained network replaces fitted Gaussian
  processes, about ten times faster and no worse.
- `columns`: What a surrogate of constrained Bayesian optimisation learns: observed outputs,
  brought near a normal shape, with the thresholds to pass.
- `pfn`: A prior-fitted network: a small transformer that predicts like a Gaussian process,
  without fitting anything at hand.
- `prior`: The prior that a prior-fitted network learns: Gaussian processes like those of HEBO, on
  contexts like those of Bayesian optimisation.
- `search`: Constrained Bayesian optimisation with a prior-fitted network, or with Gaussian
  processes, as the surrogate.
- `train`: Training of a prior-fitted network on its prior. A training can be stopped at any time
  and resumed.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
