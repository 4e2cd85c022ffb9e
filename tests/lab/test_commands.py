"""Commands that rooms and other packages bring in stand beside the house's own."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from feasible.cli import app, rooms
from feasible.core import errors


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch):
    """Bring commands in, as the entry points of installed packages would."""

    def made(**commands: str) -> None:
        points = {n: metadata.EntryPoint(n, v, rooms.GROUP) for n, v in commands.items()}
        monkeypatch.setattr(rooms, "brought_in", lambda: points)

    return made


def call(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def greet(name: str) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}")


def test_a_function_becomes_a_command(bring):
    bring(greet=f"{__name__}:greet")
    assert call("greet", "Ada").output == "hello Ada\n"


def test_an_app_becomes_a_command_with_commands_of_its_own(bring):
    bring(pfn="feasible.blackbox.commands:pfn")
    assert "Train on draws from the prior" in call("pfn", "train", "--help").output


def test_help_lists_what_was_brought_in_after_the_house_s_own(bring):
    bring(greet=f"{__name__}:greet", pfn="feasible.blackbox.commands:pfn")
    text = call("--help").output
    assert text.index("explain") < text.index("greet") < text.index("pfn")
    assert "Greet somebody." in text


def test_no_command_of_the_house_can_be_replaced(bring):
    bring(papers=f"{__name__}:greet")
    assert "Greet" not in call("papers", "--help").output


def test_one_that_cannot_be_imported_says_why_when_it_is_called_and_hides_no_other(bring):
    bring(gone="no_such_package:command", greet=f"{__name__}:greet")
    assert "Cannot be loaded: ModuleNotFoundError" in call("--help").output
    assert isinstance(call("gone").exception, errors.MissingExtra)
    assert call("greet", "Ada").exit_code == 0


def test_the_entry_points_of_installed_packages_are_found(tmp_path: Path):
    folder = tmp_path / "other_package-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[feasible.commands]\nother = posixpath:basename\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from feasible.cli import rooms\nprint(rooms.brought_in()['other'].value)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "posixpath:basename\n"


def test_naming_the_room_s_commands_imports_neither_torch_nor_numpy():
    code = "import sys, feasible.blackbox.commands; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "sqlalchemy"} & set(done.stdout.split())
