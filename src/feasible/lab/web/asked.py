"""What the address of a page asks for. All of a view is in it: copying it is sharing the view."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode

from ...core.errors import ArgumentError

MOST, MOST_SETTINGS = 100_000, 2_000
"""Characters and settings of an address that are read."""


@dataclass(frozen=True)
class Asked:
    """A page and its settings.

    Attributes:
        page: Its name, such as `runs`.
        values: Its settings, by name; several of one name are in order.
    """

    page: str = ""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, address: str) -> Asked:
        """Return what an address such as `/runs?state=failed` asks for.

        Raises:
            ArgumentError: It is too long.
        """
        if len(address) > MOST:
            raise ArgumentError(f"address of {len(address)} characters: expected at most {MOST}")
        page, _, query = address.partition("?")
        try:
            values = parse_qs(query, max_num_fields=MOST_SETTINGS, errors="replace")
        except ValueError:
            raise ArgumentError(f"address with over {MOST_SETTINGS} settings") from None
        return cls(page.strip("/"), values)

    def one(self, name: str, otherwise: str = "") -> str:
        """Return a setting, the last of several."""
        return self.values[name][-1] if self.values.get(name) else otherwise

    def many(self, name: str) -> list[str]:
        """Return all settings of a name."""
        return [v for text in self.values.get(name, ()) for v in text.split(",") if v]

    def number(self, name: str, otherwise: int) -> int:
        """Return a setting that is a whole number from 1 on; what is none counts as not set."""
        text = self.one(name)
        good = text.isdecimal() and text.isascii() and 0 < len(text) < 10
        return max(int(text), 1) if good else otherwise

    def link(self, to: str | None = None, /, **changed: object) -> str:
        """Return the address of this page with some settings changed; None removes one.

        Args:
            to: Another page, which begins without settings.
            changed: Settings; several of one name as a list.
        """
        kept = {} if to is not None else dict(self.values)
        for name, value in changed.items():
            if value is None:
                kept.pop(name, None)
            elif isinstance(value, (list, tuple)):
                kept[name] = [str(v) for v in value]
            else:
                kept[name] = [str(value)]
        query = urlencode(kept, doseq=True, errors="replace")
        name = self.page if to is None else to
        return f"{name or './'}{f'?{query}' if query else ''}"


def shown(value: float, sign: float = 1.0) -> str:
    """Return a number as a page shows it; a dash where it is not known."""
    return "–" if not math.isfinite(value) else f"{sign * value:.6g}"
