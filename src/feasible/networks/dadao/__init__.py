"""DADAO: Decoupled Accelerated Decentralized Asynchronous Optimization.

Adel Nabli, Edouard Oyallon, ICML 2023, arXiv 2208.00779.

Minimise a sum of smooth, strongly convex functions, each known to one node of a connected graph,
by exchanges of two nodes at a time, without rounds and without a server. Nodes take gradients and
edges exchange at random times of their own; between them a node's six vectors follow a linear
differential equation.

Begin with `compiled`: the flow and the jumps of the two kinds of events; `dadao` is the way in.

- `settings`: how it is run, and the constants that follow from L, mu and the graph.
- `rates`: how often each edge must exchange, and the best choice of it.
- `compiled`: flow, jumps, and the loop over events.
- `rule`: these, as every engine calls them.
- `engines`: where events are played.
- `dadao`: the function for arrays and functions of one's own.
- `run`: the method of a run.
- `baselines`, `continuized`: MSDA, ADOM+, gradient tracking, EXTRA, the continuized method.
- `instances`: linear and logistic regression over ready-made graphs.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
