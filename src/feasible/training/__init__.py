"""The training room: schedules, optimisers and pruning for a fixed budget of steps. Native classes
follow torch's own conventions.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE: dict[str, str] = {
    "TrainingProblem": "problem",
    "Trained": "problem",
    "Recipe": "recipe",
    "train_many": "ensemble",
    "LionK": "lion_k",
    "LyapunovMonitor": "lyapunov",
    "lion_k_minimize": "lion_k_numpy",
    "TargetSurrogate": "target_surrogates",
    "target_surrogate_minimize": "target_numpy",
    "TargetProblem": "problem_target",
    "ProfileLR": "schedule",
    "Sampling": "schedule",
    "HorizonWarning": "schedule",
    "UBA": "uba",
    "uba_profile": "uba",
    "choose_phi": "phi",
    "REX": "rex",
    "LinearDecay": "refined",
    "Refined": "refined",
    "GradNormLogger": "refined",
    "refine_schedule": "refined",
    "linear_to_last": "refined",
    "last_iterate_bound": "refined",
    "DegenerateScheduleWarning": "refined",
    "OneCycle": "baselines",
    "InverseSqrt": "baselines",
    "Plateau": "baselines",
    "budgeted_compare": "comparison",
    "Comparison": "comparison",
    "RefinedRecipe": "refined_run",
    "NAdamW": "nadamw",
    "DoG": "dog",
    "LDoG": "dog",
    "DoWG": "dog",
    "MoMo": "momo",
    "MoMoAdam": "momo",
    "mechanize": "mechanic",
    "PolynomialAverager": "averaging",
    "Prodigy": "learning_rate_free",
    "DAdaptAdam": "learning_rate_free",
    "DAdaptSGD": "learning_rate_free",
    "COCOB": "learning_rate_free",
    "effective_lr": "learning_rate_free",
    "EstimateWarning": "learning_rate_free",
    "AutoLRS": "autolrs",
    "AllDiverged": "autolrs",
    "AutoLRSRecipe": "autolrs_run",
    "calibrate": "calibration",
    "Calibration": "calibration",
    "algoperf_score": "calibration",
    "steps_to_target": "calibration",
    "with_target": "calibration",
    "LRSearch": "lr_search",
    "exp_forecast": "forecast",
    "StaticFisher": "fisher",
    "SlidingFisher": "fisher",
    "MFAC": "mfac",
    "Groups": "groups",
    "ZIG": "groups",
    "find_zero_invariant_groups": "groups",
    "construct_subnet": "subnet",
    "compare": "subnet",
    "load_subnet": "subnet",
    "save_subnet": "subnet",
    "shrink": "subnet",
    "HESSO": "hesso",
    "HESSOCRIC": "hesso_cric",
    "GroupPruning": "pruning",
    "WeightPruning": "pruning",
    "OBSPruner": "obs_pruner",
    "Masks": "obs_pruner",
    "gradual": "obs_pruner",
}
_MODULES = ("kappas", "inner_solvers", "profiles", "instances", "peers")

__all__ = [*_WHERE, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
