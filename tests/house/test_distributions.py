"""The wheel and the sdist hold all that the library needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_the_sdist_gives_the_same_wheel_and_the_cores_tests_hold_where_it_is_installed(tmp_path):
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
    call(
        *(python, "-m", "pytest", *options, "-o", "pythonpath=helpers", "-m", "not slow", "core"),
        folder=tmp_path,
    )
