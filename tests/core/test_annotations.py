"""Arguments are checked against their annotations before a function sees them."""

from __future__ import annotations

import dataclasses
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch
from bad_values import outcome
from jaxtyping import Float
from torch import Tensor

from feasible.core.annotations import Checked, checked
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    FeasibleError,
    NotFinite,
    ShapeError,
)


def test_annotations_are_read_with_their_alternatives():
    @checked
    def take(
        n: int | None = None, pair: tuple[float, float] = (0.0, 1.0), names: str | float = "a"
    ) -> None:
        """Take everything that the annotations allow."""

    take(3, [1, 2], 2.5)
    take(None, np.array([1.0, 2.0]), "b")
    for given, said in (
        ({"n": 2.5}, "n=2.5"),
        ({"n": np.array(3)}, "n=array"),
        ({"pair": (1.0,)}, "2 values"),
        ({"pair": (1.0, math.nan)}, "pair[1]=nan"),
        ({"names": b"x"}, "names"),
    ):
        assert said in outcome(lambda given=given: take(**given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert take.__doc__ == "Take everything that the annotations allow."


@checked
def everything(
    function: Callable[..., Any] | None = None,
    table: Mapping[str, float] | None = None,
    rows: Float[np.ndarray, "n d"] | None = None,
    tensor: Float[Tensor, ...] | None = None,
    kind: Literal["a", "b"] | float = "a",
    names: Sequence[str] = (),
    module: torch.nn.Module | None = None,
    seed: int = 0,
    free: Any = None,
    unknown: Elsewhere | None = None,  # noqa: F821
) -> dict[str, Any]:
    """Return what was given."""
    return locals()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"function": 3}, ArgumentTypeError),
        ({"table": [1]}, ArgumentTypeError),
        ({"rows": [1.0]}, ShapeError),
        ({"rows": [["a"]]}, ArgumentTypeError),
        ({"tensor": np.zeros(2)}, ArgumentTypeError),
        ({"kind": math.nan}, NotFinite),
        ({"kind": "c"}, ArgumentError),
        ({"names": "text"}, ArgumentTypeError),
        ({"names": ["a", 1]}, ArgumentTypeError),
        ({"module": torch.zeros(1)}, ArgumentTypeError),
        ({"seed": -1}, FeasibleError),
    ],
    ids=str,
)
def test_what_an_annotation_excludes_is_refused_by_name(given, error):
    (name,) = given
    with pytest.raises(error, match=rf"^{name}\b"):
        everything(**given)


def test_what_an_annotation_allows_is_passed_on_as_it_is():
    given = {
        "function": len,
        "table": {"a": 1.0},
        "rows": [[1, 2]],
        "tensor": torch.zeros(2, 3),
        "kind": torch.tensor(2.0),
        "names": ["a"],
        "module": torch.nn.Linear(1, 1),
        "seed": 10**30,
        "free": 1j,
        "unknown": object(),
    }
    found = everything(**given)
    assert all(found[name] is value for name, value in given.items())


def test_a_checked_function_keeps_its_signature():
    assert list(inspect.signature(everything).parameters)[:2] == ["function", "table"]
    assert everything.__doc__ == "Return what was given."


def test_fields_of_a_dataclass_are_checked_before_it_is_made():
    @dataclasses.dataclass(frozen=True)
    class Settings(Checked):
        n: int = 1
        label: str = ""

    assert Settings(2, "a") == dataclasses.replace(Settings(), n=2, label="a")
    for given in ((1.5,), (1, 2)):
        with pytest.raises(FeasibleError, match=r"n=1\.5|label=2"):
            Settings(*given)


def test_the_name_of_no_argument_is_refused_with_the_nearest_one():
    @checked
    def power(base: float, exponent: int = 2) -> float:
        return base**exponent

    @checked
    def any_name(base: float, **more: int) -> int:
        return len(more)

    with pytest.raises(ArgumentTypeError, match=r"power has no argument 'exponnent': did you mean"):
        power(2.0, exponnent=3)
    assert any_name(2.0, exponnent=3) == 1
    with pytest.raises(ArgumentTypeError, match=r"has no argument 'self'"):
        power(2.0, self=3)
