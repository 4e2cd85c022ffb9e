"""A package of an extra that is not installed is answered with what to install, in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from feasible.core.checkpoint import encode
from feasible.core.extras import EXTRAS, missing

WITHOUT = f"""
import sys

class Out:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(set().union(*EXTRAS.values()))!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Out())
"""


def without(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that has the packages of no extra."""
    return subprocess.run([sys.executable, "-c", WITHOUT + code], capture_output=True, text=True)


def test_a_missing_module_names_the_rooms_own_extra():
    error = ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    assert str(missing(error, "method 'x'", "training")) == (
        "method 'x' needs the package 'torch', which is not installed: "
        "pip install 'feasible[training]'"
    )
    assert "feasible[blackbox]" in str(missing(error, "method 'x'"))
    assert missing(ModuleNotFoundError("no", name="mesh_tool"), "x") is None


@pytest.mark.parametrize(
    ("line", "extra"),
    [
        ("from feasible.training import UBA", "training"),
        ("from feasible.transport.sinkhorn_newton_sparse import sinkhorn_newton", "transport"),
        ("import feasible; feasible.solve('digits-mlp', budget=1)", "training"),
        ("import feasible; feasible.solve('welded-beam', 'bo-cei', budget=9)", "blackbox"),
    ],
)
def test_python_says_which_extra_a_public_name_needs(line, extra):
    done = without(line)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"pip install 'feasible[{extra}]'")


def test_a_checkpoint_of_arrays_needs_no_torch_and_one_of_tensors_says_what_it_needs(tmp_path):
    import numpy as np
    import torch

    (tmp_path / "arrays").write_bytes(encode({"x": np.arange(3.0)}))
    (tmp_path / "tensors").write_bytes(encode({"x": torch.arange(3.0)}))
    read = f"""
from pathlib import Path
from feasible.core.checkpoint import decode, encode
folder = Path({str(tmp_path)!r})
state = decode((folder / "arrays").read_bytes(), {{}})
print(decode(encode(state), {{}})["x"].tolist())
decode((folder / "tensors").read_bytes(), {{}})
"""
    done = without(read)
    assert done.stdout == "[0.0, 1.0, 2.0]\n"
    assert done.stderr.splitlines()[-1] == (
        "feasible.core.errors.MissingExtra: checkpoint: state['x'] is a tensor and needs the "
        "package 'torch', which is not installed: pip install 'feasible[blackbox]'"
    )


def test_the_listing_of_problems_says_what_those_that_cannot_be_made_need():
    done = without(
        "sys.argv = ['feasible', 'problems', '--json']\nfrom feasible.cli import main\nmain()"
    )
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["welded-beam"]["needs"] is None
    assert rows["welded-beam"]["constraints"] == 5
    needs = {row["needs"] for row in rows.values()} - {None}
    assert needs == {
        f"pip install 'feasible[{e}]'"
        for e in (
            "bilevel",
            "language",
            "networks",
            "physics",
            "policies",
            "programs",
            "training",
            "transport",
            "text",
        )
    }
    said = {name: row["needs"] for name, row in rows.items() if row["needs"]}
    done = without(f"""
from feasible.core.errors import MissingExtra
from feasible.core.registry import load_problem

for name, needs in {said!r}.items():
    try:
        load_problem(name)
    except MissingExtra as error:
        assert str(error).endswith(needs), (name, needs, error)
    else:
        raise AssertionError(name)
""")
    assert done.stderr == ""


def test_every_method_that_another_library_brings_says_so_before_it_begins():
    done = without("""
from feasible.core.errors import MissingExtra
from feasible.core.registry import load_method, methods

for name, entry in methods().items():
    try:
        load_method(name).check_installed()
    except MissingExtra as error:
        assert str(error).endswith("]'") and "pip install 'feasible[" in str(error), error
    else:
        print(name * entry.peer)
""")
    assert done.stderr == ""
    assert set(done.stdout.split()) == {
        *("random-search", "sobol-search"),
        *("differential-evolution", "cobyqa", "cobyla", "slsqp", "trust-constr", "l-bfgs-b"),
        *("nelder-mead", "scipy-assignment", "scipy-weighted-sums"),
        *("scipy-slsqp", "scipy-trust-constr", "scipy-cobyqa", "scipy-least-squares"),
        *("scipy-trust-exact", "scipy-trust-ncg", "scipy-newton-cg", "scipy-l-bfgs-b"),
        *("scipy-powell", "scipy-nelder-mead", "scipy-cobyla", "signed-history"),
    }


def test_parts_of_a_recipe_that_are_not_installed_are_said_before_it_begins(monkeypatch):
    from feasible.core import extras
    from feasible.core.errors import MissingExtra
    from feasible.training import Recipe

    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    Recipe("sgd", "cosine").check_installed()
    for recipe in (Recipe("lion-pytorch"), Recipe("sgd", "pytorch-optimizer-rex")):
        with pytest.raises(MissingExtra, match=r"pip install 'feasible\[peers\]'"):
            recipe.check_installed()
