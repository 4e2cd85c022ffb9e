"""A problem of one's own: the lightest cantilever that carries 2 kN at its end within 120 MPa and 2
mm.
"""

from feasible.blackbox import BlackBox


def beam(design):
    """One simulation gives mass, stress and deflection together. Lengths in mm, force in N, modulus
    in MPa.
    """
    width, height, length, force, modulus = (
        design["width"],
        design["height"],
        500.0,
        2000.0,
        210_000.0,
    )
    inertia = width * height**3 / 12
    return {
        "mass": 7.85e-6 * width * height * length,
        "stress": force * length * height / 2 / inertia,
        "deflection": force * length**3 / (3 * modulus * inertia),
    }


problem = BlackBox(
    beam,
    bounds={"width": (10, 60, "mm"), "height": (10, 100, "mm")},
    pass_as="mapping",
    objective="mass",
    unit="kg",
    limits={"stress": "<= 120 MPa", "deflection": "<= 2 mm"},
    known=lambda x: x[:, 1] <= 3 * x[:, 0],
)
