"""Code that a model wrote, run in a process of its own with limits; never in this one.

The child has no environment, an empty folder, its own limits on processor time, memory, files and
processes, no network where the system lets a process give it up (Linux namespaces), and Python's
audit hook refuses sockets, other programs, ctypes and files opened for writing. Where the system
has no such namespaces or refuses them, the hook still refuses every socket. Arguments and result
are JSON. This stops mistakes and ordinary mischief; code of an enemy wants a machine of its own.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.annotations import Checked
from ..core.checks import real, shown
from ..core.errors import ArgumentError, FeasibleError


class SandboxError(FeasibleError):
    """Code in the sandbox raised, broke a limit, or gave no plain data.

    Attributes:
        kind: Class of what was raised, "Timeout", "Memory", "Died" or "Result".
    """

    def __init__(self, kind: str, said: str):
        self.kind = kind
        super().__init__(f"({kind}) {said}")


class SourceError(ArgumentError):
    """A source that is no Python; nothing of it was run."""


_CHILD = r"""
import json, os, resource, sys

task = json.loads(sys.stdin.read())
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
try:  # a namespace without network, where the system allows it
    import ctypes
    ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)
except (ImportError, AttributeError, OSError):
    pass  # the audit hook below refuses sockets all the same
for name, limit in (
    ("RLIMIT_CPU", int(task["seconds"]) + 1), ("RLIMIT_AS", task["bytes"]),
    ("RLIMIT_FSIZE", 0), ("RLIMIT_NOFILE", 32), ("RLIMIT_CORE", 0), ("RLIMIT_NPROC", 0),
):
    if hasattr(resource, name):
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (ValueError, OSError):
            pass
answer, sys.stdout = os.fdopen(os.dup(1), "w"), open(os.devnull, "w")
os.dup2(sys.stdout.fileno(), 1)

def guard(event, args):
    if event.startswith(("socket.", "subprocess.", "ctypes.", "os.exec", "os.fork", "os.posix_s",
                         "os.system", "os.spawn", "os.remove", "os.rename", "os.kill", "shutil.",
                         "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.mkdir", "pty.")):
        raise PermissionError(f"{event} is not allowed here")
    if event == "open" and (set(str(args[1])) & set("wax+") or (args[2] or 0) & 3):
        raise PermissionError("writing files is not allowed here")

sys.addaudithook(guard)
try:
    scope = {"__name__": "sandboxed"}
    exec(compile(task["source"], "<sandbox>", "exec"), scope)
    value = scope[task["function"]](*task["args"], **task["kwargs"])
    said = json.dumps({"value": value}, allow_nan=True)
    if len(said) > task["most"]:
        said = json.dumps({"kind": "Result", "said": f"{len(said)} bytes are too many"})
except MemoryError:
    said = json.dumps({"kind": "Memory", "said": "more memory than allowed"})
except BaseException as error:
    said = json.dumps({"kind": type(error).__name__, "said": str(error)[:2000]})
answer.write(said)
answer.flush()
os._exit(0)
"""


MOST_RESULT = 10_000_000
"""Bytes of a result that are read."""


@dataclass(frozen=True)
class Sandbox(Checked):
    """Limits of a call.

    Attributes:
        seconds: Of the wall clock, and of the processor.
        megabytes: Of memory.

    Raises:
        ArgumentError: A limit that is not above 0.

    Examples:
        >>> Sandbox().call("def double(x):\\n    return 2 * x", "double", (4,))
        8
    """

    seconds: float = 5.0
    megabytes: float = 512.0

    def __post_init__(self) -> None:
        real("seconds", self.seconds, above=0, most=1e6)
        real("megabytes", self.megabytes, least=16, most=1e6)

    def call(
        self,
        source: str,
        function: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a source and call a function of it.

        Args:
            source: Python code.
            function: Which of its functions.
            args: Plain data, as JSON can hold.
            kwargs: The same by name.

        Returns:
            What it returns, plain data; tuples come back as lists.

        Raises:
            SourceError: The source is no Python.
            ArgumentError: The arguments are no plain data.
            SandboxError: It raised, broke a limit, or returned no plain data.
        """
        if not isinstance(source, str) or not isinstance(function, str):
            raise ArgumentError(
                f"source={shown(source)}, function={shown(function)}: expected text"
            )
        try:
            ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SourceError(f"source: no Python: {error}") from None
        task = {
            "source": source,
            "function": function,
            "args": list(args),
            "kwargs": dict(kwargs or {}),
            "seconds": self.seconds,
            "most": MOST_RESULT,
            "bytes": int(self.megabytes * 2**20),
        }
        try:
            sent = json.dumps(task)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"args and kwargs: expected plain data: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = subprocess.run(
                    [sys.executable, "-I", "-S", "-c", _CHILD],
                    input=sent,
                    capture_output=True,
                    text=True,
                    cwd=folder,
                    env={},
                    timeout=self.seconds,
                )
            except subprocess.TimeoutExpired:
                raise SandboxError("Timeout", f"no result after {self.seconds:g} s") from None
        return self._value(done.stdout, done.returncode)

    @staticmethod
    def _value(text: str, code: int) -> Any:
        """Read what the child wrote."""
        try:
            found = json.loads(text)
        except ValueError:
            if code in (-9, -24, 137, 152):
                raise SandboxError("Timeout", "more processor time than allowed") from None
            raise SandboxError("Died", f"the process ended with code {code}") from None
        if "value" in found:
            return found["value"]
        raise SandboxError(str(found["kind"]), str(found["said"]))


def signature(source: str, function: str) -> str | None:
    """The arguments of a function of a source, as text; None where there is no such function.

    Args:
        source: Python code, which is read and not run.
        function: A function's name.

    Examples:
        >>> signature("def f(x, y=1):\\n    return x", "f")
        'x, y=1'
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function:
            return ast.unparse(statement.args)
    return None
