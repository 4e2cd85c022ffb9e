"""Meshes of triangles: made, read from files, checked, refined, and written with their fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import fits, floats, naming, whole
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ..core.extras import named
from .errors import InvalidShape

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_array
    from skfem import MeshTri

MOST = 2000
"""Most interior nodes along a side of a square that is made here."""
SUFFIXES = (".vtu", ".vtk", ".xdmf")


@checked
def unit_square(n: int) -> MeshTri:
    """The unit square with n interior nodes along a side and diagonals of one direction.

    On it linear elements have the five-point stencil, and the lumped mass of an interior node is
    h^2, h = 1 / (n + 1).

    Args:
        n: Interior nodes along a side.

    Raises:
        ArgumentError: n is not in [1, 2000].
    """
    n = whole("n", n, least=1, most=MOST)
    fits("n", n, "the nodes", 2, n + 2, n + 2)
    with named("unit_square", "physics"):
        from skfem import MeshTri
    line = np.linspace(0.0, 1.0, n + 2)
    return MeshTri.init_tensor(line, line)


@checked
def read_mesh(path: str | Path) -> MeshTri:
    """The triangles of a mesh file of any format that meshio reads (`.msh`, `.vtu`, `.xdmf`, ...).

    Args:
        path: The file.

    Raises:
        ArgumentError: There is no such file, it cannot be read, or it has no triangles.
        InvalidShape: A triangle is flat.
    """
    file = Path(path)
    if not file.is_file():
        raise ArgumentError(f"path='{file}': there is no such file")
    with named("read_mesh", "physics"):
        import meshio
        from skfem import MeshTri
    try:
        with naming("path"):
            found = meshio.read(file)
    except (SystemExit, meshio.ReadError) as error:  # meshio ends the process where no reader fits
        raise ArgumentError(f"path='{file}': meshio cannot read it ({error})") from error
    cells = [block.data for block in found.cells if block.type == "triangle"]
    if not cells:
        kinds = ", ".join(sorted({block.type for block in found.cells})) or "none"
        raise ArgumentError(f"path='{file}' has no triangles (cells: {kinds})")
    triangles = np.concatenate(cells)
    used, numbers = np.unique(triangles, return_inverse=True)
    points = found.points[used, :2].T
    check_shape(points.T, numbers.reshape(triangles.shape))
    return MeshTri(np.ascontiguousarray(points), np.ascontiguousarray(numbers.reshape(-1, 3).T))


@checked
def write_vtu(path: str | Path, mesh: Any, fields: Mapping[str, Any]) -> None:
    """Write a mesh and its fields to a file that ParaView and others read.

    Args:
        path: Where, with the ending .vtu, .vtk or .xdmf.
        mesh: A mesh of triangles of scikit-fem.
        fields: Name -> (nodes,) or (nodes, 2) values at nodes, or (triangles,) at triangles.

    Raises:
        ArgumentError: Another ending, a folder that is not there.
        ArgumentTypeError: Something else than a mesh.
        ShapeError: A field has another number of values; names it.
        NotFinite: A field has a NaN or an infinity; names it.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES or not file.parent.is_dir():
        raise ArgumentError(
            f"path='{file}': expected a file in a folder that is there, ending in "
            f"{', '.join(SUFFIXES)}"
        )
    points, triangles = mesh_arrays(mesh)
    at_nodes, at_cells = {}, {}
    for name, values in fields.items():
        array = floats(f"fields[{name!r}]", values)
        if not np.isfinite(array).all():
            raise NotFinite(f"fields[{name!r}] has a NaN or an infinity: expected finite numbers")
        if array.ndim in (1, 2) and len(array) == len(points):
            wide = array.ndim == 2 and array.shape[1] == 2
            at_nodes[str(name)] = np.pad(array, ((0, 0), (0, 1))) if wide else array
        elif array.shape == (len(triangles),):
            at_cells[str(name)] = [array]
        else:
            raise ShapeError(
                f"fields[{name!r}] has shape {array.shape}: expected ({len(points)},) or "
                f"({len(points)}, 2) at nodes, or ({len(triangles)},) at triangles"
            )
    with named("write_vtu", "physics"):
        import meshio
    meshio.Mesh(
        np.pad(points, ((0, 0), (0, 1))),
        [("triangle", triangles)],
        point_data=at_nodes,
        cell_data=at_cells,
    ).write(file)


def mesh_arrays(mesh: Any) -> tuple[Float[np.ndarray, "n 2"], Int[np.ndarray, "t 3"]]:
    """Return the nodes and the triangles of a mesh, or raise ArgumentTypeError."""
    points, triangles = getattr(mesh, "p", None), getattr(mesh, "t", None)
    if np.ndim(points) != 2 or np.ndim(triangles) != 2 or len(triangles) != 3:  # type: ignore[arg-type]
        raise ArgumentTypeError(
            f"mesh={type(mesh).__name__}: expected a mesh of triangles of scikit-fem"
        )
    return np.asarray(points).T, np.asarray(triangles).T


def signed_areas(
    points: Float[np.ndarray, "n 2"], triangles: Int[np.ndarray, "t 3"]
) -> Float[np.ndarray, " t"]:
    """(t,) areas, negative where the corners go clockwise."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    u, v = b - a, c - a
    return 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def least_angles(
    points: Float[np.ndarray, "n 2"], triangles: Int[np.ndarray, "t 3"]
) -> Float[np.ndarray, " t"]:
    """(t,) the least angle of each triangle, in degrees; 0 where a side has no length."""
    sides = [points[triangles[:, (i + 1) % 3]] - points[triangles[:, i]] for i in range(3)]
    lengths = [np.hypot(*s.T) for s in sides]
    found = []
    for i in range(3):
        u, v, size = sides[i], -sides[i - 1], lengths[i] * lengths[i - 1]
        cross = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
        angle = np.degrees(np.arctan2(cross, (u * v).sum(axis=1)))
        found.append(np.where(size > 0, angle, 0.0))
    return np.min(found, axis=0)


def shape_violations(
    points: Float[np.ndarray, "n 2"],
    triangles: Int[np.ndarray, "t 3"],
    reference: Float[np.ndarray, "n 2"] | None = None,
    min_angle: float = 0.0,
) -> dict[str, float]:
    """How far a mesh misses what a solver needs; all 0 where it may be solved on.

    Args:
        points: (n, 2) the nodes.
        triangles: (t, 3) their numbers.
        reference: (n, 2) the nodes before a deformation: no triangle may have turned over. None:
            triangles may go round either way, and none may be flat.
        min_angle: Degrees that every angle must have.

    Returns:
        signed_area, the share of triangles that are flat or turned over, and min_angle, the degrees
        that the sharpest angle is below `min_angle`.
    """
    areas = signed_areas(points, triangles)
    way = np.sign(areas) if reference is None else np.sign(signed_areas(reference, triangles))
    scale = np.abs(areas).max(initial=0.0)
    turned = ~(areas * way > 1e-12 * scale)
    sharp = np.maximum(min_angle - least_angles(points, triangles), 0.0)
    return {"signed_area": float(turned.mean()), "min_angle": float(sharp.max(initial=0.0))}


def check_shape(
    points: Float[np.ndarray, "n 2"],
    triangles: Int[np.ndarray, "t 3"],
    reference: Float[np.ndarray, "n 2"] | None = None,
    min_angle: float = 0.0,
) -> None:
    """Raise InvalidShape, NotFinite where `shape_violations` finds one, or a node is no number."""
    if not np.isfinite(points).all():
        raise NotFinite("mesh: a node has a NaN or an infinity: expected finite numbers")
    found = shape_violations(points, triangles, reference, min_angle)
    if any(found.values()):
        raise InvalidShape(
            f"mesh: {found['signed_area']:.1%} of the triangles are flat or turned over, the "
            f"sharpest angle is {found['min_angle']:.3g} degrees below {min_angle:g}",
            found,
        )


def refined(mesh: MeshTri) -> tuple[MeshTri, csr_array]:
    """The mesh with every triangle cut into four, and the matrix that takes values at its nodes to
    the linear function's values at the finer one's.
    """
    from scipy.sparse import csr_array

    finer = mesh.refined(1)
    n, ends = mesh.p.shape[1], mesh.facets
    new = n + np.arange(ends.shape[1])
    rows = np.concatenate([np.arange(n), new, new])
    columns = np.concatenate([np.arange(n), ends[0], ends[1]])
    values = np.concatenate([np.ones(n), np.full(2 * ends.shape[1], 0.5)])
    return finer, csr_array((values, (rows, columns)), shape=(finer.p.shape[1], n))
