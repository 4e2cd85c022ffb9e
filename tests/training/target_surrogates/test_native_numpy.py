"""Target surrogates on functions of NumPy vectors."""

import numpy as np
import pytest
from targets import data, half_squares, linear

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.training import TargetSurrogate, target_surrogate_minimize


def test_the_numpy_form_is_the_torch_form():
    x, y = data()
    model = linear()
    opt = TargetSurrogate(model.parameters(), eta=0.5, m=4)
    start = model.weight.detach().numpy()[0].copy()
    for _ in range(6):
        info = opt.step(lambda: model(x), loss=half_squares(y))
    xs, ys = x.numpy(), y.numpy()
    found = target_surrogate_minimize(
        lambda w: xs @ w,
        lambda w: xs,
        lambda z: z - ys,
        start,
        eta=0.5,
        m=4,
        steps=6,
        loss=lambda z: ((z - ys) ** 2).sum() / 2,
    )
    assert np.allclose(found.x, model.weight.detach().numpy()[0])
    assert found.history["loss"][-1] == pytest.approx(float(info.loss))
    assert found.target_calls == found.n_iter == 6
    assert np.allclose(found.z, xs @ found.x)


def test_the_numpy_form_solves_ends_searches_and_takes_matrices():
    rng = np.random.default_rng(0)
    xs, ys = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))

    def jacobian(w):
        found = np.zeros((12, 2, 3, 2))
        for j in range(2):
            found[:, j, :, j] = xs
        return found

    for inner in ("lstsq", "cg"):
        found = target_surrogate_minimize(
            lambda w: xs @ w,
            jacobian,
            lambda z: z - ys,
            np.zeros((3, 2)),
            inner=inner,
            m=1,
            steps=5,
            tol=1e-8,
        )
        assert np.allclose(found.x, np.linalg.lstsq(xs, ys, rcond=None)[0], atol=1e-6)
        assert found.converged
        assert found.target_calls <= 3
    calls = []
    found = target_surrogate_minimize(
        lambda w: xs @ w,
        jacobian,
        lambda z: calls.append(1) or z - ys,
        np.zeros((3, 2)),
        eta="linesearch",
        steps=4,
        loss=lambda z: ((z - ys) ** 2).sum() / 2,
    )
    assert len(calls) == found.target_calls == 4
    for change, error, said in (
        ({"jac_f": lambda w: xs}, ShapeError, "jac_f gave shape"),
        ({"grad_l": lambda z: z[0]}, ShapeError, "grad_l gave shape"),
        ({"theta0": [np.inf]}, NotFinite, "theta0"),
        ({"f": 1}, ArgumentTypeError, "f=1: expected a function"),
        ({"eta": -1}, ArgumentError, "eta=-1"),
        ({"steps": 0}, ArgumentError, "steps=0"),
        ({"eta": "linesearch"}, ArgumentError, "needs values"),
    ):
        with pytest.raises(error, match=said):
            target_surrogate_minimize(
                **{
                    "f": lambda w: xs @ w,
                    "jac_f": jacobian,
                    "grad_l": lambda z: z - ys,
                    "theta0": np.zeros((3, 2)),
                    **change,
                }
            )
