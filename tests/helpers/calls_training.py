"""One small valid call of what the training room offers, for the fuzz test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from calling import HALF, Calls, bowl, model, parameters, sgd
from torch import nn

from feasible import training
from feasible.core.registry import load_method

INPUT = torch.ones(1, 3)
RECIPE = load_method("recipe")
DATA = (torch.ones(4, 3), torch.tensor([0, 1, 0, 1]))


def optimizer(name: str, **settings: Any) -> Any:
    """A call that makes an optimiser of the training room."""
    return lambda: (getattr(training, name), {"params": parameters(), "lr": 0.1, **settings})


def schedule(name: str, **settings: Any) -> Any:
    """A call that makes a schedule of the training room."""
    return lambda: (
        getattr(training, name),
        {"optimizer": sgd(), "total_steps": 10, **settings},
    )


def groups(of: nn.Module) -> training.Groups:
    """What can be pruned of a network."""
    return training.find_zero_invariant_groups(of, INPUT)


def pruner(name: str, **settings: Any) -> Callable[[], Any]:
    """A call that makes an optimiser that prunes."""

    def made() -> Any:
        network = model()
        given = {"model": network, "groups": groups(network), "variant": "sgd", "lr": 0.1}
        return getattr(training, name), {**given, **settings}

    return made


def pruned() -> nn.Module:
    """A network one of whose units is zero."""
    network = model()
    with torch.no_grad():
        for values in network[0].parameters():
            values[0] = 0
    return network


def smaller() -> nn.Module:
    """That network without the unit."""
    network = pruned()
    return training.construct_subnet(network, groups(network), INPUT)


def saved() -> str:
    """The file of that network."""
    training.save_subnet(smaller(), "fuzzed.safetensors")
    return "fuzzed.safetensors"


def problem() -> training.TrainingProblem:
    """Two steps of training on four rows."""
    return training.TrainingProblem(model, DATA, DATA, batch_size=2, steps=2)


CALLS: Calls = {
    "LRSearch": lambda: (
        lambda **given: training.LRSearch(**given).ask(),
        {"lr_min": 1e-3, "lr_max": 1.0, "k": 3, "kappa": 2.0, "proposals": "gp", "seed": 0},
    ),
    "AutoLRS": lambda: (
        training.AutoLRS,
        {
            "model": model(),
            "optimizer": sgd(),
            "lr_min": 1e-3,
            "lr_max": 1.0,
            "tau": 100,
            "tau_ratio": 0.1,
            "k": 3,
        },
    ),
    "exp_forecast": lambda: (
        training.exp_forecast,
        {"series": [3.0, 2.0, 1.5, 1.2, 1.1, 1.05], "horizon": 10, "method": "grid"},
    ),
    "COCOB": optimizer("COCOB", alpha=100.0, eps=1e-8),
    "DAdaptAdam": optimizer("DAdaptAdam", betas=(0.9, 0.99), decouple=True),
    "DAdaptSGD": optimizer("DAdaptSGD", momentum=0.0, d0=1e-6),
    "DoG": optimizer("DoG", reps_rel=1e-6, eps=1e-8),
    "DoWG": optimizer("DoWG", eps=1e-4),
    "LDoG": optimizer("LDoG", eps=1e-8),
    "LionK": optimizer("LionK", betas=(0.9, 0.99), weight_decay=0.1, kappa="l1"),
    "MFAC": optimizer("MFAC", ngrads=4, damp=1e-5, momentum=0.0, decoupled=False),
    "MoMo": optimizer("MoMo", beta=0.9, lb=0.0),
    "MoMoAdam": optimizer("MoMoAdam", betas=(0.9, 0.99), divide=True),
    "NAdamW": optimizer("NAdamW", betas=(0.9, 0.99), eps=1e-8),
    "InverseSqrt": schedule("InverseSqrt", warmup_steps=1, min_lr=0.0),
    "LinearDecay": schedule("LinearDecay", warmup_steps=1, min_lr=0.0),
    "OneCycle": schedule("OneCycle", rise=0.3, start=0.04, end=1e-4),
    "Plateau": schedule("Plateau", evaluations=5, factor=0.1),
    "PolynomialAverager": lambda: (
        training.PolynomialAverager,
        {"optimizer": sgd(), "gamma": 8.0},
    ),
    "algoperf_score": lambda: (
        training.algoperf_score,
        {"times": pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]}), "r_max": 4.0, "how": "exact"},
    ),
    "gradual": lambda: (training.gradual, {"start": 0.0, "target": 0.5, "events": 3}),
    "last_iterate_bound": lambda: (
        training.last_iterate_bound,
        {"weights": HALF, "norms": [1.0, 1.0], "distance": 1.0},
    ),
    "linear_to_last": lambda: (training.linear_to_last, {"weights": HALF}),
    "refine_schedule": lambda: (
        training.refine_schedule,
        {"norms": [1.0, 2.0, 3.0, 2.0, 1.0], "kind": "l2", "tau": 0.1, "mode": "nearest"},
    ),
    "uba_profile": lambda: (
        training.uba_profile,
        {"k": [0, 1, 2], "total_steps": 3, "phi": 2.0},
    ),
    "lion_k_minimize": lambda: (
        training.lion_k_minimize,
        {"f": bowl, "grad": lambda x: 2 * x, "x0": np.ones(2), "lam": 1.0, "lr": 0.1, "steps": 3},
    ),
    "target_surrogate_minimize": lambda: (
        training.target_surrogate_minimize,
        {
            "f": lambda t: t,
            "jac_f": lambda t: np.eye(2),
            "grad_l": lambda z: 2 * z,
            "theta0": np.ones(2),
            "eta": 1.0,
            "m": 2,
            "steps": 2,
        },
    ),
    "Masks": lambda: (training.Masks, {"model": model(), "skip": ()}),
    "UBA": schedule("UBA"),
    "find_zero_invariant_groups": lambda: (
        training.find_zero_invariant_groups,
        {"model": model(), "example_input": INPUT, "ignore": ()},
    ),
    "REX": schedule("REX", beta=0.5, sampling=None, min_lr=0.0, warmup_steps=0, last_epoch=-1),
    "ProfileLR": schedule("ProfileLR", profile="linear", sampling=None),
    "Refined": schedule("Refined", schedule=[1.0, 0.5], sampling=None),
    "Sampling": lambda: (
        training.Sampling,
        {"steps": 1, "shares": ((1, 2),), "share": None},
    ),
    "Prodigy": optimizer(
        "Prodigy",
        betas=(0.9, 0.99),
        beta3=None,
        eps=1e-8,
        weight_decay=0.0,
        decouple=True,
        d0=1e-6,
        growth_rate=2.0,
        slice_p=1,
    ),
    "TargetSurrogate": lambda: (
        training.TargetSurrogate,
        {
            "params": parameters(),
            "eta": 1.0,
            "m": 2,
            "inner": "armijo",
            "schedule": "constant",
            "total_steps": None,
            "metric": "euclidean",
            "points": None,
            "proximity": "batch",
            "reduction": "sum",
            "l2": 0.0,
        },
    ),
    "LRSearch.tell": lambda: (
        lambda **given: (search := training.LRSearch(1e-3, 1.0)).tell(
            **{"rate": search.ask(), **given}
        ),
        {"value": 1.0},
    ),
    "HESSO": pruner(
        "HESSO",
        target_group_sparsity=0.5,
        limits=None,
        start_pruning_step=0,
        pruning_steps=2,
        pruning_periods=1,
        momentum=0.0,
        betas=(0.9, 0.99),
        weight_decay=None,
        criteria=None,
        cosine_sign="descent",
        group_divisible=1,
    ),
    "HESSOCRIC": pruner(
        "HESSOCRIC",
        target_group_sparsity=0.5,
        sampling_steps=1,
        hybrid_training_steps=1,
        max_cycles=1,
        tolerance=0,
        trials=(0.5,),
        trial_weight=1.0,
        start_pruning_step=0,
    ),
    "OBSPruner": lambda: (
        training.OBSPruner,
        {
            "model": model(),
            "loss_fn": nn.functional.cross_entropy,
            "loader": [DATA],
            "ngrads": 2,
            "blocksize": 8,
            "damp": 1e-5,
            "recomputations": 1,
            "per_sample": False,
            "skip": (),
            "folder": None,
        },
    ),
    "GradNormLogger": lambda: (training.GradNormLogger, {"params": parameters()}),
    "LyapunovMonitor": lambda: (
        training.LyapunovMonitor,
        {
            "optimizer": training.LionK(parameters(), lr=0.1),
            "loss_fn": lambda: torch.zeros(()),
        },
    ),
    "SlidingFisher": lambda: (
        training.SlidingFisher,
        {
            "ngrads": 2,
            "dim": 3,
            "damp": 1e-5,
            "method": "woodbury",
            "relative": False,
            "dtype": torch.float32,
            "device": "cpu",
            "rows": None,
        },
    ),
    "StaticFisher": lambda: (
        training.StaticFisher,
        {"gradients": torch.eye(3), "damp": 1e-5, "blocksize": None, "page": 2, "folder": None},
    ),
    "TrainingProblem": lambda: (
        training.TrainingProblem,
        {
            "model": model,
            "train": DATA,
            "valid": DATA,
            "loss": nn.functional.cross_entropy,
            "batch_size": 2,
            "steps": 2,
            "name": "p",
            "metrics": None,
            "limits": None,
            "initial": None,
            "device": "cpu",
            "stochastic": None,
            "best_known": None,
        },
    ),
    "TargetProblem": lambda: (
        training.TargetProblem,
        {
            "model": model,
            "data": DATA,
            "loss": nn.functional.cross_entropy,
            "smooth": 1.0,
            "batch_size": None,
            "delay": 0.0,
            "name": "p",
            "best_known": None,
        },
    ),
    "budgeted_compare": lambda: (
        training.budgeted_compare,
        {
            "problems": problem(),
            "schedules": ["linear"],
            "budgets": [1.0],
            "lrs": [0.1],
            "optimizers": ("sgd",),
            "seeds": 1,
            "choosing": (100,),
        },
    ),
    "calibrate": lambda: (
        training.calibrate,
        {
            "method": "nadamw",
            "workloads": [training.with_target(problem(), [RECIPE], [0], 2)],
            "n_points": 1,
            "seeds": 1,
            "steps": 1,
            "rerun": 1,
            "rerun_seeds": 1,
            "seed": 0,
            "progress": None,
        },
    ),
    "choose_phi": lambda: (
        training.choose_phi,
        {
            "loss_fn": None,
            "params": None,
            "batches": (),
            "method": "sweep",
            "optimizer": "sgd",
            "train": lambda phi: phi,
            "candidates": (1.0, 2.0),
            "iterations": 2,
            "seed": 0,
        },
    ),
    "choose_phi by curvature": lambda: (
        lambda **given: training.choose_phi(
            **{"params": (p := parameters()), "loss_fn": lambda _: (p[0] ** 2).sum(), **given}
        ),
        {"batches": [0], "method": "curvature", "iterations": 2, "seed": 0},
    ),
    "compare": lambda: (
        training.compare,
        {"model": model(), "small": model(), "example_input": INPUT},
    ),
    "construct_subnet": lambda: (
        training.construct_subnet,
        {"model": (m := pruned()), "groups": groups(m), "example_input": INPUT, "limits": None},
    ),
    "effective_lr": lambda: (training.effective_lr, {"optimizer": sgd()}),
    "save_subnet": lambda: (
        training.save_subnet,
        {
            "small": smaller(),
            "path": "fuzzed.safetensors",
        },
    ),
    "load_subnet": lambda: (
        training.load_subnet,
        {"model_fn": model, "path": saved()},
    ),
    "shrink": lambda: (
        training.shrink,
        {"model": model(), "plan": {"tensors": {}, "attributes": {}}},
    ),
    "mechanize": lambda: (
        training.mechanize,
        {"base": torch.optim.SGD, "s_decay": 0.01, "betas": (0.9,), "s_init": 1e-8, "eps": 1e-8},
    ),
    "steps_to_target": lambda: (
        training.steps_to_target,
        {
            "problem": training.with_target(problem(), [RECIPE], [0], 2),
            "recipe": RECIPE,
            "seed": 0,
            "steps": 2,
            "every": 1,
        },
    ),
    "train_many": lambda: (
        training.train_many,
        {
            "problem": problem(),
            "recipes": [RECIPE],
            "seeds": [0],
            "steps": 2,
            "at": (),
        },
    ),
    "with_target": lambda: (
        training.with_target,
        {
            "problem": problem(),
            "recipes": [RECIPE],
            "seeds": [0],
            "steps": 2,
            "slack": 1.05,
        },
    ),
}
