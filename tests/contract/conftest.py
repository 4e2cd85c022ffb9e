"""Settings of the contract's tests."""

import cases
import pytest

from feasible.bilevel.bidirectional_sequence_design import models


@pytest.fixture(scope="session", autouse=True)
def _briefly_trained():
    """Designers of sequences are asked for dozens of runs on new data: their proxies learn less."""
    with pytest.MonkeyPatch.context() as patch:
        if not cases.FULL:
            patch.setattr(models.Convolutions.fit, "__defaults__", (10, None))
        yield
