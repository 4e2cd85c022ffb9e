"""Every setting of every registered method does something, or is refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import cases
import pytest
from cases import FULL, MODELS, Case

import feasible
from feasible.core.problem import Method
from feasible.core.registry import configure, load_method, methods

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:noise_seed:UserWarning")]

PRIVATE = ("pgm", "private-gsd", "rap")
"""Methods whose runs take seconds: their settings are tried by `make claims`, like the models'."""
NAMES: dict[str, list[str]] = {}
for _name in sorted(methods()):
    NAMES.setdefault(type(load_method(_name)).__name__, []).append(_name)
LONG = {
    ("BIB", "aux"),
    *(("PenaltyMethod", s) for s in ("k0", "x_rate", "beta", "mode")),
    *(("LipSDP", s) for s in ("steps", "rate", "solver", "most")),
    ("DifferentialEvolution", "init_population"),
    ("ProxyAscent", "adaptive_lr"),
    ("TorchOptImplicit", "inner"),
    *(("UltraGenRun", s) for s in ("ar_steps", "gpo_batch", "triplets", "k", "resolve")),
    *(
        (f"Words{rule}", s)
        for rule in ("CRRAFT", "CODPO", "Lagrangian", "RLOO", "PPO", "RAFT", "DPO")
        for s in ("k", "prompts", "baseline", "missing_eos_penalty", "rate", "max_norm")
    ),
    *(
        (cls, s)
        for cls in ("DisCOB", "GRPO", "GRPOER", "DrGRPO", "DAPO", "TRPA", "RLOO")
        for s in ("group", "questions", "minibatches", "rate", "clip_norm", "loss")
    ),
}
"""Settings whose other values take seconds, or that a kin's test tries: by `make claims` too."""
SETTINGS = [
    (cls, setting.name)
    for cls, names in NAMES.items()
    for setting in dataclasses.fields(load_method(names[0]))
    if FULL
    or (
        not (names[0].startswith(MODELS + PRIVATE) or methods()[names[0]].room == "training")
        and (cls, setting.name) not in LONG
    )
]

REFUSALS = {False: feasible.errors.FeasibleError, True: Exception}
"""What a method of ours, and a peer, raise at a value that they refuse."""

WITH: dict[tuple[str, str], dict[str, Any]] = {
    ("PbTSMethod", "share"): {"rule": "random"},
    ("CBO", "sigma2"): {"memory": True, "lam2": 1.0},
    ("CBO", "kappa"): {"memory": True, "lam2": 1.0, "beta": 10.0},
    ("CBO", "lr"): {"gamma": 1.0},
    ("CBO", "h"): {"gamma": 1.0},
    ("CBO", "partial"): {"batch": 2},
    ("CBO", "tol"): {"restart": None},
    ("AdaSketchNewton", "xi_B"): {"sketch": "rk", "accuracy": "paper"},
    ("Hopping", "cooling"): {"cool_every": 2},
    ("Hopping", "cool_every"): {"cooling": 0.5},
    ("BIB", "aux"): {"adaptive_lr": True, "eta_rate": 1.0},
    ("BIB", "eta_bounds"): {"adaptive_lr": True, "eta_rate": 10.0},
    ("Genetic", "beta"): {"model": "one-hot"},
    ("Mutants", "beta"): {"model": "one-hot"},
    ("ImplicitCG", "x_rate"): {"x_step": "adam"},
    ("Unrolled", "x_rate"): {"x_step": "adam"},
    ("LVHBA", "x_rate"): {"x_step": "adam"},
    ("TorchOptImplicit", "x_rate"): {"x_step": "adam"},
    ("CvxpyLayer", "x_rate"): {"x_step": "adam"},
    ("APARLMethod", "lower_lr"): {"lower_steps": 2, "implicit": "fisher"},
    ("APARLMethod", "lower_steps"): {"implicit": "fisher"},
    ("TSDDR", "window"): {"mode": "shooting"},
    **{("TSDDR", name): {"alpha": 0.5} for name in ("sigma", "samples", "warmup", "ramp")},
    ("ConstrainedExtension", "beta"): {"barrier_t": 2.0},
    ("ConstrainedExtension", "constraint"): {"barrier_t": 2.0},
    ("MinibatchMDPO", "official"): {"q": 2.0},
    ("PreferenceMethod", "lower_lr"): {"lower_steps": 2},
    ("TableDPO", "warm_up"): {"rate": 1.0},
    ("WordsDPO", "warm_up"): {"rate": 0.1},
    ("WordsPPO", "c"): {"rate": 0.1},
    **{
        ("WordsLagrangian", name): {"rate": 0.1}
        for name in ("c", "dual_step", "target", "judge_weight")
    },
    ("ScipyWeightedSums", "factor"): {"scaled": False},
    ("DisCO", "tau"): {"group": 4},
}
"""Settings that do something only together with others."""

IDLE: dict[tuple[str, str], str] = {
    ("BIB", "rounds"): "one round makes all sixteen designs",
    ("Ranking", "batch"): "all 8-mers are ranked",
    ("Ranking", "mutations"): "all 8-mers are ranked",
    ("RobustBO", "local_whole"): "the inputs are reals",
    ("RobustBO", "local_category"): "the inputs are reals",
    ("CBO", "reduce"): "four particles are as few as there can be",
    ("CBO", "restart"): "the particles have not met after 60 evaluations",
    ("CBO", "rho_growth"): "the penalty's factor stays within 60 evaluations",
    ("Hopping", "rho_growth"): "the penalty's factor stays within 60 evaluations",
    ("Hopping", "tol"): "the particles have not met after 60 evaluations",
    ("GradientDescent", "rho_growth"): "the penalty's factor stays within 60 evaluations",
    ("Langevin", "rho"): "the noise of every step is larger than what the penalty adds",
    ("Langevin", "rho_growth"): "the penalty's factor stays within 60 evaluations",
    ("Langevin", "lr"): "the noise of every step is larger than the drift",
    ("CBX", "spread"): "read by its adaptive schedules of alpha only",
    ("CBX", "constraints"): "one limit: rank and penalty order these particles alike",
    ("CBX", "penalty"): "read where constraints='penalty' only",
    ("CMAES", "restarts"): "no restart within 60 evaluations",
    ("COBYQA", "initial_tr_radius"): "the box is smaller than twice the radius, which is cut to it",
    ("COBYQA", "feasibility_tol"): "not reached within 60 evaluations",
    ("DifferentialEvolution", "tol"): "not reached within 60 evaluations",
    ("DifferentialEvolution", "polish"): "comes after the last generation, beyond 60 evaluations",
    ("AutoLRSRecipe", "kappa"): "one stage of 40 steps: both rates that it tries are drawn",
    ("AutoLRSRecipe", "tau_max"): "one stage of 40 steps",
    ("KMeansPeer", "max_iter"): "the first iteration already assigns every point as the last",
    ("GPSQP", "resolution"): "not reached within 60 evaluations",
    ("GPSQP", "most"): "60 evaluations are fewer",
    ("COBYLA", "catol"): "no point misses the limit by so little",
    ("LBFGSB", "ftol"): "not reached within 60 evaluations",
    ("LBFGSB", "gtol"): "not reached within 60 evaluations",
    ("NelderMead", "xatol"): "not reached within 60 evaluations",
    ("NelderMead", "fatol"): "not reached within 60 evaluations",
    ("OptunaTPE", "multivariate"): "Optuna's own default is one of the two",
    ("GPSQP", "neighbours"): "60 evaluations of two inputs are all neighbours",
    ("Hybrid", "many"): "the model's region shrinks before, within 60 evaluations",
    ("Hybrid", "shrunk"): "its region shrinks through all of these values at once",
    ("Hybrid", "round"): "no whole round within 60 evaluations",
    ("Hybrid", "behind"): "no later local search within 60 evaluations",
    ("PSO", "budget"): "told to the optimiser, which reads it for restarts only",
    ("PSO", "workers"): "told to the optimiser, which reads it where it chooses by budget",
    ("PSO", "constraints"): "one limit: rank and penalty order these points alike",
    ("TwoPointsDE", "budget"): "told to the optimiser, which reads it for its population only",
    ("TwoPointsDE", "workers"): "told to the optimiser, which reads it for its population only",
    ("TwoPointsDE", "constraints"): "one limit: rank and penalty order these points alike",
    ("Topo", "n_large"): "all pairs of ten variables are in the small set",
    ("TopoNetworks", "xi"): "every other value is refused",
    ("TopoNetworks", "n_large"): "the budget ends before a second large set",
    ("CastleGolem", "lambda2"): "50 steps change no edge",
    ("CastleNotears", "threshold"): "no weight of the small graph is so small",
    ("CastleNotearsNetworks", "threshold"): "no norm of the small graph is so small",
    ("OFUL", "delta"): "read where replies are noisy",
    ("Elimination", "p"): "read where replies are noisy",
    ("Elimination", "max_candidates"): "there are fewer, and fewer still are refused",
    ("TrustConstr", "xtol"): "not reached within 60 evaluations",
    ("OnPolicyMDPO", "vf_clip"): "values change by less in 250 transitions",
    ("MinibatchMDPO", "vf_clip"): "values change by less in 250 transitions",
    ("LagrangianPPO", "clip"): "the ratios change by less in 250 transitions",
    ("LagrangianPPO", "max_grad_norm"): "the gradients are smaller",
    ("LagrangianPPO", "multiplier_rate"): "no limit is broken in 250 transitions",
    ("LagrangianPPO", "proportional"): "no limit is broken in 250 transitions",
    ("LagrangianPPO", "margin"): "no limit is neared in 250 transitions",
    ("PGM", "delta"): "read beside epsilon only: the run's budget is in rho",
    ("PGM", "rho"): "the run's budget of rho comes first",
    ("GSD", "delta"): "read beside epsilon only: the run's budget is in rho",
    ("GSD", "rho"): "the run's budget of rho comes first",
    ("GSD", "rounds"): "was not seen to change the small table's run",
    ("GSD", "per_round"): "was not seen to change the small table's run",
    ("GSD", "elite"): "was not seen to change the small table's run",
    ("GSD", "numeric_noise"): "the small table has no numeric column",
    ("GSD", "tolerance"): "was not seen to change the small table's run",
    ("GSD", "tau"): "was not seen to change the small table's run",
    ("GSD", "sparse"): "the small table has fewer cells than rows",
    ("RAP", "delta"): "read beside epsilon only: the run's budget is in rho",
    ("RAP", "rho"): "the run's budget of rho comes first",
    ("ScipyCOBYQA", "final_tr_radius"): "not reached within 60 evaluations",
    ("ScipyTrustConstr", "xtol"): "its gtol is met before",
    ("NLP", "residual"): "the first solver ends below all of these",
    ("NLP", "share"): "the first solver needs less than any of these",
    ("AdaSketchNewton", "delta0"): "the paper's bound on the accuracy is smaller",
    ("AdaSketchNewton", "shift"): "the curvature of hs6 is large enough",
    ("AdaSketchNewton", "curvature_tol"): "the curvature of hs6 is larger",
    ("AdaSketchNewton", "nu"): "the first penalties do for hs6",
    ("AdaSketchNewton", "licq_tol"): "the Jacobian of hs6 has full rank",
    ("AdaSketchNewton", "least_violation"): "the Jacobian of hs6 has full rank",
    ("GmresSQP", "nu"): "the first penalty does for hs6",
    ("HalpernMethod", "tol"): "not reached within 20,000 components",
    ("HalpernMethod", "restart"): "the residual does not fall to a quarter in 20,000 components",
    ("Extragradient", "tol"): "not reached within 20,000 components",
    ("AnchoredExtragradient", "tol"): "not reached within 20,000 components",
    ("ForwardBackward", "tol"): "not reached within 20,000 components",
    ("DADAO", "engine"): "all engines give the same bits, as tests/networks/test_engines.py says",
    ("DADAO", "workers"): "read by the engines of processes and actors, which give the same bits",
    ("CPSAT", "time_limit"): "ft06 is solved in less",
    ("PyJobShop", "time_limit"): "ft06 is solved in less",
    ("GNS", "gamma_min"): "no gamma falls so far",
    ("SuperUniversal", "metric"): "the problem's own metric is the identity",
    ("CubicNewton", "metric"): "the problem's own metric is the identity",
    ("CubicNewton", "max_search"): "the first model bounds f in each iteration",
    ("RAP", "timed"): "read in a run with a budget of seconds only",
    ("UpperGrid", "gtol"): "the lower level is quadratic: L-BFGS ends at its solution",
    ("ImplicitCG", "tol"): "not reached within 60 gradients",
    ("Unrolled", "tol"): "not reached within 60 gradients",
    ("TorchOptImplicit", "tol"): "not reached within 60 gradients",
    ("CvxpyLayer", "tol"): "not reached within 60 gradients",
    ("PenaltyMethod", "tol"): "not reached within 60 gradients",
    ("PenaltyMethod", "sigma_min"): "sigma has not fallen to it within 60 gradients",
    ("LVHBA", "tol"): "not reached within 60 gradients",
    ("LVHBA", "beta"): "the toy's multiplier is the same for all x",
    ("LVHBA", "r"): "the toy's multiplier is within it",
    ("PbTSMethod", "query"): "at first draws disagree by more on any pair",
    ("SDDP", "stall"): "the bound of three stages jumps or stays",
    **{
        (cls, name): "the memory of 2.5 bits ends between 2 bits and 3 for all experts"
        for cls in ("UniformBits", "FrequencyBits", "RandomBits", "SkipExperts")
        for name in ("low", "high")
    },
    **dict.fromkeys(
        (("PlanExperts", name) for name in ("alpha", "beta", "gamma")),
        "read where the cost is 'pmq' only",
    ),
    **dict.fromkeys(
        (("PMQ", name) for name in ("rule", "alpha", "beta", "gamma")),
        "the small model's best plan is the same by all of these costs",
    ),
    ("PlanExperts", "merge"): "has a test of its own: halves of no numbers are none",
    ("PlanExperts", "gap"): "the solver's first plan of the small model is the best",
    ("PlanExperts", "solver"): "the greedy finds the small model's best plan too",
    ("Enumerate", "most"): "there are fewer, and fewer still are refused",
    ("NumericTraceRun", "least_radius"): "the error changes its sign before a step is so short",
    ("NumericTraceRun", "slow"): "the error changes its sign before the search is slow",
    **{
        (cls, name): why
        for cls in ("OptoPrimeRun", "OPRORun", "TextGradRun")
        for name, why in (
            ("temperature", "the rules that answer have no chance in them"),
            ("ignore_extraction_error", "the rules suggest values of the right type"),
            ("max_prompt_tokens", "no prompt of the small program is so long"),
            ("max_value", "no value of the small program is so long"),
            ("base_url", "refused beside the rules"),
            ("model", "refused beside the rules"),
            ("key", "read where a service is asked"),
        )
    },
    ("WordsCRRAFT", "kl_max"): "the policy stays nearer to the reference in four steps",
    ("WordsCRRAFT", "per_token"): "the policy stays nearer to the reference in four steps",
    ("WordsCRPG", "max_norm"): "the gradients are smaller",
    ("WordsCRPG", "missing_eos_penalty"): "every response of the small policy ends",
    ("TableCRRAFT", "kl_max"): "no log-ratio of twelve equal responses is above log 12, 2.48",
    ("DAPO", "epsilon_high"): "the ratios change by less in 36 responses",
    ("DAPO", "overlong"): "all responses of the small policy are equally long",
    ("UltraGenRun", "score"): "both scores choose the same pairs of the small model's texts",
    ("UltraGenRun", "warm_up"): "the small run's phases have so few steps that one is all of it",
    ("LVHBA", "unsafe"): "the steps are chosen within their bounds",
}
"""Settings that were not seen to do anything in these small runs, and why."""


def others(case: Case, method: Method, setting: str) -> list[Any]:
    """Other values of a setting; for a choice those that its refusal names."""
    value = getattr(method, setting)
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value + 2, max(value // 2, 1), 1]
    if isinstance(value, float):
        return [value / 2, 2 * value, value + 0.1]
    if isinstance(value, tuple):
        return [tuple(v / 2 for v in value), tuple(2 * v for v in value)]
    if isinstance(value, str):
        try:
            case.run(dataclasses.replace(method, **{setting: "nonsense"}))
        except REFUSALS[methods()[case.name].peer] as refused:
            named = re.findall(r"[\w:.+-]+", str(refused).partition("nonsense")[2])
            return [*(choice for choice in named if choice != value), None]
        return [None]
    return [1, 0.5, 3, True, "auto"]


SHOWN: dict[str, Any] = {}
"""What runs showed, by method and settings: the settings of a method share the run of its own."""


def run(case: Case, settings: dict[str, Any]) -> Any:
    """What a run with these settings shows, or None where they are refused."""
    key = f"{case.name} {settings}"
    if key not in SHOWN:
        try:
            found = case.run(configure(type(load_method(case.name)), settings, case.name))
            SHOWN[key] = cases.told(found), cases.digest(found.answer)
        except REFUSALS[methods()[case.name].peer]:
            SHOWN[key] = None
    return SHOWN[key]


def changes(cls: str, setting: str) -> Iterator[bool]:
    """For each other value that is not refused: does the run change?"""
    for name in NAMES[cls]:
        case = cases.case(name)
        method = load_method(case.method)
        settings = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
        settings |= WITH.get((cls, setting), {})
        before = run(case, settings)
        for value in others(case, method, setting):
            after = run(case, settings | {setting: value})
            if None not in (before, after):
                yield after != before


@pytest.mark.parametrize(("cls", "setting"), SETTINGS)
def test_a_setting_changes_the_run_or_is_refused(cls, setting):
    if (cls, setting) not in IDLE:
        found = changes(cls, setting)
        assert next(found, True) or any(found)
