"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "mfac",
        "feasible.training.recipe:Recipe",
        "training",
        "mfac",
        "TrainingProblem",
        settings={
            "optimizer": "mfac[damp=4e-3,normalised=true,momentum=0.9]",
            "schedule": "linear",
            "lr": 0.3,
        },
        summary="M-FAC: steps by the inverse Fisher matrix of the last 64 gradients, linear decay",
        example="rotated-regression",
    ),
    Entry(
        "obs-pruning",
        "feasible.training.mfac.run:WeightPruning",
        "training",
        "mfac",
        "TrainingProblem",
        summary="zeros by the optimal brain surgeon with M-FAC's inverse Fisher, in five events",
        example="digits-sparse",
    ),
    Entry(
        "obs-one-shot",
        "feasible.training.mfac.run:WeightPruning",
        "training",
        "mfac",
        "TrainingProblem",
        settings={"dense": 1.0, "events": 1, "recomputations": 16},
        summary="the same once, at the end, without training after",
        example="digits-sparse",
    ),
    Entry(
        "magnitude-pruning",
        "feasible.training.mfac.run:WeightPruning",
        "training",
        None,
        "TrainingProblem",
        settings={"criterion": "magnitude"},
        summary="the smallest weights go, in five events",
        example="digits-sparse",
    ),
    Entry(
        "magnitude-one-shot",
        "feasible.training.mfac.run:WeightPruning",
        "training",
        None,
        "TrainingProblem",
        settings={"criterion": "magnitude", "dense": 1.0, "events": 1},
        summary="the smallest weights go once, at the end",
        example="digits-sparse",
    ),
)
PROBLEMS = (
    Entry(
        "rotated-regression",
        "feasible.training.mfac.instances:rotated_regression",
        "training",
        None,
        "TrainingProblem",
    ),
    Entry(
        "rotated-logistic",
        "feasible.training.mfac.instances:rotated_logistic",
        "training",
        None,
        "TrainingProblem",
    ),
)
CLAIM = "feasible.training.mfac.claim:claim"
