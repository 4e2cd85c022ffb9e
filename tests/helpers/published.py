"""The published formulas of the instances, transcribed a second time: one point at a time."""

import math
from decimal import Decimal

import numpy as np

# -- the published formulas, one point at a time: x -> (f, [g]), g <= 0 is feasible ----------------


def ackley(x):
    d = len(x)
    return (
        -20 * math.exp(-0.2 * math.sqrt(sum(v * v for v in x) / d))
        - math.exp(sum(math.cos(2 * math.pi * v) for v in x) / d)
        + 20
        + math.e
    )


def _keane(x):
    c = [math.cos(v) ** 2 for v in x]
    top = abs(sum(v * v for v in c) - 2 * math.prod(c))
    return -top / math.sqrt(sum((j + 1) * v * v for j, v in enumerate(x))), [
        0.75 - math.prod(x),
        sum(x) - 7.5 * len(x),
    ]


def _truss(x):
    a, b = max(x[0], 1e-5), max(x[1], 1e-5)
    r = math.sqrt(2)
    return 100 * (2 * r * a + b), [
        (r * a + b) / (r * a * a + 2 * a * b) * 2 - 2,
        b / (r * a * a + 2 * a * b) * 2 - 2,
        2 / (a + r * b) - 2,
    ]


def _spring(x):
    d, D, N = x
    return (N + 2) * D * d**2, [
        1 - D**3 * N / (71785 * d**4),
        (4 * D**2 - D * d) / (12566 * (D * d**3 - d**4)) + 1 / (5108 * d**2) - 1,
        1 - 140.45 * d / (D**2 * N),
        (D + d) / 1.5 - 1,
    ]


def _vessel(x):
    s, t, r, length = x
    return (
        0.6224 * s * r * length + 1.7781 * t * r**2 + 3.1661 * s**2 * length + 19.84 * s**2 * r,
        [
            -s + 0.0193 * r,
            -t + 0.00954 * r,
            -math.pi * r**2 * length - 4 / 3 * math.pi * r**3 + 750 * 1728,
            length - 240,
        ],
    )


def _weld(x):
    h, w, t, b = x
    r = math.sqrt(0.25 * (w**2 + (h + t) ** 2))
    t1 = 6000 / (math.sqrt(2) * h * w)
    t2 = 6000 * (14 + 0.5 * w) * r / (2 * (0.707 * h * w * (w**2 / 12 + 0.25 * (h + t) ** 2)))
    return 1.10471 * h**2 * w + 0.04811 * t * b * (14 + w), [
        math.sqrt(t1**2 + t2**2 + w * t1 * t2 / r) - 13600,
        504000 / (t**2 * b) - 30000,
        h - b,
        6000 - 64746 * (1 - 0.0282346 * t) * t * b**3,
        2.1952 / (t**3 * b) - 0.25,
    ]


def _reducer(x, classic=False):
    b, m, z, l1, l2, d1, d2 = x
    g = [
        27 / (b * m**2 * z) - 1,
        397.5 / (b * m**2 * z**2) - 1,
        1.93 * l1**3 / (m * z * d1**4) - 1,
        1.93 * l2**3 / (m * z * d2**4) - 1,
        math.sqrt((745 * l1 / (m * z)) ** 2 + (16.9e6 if classic else 1.69e6)) / (110 * d1**3) - 1,
        math.sqrt((745 * l2 / (m * z)) ** 2 + 157.5e6) / (85 * d2**3) - 1,
        m * z / 40 - 1,
        5 * m / b - 1,
        b / (12 * m) - 1,
    ]
    return (
        0.7854 * b * m**2 * (3.3333 * z**2 + 14.9334 * z - 43.0934)
        - 1.508 * b * (d1**2 + d2**2)
        + 7.4777 * (d1**3 + d2**3)
        + 0.7854 * (l1 * d1**2 + l2 * d2**2)
    ), g + ([(1.5 * d1 + 1.9) / l1 - 1, (1.1 * d2 + 1.9) / l2 - 1] if classic else [])


def _exchanger(x, slip=125):
    x1, x2, x3, x4, x5, x6, x7, x8 = x
    return x1 + x2 + x3, [
        0.0025 * (x4 + x6) - 1,
        0.0025 * (x5 + x7 - x4) - 1,
        0.01 * (x8 - x5) - 1,
        833.33252 * x4 + 100 * x1 - x1 * x6 - 83333.333,
        1250 * x5 + x2 * x4 - x2 * x7 - slip * x4,
        x3 * x5 - 2500 * x5 - x3 * x8 + 1250000,
    ]


def _cantilever(x, classic=True):
    b, h = x[:5], x[5:]
    bend = (
        50000
        * 100**3
        / (3 * 2e7)
        * sum(c / (bk * hk**3 / 12) for c, bk, hk in zip((61, 37, 19, 7, 1), b, h, strict=True))
        if classic
        else 50000 * 100**3 * (1 / 100 + 7 / 100 + 19 / 100 + 37 / 100 + 61 / 100) / (3 * 2 * 107)
    )
    return 100 * sum(bk * hk for bk, hk in zip(b, h, strict=True)), [
        *(6 * 50000 * 100 * (5 - k) / (b[k] * h[k] ** 2) - 14000 for k in range(5)),
        bend - 2.7,
        *(h[k] / b[k] - 20 for k in range(5)),
    ]


def _car(x):
    x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11 = x
    return 1.98 + 4.9 * x1 + 6.67 * x2 + 6.98 * x3 + 4.01 * x4 + 1.78 * x5 + 2.73 * x7, [
        1.16 - 0.3717 * x2 * x4 - 0.00931 * x2 * x10 - 0.484 * x3 * x9 + 0.01343 * x6 * x10 - 1,
        0.261
        - 0.0159 * x1 * x2
        - 0.188 * x1 * x8
        - 0.019 * x2 * x7
        + 0.0144 * x3 * x5
        + 0.0008757 * x5 * x10
        + 0.08045 * x6 * x9
        + 0.00139 * x8 * x11
        + 0.00001575 * x10 * x11
        - 0.9,
        0.214
        + 0.00817 * x5
        - 0.131 * x1 * x8
        - 0.0704 * x1 * x9
        + 0.03099 * x2 * x6
        - 0.018 * x2 * x7
        + 0.0208 * x3 * x8
        + 0.121 * x3 * x9
        - 0.00364 * x5 * x6
        + 0.0007715 * x5 * x10
        - 0.0005354 * x6 * x10
        + 0.00121 * x8 * x11
        - 0.9,
        0.74
        - 0.061 * x2
        - 0.163 * x3 * x8
        + 0.001232 * x3 * x10
        - 0.166 * x7 * x9
        + 0.227 * x2**2
        - 0.9,
        28.98
        + 3.818 * x3
        - 4.2 * x1 * x2
        + 0.0207 * x5 * x10
        + 6.63 * x6 * x9
        - 7.7 * x7 * x8
        + 0.32 * x9 * x10
        - 32,
        33.86
        + 2.95 * x3
        + 0.1792 * x10
        - 5.057 * x1 * x2
        - 11 * x2 * x8
        - 0.0215 * x5 * x10
        - 9.98 * x7 * x8
        + 22 * x8 * x9
        - 32,
        46.36 - 9.9 * x2 - 12.9 * x1 * x8 + 0.1107 * x3 * x10 - 32,
        4.72
        - 0.5 * x4
        - 0.19 * x2 * x3
        - 0.0122 * x4 * x10
        + 0.009325 * x6 * x10
        + 0.000191 * x11**2
        - 4,
        10.58
        - 0.674 * x1 * x2
        - 1.95 * x2 * x8
        + 0.02054 * x3 * x10
        - 0.0198 * x4 * x10
        + 0.028 * x6 * x10
        - 9.9,
        16.45
        - 0.489 * x3 * x7
        - 0.843 * x5 * x6
        + 0.0432 * x9 * x10
        - 0.0556 * x9 * x11
        - 0.000786 * x11**2
        - 15.7,
    ]


def _sines(x):
    return math.cos(2 * x[0]) * math.cos(x[1]) + math.sin(x[0])


FORMULA = {
    "jlh1": lambda x: ((x[0] - 0.5) ** 2 + (x[1] - 0.5) ** 2, [x[0] + x[1] - 0.75]),
    "jlh2": lambda x: (_sines(x), [(x[0] + 5) ** 2 / 4 + x[1] ** 2 / 100 - 2.5]),
    "gkxwc1": lambda x: (_sines(x), [math.cos(x[0] + x[1]) - 0.5]),
    "gkxwc2": lambda x: (math.sin(x[0]) + x[1], [math.sin(x[0]) * math.sin(x[1]) + 0.95]),
    **{
        f"ackley-constrained-{d}d": lambda x: (ackley(x), [sum(x), math.hypot(*x) - 5])
        for d in (2, 6, 10)
    },
    "keane-bump": _keane,
    "three-bar-truss": _truss,
    "compression-spring": _spring,
    "pressure-vessel": _vessel,
    "pressure-vessel-classic": _vessel,
    "welded-beam": _weld,
    "reinforced-concrete-beam": lambda x: (
        29.4 * x[0] + 0.6 * x[2] * x[1],
        [x[1] / x[2] - 4, 180 + 7.35 * x[0] ** 2 / x[2] - x[0] * x[1]],
    ),
    "speed-reducer": _reducer,
    "speed-reducer-classic": lambda x: _reducer(x, classic=True),
    "heat-exchanger": _exchanger,
    "heat-exchanger-classic": lambda x: _exchanger(x, slip=1250),
    "cantilever-beam": _cantilever,
    "cantilever-beam-published": lambda x: _cantilever(x, classic=False),
    "car-side-impact": _car,
    "car-side-impact-classic": _car,
}
SCALE = {
    "pressure-vessel": [1, 1, 1296000, 1],
    "welded-beam": [13600, 30000, 1, 6000, 1],
    "heat-exchanger": [1, 1, 1, 1e5, 1e5, 1e5],
    "cantilever-beam": [14000] * 5 + [1] * 6,
}

# name: best objective and design to the digits that are given, share of feasible points among
# uniform ones
GIVEN = {
    "jlh1": ("0.03125", "0.375 0.375", "0.28"),
    "jlh2": ("-1.825440", "-1.837722 0", "0.62"),
    "gkxwc1": ("-2", "4.712389 0", "0.665"),
    "gkxwc2": ("0.253236", "4.712389 1.253236", "0.018"),
    "ackley-constrained-2d": ("0", "0 0", "0.175"),
    "ackley-constrained-6d": ("0", "0 0 0 0 0 0", "0.0035"),
    "ackley-constrained-10d": ("0", "0 0 0 0 0 0 0 0 0 0", "0.00002"),
    "keane-bump": (
        "-0.7971139",
        "3.1603 3.1222 3.0847 3.0473 3.0094 2.9705 2.9298 .5137 .5054 .4978 .4907 .4842 .4781 "
        ".4723 .4669 .4617 .4568 .4522",
        "0.9999",
    ),
    "three-bar-truss": ("263.895843", ".78868 .40825", "0.22"),
    "compression-spring": ("0.01266523", ".051689 .356718 11.288966", "0.0154"),
    "pressure-vessel": ("5910.0645", ".792376 .391672 41.055768 190", "0.40"),
    "pressure-vessel-classic": ("5885.3328", ".778169 .384649 40.319619 200", "0.40"),
    "welded-beam": ("2.381134", ".244369 6.218606 8.291471 .244369", "0.39"),
    "reinforced-concrete-beam": ("358.545703", "6.470522 33.497499 8.374375", "0.16"),
    "speed-reducer": ("2885.17927", "3.5 .7 17 7.3 7.3 2.9 5.286518", "0.0042"),
    "speed-reducer-classic": ("2994.47107", "3.5 .7 17 7.3 7.715320 3.350215 5.286654", "0.001"),
    "heat-exchanger": (
        "8312.9119",
        "100 2231.4559 5981.4559 121.42868 260.74176 278.57132 260.68691 360.74176",
        "0.000006",
    ),
    "heat-exchanger-classic": (
        "7049.24802",
        "579.30668 1359.97067 5109.97067 182.01770 295.60117 217.98230 286.41653 395.60117",
        "0.000006",
    ),
    "cantilever-beam": (
        "63108.7480",
        "3.057728 2.813267 2.523586 2.204556 1.749757 61.154566 56.265330 50.471726 44.091114 "
        "34.995140",
        "0.0057",
    ),
    "car-side-impact": (
        "22.842969",
        ".5 1.116366 .5 1.302197 .5 1.5 .5 .345 .2144 -19.561530 0",
        "0.082",
    ),
    "car-side-impact-classic": (
        "22.842969",
        ".5 1.116366 .5 1.302197 .5 1.5 .5 .345 .2144 -19.561530 0",
        "0.038",
    ),
}


def half(text):
    """Half a unit of the last digit given."""
    return 0.5 * 10.0 ** Decimal(text).as_tuple().exponent * (1 + 1e-6)


def uniform(problem, n, seed=0):
    return problem.space.from_unit(np.random.default_rng(seed).random((n, problem.space.d)))


def measured(problem, x):
    """(n,) objective, (n, m) scaled constraints."""
    seen = problem.measure(x, np.full(len(x), -1), np.full(len(x), -1))
    return seen.objective, seen.constraints


def scale(name):
    return np.array(SCALE.get(name.removesuffix("-classic").removesuffix("-published"), 1.0))
