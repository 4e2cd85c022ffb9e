"""Meshes: made, read, checked, refined, written."""

from __future__ import annotations

import meshio
import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.physics import InvalidShape, read_mesh, unit_square, write_vtu
from feasible.physics.meshes import (
    check_shape,
    least_angles,
    mesh_arrays,
    refined,
    shape_violations,
    signed_areas,
)


def test_a_written_mesh_is_read_again_with_its_fields(tmp_path):
    mesh, file = unit_square(3), tmp_path / "square.vtu"
    x, y = mesh.p
    area = np.abs(signed_areas(*mesh_arrays(mesh)))
    write_vtu(file, mesh, {"heat": x + 2 * y, "flow": mesh.p.T, "area": area})
    back = read_mesh(file)
    assert np.array_equal(back.p, mesh.p)
    assert np.array_equal(np.sort(back.t, axis=0), np.sort(mesh.t, axis=0))
    fields = meshio.read(file)
    assert np.array_equal(fields.point_data["heat"], x + 2 * y)
    assert np.array_equal(fields.point_data["flow"][:, :2], mesh.p.T)
    assert fields.cell_data["area"][0].sum() == pytest.approx(1)


def test_nodes_of_a_file_that_no_triangle_uses_are_left_out(tmp_path):
    points = np.array([[9, 9, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=float)
    meshio.Mesh(points, [("vertex", [[0]]), ("triangle", [[1, 2, 3]])]).write(tmp_path / "one.vtk")
    assert read_mesh(tmp_path / "one.vtk").p.T.tolist() == [[0, 0], [1, 0], [0, 1]]


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    with pytest.raises(ArgumentError, match=r"path='.*none.msh': there is no such file"):
        read_mesh(tmp_path / "none.msh")
    (tmp_path / "text.msh").write_text("no mesh\n")
    with pytest.raises(ArgumentError, match="path"):
        read_mesh(tmp_path / "text.msh")
    meshio.Mesh(np.zeros((2, 3)), [("line", [[0, 1]])]).write(tmp_path / "line.vtu")
    with pytest.raises(ArgumentError, match=r"has no triangles \(cells: line\)"):
        read_mesh(tmp_path / "line.vtu")
    flat = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=float)
    meshio.Mesh(flat, [("triangle", [[0, 1, 2]])]).write(tmp_path / "flat.vtu")
    with pytest.raises(InvalidShape, match=r"100\.0% of the triangles are flat"):
        read_mesh(tmp_path / "flat.vtu")


def test_what_is_wrong_with_fields_is_said(tmp_path):
    mesh = unit_square(1)
    with pytest.raises(ShapeError, match=r"fields\['y'\] has shape \(3,\)"):
        write_vtu(tmp_path / "a.vtu", mesh, {"y": np.ones(3)})
    with pytest.raises(NotFinite, match=r"fields\['y'\]"):
        write_vtu(tmp_path / "a.vtu", mesh, {"y": np.full(9, np.nan)})
    with pytest.raises(ArgumentError, match=r"path=.*expected a file"):
        write_vtu(tmp_path / "a.txt", mesh, {})
    with pytest.raises(ArgumentTypeError, match="mesh=str"):
        write_vtu(tmp_path / "a.vtu", "mesh", {})


def test_angles_and_areas_are_those_of_geometry():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, np.sqrt(3)]])
    both = np.array([[0, 1, 2], [0, 2, 1]])
    assert np.allclose(signed_areas(points, both), [np.sqrt(3) / 2, -np.sqrt(3) / 2])
    assert np.allclose(least_angles(points, both), 30)


def test_a_triangle_that_turns_over_or_is_too_sharp_is_a_named_violation():
    mesh = unit_square(2)
    points, triangles = mesh_arrays(mesh)
    check_shape(points, triangles)  # triangles of both ways round
    moved = points.copy()
    inner = mesh.interior_nodes()[0]
    moved[inner] += [0.5, 0.5]
    found = shape_violations(moved, triangles, points)
    assert found["signed_area"] > 0
    with pytest.raises(InvalidShape, match="turned over") as raised:
        check_shape(moved, triangles, points)
    assert raised.value.violations == found
    assert shape_violations(points, triangles, min_angle=50.0)["min_angle"] == pytest.approx(5)
    with pytest.raises(NotFinite, match="a node has a NaN"):
        check_shape(points * np.nan, triangles)


def test_refining_keeps_linear_functions():
    mesh = unit_square(2)
    finer, carry = refined(mesh)
    assert finer.t.shape[1] == 4 * mesh.t.shape[1]
    assert np.allclose(carry @ mesh.p.T, finer.p.T, atol=1e-15)


def test_linear_elements_on_the_square_have_the_five_point_stencil():
    from skfem import Basis, ElementTriP1
    from skfem.models.poisson import laplace, mass

    mesh = unit_square(3)
    basis, inside = Basis(mesh, ElementTriP1()), mesh.interior_nodes()
    A = laplace.assemble(basis).toarray()[np.ix_(inside, inside)]
    assert np.allclose(np.diag(A), 4)
    away = np.abs(mesh.p[:, inside][:, :, None] - mesh.p[:, inside][:, None, :]).sum(axis=0)
    assert np.allclose(A[np.isclose(away, 0.25)], -1)
    assert np.allclose(A[away > 0.26], 0)
    assert np.allclose(mass.assemble(basis).sum(axis=1)[inside], 1 / 16)
