"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "lion",
        "feasible.training.recipe:Recipe",
        "training",
        "lion-k",
        "TrainingProblem",
        settings={"optimizer": "lion", "schedule": "linear"},
        summary="Lion: all weights kept within 1/decay, linear decay",
        example="digits-mlp",
    ),
    Entry(
        "lion-l2",
        "feasible.training.recipe:Recipe",
        "training",
        "lion-k",
        "TrainingProblem",
        settings={"optimizer": "lion[kappa=l2]", "schedule": "linear"},
        summary="normalised momentum: the norm of each tensor kept, linear decay",
        example="digits-mlp",
    ),
    Entry(
        "lion-group",
        "feasible.training.recipe:Recipe",
        "training",
        "lion-k",
        "TrainingProblem",
        settings={"optimizer": "lion[kappa=group]", "schedule": "linear"},
        summary="normalised rows: the norm of each neuron's weights kept, linear decay",
        example="digits-mlp",
    ),
    Entry(
        "lion-nuclear",
        "feasible.training.recipe:Recipe",
        "training",
        "lion-k",
        "TrainingProblem",
        settings={"optimizer": "lion[kappa=nuclear]", "schedule": "linear"},
        summary="orthogonal steps, as in Muon: the spectral norm of each matrix kept, linear decay",
        example="digits-mlp",
    ),
    Entry(
        "lion-huber",
        "feasible.training.recipe:Recipe",
        "training",
        "lion-k",
        "TrainingProblem",
        settings={"optimizer": "lion[kappa=huber[e=1e-3]]", "schedule": "linear"},
        summary="clipped momentum: the box, and a little L2, linear decay",
        example="digits-mlp",
    ),
)
CLAIM = "feasible.training.lion_k.claim:claim"
