"""eclipse-nn: bounds of ReLU networks by LipSDP, a layer at a time. It shows no certificate."""

from __future__ import annotations

import contextlib
import io

import torch

from ...core.checks import one_of
from ...core.errors import WrongProblem
from .activations import Slope
from .networks import DEQ, Network


def eclipse_bound(net: Network | DEQ, method: str = "ECLipsE") -> float:
    """Return eclipse-nn's bound on the l2 constant of a feed-forward network of slopes in [0, 1].

    Args:
        net: The network.
        method: "ECLipsE" (a semidefinite program a layer) or "ECLipsE_Fast" (closed form).

    Raises:
        WrongProblem: Another network: the package has no residual or sorting ones.
    """
    one_of("method", method, ("ECLipsE", "ECLipsE_Fast"))
    if not isinstance(net, Network) or not all(
        layer.H is None
        and layer.G is None
        and isinstance(layer.activation, Slope)
        and layer.activation.range == (0.0, 1.0)
        for layer in net.layers
    ):
        raise WrongProblem("eclipse-nn takes feed-forward networks of slopes in [0, 1], as ReLU")
    from eclipse_nn.LipConstEstimator import LipConstEstimator

    weights = [torch.as_tensor(W) for W in (*(layer.W for layer in net.layers), net.W_out)]
    with contextlib.redirect_stdout(io.StringIO()):
        return float(LipConstEstimator(weights=weights).estimate(method))
