"""Units as people write them in headings: whether two are the same, and how values convert."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pint import UnitRegistry

_NONE = ("", "-", "1")
_SPELLINGS = str.maketrans({"µ": "u", "μ": "u", "²": "**2", "³": "**3", "·": "*", "×": "*"})


def same_unit(a: str, b: str) -> bool:
    """Return whether two units are written alike, up to spaces and spellings such as µ and u.

    Examples:
        >>> same_unit("µm", "um"), same_unit("g / L", "g/L"), same_unit("mPa", "MPa")
        (True, True, False)
    """
    return _spelt(a) == _spelt(b)


def convert(value: float, given: str, wanted: str) -> float:
    """Return a value in another unit of the same dimension.

    Args:
        value: In the unit `given`; of temperatures the temperature itself, not a difference.
        given: Its unit.
        wanted: The unit to return it in.

    Raises:
        ValueError: One of the units is not known, or their dimensions differ.

    Examples:
        >>> convert(0.15, "um", "nm"), convert(300.0, "K", "degC")
        (150.0, 26.85)
    """
    if same_unit(given, wanted):
        return value
    try:
        quantity = _registry().Quantity(value, _spelt(given) or "dimensionless")
        found = float(quantity.to(_spelt(wanted) or "dimensionless").magnitude)
    except Exception as error:  # pint raises whatever its tokenizer does on text that is no unit
        raise ValueError(f"'{given}' and '{wanted}' cannot be converted") from error
    return float(f"{found:.15g}")


def convert_difference(value: float, given: str, wanted: str) -> float:
    """Return a difference, such as a standard error, in another unit. Raises ValueError.

    Examples:
        >>> convert_difference(2.0, "K", "degC")
        2.0
    """
    if same_unit(given, wanted):
        return value
    zero, one = convert(0.0, given, wanted), convert(1.0, given, wanted)
    return float(f"{value * (one - zero):.12g}")


def _spelt(unit: str) -> str:
    """Return a unit in one spelling."""
    bare = "".join(unit.split()) if "/" in unit or "*" in unit else " ".join(unit.split())
    return "" if bare in _NONE else bare.translate(_SPELLINGS)


@cache
def _registry() -> UnitRegistry[float]:
    """Return pint's units, which take half a second to load."""
    from pint import UnitRegistry

    return UnitRegistry(autoconvert_offset_to_baseunit=True)
