"""A user's own file as a module, read again when it was edited."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ArgumentError, FeasibleError, UnknownName


class _Source(SourceFileLoader):
    """Reads a file itself: bytecode in a cache may be that of another text of one second before."""

    def path_stats(self, path: str) -> Any:
        """Say that nothing is known, so that no cache is asked."""
        raise OSError(path)


def file_module(path: str) -> ModuleType:
    """The module that a file of the user's is; one that was changed since is read again.

    Raises:
        UnknownName: There is no such file, or it is no Python.
        ArgumentError: It raised something.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise UnknownName(f"file '{path}' does not exist")
    name = "feasible_user_" + re.sub(r"\W", lambda m: f"_{ord(m.group()):x}_", str(file))
    changed = file.stat().st_mtime_ns
    if getattr(sys.modules.get(name), "_feasible_changed", None) == changed:
        return sys.modules[name]
    loader = _Source(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None or spec.loader is None:
        raise UnknownName(f"file '{path}' cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    module._feasible_changed = changed  # type: ignore[attr-defined]  # an edited file is read again
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, FeasibleError):
            raise ArgumentError(
                f"file '{path}' cannot be imported: {type(error).__name__}: {error}"
            ) from error
        raise
    finally:
        if str(file.parent) in sys.path:
            sys.path.remove(str(file.parent))
    return module
