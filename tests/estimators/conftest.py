"""What tests of the estimators share."""

import numpy as np
import pytest


@pytest.fixture
def problem(rng):
    X = rng.normal(size=(90, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 0.3 * rng.normal(size=90) + 5
    return X, y
