"""What the training room offers by name, and which recipe it picks when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import Catalogue, Entry

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import TrainingProblem

_HERE = "feasible.training"


def _method(name: str, target: str, paper: str | None = None, peer: bool = False, summary: str = "", example: str = "digits-mlp",
            **settings: object) -> Entry:
    return Entry(name, f"{_HERE}.{target}", "training", paper, "TrainingProblem", peer, settings, summary, example)


MANY = 200_000
"""Parameters up to which the default recipe was raced."""

METHODS: tuple[Entry, ...] = (
    _method("recipe", "recipe:Recipe", summary="any optimiser with any schedule, by name: recipe[optimizer=sgd,schedule=torch-cosine,lr=0.1]"),
    *(_method(f"{optimizer}-{schedule}", "recipe:Recipe", paper, summary=f"{optimizer} with {what}", optimizer=optimizer, schedule=schedule)
      for optimizer in ("sgd", "adamw") for schedule, paper, what in (
          ("rex", "rex", "the schedule REX"), ("linear", "refined-schedule", "linear decay to zero"))),
    _method("sgd-uba", "recipe:Recipe", "uba", summary="sgd with the unified schedule, phi = 5", optimizer="sgd", schedule="uba[phi=5]"),
    _method("adamw-uba", "recipe:Recipe", "uba", summary="adamw with the unified schedule, phi = 0.5", schedule="uba[phi=0.5]"),
    _method("adamw-uba-warm", "recipe:Recipe", "uba", summary="the same at a rate of 1e-3 after a warm-up, for networks of many parameters",
            schedule="uba[phi=0.5]", lr=1e-3, warmup=0.05),
    *(_method(f"{optimizer}-refined", "refined_run:RefinedRecipe", "refined-schedule", summary=f"{optimizer}, its schedule refined from the "
              "gradient norms of half of the budget", optimizer=optimizer) for optimizer in ("sgd", "adamw")),
    _method("autolrs", "autolrs_run:AutoLRSRecipe", "autolrs", summary="SGD, its rates found on the way by Bayesian optimisation of short trials"),
    _method("autolrs-adam", "autolrs_run:AutoLRSRecipe", "autolrs", summary="Adam, its rates found on the way by Bayesian optimisation of short "
            "trials", optimizer="adam", lr_min=1e-5, lr_max=0.1),
    *(_method(name, "recipe:Recipe", "hyperparameter-free", summary=f"{what}, a short warm-up and a cosine", optimizer=name,
              schedule="warmup-cosine") for name, what in (
        ("nadamw", "AdamW with Nesterov's momentum"), ("prodigy", "Adam that finds its rate (Prodigy)"), ("dadapt-adam", "Adam that finds its rate "
         "(D-Adaptation)"), ("dadapt-sgd", "SGD that finds its rate (D-Adaptation)"), ("mechanic-adamw", "AdamW, the scale of its steps learned"),
        ("mechanic-sgd", "SGD, the scale of its steps learned"), ("momo", "SGD with momentum, its rate bounded by the loss (MoMo)"),
        ("momo-adam", "Adam, its rate bounded by the loss (MoMo)"))),
    *(_method(name, "recipe:Recipe", "hyperparameter-free", summary=what, optimizer=name, schedule="constant") for name, what in (
        ("dog", "distance over gradients, iterates averaged; no rate"), ("ldog", "DoG for each tensor by itself, iterates averaged; no rate"),
        ("dowg", "distance over weighted gradients, iterates averaged; no rate"), ("cocob", "coin betting on each coordinate; no rate"))),
    _method("schedulefree-adamw", "recipe:Recipe", peer=True, summary="schedulefree's AdamW, which averages instead of a schedule",
            optimizer="schedulefree-adamw", schedule="constant"),
    *(_method(f"{optimizer}-{schedule}", "recipe:Recipe", peer=True, summary=f"torch's {optimizer} with torch's schedule {schedule}",
              optimizer=optimizer, schedule=schedule) for optimizer in ("sgd", "adamw")
      for schedule in ("constant", *(f"torch-{s}" for s in ("cosine", "linear", "step", "exponential", "onecycle", "plateau")))),
)
PROBLEMS: tuple[Entry, ...] = tuple(Entry(name, f"{_HERE}.instances:{name.replace('-', '_')}", "training", None, "TrainingProblem") for name in (
    "digits-mlp", "digits-logistic", "digits-autoencoder", "breast-cancer-mlp", "diabetes-mlp", "moons-mlp", "classification-mlp", "digits-cnn",
    "text-lm"))
CLAIMS: dict[str, str] = {
    "autolrs": f"{_HERE}.claims.autolrs:claim",
    "hyperparameter-free": f"{_HERE}.claims.hyperparameter_free:claim",
    "uba": f"{_HERE}.claims.uba:claim",
    "rex": f"{_HERE}.claims.rex:claim",
    "refined-schedule": f"{_HERE}.claims.refined_schedule:claim",
}


def choose(problem: TrainingProblem, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The recommended recipe, by a race on development seeds (benchmarks/results/recipes-development.json)."""
    size = sum(p.numel() for p in problem.model().parameters())
    if size > MANY:
        return "adamw-uba-warm", (f"the network has {size:,} parameters, where a rate of 1e-3 after a warm-up is the usual; races here end at "
                                  f"{MANY:,} parameters, so try other rates")
    return "adamw-uba", ("of 64 fixed settings of optimiser, rate and schedule it had the best average rank over six small problems at 100, 300 and "
                         "1,000 steps (development seeds)")


CATALOGUE = Catalogue("training", METHODS, PROBLEMS, CLAIMS, choose)
