"""What the room offers by name beside its papers. Plain data: nothing heavy is imported."""

from ..core.registry import Entry

METHODS = (
    Entry(
        "recipe",
        "feasible.training.recipe:Recipe",
        "training",
        None,
        "TrainingProblem",
        summary="any optimiser with any schedule, by name: "
        "recipe[optimizer=sgd,schedule=torch-cosine,lr=0.1]",
        example="digits-mlp",
    ),
)
