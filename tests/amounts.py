"""How many problems of a kind a test takes: a few by default, more in the slow tests, all with `-m exhaustive`."""

import pytest


def amounts(usual, slow, all_of_them):
    """Values for a parameter of a test, the later ones marked."""
    return [
        usual,
        pytest.param(slow, marks=pytest.mark.slow),
        pytest.param(all_of_them, marks=pytest.mark.exhaustive),
    ]
