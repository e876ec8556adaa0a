"""How far chains of one setting and width are from the limit, by seed and round, and how that changes with the width.

measures = Measures.of(chains, limit)        # of S seeds
measures.distance                            # (S, T) root mean square over the test images
slopes([8, 32, 128], [measures, …], "distance", 0)  # (S,) of log distance against log width, -1/2 in theory
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.studies import form
from hilbertsd.studies.wide_limit.limits import Limit

if TYPE_CHECKING:  # it loads JAX
    from hilbertsd.features import TangentChain


@dataclass(frozen=True, eq=False)
class Measures:
    """Distances of S chains of T rounds; NaN for chains that did not converge, and from their collapse round on.

    Attributes
    ----------
    distance : (S, T) root mean square over test images of network minus limit; a collapsed chain is the zero function.
    from_linearised : (S, T) of network minus its own linearisation at the start, on the same targets: how far it is
        from linear in its parameters.
    of_linearised : (S, T) of that linearisation minus the limit: what its random kernel, and targets, are off.
    kernel_distance : (S, T) ‖K̂ − K‖/‖K‖ of the tangent kernel of the training images at the start, Frobenius norms.
    kernel_change : (S, T) ‖K̂_trained − K̂‖/‖K̂‖.
    steps : (S, T) number of steps.
    collapsed : (S,) collapse round, NaN where there is none among the T.
    unmet : (S,) why a chain did not converge, empty where it did.
    """

    distance: NDArray[np.float64]
    from_linearised: NDArray[np.float64]
    of_linearised: NDArray[np.float64]
    kernel_distance: NDArray[np.float64]
    kernel_change: NDArray[np.float64]
    steps: NDArray[np.float64]
    collapsed: NDArray[np.float64]
    unmet: list[str]

    @classmethod
    def of(cls, chains: Sequence[TangentChain | str], limit: Limit) -> Self:
        """Measure chains, of which those that did not converge are texts."""
        rounds = len(limit.test_outputs)
        none = np.full(rounds, np.nan)
        rows = [[none] * 6 if isinstance(chain, str) else _measured(chain, limit, rounds) for chain in chains]
        collapsed = [np.nan if isinstance(c, str) or c.collapse_round is None else c.collapse_round for c in chains]
        distance, from_linearised, of_linearised, kernel_distance, kernel_change, steps = np.array(rows).swapaxes(0, 1)
        return cls(
            distance,
            from_linearised,
            of_linearised,
            kernel_distance,
            kernel_change,
            steps,
            np.array(collapsed, np.float64),
            [chain if isinstance(chain, str) else "" for chain in chains],
        )

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(S,) which chains came to their end."""
        return np.array([not reason for reason in self.unmet])

    def estimate(self, name: str, round: int) -> form.Estimate | None:  # noqa: A002  # the field's word
        """Mean over seeds of a measure in a round; None with fewer than two chains."""
        values = getattr(self, name)[:, round]
        values = values[np.isfinite(values)]
        return form.mean_and_standard_error(values) if len(values) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Every measure by seed and round, ready for JSON, with None for NaN."""
        arrays = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "unmet"}
        return {**{name: _listed(values) for name, values in arrays.items()}, "unmet": self.unmet}


def slopes(
    widths: Sequence[int],
    by_width: Sequence[Measures],
    name: str,
    round: int | None,  # noqa: A002
) -> NDArray[np.float64]:
    """(S,) slopes of the logarithm of a measure against that of the width, one for each seed that has all widths.

    Networks of one seed and several widths are independent, so that slopes of different seeds are, too.

    Parameters
    ----------
    widths : (W,) widths.
    by_width : (W,) measures.
    name : name of the measure.
    round : which round; None for the mean over all rounds of a chain.
    """
    values = np.array([getattr(each, name) for each in by_width])
    values = np.mean(values, axis=2) if round is None else values[:, :, round]
    logs = np.log(values[:, np.all(np.isfinite(values) & (values > 0), axis=0)])
    x = np.log(widths) - np.mean(np.log(widths))
    return x @ logs / np.sum(x**2)


def _measured(chain: TangentChain, limit: Limit, rounds: int) -> list[NDArray[np.float64]]:
    test, linearised = chain.test_outputs[:rounds], chain.linearised_outputs[:rounds]
    initial, trained = chain.initial_kernels[:rounds], chain.trained_kernels[:rounds]
    alive = np.where(np.isfinite(initial[:, 0, 0]), 1.0, np.nan)
    return [
        _root_mean_square(test - limit.test_outputs),
        alive * _root_mean_square(test - linearised),
        alive * _root_mean_square(linearised - limit.test_outputs),
        _norms(initial - limit.kernel) / np.linalg.norm(limit.kernel),
        _norms(trained - initial) / _norms(initial),
        alive * chain.steps[:rounds],
    ]


def _root_mean_square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.mean(values**2, axis=1))


def _norms(kernels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.norm(kernels, axis=(1, 2))


def _listed(values: NDArray[np.float64]) -> Any:
    """Nested lists with None in place of NaN, six digits."""
    if values.ndim > 1:
        return [_listed(row) for row in values]
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
