"""What the optimisers of this room share: gradients looked at before they are used, and checkpoints
that fit only the model they are of.

A class derives from `NamedState` and `torch.optim.Optimizer`, in this order, and gets `state_dict`
and `load_state_dict` that match state by parameter name where names were given
(`model.named_parameters()`), and refuse the state of another model with the names and shapes that
differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch

from ..core.checks import naming, real
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

SHAPES = "param_shapes"
"""Key of a saved group: the shapes of its parameters, as lists of whole numbers."""


class SparseGradient(ArgumentError, RuntimeError):
    """A sparse gradient where a dense one is needed; a RuntimeError as torch's is."""


Step = TypeVar("Step", bound=Callable[..., Any])
Gradients = tuple[list["Tensor"], list["Tensor"]]
"""The parameters of a group that have a gradient, and these gradients."""


def number(name: str, value: Any, **bounds: Any) -> float:
    """A finite number within bounds; a tensor of one number, as rates may be, counts as one.

    Args:
        name: The argument, for the error.
        value: What was given.
        **bounds: As `core.checks.real` has them.

    Raises:
        ArgumentTypeError: No number.
        ArgumentError: Out of range; NotFinite, which is one, for a NaN or an infinity.
    """
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = float(value)
    return real(name, value, **bounds)


def total_dot(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The inner product of two lists of tensors, summed in double precision.

    Args:
        first: Tensors.
        second: As many, each of the same shape and dtype; each product is taken in that dtype, in
            float32 where that is a half one.
    """
    products = [
        torch.dot(wide(a).reshape(-1), wide(b).reshape(-1))
        for a, b in zip(first, second, strict=True)
    ]
    return float(torch.stack(products).double().sum())


def wide(t: Tensor) -> Tensor:
    """The tensor, in float32 where it is of a half precision: sums of squares leave its range."""
    return t.float() if t.dtype.itemsize < 4 else t


def uncompiled(step: Step) -> Step:
    """A step that torch.compile calls as it is: it looks at gradients and decides on the host,
    which no graph holds.
    """
    return torch.compiler.disable(step)  # type: ignore[no-any-return, no-untyped-call]


def unhooked(base: type[torch.optim.Optimizer]) -> Any:
    """The class's `step` as written: torch wraps it so that it calls the hooks, which the
    subclass's step does already.
    """
    if not getattr(base.step, "hooked", False):
        return base.step
    return base.step.__wrapped__  # type: ignore[attr-defined]


def evaluated(closure: Callable[[], Any] | None) -> Any:
    """What a closure gives, with gradients enabled; None without one.

    `step` takes one even where it needs none, as trainers pass one to all.
    """
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def parameter_name(group: Mapping[str, Any], i: int) -> str:
    """How messages call parameter i of a group: its name, or its place and shape."""
    if "param_names" in group:
        return f"'{group['param_names'][i]}'"
    return f"number {i} of its group, of shape {tuple(group['params'][i].shape)},"


def asks_for_state(groups: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a step is the one by which torch.distributed.checkpoint has an optimiser make its
    state: every rate is 0, and every gradient.
    """
    return all(
        float(group.get("lr", 1.0)) == 0
        and not any(bool(p.grad.any()) for p in group["params"] if p.grad is not None)
        for group in groups
    )


def with_gradients(
    groups: Iterable[Mapping[str, Any]],
    method: str,
    *,
    finite: bool = True,
    maximize: bool = True,
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """For each group the parameters that have a gradient, and these gradients, with their sign
    changed in a group that maximises.

    All groups are looked at before the first is given back, so that nothing has changed when one is
    refused.

    Args:
        groups: Parameter groups of an optimiser.
        method: Its name, for the error.
        finite: Look for NaN and infinities.
        maximize: Whether the method takes that option of torch's optimisers.

    Returns:
        For each group its parameters and their gradients.

    Raises:
        ArgumentError: A sparse gradient (SparseGradient, a RuntimeError too), or a group that asks
            for `capturable`, or for `maximize` where it may not.
        ArgumentTypeError: A complex gradient.
        NotFinite: A gradient with a NaN or an infinity, by the parameter's name.
    """
    found = []
    for group in groups:
        if group.get("maximize") and not maximize:
            raise ArgumentError(
                f"maximize=True in a group: {method} minimises; expected the loss with its sign "
                "changed"
            )
        if group.get("capturable"):
            raise ArgumentError(
                f"capturable=True in a group: {method} decides on the host, so a CUDA graph cannot "
                "hold its step; expected capturable=False"
            )
        rows = [i for i, p in enumerate(group["params"]) if p.grad is not None]
        for i in rows:
            if group["params"][i].is_complex():
                raise ArgumentTypeError(
                    f"parameter {parameter_name(group, i)} is complex, which {method} does not "
                    "take: expected real ones, such as torch.view_as_real gives"
                )
            if group["params"][i].grad.is_sparse:
                raise SparseGradient(
                    f"parameter {parameter_name(group, i)} has a sparse gradient, which {method} "
                    "does not take: expected a dense "
                    "one, such as Embedding(sparse=False) gives"
                )
        grads = [group["params"][i].grad for i in rows]
        # a sum is NaN or infinite where an entry is: one pass, and the exact look only then
        if finite and grads and not _all_finite([g.sum() for g in grads]):
            for i, g in zip(rows, grads, strict=True):
                if not bool(torch.isfinite(g).all()):
                    raise NotFinite(
                        f"the gradient of parameter {parameter_name(group, i)} holds a NaN or an "
                        f"infinity; {method} keeps an average of "
                        "gradients, so the step was not made"
                    )
        if group.get("maximize") and grads:
            grads = list(torch._foreach_neg(grads))
        found.append(([group["params"][i] for i in rows], grads))
    return iter(found)


def _all_finite(sums: Sequence[Tensor]) -> bool:
    """Whether all sums are finite."""
    if len({(s.dtype, s.device) for s in sums}) == 1:
        return math.isfinite(float(torch.stack(list(sums)).sum()))
    return all(bool(torch.isfinite(s)) for s in sums)


class NamedState:
    """Checkpoints by name.

    Attributes:
        like_parameter: The keys of a parameter's state whose tensors have the parameter's shape.
        along_group: The keys of a group whose tensors have an entry for each of its parameters.
        by_gradient: Whether steps read the parameters' gradients.
        no_average: Why an average of the iterates is of no use; empty where it is.
    """

    like_parameter: ClassVar[tuple[str, ...]] = ()
    along_group: ClassVar[tuple[str, ...]] = ()
    by_gradient: ClassVar[bool] = True
    no_average: ClassVar[str] = ""

    def __init__(self, params: Iterable[Any], *args: Any, **kwargs: Any):
        """Read the parameters as torch does; what it says of them becomes an error of ours.

        Raises:
            ArgumentTypeError: Something in `params` is no tensor.
            ArgumentError: `params` is empty, or has one tensor twice.
        """
        with naming("params"):
            super().__init__(params, *args, **kwargs)  # type: ignore[call-arg]

    def state_dict(self) -> dict[str, Any]:
        """Torch's, with the shapes of the parameters in each group. Tensors and plain data: torch
        reads it with `weights_only=True`.
        """
        saved: dict[str, Any] = super().state_dict()  # type: ignore[misc]
        groups = self.param_groups  # type: ignore[attr-defined]
        shapes = [[list(p.shape) for p in group["params"]] for group in groups]
        return {
            **saved,
            "param_groups": [
                {**group, SHAPES: s} for group, s in zip(saved["param_groups"], shapes, strict=True)
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Read a state; by name where both sides have names (then the order of groups and
        parameters may differ), else by place.

        Raises:
            ShapeError: Names or shapes are another model's; nothing is changed then.
        """
        saved = [by_name(group) for group in state_dict["param_groups"]]
        groups = self.param_groups  # type: ignore[attr-defined]
        if len(saved) != len(groups):
            raise ShapeError(
                f"state_dict has {len(saved)} parameter groups, expected {len(groups)}"
            )
        named = all("param_names" in group for group in (*saved, *groups))
        if named:
            saved = in_order(saved, groups, self.along_group)
        state = merged(state_dict["state"])
        for g, (theirs, ours) in enumerate(zip(saved, groups, strict=True)):
            if len(theirs["params"]) != len(ours["params"]):
                raise ShapeError(
                    f"state_dict has {len(theirs['params'])} parameters in group {g}, expected "
                    f"{len(ours['params'])}"
                )
            shapes = theirs.pop(SHAPES, None)
            for i, (key, parameter) in enumerate(
                zip(theirs["params"], ours["params"], strict=True)
            ):
                found = [tuple(shapes[i])] if shapes else []
                found += [
                    tuple(v.shape)
                    for k, v in state.get(key, {}).items()
                    if k in self.like_parameter and isinstance(v, torch.Tensor)
                ]
                wrong = [s for s in found if s != tuple(parameter.shape)]
                if wrong:
                    raise ShapeError(
                        f"state_dict is of another model: parameter {parameter_name(ours, i)} has "
                        f"shape {wrong[0]} there, expected "
                        f"{tuple(parameter.shape)}"
                    )
        super().load_state_dict(  # type: ignore[misc]
            {**state_dict, "state": state, "param_groups": saved}
        )


def merged(state: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    """A saved state by parameter, each entry a new dictionary.

    torch.distributed.checkpoint loads tensors in place, but puts the numbers of parameter 3 under
    "3"; they join the tensors again.
    """
    found = {key: dict(entry) for key, entry in state.items()}
    for key in [k for k in found if isinstance(k, str) and k.isdigit() and int(k) in found]:
        found[int(key)].update(found.pop(key))
    return found


def by_name(group: Mapping[str, Any]) -> dict[str, Any]:
    """A saved group; where parameters are called by their names, as torch.distributed.checkpoint
    does, in the order of the group's other lists.
    """
    keys, names = group["params"], group.get("param_names", ())
    if any(isinstance(key, str) for key in keys) and sorted(keys) == sorted(names):
        keys = names
    return {**group, "params": list(keys)}


def in_order(
    saved: Sequence[dict[str, Any]],
    groups: Sequence[Mapping[str, Any]],
    along: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The saved groups in the order of `groups`, their parameters too, matched by name."""
    missing = sorted(
        {n for g in groups for n in g["param_names"]} - {n for g in saved for n in g["param_names"]}
    )
    strange = sorted(
        {n for g in saved for n in g["param_names"]} - {n for g in groups for n in g["param_names"]}
    )
    if missing or strange:
        raise ShapeError(
            f"state_dict is of another model: missing {_few(missing)}; not known here "
            f"{_few(strange)}"
        )
    by_names = {frozenset(group["param_names"]): group for group in saved}
    ordered = []
    for g, group in enumerate(groups):
        theirs = by_names.get(frozenset(group["param_names"]))
        if theirs is None:
            raise ShapeError(
                "state_dict divides the parameters into other groups: none holds exactly those of "
                f"group {g} "
                f"({_few(group['param_names'])})"
            )
        at = {name: i for i, name in enumerate(theirs["param_names"])}
        rows = [at[name] for name in group["param_names"]]
        listed = [key for key in ("params", "param_names", SHAPES) if key in theirs]
        ordered.append(
            {
                **theirs,
                **{key: [theirs[key][i] for i in rows] for key in listed},
                **{key: theirs[key][rows] for key in along if key in theirs},
            }
        )
    return ordered


def _few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return (
        ", ".join(f"'{n}'" for n in names[:3])
        + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    ) or "none"
