"""Passwords: the one place that hides them, before a text is printed or stored."""

from __future__ import annotations

import re

_IN_URL = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@'\"]*:)\S*(?P<after>@)")
"""The password of scheme://user:password@host; it may hold any character but white space."""
_SECRET = r"\b\w*(?:password|passwd|pwd|secret|token|api_?key)"
_NAMED = re.compile(
    rf"(?P<before>{_SECRET}['\"]?\s*[=:]\s*[rbf]?['\"]?)[^\s&;,'\")]+", re.IGNORECASE
)
"""The value of password=... and the like, in a URL, in a driver's message or in source."""


def is_secret(name: str) -> bool:
    """True where a name says that its value is a password.

    Examples:
        >>> is_secret("DB_PASSWORD"), is_secret("tokens")
        (True, False)
    """
    return re.fullmatch(_SECRET, name, re.IGNORECASE) is not None


def hide_passwords(text: str) -> str:
    """Return a text with *** for each password in it.

    Args:
        text: A URL, or a message that may hold one.

    Examples:
        >>> hide_passwords("postgresql://ann:p@ss/w:rd@db.example/runs?sslpassword=key")
        'postgresql://ann:***@db.example/runs?sslpassword=***'
    """
    hidden = _IN_URL.sub(r"\g<before>***\g<after>", text)
    return _NAMED.sub(r"\g<before>***", hidden)


def legible(text: str) -> str:
    """Return a text without passwords that UTF-8 can hold: what it cannot is written as \\udcXX."""
    return hide_passwords(text.encode("utf-8", "backslashreplace").decode("utf-8"))
