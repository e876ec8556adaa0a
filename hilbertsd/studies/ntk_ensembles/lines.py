"""Lines of tables of uses: accuracy of single models in per cent, and the points that every other use adds to it.

line((66.68, 0.2), {"ensemble": (3.86, 0.3)}, digits=1)  # {"single": "66.7 ± 0.2", "ensemble": "+3.9 ± 0.3"}
"""

from collections.abc import Container, Mapping

Given = tuple[float, float | None]
"""Mean and its standard error, None where a paper gives none."""


def line(single: Given, added: Mapping[str, Given], digits: int, seen: Container[str] = ()) -> dict[str, str]:
    """Columns of one line.

    Parameters
    ----------
    single : accuracy of single models.
    added : by use, what it adds.
    digits : number of decimals.
    seen : uses of which a test sees that they differ from single models; they have a star.
    """
    columns = {use: points(*each, digits, use in seen) for use, each in added.items()}
    return {"single": f"{single[0]:.{digits}f}{_error(single[1], digits)}", **columns}


def points(mean: float, error: float | None, digits: int, seen: bool = False) -> str:
    """Difference with its sign and its standard error, and a star where a test sees it."""
    return f"{mean:+.{digits}f}{_error(error, digits)}{'*' if seen else ''}"


def _error(error: float | None, digits: int) -> str:
    return "" if error is None else f" ± {error:.{digits}f}"
