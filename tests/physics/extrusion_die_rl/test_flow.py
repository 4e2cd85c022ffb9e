"""The flow against closed forms, and against scikit-fem's own assembly."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError
from feasible.physics import InvalidShape, NotConverged, StokesSolver2D, channel_die, split_die
from feasible.physics.extrusion_die_rl import flow as module
from feasible.physics.extrusion_die_rl.dies import PATCHES, crisscross
from feasible.physics.extrusion_die_rl.flow import CARREAU


def channel(n=4, m=4, profile=lambda x, y: 4 * y * (1 - y), viscosity="newtonian", width=1.0):
    cells = [(i, j) for i in range(n) for j in range(m)]
    mesh = crisscross(cells, (2.0 / n, width / m)).with_boundaries(
        {"in": lambda x: x[0] < 1e-9, "out": lambda x: x[0] > 2 - 1e-9}
    )
    return StokesSolver2D(mesh, ("in", profile), ("out",), viscosity)


def test_a_parabola_stays_one_to_rounding_and_the_pressure_falls_linearly():
    solver = channel()
    flow = solver.solve()
    x, y = flow.points.T
    assert np.allclose(flow.velocity, np.stack([4 * y * (1 - y), 0 * y], axis=1), atol=1e-12)
    assert np.allclose(flow.p, 8 * (2 - x), atol=1e-10)  # -p' = eta u'' = 8
    assert flow.flux("out") == pytest.approx(2 / 3, abs=1e-12)
    assert flow.flux("in") == pytest.approx(-2 / 3, abs=1e-12)
    assert flow.length("out") == pytest.approx(1)


@pytest.mark.parametrize("viscosity", ["newtonian", "carreau"])
def test_what_enters_leaves(viscosity):
    flow = split_die(viscosity=viscosity).flow([0.3, -0.3])
    assert flow.flux("in") + flow.flux("out1") + flow.flux("out2") == pytest.approx(0, abs=1e-10)


def by_scikit_fem(solver, points):
    """The Newtonian flow by scikit-fem's own forms and solver."""
    from dataclasses import replace

    from skfem import (
        Basis,
        BilinearForm,
        ElementTriP1,
        ElementTriP2,
        ElementVector,
        bmat,
        condense,
        solve,
    )
    from skfem.helpers import ddot, div, sym_grad

    mesh = replace(solver.mesh, doflocs=np.ascontiguousarray(points.T))
    u = Basis(mesh, ElementVector(ElementTriP2()), intorder=4)
    p = Basis(mesh, ElementTriP1(), intorder=4)
    A = BilinearForm(lambda a, b, w: 2 * ddot(sym_grad(a), sym_grad(b))).assemble(u)
    B = -BilinearForm(lambda a, q, w: div(a) * q).assemble(u, p)
    K = bmat([[A, B.T], [B, None]], "csr")
    fixed = np.flatnonzero(~solver.free)
    return solve(*condense(K, np.zeros(K.shape[0]), x=solver.given, D=fixed))


def test_the_assembly_is_that_of_scikit_fem():
    die = split_die()
    points = die.points([0.45, -0.3])
    flow, found = die.solver.solve(points), by_scikit_fem(die.solver, points)
    assert np.allclose(np.concatenate([flow.u, flow.p]), found, atol=1e-10)


def test_three_equal_patches_of_a_developed_flow_have_known_velocities():
    quality = channel_die().undeformed
    rho = np.array([7 / 9, 13 / 9, 7 / 9])
    assert np.allclose(quality, (rho - 1) / np.maximum(rho, 1), atol=1e-6)
    assert quality @ quality == pytest.approx(2 * (2 / 9) ** 2 + (4 / 13) ** 2, abs=1e-6)


def test_shear_thinning_flattens_the_profile():
    quality = channel_die(viscosity="carreau").undeformed
    assert quality @ quality == pytest.approx(0.1576, abs=2e-4)
    flat = channel_die((9, 6), ("carreau", 2.0, 0.138, 0.725)).undeformed
    assert np.allclose(flat, channel_die((9, 6), "carreau").undeformed, atol=1e-12)  # A scales p


def test_no_thinning_is_newtonian():
    assert StokesSolver2D(*PARTS, ("carreau", 3.0, 0.0, 0.7)).viscosity is None
    assert StokesSolver2D(*PARTS, ("carreau", 3.0, 0.1, 0.0)).viscosity is None
    assert StokesSolver2D(*PARTS, "carreau")._eta(0.0) == CARREAU[1]


def test_long_arms_share_the_flow_as_lubrication_says():
    wide, narrow, fine = 2, 1, 4  # widths of the arms in quarters, and cells of a quarter
    rows = [*range(-wide * fine, 0), *range(fine, (1 + narrow) * fine)]
    chamber = [(i, j) for i in range(3) for j in range(-wide * fine, (1 + narrow) * fine)]
    arms = [(i, j) for i in range(3, 35) for j in rows]
    mesh = crisscross(chamber + arms, (0.25, 0.25 / fine)).with_boundaries(
        {
            "in": lambda x: x[0] < 1e-9,
            "low": lambda x: (x[0] > 8.75 - 1e-9) & (x[1] < 1e-9),
            "high": lambda x: (x[0] > 8.75 - 1e-9) & (x[1] > 0.25 - 1e-9),
        }
    )
    flow = StokesSolver2D(mesh, ("in", lambda x, y: 0 * x + 1.0), ("low", "high")).solve()
    share = flow.flux("high") / (flow.flux("high") + flow.flux("low"))
    assert share == pytest.approx(narrow**3 / (narrow**3 + wide**3), rel=0.03)


def test_a_symmetric_die_has_equal_shares_and_mirroring_swaps_them():
    assert split_die().undeformed[0] == pytest.approx(0.5, abs=1e-10)
    both = split_die(moves="both")
    upper = both.quality([0.3, -0.45, 0.0, 0.15])[0]
    lower = both.quality([0.0, 0.15, 0.3, -0.45])[0]
    assert upper + lower == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize(
    ("values", "share"),
    [((0, -0.6), 0.338), ((0, 0.9), 0.623), ((-0.6, 0), 0.6), ((0.9, -0.6), 0.099)],
)
def test_shares_are_those_measured_before(values, share):
    assert split_die().quality(values)[0] == pytest.approx(share, abs=3e-3)


def test_a_mesh_that_turned_over_never_reaches_the_solver(monkeypatch):
    die = split_die()

    def never(*given):
        raise AssertionError("solved")

    monkeypatch.setattr(StokesSolver2D, "_solved", never)
    with pytest.raises(InvalidShape, match="turned over") as raised:
        die.quality([0.0, -8.0])
    assert raised.value.violations == die.violations([0.0, -8.0])
    assert die.violations([0.0, 0.0]) == {"signed_area": 0.0, "min_angle": 0.0}


def test_a_viscosity_that_does_not_converge_is_said(monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    with pytest.raises(NotConverged, match="after 2 iterations") as raised:
        channel_die((6, 3), ("carreau", 1.0, 5.0, 0.9)).flow([0, 0, 0])
    assert raised.value.iterations == 2


PARTS = (channel().mesh, ("in", lambda x, y: 0 * x), ("out",))


def test_bad_arguments_are_named():
    mesh, inflow, outlets = PARTS
    with pytest.raises(ArgumentError, match=r"boundary 'side': the mesh has in, out"):
        StokesSolver2D(mesh, inflow, ("side",))
    with pytest.raises(ArgumentError, match="viscosity='thick'"):
        StokesSolver2D(mesh, inflow, outlets, "thick")
    with pytest.raises(ArgumentError, match="viscosity A=-1"):
        StokesSolver2D(mesh, inflow, outlets, ("carreau", -1.0, 0.1, 0.7))
    assert set(PATCHES) <= set(channel_die((6, 3)).solver.mesh.boundaries)
