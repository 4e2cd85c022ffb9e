"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "sgd-linear",
        "feasible.training.recipe:Recipe",
        "training",
        "refined-schedule",
        "TrainingProblem",
        settings={"optimizer": "sgd", "schedule": "linear"},
        summary="sgd with linear decay to zero",
        example="digits-mlp",
    ),
    Entry(
        "adamw-linear",
        "feasible.training.recipe:Recipe",
        "training",
        "refined-schedule",
        "TrainingProblem",
        settings={"optimizer": "adamw", "schedule": "linear"},
        summary="adamw with linear decay to zero",
        example="digits-mlp",
    ),
    Entry(
        "sgd-refined",
        "feasible.training.refined_schedule.run:RefinedRecipe",
        "training",
        "refined-schedule",
        "TrainingProblem",
        settings={"optimizer": "sgd"},
        summary="sgd, its schedule refined from the gradient norms of half of the budget",
        example="digits-mlp",
    ),
    Entry(
        "adamw-refined",
        "feasible.training.refined_schedule.run:RefinedRecipe",
        "training",
        "refined-schedule",
        "TrainingProblem",
        settings={"optimizer": "adamw"},
        summary="adamw, its schedule refined from the gradient norms of half of the budget",
        example="digits-mlp",
    ),
)
CLAIM = "feasible.training.refined_schedule.claim:claim"
