"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "sgd-uba",
        "feasible.training.recipe:Recipe",
        "training",
        "uba",
        "TrainingProblem",
        settings={"optimizer": "sgd", "schedule": "uba[phi=5]"},
        summary="sgd with the unified schedule, phi = 5",
        example="digits-mlp",
    ),
    Entry(
        "adamw-uba",
        "feasible.training.recipe:Recipe",
        "training",
        "uba",
        "TrainingProblem",
        settings={"schedule": "uba[phi=0.5]"},
        summary="adamw with the unified schedule, phi = 0.5",
        example="digits-mlp",
    ),
    Entry(
        "adamw-uba-warm",
        "feasible.training.recipe:Recipe",
        "training",
        "uba",
        "TrainingProblem",
        settings={"schedule": "uba[phi=0.5]", "lr": 0.001, "warmup": 0.05},
        summary="the same at a rate of 1e-3 after a warm-up, for networks of many parameters",
        example="digits-mlp",
    ),
)
CLAIM = "feasible.training.uba.claim:claim"
