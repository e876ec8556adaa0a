"""What the tests of studies share."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def table(tmp_path, rng):
    X = rng.normal(size=(120, 3))
    y = 10 + np.sin(2 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=120)
    path = tmp_path / "table.csv"
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "price": y}).to_csv(path, index=False)
    return path
