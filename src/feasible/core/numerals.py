"""Numbers as people write them in tables: with a decimal point or a decimal comma, one of them in
one file, and nothing that could be read in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .errors import TableError

YES_NO = {
    "yes": 1.0,
    "true": 1.0,
    "y": 1.0,
    "ja": 1.0,
    "no": 0.0,
    "false": 0.0,
    "n": 0.0,
    "nein": 0.0,
}
"""Words for true and false, in lower case."""
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)(?P<whole>[0-9]*)(?:(?P<mark>[.,])(?P<part>[0-9]*))?"
    r"(?P<power>[eE][-+−]?[0-9]+)?"
)
_HELP = (
    "leave the cell empty where nothing was measured, and write failed in the column status where "
    "the experiment failed; nothing was stored"
)


class Written(NamedTuple):
    """A cell of text that should be a number.

    Attributes:
        text: What stands in it.
        where: File, line and column, as an error begins.
    """

    text: str
    where: str


@dataclass(frozen=True, slots=True)
class Numerals:
    """How one file writes numbers.

    Attributes:
        mark: Its decimal mark.
        sure: False where no cell shows the mark: then three digits behind one may be thousands.
    """

    mark: str = "."
    sure: bool = True

    @classmethod
    def of(cls, cells: Iterable[Written], *, points: bool = True) -> Numerals:
        """Find out how a file writes numbers, from all of its cells that should be numbers.

        Args:
            cells: Those cells.
            points: A lone point is a decimal mark; False in files whose cells are separated by
                semicolons, as spreadsheets of countries with decimal commas write them.

        Raises:
            TableError: Some numbers have a decimal point and others a decimal comma.
        """
        shown: dict[str, Written] = {}
        for cell in cells:
            found = _NUMBER.fullmatch(cell.text)
            if found and found["mark"] and not _groupable(found):
                shown.setdefault(found["mark"], cell)
        if len(shown) == 2:
            first, second = shown.values()
            raise TableError(
                f"{second.where}: '{second.text}', but '{first.text}' stands in {first.where}: "
                "write all numbers of a file with the same decimal mark; nothing was stored"
            )
        if shown:
            return cls(next(iter(shown)))
        return cls(".", points)

    def read(self, cell: Written) -> float:
        """Return a cell as a number.

        Raises:
            TableError: It is none, or could be two.

        Examples:
            >>> Numerals(",").read(Written("-1,5e2", "line 2"))
            -150.0
            >>> Numerals().read(Written("1,234", "line 2"))
            Traceback (most recent call last):
            feasible.core.errors.TableError: line 2: '1,234' could be 1234 or 1.234: write 1234 or \
1.2340; nothing was stored
        """
        found = _NUMBER.fullmatch(cell.text)
        if not found or not (found["whole"] or found["part"]):
            raise TableError(f"{cell.where}: '{cell.text:.60}' is not a number: {_HELP}")
        mark, whole, part = found["mark"], found["whole"], found["part"] or ""
        if mark and _groupable(found) and not (self.sure and mark == self.mark):
            raise TableError(
                f"{cell.where}: '{cell.text}' could be {whole}{part} or {whole}.{part}: write "
                f"{whole}{part} or {whole}{self.mark if self.sure else mark}{part}0; nothing was "
                "stored"
            )
        text = f"{found['sign']}{whole or '0'}.{part or '0'}{found['power'] or ''}"
        value = float(text.replace("−", "-"))
        if value - value != 0:
            raise TableError(f"{cell.where}: '{cell.text:.60}' is too large; nothing was stored")
        return value


def read_number(text: str, where: str) -> float:
    """Return a number that stands alone, in no file. Raises TableError as `Numerals.read` does."""
    cell = Written(text.strip(), where)
    return Numerals.of([cell]).read(cell)


def _groupable(found: re.Match[str]) -> bool:
    """Return whether a number with one mark could be a whole number with its thousands parted."""
    whole, part = found["whole"], found["part"]
    return bool(
        not found["power"] and len(part) == 3 and re.fullmatch("[1-9][0-9]{0,2}", whole or "")
    )
