"""What the paper publishes of its spline example."""


def check_published_numbers(mean_square, floor, collapse_round, multipliers, grid_errors):
    """To every digit known of the authors' draw at ε = 0.045."""
    assert f"{mean_square:.5f}" == "0.57354"
    assert f"{floor:.7f}" == "0.0418611"
    assert collapse_round == 4
    assert [f"{c:.3e}" for c in multipliers] == ["2.705e-06", "8.763e-05", "2.738e-04", "7.900e-04"]
    assert [f"{e:.3f}" for e in grid_errors] == ["0.154", "0.069", "0.121", "0.307"]
