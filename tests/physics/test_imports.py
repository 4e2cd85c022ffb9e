"""What `import feasible.physics` needs."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

heavy = {"torch", "skfem", "meshio", "gymnasium", "stable_baselines3", "pymoo", "numba", "pandas"}
sys.modules.update(dict.fromkeys(heavy))
import feasible.physics
from feasible.physics.catalogue import CATALOGUE

print(len(feasible.physics.__all__) > 0, CATALOGUE.room)
"""


def test_the_room_is_imported_with_numpy_and_scipy_only():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "physics"], done.stderr
