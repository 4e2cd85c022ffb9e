"""A problem of one's own: the lightest cantilever that carries 2 kN at its end within 120 MPa and 2
mm.
"""

from feasible.blackbox import BlackBox

LENGTH, FORCE, MODULUS = 500.0, 2000.0, 210_000.0  # mm, N, MPa


def beam(design):
    """Simulate a cantilever once: mass in kg, stress in MPa, deflection in mm."""
    width, height = design["width"], design["height"]
    inertia = width * height**3 / 12
    return {
        "mass": 7.85e-6 * width * height * LENGTH,
        "stress": FORCE * LENGTH * height / 2 / inertia,
        "deflection": FORCE * LENGTH**3 / (3 * MODULUS * inertia),
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
