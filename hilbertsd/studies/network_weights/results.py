"""Result of the study of basis weights: distances of networks from kernels, movement of kernels, sparsity, claims."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.features.basis_weights import EigenBins, weights_distance
from hilbertsd.studies import form
from hilbertsd.studies.network_weights.presets import LEAST_ENERGY, RELATIVE_TOLERANCE, Setting, rounded
from hilbertsd.studies.network_weights.rounds import FAMILIES, Movement, RoundWeights
from hilbertsd.studies.sizes.seeds import paired_t

OTHERWISE = (
    "distance of basis weights from those of the infinite kernel, of networks that are not trained by small steps of "
    "gradient descent in the NTK parameterisation, or whose outputs are scaled"
)
"""What is reported of such networks."""

MOVES = "every round of a chain of networks moves its tangent kernel"
"""What is reported of all networks."""

INFINITE, ROUNDS_OF_INFINITE, OWN = (
    "the infinite kernel",
    "the infinite kernel, round by round",
    "its own tangent kernel at initialisation, round by round",
)
"""What a network is laid beside."""


class Kernel(NamedTuple):
    """Infinitely wide network.

    Attributes
    ----------
    matrix : (n, n) kernel matrix.
    bins : its eigenvectors.
    tolerance : ε.
    weights : by kind of chain, (T, b) what is left of the labels after each round, B_t.
    rounds_weights : by kind of chain, (T, b) what each round keeps of its targets, A_t; NaN where these are zero.
    energies : (b,) shares of the labels' energy.
    rounds : by kind of chain, number of rounds before collapse.
    """

    matrix: NDArray[np.float64]
    bins: EigenBins
    tolerance: float
    weights: dict[str, NDArray[np.float64]]
    rounds_weights: dict[str, NDArray[np.float64]]
    energies: NDArray[np.float64]
    rounds: dict[str, int]

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(b,) bins with enough of the labels' energy."""
        return self.energies >= LEAST_ENERGY

    def distances(self, weights: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
        """(S,) root mean square distance of (T, S, b) weights from those of a chain, over bins and rounds."""
        energies = np.broadcast_to(self.energies, self.weights[kind].shape)
        return np.array([weights_distance(one, self.weights[kind], energies) for one in np.moveaxis(weights, 1, 0)])

    def eigenvectors_in_use(self, weights: NDArray[np.float64]) -> Any:
        """(Σ_k w_k)²/Σ_k w_k² over eigenvectors with the weights of their bins, the last axis of (…, b) weights.

        As many equal weights among zeros have this number; sparser weights have a smaller one, whatever their size.
        Bins with little energy, in which weights are mostly noise, are left out.
        """
        inside = self.bins.places[self.bins.places >= 0]
        counts = np.bincount(inside, minlength=len(self.energies))[self.shown]
        kept = weights[..., self.shown]
        return (kept @ counts) ** 2 / (kept**2 @ counts)


@dataclass(frozen=True, eq=False)
class Measured:
    """Weights of one setting's chains.

    Attributes
    ----------
    setting : which networks.
    learning_rate : as it was used.
    weights : (T, S, b) b_t, what is left of the labels in bins of the infinite network's eigenvalue.
    steps : (T, S) numbers of steps.
    rounds : a_t of every single round in bins of the infinite network's eigenvalue.
    own_rounds : the same with each network's tangent kernel before training.
    movement : what training did to that kernel.
    """

    setting: Setting
    learning_rate: float
    weights: NDArray[np.float64]
    steps: NDArray[np.int64]
    rounds: RoundWeights
    own_rounds: RoundWeights
    movement: Movement


@dataclass(frozen=True, eq=False)
class Result(form.Result[Any]):
    """Weights of networks and kernels.

    Attributes
    ----------
    data, n_train : name of the data, and number of training images.
    kernels : by name of the architecture.
    measured : one for every setting.
    unmet : by setting, why there is none: training did not converge, or did not meet the tolerance.
    """

    data: str
    n_train: int
    kernels: dict[str, Kernel]
    measured: tuple[Measured, ...]
    unmet: dict[str, str]

    COLUMNS = (
        "setting",
        "b_t from flow, ridge",
        "on its own targets",
        "with own kernel",
        "kernel moves by round",
        "steps",
    )

    def headline(self) -> list[str]:
        """Data, tolerance, and what the numbers are."""
        S = self.measured[0].weights.shape[1]
        rounds = "; ".join(
            f"{name} {kernel.rounds['gradient flow']} by gradient flow, {kernel.rounds['ridge']} by ridge"
            for name, kernel in self.kernels.items()
        )
        return [
            f"{self.data}, {self.n_train:,} training images, ε = {RELATIVE_TOLERANCE:g} of the labels' mean square, "
            f"{S} seeds; rounds before collapse of the infinitely wide network: {rounds}",
            "distances of basis weights from gradient flow and from ridge with a kernel, root mean square "
            "over bins and rounds, ± s.e.; 1 − cosine between the centred tangent kernels before and after training",
        ]

    def closing(self) -> list[str]:
        """Settings without a result."""
        return [f"no chain {setting}: {reason}" for setting, reason in self.unmet.items()]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per setting: distances from both chains and round by round, movement, sparsity by round."""
        return [
            {
                "network": each.setting.network,
                "setting": each.setting.name,
                "b_t from flow, ridge": _both({kind: self._distances(each, kind) for kind in FAMILIES}),
                "a_t from flow, ridge": _both(self._from_path(each)),
                "on its own targets": _both({kind: each.rounds.distances(kind) for kind in FAMILIES}),
                "with own kernel": _both({kind: each.own_rounds.distances(kind) for kind in FAMILIES}),
                "kernel moves by round": ", ".join(f"{moved:.3f}" for moved in each.movement.turned.mean(axis=1)),
                "eigenvectors in use by round": _listed(self._in_use(each).mean(axis=1)),
                "steps": ", ".join(f"{steps:,.0f}" for steps in each.steps.mean(axis=1)),
            }
            for each in self.measured
        ]

    def claims(self) -> list[form.Claim]:
        """What nobody has published: agreement by width and training; whose kernel moves; and who gets sparser."""
        several = [name for name in self.kernels if len(self.plain(name)) > 1]
        claims = [self._width_claim(name, kernel) for name in several for kernel in (INFINITE, ROUNDS_OF_INFINITE, OWN)]
        for each in self.measured:
            if not each.setting.is_plain:
                claims.append(self._variant_claim(each))
        for setting in self.unmet:
            note = "no chain: training did not come to ε"
            claims.append(form.Claim(OTHERWISE, form.Verdict.REPORTED, {}, note, setting=setting))
        claims += map(_moves, self.measured)
        return [*claims, *(self._kernel_sparser(name) for name in self.kernels), *map(self._sparser, self.measured)]

    def plain(self, network: str) -> list[Measured]:
        """Networks of one architecture that differ in width alone."""
        return [each for each in self.measured if each.setting.network == network and each.setting.is_plain]

    def numbers(self) -> dict[str, Any]:
        """Weights by kernel, setting, round and seed; None where there is no number."""
        return {
            "data": self.data,
            "n_train": self.n_train,
            "unmet": self.unmet,
            "kernels": {
                name: {
                    "tolerance": kernel.tolerance,
                    "rounds": kernel.rounds,
                    "edges": kernel.bins.edges.tolist(),
                    "energies": kernel.energies.tolist(),
                    "weights": {kind: _json(weights) for kind, weights in kernel.weights.items()},
                    "rounds_weights": {kind: _json(weights) for kind, weights in kernel.rounds_weights.items()},
                    "eigenvectors_in_use": {k: _json(kernel.eigenvectors_in_use(w)) for k, w in kernel.weights.items()},
                }
                for name, kernel in self.kernels.items()
            },
            "settings": [
                {
                    **vars(each.setting),
                    "learning_rate": each.learning_rate,
                    "steps": each.steps.tolist(),
                    "weights": _json(each.weights),
                    "distances": {kind: self._distances(each, kind).tolist() for kind in FAMILIES},
                    "eigenvectors_in_use": _json(self._in_use(each)),
                    "rounds": {
                        **_rounds(each.rounds),
                        "distances_from_path": {kind: _json(far) for kind, far in self._from_path(each).items()},
                    },
                    "own_rounds": _rounds(each.own_rounds),
                    "movement": {name: _json(values) for name, values in each.movement._asdict().items()},
                }
                for each in self.measured
            ],
        }

    def _kernel(self, each: Measured) -> Kernel:
        return self.kernels[each.setting.network]

    def _distances(self, each: Measured, kind: str) -> NDArray[np.float64]:
        return self._kernel(each).distances(each.weights, kind)

    def _from_path(self, each: Measured) -> dict[str, NDArray[np.float64]]:
        """By kind of chain, (S,) distances of a_t from A_t of the infinite kernel's own path."""
        return {kind: each.rounds.distances_from(self._kernel(each).rounds_weights[kind]) for kind in FAMILIES}

    def from_flow(self, each: Measured, kernel: str) -> NDArray[np.float64]:
        """(S,) distances of a setting's networks from gradient flow: `INFINITE`, `ROUNDS_OF_INFINITE` or `OWN`."""
        if kernel == INFINITE:
            return self._distances(each, "gradient flow")
        return (each.own_rounds if kernel == OWN else each.rounds).distances("gradient flow")

    def _in_use(self, each: Measured) -> NDArray[np.float64]:
        """(T, S) eigenvectors in use."""
        return self._kernel(each).eigenvectors_in_use(each.weights)

    def _width_claim(self, network: str, kernel: str) -> form.Claim:
        """Distance by width, and the exponent of the width between the narrowest and the widest."""
        plain = self.plain(network)
        found = [form.mean_and_standard_error(self.from_flow(each, kernel)) for each in plain]
        widths = [each.setting.width for each in plain]
        span = np.log(widths[-1] / widths[0])
        exponent = float(np.log(found[-1].mean / found[0].mean) / span)
        relative = [each.standard_error / each.mean for each in (found[0], found[-1])]
        error = float(np.linalg.norm(relative) / span)
        by_width = ", ".join(f"{_estimate(each)} at {width:,}" for each, width in zip(found, widths, strict=True))
        return form.Claim(
            f"the wider a network, the closer its basis weights are to those of gradient flow with {kernel}",
            form.Verdict.REPORTED,
            {
                "widths": widths,
                "distances": [each._asdict() for each in found],
                "exponent": {"mean": exponent, "standard_error": error},
            },
            f"distance {by_width}; between narrowest and widest as width^({exponent:.2f} ± {error:.2f})",
            setting=network,
        )

    def _variant_claim(self, each: Measured) -> form.Claim:
        """Distance of a network that learns features, beside that of the plain one of its width."""
        same = [one for one in self.plain(each.setting.network) if one.setting.width == each.setting.width]
        ours = self._distances(each, "gradient flow")
        found = form.mean_and_standard_error(ours)
        numbers: dict[str, Any] = {"distance": found._asdict()}
        note = f"distance {_estimate(found)}"
        if same:
            further = paired_t(ours - self._distances(same[0], "gradient flow"), "two-sided")
            numbers["over_small_rate"] = further._asdict()
            note += (
                f", {further.mean:+.3f} ± {further.standard_error:.3f} over small steps at width "
                f"{each.setting.width:,}, p = {further.p_value:.2g}"
            )
        return form.Claim(
            OTHERWISE,
            form.Verdict.REPORTED,
            numbers,
            note,
            setting=f"{each.setting.network}, {each.setting.name}",
        )

    def _kernel_sparser(self, network: str) -> form.Claim:
        """MFB's claim, of the kernel's own path."""
        kernel = self.kernels[network]
        weights = kernel.weights["ridge"][: kernel.rounds["ridge"], kernel.shown]
        ratios = (weights[:, 1:] / weights[:, :-1]).min(axis=1)
        in_use = kernel.eigenvectors_in_use(kernel.weights["ridge"][: len(weights)])
        return form.Claim(
            "basis weights get sparser in every round",
            form.Verdict.of(bool(np.all(np.diff(ratios) > 0))),
            {"smallest_neighbour_ratio": ratios.tolist(), "eigenvectors_in_use": in_use.tolist()},
            f"smallest ratio of neighbouring bins by round {', '.join(f'{ratio:.3f}' for ratio in ratios)}; "
            f"eigenvectors in use {_listed(in_use)}",
            source="MFB §3.5, Theorem 5",
            setting=f"infinitely wide {network}",
        )

    def _sparser(self, each: Measured) -> form.Claim:
        """The same of a chain of networks, of which the paper says nothing."""
        in_use = self._in_use(each)
        change = paired_t(in_use[-1] - in_use[0], "less")
        mean = in_use.mean(axis=1)
        return form.Claim(
            "basis weights of a chain of networks get sparser",
            form.Verdict.REPORTED,
            {"eigenvectors_in_use": mean.tolist(), "last_round_minus_round_0": change._asdict()},
            f"eigenvectors in use by round {_listed(mean)}; last minus first {change.mean:+.1f} ± "
            f"{change.standard_error:.1f}, p = {change.p_value:.2g}",
            setting=f"{each.setting.network}, {each.setting.name}",
        )


def _moves(each: Measured) -> form.Claim:
    """Movement of the kernels of every round, and whether the last moves as far as the first."""
    movement = each.movement
    turned, aligned = (
        [form.mean_and_standard_error(row) for row in rows] for rows in (movement.turned, _gain(movement))
    )
    later = paired_t(movement.turned[-1] - movement.turned[0], "two-sided")
    numbers = {
        "turned": [one._asdict() for one in turned],
        "alignment_gain": [one._asdict() for one in aligned],
        "last_round_minus_round_0": later._asdict(),
    }
    return form.Claim(
        MOVES,
        form.Verdict.REPORTED,
        numbers,
        f"1 − cosine by round {', '.join(map(_estimate, turned))}; last minus first {later.mean:+.4f} ± "
        f"{later.standard_error:.4f}, p = {later.p_value:.2g}; alignment with the labels rises by "
        f"{', '.join(map(_estimate, aligned))}",
        setting=f"{each.setting.network}, {each.setting.name}",
    )


def _gain(movement: Movement) -> NDArray[np.float64]:
    return movement.aligned_after - movement.aligned_before


def _rounds(weights: RoundWeights) -> dict[str, Any]:
    """Weights and distances of single rounds, ready for JSON."""
    return {
        "networks": _json(weights.networks),
        "kernels": {kind: _json(values) for kind, values in weights.kernels.items()},
        "energies": _json(weights.energies),
        "distances": {kind: _json(weights.distances(kind)) for kind in FAMILIES},
        "distances_by_round": {kind: _json(weights.distances_by_round(kind)) for kind in FAMILIES},
    }


def _both(distances: dict[str, NDArray[np.float64]]) -> str:
    """Distances from both families' fits."""
    return ", ".join(_estimate(form.mean_and_standard_error(each)) for each in distances.values())


def _json(values: NDArray[np.float64]) -> Any:
    """Nested lists of numbers with six digits, with None where there is no finite number."""
    if values.ndim > 1:
        return [_json(each) for each in values]
    return [rounded(value) if np.isfinite(value) else None for value in values]


def _estimate(found: form.Estimate) -> str:
    return f"{found.mean:.4f} ± {found.standard_error:.4f}"


def _listed(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
