"""DisCO: reinforcing large reasoning models with discriminative constrained optimization.

Gang Li, Ming Lin, Tomer Galanti, Zhengzhong Tu, Tianbao Yang, NeurIPS 2025, arXiv 2505.12366.

A model writes several responses to each question, and a function says which are right. GRPO's
objective weighs questions by how unsure the model is of them; DisCO has no such weights, no
clipping, and bounds the KL divergence to the old policy by a constraint.

Begin with `losses`, then `training`.

- `settings`: of all losses and of how is learnt, said once.
- `losses`: DisCO and DisCO-b as a function of tensors.
- `rivals`: GRPO, GRPO-ER, Dr. GRPO, DAPO, RLOO and TRPA as such.
- `batch`: what these have in common.
- `training`: a step: draw, score, learn.
- `trainer`: that for a model and a reward of one's own.
- `run`: the methods of runs.
- `peers`: `DisCOTrainer` and `DisCOConfig` for users of TRL.
- `entries`: what the folder offers by name.
- `claim`: the paper's statement at the scale of a small model.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
