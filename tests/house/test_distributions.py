"""The wheel and the sdist hold all that the library needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from feasible.core.extras import EXTRAS, distribution

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, folder: Path) -> str:
    """What a command prints, run without the paths of this process."""
    keep = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    done = subprocess.run(command, cwd=folder, env=keep, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, into: Path) -> Path:
    """Build the sdist and the wheel of a source tree, by what is installed here."""
    call(sys.executable, "-m", "hatchling", "build", "-d", into, folder=source)
    return into


def names(wheel: Path) -> set[str]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


OUT = """
import sys

OUT = {out!r}


class Out:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OUT:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Out())
"""
"""A `sitecustomize` by which the packages of all extras are not there."""

STOPPED = """
import feasible
from feasible.core.run import stop

def end(point):
    stop.requested = point.step >= 3

print(feasible.solve("welded-beam", "gp-sqp", {"evaluations": 30}, observers=end,
                     store="runs.db", name="cut").stopped)
"""


@pytest.mark.slow
def test_the_sdist_gives_the_same_wheel_and_what_it_registers_is_there_once_installed(tmp_path):
    tree = tmp_path / "tree"
    tracked = call("git", "ls-files", "-z", folder=ROOT).split("\0")
    for name in filter(None, tracked):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    built = build(tree, tmp_path / "first")
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (wheel,) = build(next(tmp_path.glob("feasible-*")), tmp_path / "second").glob("*.whl")
    assert names(wheel) == names(next(built.glob("*.whl")))
    source = {name.removeprefix("src/") for name in tracked if name.startswith("src/feasible/")}
    assert source <= names(wheel)  # so what loads from the source loads from the wheel

    bare = tmp_path / "bare"
    call(sys.executable, "-m", "venv", "--without-pip", bare, folder=tmp_path)
    python = bare / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel)
    call(sys.executable, "-m", "pip", "--python", python, *install, folder=tmp_path)
    (site,) = bare.glob("lib/python*/site-packages")
    # The other packages come from here; a path's own .pth files are not read, so not our source.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for part in ("conftest.py", "core", "helpers"):
        copy = shutil.copytree if (ROOT / "tests" / part).is_dir() else shutil.copy
        copy(ROOT / "tests" / part, tmp_path / part)
    found = call(python, "-c", "import feasible; print(feasible.__file__)", folder=tmp_path)
    assert Path(found.strip()).is_relative_to(bare)
    options = ("-q", "-x", "-p", "no:cacheprovider", "--import-mode=importlib")
    options += ("--rootdir", str(tmp_path))  # whatever lies in the folders above
    call(
        *(python, "-m", "pytest", *options, "-o", "pythonpath=helpers"),
        *("-m", "not slow", "-k", "not every_registered"),
        *("core/test_registry.py", "core/test_public_names.py"),
        folder=tmp_path,
    )

    (site / "sitecustomize.py").write_text(OUT.format(out=sorted(set().union(*EXTRAS.values()))))
    with pytest.raises(AssertionError, match="No module named 'torch'"):
        call(python, "-c", "import torch", folder=tmp_path)
    feasible = (python, "-m", "feasible")
    whole = ("solve", "welded-beam", "-m", "gp-sqp", "-b", "evaluations=30", "--name", "whole")
    call(*feasible, *whole, "--store", "runs.db", folder=tmp_path)
    assert "interrupted" in call(python, "-c", STOPPED, folder=tmp_path)
    call(*feasible, "resume", "cut", "--store", "runs.db", folder=tmp_path)
    shown = {
        name: json.loads(
            call(*feasible, "show", name, "--json", "--store", "runs.db", folder=tmp_path)
        )
        for name in ("whole", "cut")
    }
    assert shown["cut"]["spent"]["evaluations"] == 30
    assert shown["cut"]["objective"] == shown["whole"]["objective"]
    for listing in ("methods", "problems", "papers"):
        assert json.loads(call(*feasible, listing, "--json", folder=tmp_path))


def test_every_package_of_an_extra_is_named_with_its_extra():
    """A missing module is answered with the extra of pyproject.toml that brings it."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = declared["optional-dependencies"]
    for extra, modules in EXTRAS.items():
        names = {re.match(r"[\w-]+", r)[0].lower() for r in extras[extra]}
        assert {distribution(m).lower() for m in modules} == names, extra
    assert not {re.match(r"[\w-]+", r)[0] for r in declared["dependencies"]} & {"torch", "numba"}
