"""Acquisition functions that BoTorch lacks: exact discrete knowledge gradient, the tutorial's noisy
expected improvement, and their kin, for models of one's own.

Everything here MAXIMISES the model's single output and takes a BoTorch `Model`.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811).
"""

from __future__ import annotations

from .ascent import kg_gradient, kg_sga
from .entropy import PredictiveEntropy, entropy_search
from .lines import LineGain, discrete_kg, log_f, log_gain, noisy_ei
from .posterior import Beliefs

__all__ = [
    "Beliefs",
    "LineGain",
    "PredictiveEntropy",
    "discrete_kg",
    "entropy_search",
    "kg_gradient",
    "kg_sga",
    "log_f",
    "log_gain",
    "noisy_ei",
]
