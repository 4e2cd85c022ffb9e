"""Pools and paths: their moments, and that components stay together."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core import errors
from feasible.operations import autoregressive_paths, historical_pool, lognormal_pool


def test_log_normal_noise_has_the_mean_and_the_correlation_asked_for():
    pool = lognormal_pool([[2.0, 5.0]], 0.4, 20_000, [[1.0, 0.7], [0.7, 1.0]], seed=1)[0]
    assert pool.mean(axis=0) == pytest.approx([2.0, 5.0], rel=0.02)
    logs = np.log(pool)
    assert logs.std(axis=0) == pytest.approx([0.4, 0.4], rel=0.02)
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.7, abs=0.02)


def test_a_correlation_that_is_none_is_refused():
    with pytest.raises(errors.ArgumentError, match="positive definite"):
        lognormal_pool([[1.0, 1.0]], 0.1, 3, [[1.0, 2.0], [2.0, 1.0]])


def test_a_historical_pool_has_every_year_with_its_components_together():
    record = np.arange(12.0).reshape(3, 2, 2)
    pool = historical_pool(record)
    assert pool.shape == (2, 3, 2)
    assert np.array_equal(pool[1], record[:, 1])
    record[1, 0, 1] = np.nan
    with pytest.raises(errors.NotFinite, match="year 1, stage 0, component 1"):
        historical_pool(record)


def test_autoregressive_paths_keep_the_records_season_and_its_dependence():
    rng = np.random.default_rng(0)
    z = np.zeros((4000, 6))
    for t in range(6):
        z[:, t] = (0.8 * z[:, t - 1] if t else 0.0) + 0.6 * rng.standard_normal(4000)
    record = np.exp(np.linspace(0, 2, 6) + 0.3 * z)[..., None]
    paths = autoregressive_paths(record, 4000, seed=2)
    logs = np.log(paths[..., 0])
    assert logs.mean(axis=0) == pytest.approx(np.log(record[..., 0]).mean(axis=0), abs=0.02)
    given = np.corrcoef(np.log(record[..., 0]).T)[4, 5]
    assert np.corrcoef(logs.T)[4, 5] == pytest.approx(given, abs=0.04)
