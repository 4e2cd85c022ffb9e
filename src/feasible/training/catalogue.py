"""What the training room offers by name, and which recipe it picks when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import Catalogue, Entry

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import TrainingProblem

_HERE = "feasible.training"


def _method(
    name: str,
    target: str,
    paper: str | None = None,
    peer: bool = False,
    summary: str = "",
    example: str = "digits-mlp",
    **settings: object,
) -> Entry:
    return Entry(
        name,
        f"{_HERE}.{target}",
        "training",
        paper,
        "TrainingProblem",
        peer,
        settings,
        summary,
        example,
    )


MANY = 200_000
"""Parameters up to which the default recipe was raced."""

METHODS: tuple[Entry, ...] = (
    _method(
        "recipe",
        "recipe:Recipe",
        summary="any optimiser with any schedule, by name: "
        "recipe[optimizer=sgd,schedule=torch-cosine,lr=0.1]",
    ),
    *(
        _method(
            f"{optimizer}-{schedule}",
            "recipe:Recipe",
            paper,
            summary=f"{optimizer} with {what}",
            optimizer=optimizer,
            schedule=schedule,
        )
        for optimizer in ("sgd", "adamw")
        for schedule, paper, what in (
            ("rex", "rex", "the schedule REX"),
            ("linear", "refined-schedule", "linear decay to zero"),
        )
    ),
    _method(
        "sgd-uba",
        "recipe:Recipe",
        "uba",
        summary="sgd with the unified schedule, phi = 5",
        optimizer="sgd",
        schedule="uba[phi=5]",
    ),
    _method(
        "adamw-uba",
        "recipe:Recipe",
        "uba",
        summary="adamw with the unified schedule, phi = 0.5",
        schedule="uba[phi=0.5]",
    ),
    _method(
        "adamw-uba-warm",
        "recipe:Recipe",
        "uba",
        summary="the same at a rate of 1e-3 after a warm-up, for networks of many parameters",
        schedule="uba[phi=0.5]",
        lr=1e-3,
        warmup=0.05,
    ),
    *(
        _method(
            f"{optimizer}-refined",
            "refined_run:RefinedRecipe",
            "refined-schedule",
            summary=f"{optimizer}, its schedule refined from the "
            "gradient norms of half of the budget",
            optimizer=optimizer,
        )
        for optimizer in ("sgd", "adamw")
    ),
    _method(
        "autolrs",
        "autolrs_run:AutoLRSRecipe",
        "autolrs",
        summary="SGD, its rates found on the way by Bayesian optimisation of short trials",
    ),
    _method(
        "autolrs-adam",
        "autolrs_run:AutoLRSRecipe",
        "autolrs",
        summary="Adam, its rates found on the way by Bayesian optimisation of short trials",
        optimizer="adam",
        lr_min=1e-5,
        lr_max=0.1,
    ),
    *(
        _method(
            name,
            "recipe:Recipe",
            "hyperparameter-free",
            summary=f"{what}, a short warm-up and a cosine",
            optimizer=name,
            schedule="warmup-cosine",
        )
        for name, what in (
            ("nadamw", "AdamW with Nesterov's momentum"),
            ("prodigy", "Adam that finds its rate (Prodigy)"),
            ("dadapt-adam", "Adam that finds its rate (D-Adaptation)"),
            ("dadapt-sgd", "SGD that finds its rate (D-Adaptation)"),
            ("mechanic-adamw", "AdamW, the scale of its steps learned"),
            ("mechanic-sgd", "SGD, the scale of its steps learned"),
            ("momo", "SGD with momentum, its rate bounded by the loss (MoMo)"),
            ("momo-adam", "Adam, its rate bounded by the loss (MoMo)"),
        )
    ),
    *(
        _method(
            name,
            "recipe:Recipe",
            "hyperparameter-free",
            summary=what,
            optimizer=name,
            schedule="constant",
        )
        for name, what in (
            ("dog", "distance over gradients, iterates averaged; no rate"),
            ("ldog", "DoG for each tensor by itself, iterates averaged; no rate"),
            ("dowg", "distance over weighted gradients, iterates averaged; no rate"),
            ("cocob", "coin betting on each coordinate; no rate"),
        )
    ),
    _method(
        "nadamw-algoperf",
        "recipe:Recipe",
        "hyperparameter-free",
        summary="NadamW with the setting of AlgoPerf's self-tuning baseline",
        optimizer="nadamw[beta1=0.93266,beta2=0.995516]",
        schedule="warmup-cosine[warmup=0.02]",
        lr=1.7486e-3,
        weight_decay=0.081216,
    ),
    _method(
        "schedulefree-adamw",
        "recipe:Recipe",
        peer=True,
        summary="schedulefree's AdamW, which averages instead of a schedule",
        optimizer="schedulefree-adamw",
        schedule="constant",
    ),
    *(
        _method(
            name,
            "recipe:Recipe",
            "lion-k",
            summary=f"{what}, linear decay",
            optimizer=optimizer,
            schedule="linear",
        )
        for name, optimizer, what in (
            ("lion", "lion", "Lion: all weights kept within 1/decay"),
            ("lion-l2", "lion[kappa=l2]", "normalised momentum: the norm of each tensor kept"),
            (
                "lion-group",
                "lion[kappa=group]",
                "normalised rows: the norm of each neuron's weights kept",
            ),
            (
                "lion-nuclear",
                "lion[kappa=nuclear]",
                "orthogonal steps, as in Muon: the spectral norm of each matrix kept",
            ),
            (
                "lion-huber",
                "lion[kappa=huber[e=1e-3]]",
                "clipped momentum: the box, and a little L2",
            ),
        )
    ),
    *(
        _method(
            name,
            "recipe:Recipe",
            peer=True,
            summary=f"the Lion of {name}, linear decay",
            optimizer=name,
            schedule="linear",
        )
        for name in ("lion-pytorch", "pytorch-optimizer-lion")
    ),
    Entry(
        "sso",
        f"{_HERE}.target_run:SSO",
        "training",
        "target-surrogates",
        "TargetProblem",
        summary="many steps on a surrogate for each gradient of an expensive loss",
        example="breast-cancer-squares",
    ),
    Entry(
        "sso-linesearch",
        f"{_HERE}.target_run:SSO",
        "training",
        "target-surrogates",
        "TargetProblem",
        settings={"eta": "linesearch"},
        summary="SSO, its step found by Armijo's rule in the target space",
        example="breast-cancer-logistic",
    ),
    *(
        Entry(
            f"sso-{metric}",
            f"{_HERE}.target_run:SSO",
            "training",
            "target-surrogates",
            "TargetProblem",
            settings={"metric": metric, "eta": eta},
            summary=f"SSO with {what} in the target space",
            example="breast-cancer-squares",
        )
        for metric, eta, what in (
            ("ada", 1.0, "AdaGrad's scalar step"),
            ("diagada", 1.0, "AdaGrad for each point"),
            ("adam", 0.1, "Adam for each point"),
        )
    ),
    Entry(
        "gulf2",
        f"{_HERE}.target_run:SSO",
        "training",
        None,
        "TargetProblem",
        settings={"metric": "gulf2", "eta": 0.2},
        summary="GULF2: the loss's own divergence as proximity; each inner step costs a gradient",
        example="breast-cancer-squares",
    ),
    *(
        Entry(
            f"target-{optimizer}",
            f"{_HERE}.target_run:Parametric",
            "training",
            None,
            "TargetProblem",
            optimizer in ("sgd", "adam", "adagrad"),
            {"optimizer": optimizer, "lr": lr},
            f"{what}, one gradient of the loss a step",
            "breast-cancer-squares",
        )
        for optimizer, lr, what in (
            ("gd", 1.0, "gradient descent at one over the smoothness"),
            ("armijo", 1.0, "gradient descent with Armijo's rule"),
            ("sgd", 0.03, "torch's SGD"),
            ("adam", 0.01, "torch's Adam"),
            ("adagrad", 0.1, "torch's Adagrad"),
        )
    ),
    *(
        _method(
            f"{optimizer}-{schedule}",
            "recipe:Recipe",
            peer=True,
            summary=f"torch's {optimizer} with torch's schedule {schedule}",
            optimizer=optimizer,
            schedule=schedule,
        )
        for optimizer in ("sgd", "adamw")
        for schedule in (
            "constant",
            *(
                f"torch-{s}"
                for s in ("cosine", "linear", "step", "exponential", "onecycle", "plateau")
            ),
        )
    ),
    _method(
        "mfac",
        "recipe:Recipe",
        "mfac",
        summary="M-FAC: steps by the inverse Fisher matrix of the last 64 gradients, linear decay",
        example="rotated-regression",
        optimizer="mfac[damp=1e-3,momentum=0.9]",
        schedule="linear",
        lr=0.1,
    ),
    _method(
        "obs-pruning",
        "pruning:WeightPruning",
        "mfac",
        summary="zeros by the optimal brain surgeon with M-FAC's inverse Fisher, in five events",
        example="digits-sparse",
    ),
    _method(
        "obs-one-shot",
        "pruning:WeightPruning",
        "mfac",
        summary="the same once, at the end, without training after",
        example="digits-sparse",
        dense=1.0,
        events=1,
        recomputations=16,
    ),
    _method(
        "magnitude-pruning",
        "pruning:WeightPruning",
        summary="the smallest weights go, in five events",
        example="digits-sparse",
        criterion="magnitude",
    ),
    _method(
        "magnitude-one-shot",
        "pruning:WeightPruning",
        summary="the smallest weights go once, at the end",
        example="digits-sparse",
        criterion="magnitude",
        dense=1.0,
        events=1,
    ),
    _method(
        "hesso",
        "pruning:GroupPruning",
        "hesso",
        summary="HESSO: channels shrink to zero in ten periods of the run, then are cut",
        example="digits-small",
    ),
    _method(
        "hesso-cric",
        "pruning:GroupPruning",
        "hesso",
        summary="HESSO-CRIC: looks in several cycles before it decides which channels go",
        example="digits-small",
        corrective=True,
    ),
    _method(
        "magnitude-channels",
        "pruning:GroupPruning",
        summary="the channels of least norm are cut at once, half way",
        example="digits-small",
        one_shot=True,
        criterion="magnitude",
        warmup=0.5,
    ),
    _method(
        "torch-pruning-magnitude",
        "peers_pruning:TorchPruningMagnitude",
        peer=True,
        summary="torch-pruning's MagnitudePruner, once, half way",
        example="digits-small",
    ),
)
PROBLEMS: tuple[Entry, ...] = (
    tuple(
        Entry(
            name, f"{_HERE}.instances:{name.replace('-', '_')}", "training", None, "TrainingProblem"
        )
        for name in (
            "digits-mlp",
            "digits-logistic",
            "digits-autoencoder",
            "breast-cancer-mlp",
            "diabetes-mlp",
            "moons-mlp",
            "classification-mlp",
            "digits-cnn",
            "text-lm",
        )
    )
    + tuple(
        Entry(
            name, f"{_HERE}.{module}:{name.replace('-', '_')}", "training", None, "TrainingProblem"
        )
        for module, name in (
            ("instances_pruning", "digits-sparse"),
            ("instances_pruning", "digits-small"),
            ("instances_pruning", "digits-small-cnn"),
            ("instances_mfac", "rotated-regression"),
            ("instances_mfac", "rotated-logistic"),
        )
    )
    + tuple(
        Entry(
            name,
            f"{_HERE}.instances_target:{name.replace('-', '_')}",
            "training",
            None,
            "TargetProblem",
        )
        for name in (
            "breast-cancer-squares",
            "breast-cancer-squares-25",
            "breast-cancer-logistic",
            "digits-target",
            "factorisation-target",
        )
    )
)
CLAIMS: dict[str, str] = {
    "mfac": f"{_HERE}.claims.mfac:claim",
    "hesso": f"{_HERE}.claims.hesso:claim",
    "lion-k": f"{_HERE}.claims.lion_k:claim",
    "target-surrogates": f"{_HERE}.claims.target_surrogates:claim",
    "autolrs": f"{_HERE}.claims.autolrs:claim",
    "hyperparameter-free": f"{_HERE}.claims.hyperparameter_free:claim",
    "uba": f"{_HERE}.claims.uba:claim",
    "rex": f"{_HERE}.claims.rex:claim",
    "refined-schedule": f"{_HERE}.claims.refined_schedule:claim",
}


def choose(problem: TrainingProblem, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The recommended recipe, by a race on development seeds
    (benchmarks/results/recipes-development.json).
    """
    if type(problem).__name__ == "TargetProblem":
        return "sso", "each gradient of the expensive loss pays for many steps"
    size = sum(p.numel() for p in problem.model().parameters())
    if size > MANY:
        return "adamw-uba-warm", (
            f"the network has {size:,} parameters, where a rate of 1e-3 after a warm-up is the "
            "usual; races here end at "
            f"{MANY:,} parameters, so try other rates"
        )
    return "adamw-uba", (
        "of 64 fixed settings of optimiser, rate and schedule it had the best average rank over "
        "six small problems at 100, 300 and "
        "1,000 steps (development seeds)"
    )


CATALOGUE = Catalogue("training", METHODS, PROBLEMS, CLAIMS, choose)
