"""When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement (arXiv 2310.07831).

- `claim`: The claim of arXiv 2310.07831: linear decay matches or beats cosine for the last
  iterate, and refinement by gradient norms gives more.
- `refined`: Linear decay, and a schedule refined from the gradient norms of an earlier run.
- `run`: RefinedRecipe: linear decay refined by gradient norms, as a run (arXiv 2310.07831,
  section 3).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
