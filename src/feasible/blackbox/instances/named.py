"""Ready-made problems by name: engineering designs under limits, and landscapes with known minima.
`get("welded-beam")`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

from ...core.errors import ArgumentError, ArgumentTypeError, UnknownName, nearest
from ..problem import BlackBox
from .electrospray import electrospray
from .machines import (
    car_side_impact,
    compression_spring,
    heat_exchanger,
    pressure_vessel,
    speed_reducer,
)
from .several import binh_korn, welded_beam_front, zdt1
from .structures import cantilever_beam, reinforced_concrete_beam, three_bar_truss, welded_beam
from .synthetic import (
    ackley,
    ackley_constrained,
    gkxwc1,
    gkxwc2,
    grand_canyon,
    griewank,
    jlh1,
    jlh2,
    keane_bump,
    rastrigin,
    rastrigin_cbo,
    rosenbrock,
    sphere,
)


def _with(factory: Callable[..., BlackBox], **settings: object) -> Callable[..., BlackBox]:
    """The factory with some settings fixed; it keeps its docstring."""
    made = partial(factory, **settings)
    made.__doc__ = factory.__doc__
    return made


PROBLEMS: dict[str, Callable[..., BlackBox]] = {
    "jlh1": jlh1,
    "jlh2": jlh2,
    "gkxwc1": gkxwc1,
    "gkxwc2": gkxwc2,
    "ackley-constrained-2d": _with(ackley_constrained, d=2),
    "ackley-constrained-6d": _with(ackley_constrained, d=6),
    "ackley-constrained-10d": _with(ackley_constrained, d=10),
    "keane-bump": keane_bump,
    "three-bar-truss": three_bar_truss,
    "compression-spring": compression_spring,
    "pressure-vessel": pressure_vessel,
    "pressure-vessel-classic": _with(pressure_vessel, variant="classic"),
    "welded-beam": welded_beam,
    "reinforced-concrete-beam": reinforced_concrete_beam,
    "speed-reducer": speed_reducer,
    "speed-reducer-classic": _with(speed_reducer, variant="classic"),
    "heat-exchanger": heat_exchanger,
    "heat-exchanger-classic": _with(heat_exchanger, variant="classic"),
    "cantilever-beam": cantilever_beam,
    "cantilever-beam-published": _with(cantilever_beam, variant="published"),
    "car-side-impact": car_side_impact,
    "car-side-impact-classic": _with(car_side_impact, variant="classic"),
    "grand-canyon": grand_canyon,
    "grand-canyon-smooth": _with(grand_canyon, smooth=True),
    "rastrigin-cbo": rastrigin_cbo,
    "ackley": ackley,
    "rastrigin": rastrigin,
    "rosenbrock": rosenbrock,
    "griewank": griewank,
    "sphere": sphere,
    "electrospray": electrospray,
    "zdt1": zdt1,
    "binh-korn": binh_korn,
    "welded-beam-front": welded_beam_front,
    "electrospray-6": _with(electrospray, target=6.0),
    "electrospray-3": _with(electrospray, target=3.0),
}
"""Every ready-made problem of this room: name -> factory."""

ENGINEERING = (
    "jlh1",
    "jlh2",
    "gkxwc1",
    "gkxwc2",
    "ackley-constrained-2d",
    "keane-bump",
    "three-bar-truss",
    "compression-spring",
    "pressure-vessel",
    "welded-beam",
    "reinforced-concrete-beam",
    "speed-reducer",
    "heat-exchanger",
    "cantilever-beam",
    "car-side-impact",
)
"""The fifteen problems of arXiv 2404.04495; Ackley's counts once (-6d and -10d are registered too),
the cantilever in its classic form.
"""

FEASIBLE_ENGINEERING = ENGINEERING
"""Those of ENGINEERING that have a feasible point: all fifteen. As published the cantilever has
none; `cantilever-beam-published` keeps that.
"""


def _forms(name: str) -> dict[str, str]:
    """variant -> the name that this form of the problem is registered under."""
    plain = (
        {"classic" if name == "cantilever-beam" else "published": name}
        if name in ENGINEERING
        else {}
    )
    return plain | {
        v: f"{name}-{v}" for v in ("published", "classic", "smooth") if f"{name}-{v}" in PROBLEMS
    }


def get(name: str, variant: str | None = None, **options: object) -> BlackBox:
    """A ready-made problem by name: `get("welded-beam")`, `get("speed-reducer",
    variant="classic")`, `get("ackley", d=4, shift_seed=1)`.

    variant: "published" or "classic" for those problems that the literature has in two forms; the
    other form is also registered under a name of its own, such as `speed-reducer-classic`. options:
    as the factory takes them (d, shift_seed, low, high). Raises UnknownName, ArgumentError.
    """
    if name not in PROBLEMS:
        raise UnknownName(f"no problem is called {name!r}; {nearest(name, PROBLEMS)}")
    if variant is not None:
        forms = _forms(name)
        if variant not in forms:
            raise ArgumentError(
                f"variant={variant!r}: '{name}' comes "
                + (f"as {' or '.join(map(repr, forms))}" if forms else "in one form only")
            )
        name = forms[variant]
    factory = PROBLEMS[name]
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        takes = (
            ", ".join(p for p in inspect.signature(factory).parameters if p != "variant") or "none"
        )
        raise ArgumentTypeError(f"options of '{name}': {error}; it takes {takes}") from None
    return factory(**options)


__all__ = [
    "ENGINEERING",
    "FEASIBLE_ENGINEERING",
    "PROBLEMS",
    "ackley",
    "ackley_constrained",
    "binh_korn",
    "cantilever_beam",
    "car_side_impact",
    "compression_spring",
    "electrospray",
    "get",
    "gkxwc1",
    "gkxwc2",
    "grand_canyon",
    "griewank",
    "heat_exchanger",
    "jlh1",
    "jlh2",
    "keane_bump",
    "pressure_vessel",
    "rastrigin",
    "rastrigin_cbo",
    "reinforced_concrete_beam",
    "rosenbrock",
    "speed_reducer",
    "sphere",
    "three_bar_truss",
    "welded_beam",
    "welded_beam_front",
    "zdt1",
]
