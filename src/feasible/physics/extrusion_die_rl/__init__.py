"""Investigation of reinforcement learning for shape optimization of profile extrusion dies.

Clemens Fricke, Daniel Wolff, Marco Kemmerling, Stefanie Elgeti, Advances in Computational Science
and Engineering 1 (2023), arXiv 2212.12207.

A family of flow channels is deformed by a net of control points until the flow is as wanted, and
an agent learns a policy that does this for any target in few simulations.

Begin with `dies`: the meshes and what may move; then `env`, the environment.

- `ffd`: free-form deformation.
- `flow`: Stokes flow, Newtonian and shear-thinning.
- `dies`: the die with two outlets, and the channel with three patches.
- `env`: dies as gymnasium environments.
- `agent`: agents of Stable-Baselines3, trained, asked, saved.
- `problem`, `training`: the same in a run.
- `baselines`: what needs no learning.
- `pictures`: the die and its flow.
- `instances`: dies as black boxes.
- `claim`: the paper's statements as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
