"""A command-line simulator as a function: JSON in, JSON out, its own scratch folder, exit code and
timeout watched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.annotations import checked
from ..core.checks import naming
from ..core.errors import ArgumentError, EvaluationFailed

TAIL_LINES, TAIL_BYTES = 10, 2000
"""How much of a failed program's standard error a reason quotes, at most."""


class Command:
    """Run a program for each evaluation: ``BlackBox(Command("simulate {input} {output}"),
    bounds=..., objective="cost", limits=...)``.

    A wrong exit code, a missing or unreadable output, {"failed": "why"} in it, or a timeout is a
    failed evaluation, with the end of the program's standard error in the reason.

    Args:
        command: Text or a list; {input} is a JSON file with the variables by name, {output} the
            JSON file of metrics that the program must write, {scratch} the folder of this
            evaluation, in which it also runs. Relative files in the command that exist now are made
            absolute.
        timeout: Seconds, after which the program and its children are killed; None for no limit.
        allowed: Exit codes that count as success.
        keep: A folder in which the scratch folder of every failed evaluation is kept.
        environment: Variables that the program gets besides this process's own.

    Raises:
        ArgumentError: The program cannot be found; the error names the paths tried.
    """

    pass_as = "mapping"

    @checked
    def __init__(
        self,
        command: str | Sequence[str],
        *,
        timeout: float | None = None,
        allowed: Sequence[int] = (0,),
        keep: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        try:
            parts = shlex.split(command) if isinstance(command, str) else [str(c) for c in command]
        except ValueError as error:
            raise ArgumentError(f"command '{command}' cannot be read: {error}") from None
        if not parts:
            raise ArgumentError(
                "command is empty: expected a program such as 'simulate {input} {output}'"
            )
        text = " ".join(parts)
        if "{output}" not in text:
            raise ArgumentError(
                f"command '{text}': expected {{output}} in it, the JSON file that the program "
                "writes"
            )
        if timeout is not None and not timeout > 0:
            raise ArgumentError(f"timeout={timeout!r}: expected seconds > 0")
        program = shutil.which(parts[0])
        if program is None:
            tried = (
                [str(Path(parts[0]).resolve())]
                if os.sep in parts[0]
                else [str(Path(p) / parts[0]) for p in os.get_exec_path()]
            )
            raise ArgumentError(
                f"command: program '{parts[0]}' was not found or may not be executed; tried "
                f"{', '.join(tried)}"
            )
        self.parts = [
            str(Path(program).absolute()),
            *(
                str(Path(p).resolve()) if "{" not in p and Path(p).is_file() else p
                for p in parts[1:]
            ),
        ]
        self.timeout, self.allowed, self.environment = (
            timeout,
            tuple(allowed),
            dict(environment or {}),
        )
        with naming("keep"):
            self.keep = None if keep is None else Path(keep).resolve()
        self.__name__ = Path(parts[0]).stem

    @property
    def text(self) -> str:
        """The command as a shell takes it, {input} and {output} left open."""
        return shlex.join(self.parts).replace("'{", "{").replace("}'", "}")

    def __call__(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program on one point, given by variable name, and return its metrics. Raises
        EvaluationFailed.
        """
        with tempfile.TemporaryDirectory(prefix="feasible-") as scratch:
            try:
                return self._run(dict(point), Path(scratch))
            except EvaluationFailed:
                if self.keep is not None:
                    shutil.copytree(scratch, self.keep / Path(scratch).name)
                raise

    def _run(self, point: dict[str, Any], scratch: Path) -> dict[str, Any]:
        source, target = scratch / "input.json", scratch / "output.json"
        source.write_text(json.dumps(point), encoding="utf-8")
        filled = [
            p.replace("{input}", str(source))
            .replace("{output}", str(target))
            .replace("{scratch}", str(scratch))
            for p in self.parts
        ]
        log = scratch / "stderr.txt"
        with log.open("wb") as errors, (scratch / "stdout.txt").open("wb") as prints:
            process = subprocess.Popen(
                filled,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                stdout=prints,
                stderr=errors,
                start_new_session=True,
                env=os.environ | self.environment,
            )
            try:
                code = process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                raise EvaluationFailed(
                    f"timeout: '{self.__name__}' was killed after {self.timeout:g} s; command: "
                    f"{self.text}{_tail(log)}"
                ) from None
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code not in self.allowed:
            raise EvaluationFailed(
                f"exit code {code}: '{self.__name__}'; command: {self.text}{_tail(log)}"
            )
        try:
            metrics = json.loads(target.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise EvaluationFailed(
                f"no output: '{self.__name__}' ended with exit code {code} and wrote no output "
                f"file; command: {self.text}{_tail(log)}"
            ) from None
        except (ValueError, OSError, RecursionError) as error:
            raise EvaluationFailed(f"unreadable output of '{self.__name__}': {error}") from None
        if not isinstance(metrics, dict):
            raise EvaluationFailed(
                f"unreadable output of '{self.__name__}': got {type(metrics).__name__}, expected a "
                "JSON object of metrics"
            )
        if metrics.get("failed"):
            raise EvaluationFailed(f"'{self.__name__}' reported: {metrics['failed']}")
        metrics.pop("failed", None)
        return metrics


def _tail(log: Path) -> str:
    """Return the last lines of a program's standard error, as the end of a sentence."""
    text = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
    last = "\n".join(text.splitlines()[-TAIL_LINES:])
    return f"; standard error ends: {last}" if last else ""
