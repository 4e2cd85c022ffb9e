"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "autolrs",
        "feasible.training.autolrs.run:AutoLRSRecipe",
        "training",
        "autolrs",
        "TrainingProblem",
        summary="SGD, its rates found on the way by Bayesian optimisation of short trials",
        example="digits-mlp",
    ),
    Entry(
        "autolrs-adam",
        "feasible.training.autolrs.run:AutoLRSRecipe",
        "training",
        "autolrs",
        "TrainingProblem",
        settings={"optimizer": "adam", "lr_min": 1e-05, "lr_max": 0.1},
        summary="Adam, its rates found on the way by Bayesian optimisation of short trials",
        example="digits-mlp",
    ),
)
CLAIM = "feasible.training.autolrs.claim:claim"
