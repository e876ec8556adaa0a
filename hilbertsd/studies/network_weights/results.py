"""Result of the study of basis weights: distances of networks from kernels, sparsity by round, and claims."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilbertsd.features.basis_weights import EigenBins, weights_distance
from hilbertsd.studies import form
from hilbertsd.studies.network_weights.presets import LEAST_ENERGY, RELATIVE_TOLERANCE, Setting
from hilbertsd.studies.sizes.seeds import paired_t

KINDS = ("gradient flow", "ridge")
"""Chains of a kernel: what networks that are stopped at ε tend to, and what the theory is about."""


OTHERWISE = (
    "distance of basis weights from those of the infinite kernel, of networks that are not trained by small steps of "
    "gradient descent in the NTK parameterisation"
)
"""What is reported of such networks."""

INFINITE, OWN = "the infinite kernel", "its own tangent kernel at initialisation"
"""Kernels that a network is laid beside: in all rounds together, and round by round."""


class Tangent(NamedTuple):
    """Weights a_t of single rounds in bins of the eigenvalue of the tangent kernel at each network's initialisation.

    Attributes
    ----------
    networks : (T, S, b) of the networks, of their own targets.
    kernels : (T, S, b) of gradient flow with this kernel on the same targets, stopped at the same ε.
    energies : (T, S, b) shares of the targets' energy; NaN where a chain has collapsed, as are the others.
    """

    networks: NDArray[np.float64]
    kernels: NDArray[np.float64]
    energies: NDArray[np.float64]

    def distances(self) -> NDArray[np.float64]:
        """(S,) root mean square distance over bins and rounds."""
        known = np.where(np.isnan(self.energies), 0, self.energies)
        return np.array(
            [
                weights_distance(*(each[:, s] for each in (self.networks, self.kernels, known)))
                for s in range(known.shape[1])
            ]
        )


class Kernel(NamedTuple):
    """Infinitely wide network.

    Attributes
    ----------
    bins : eigenvectors of its kernel matrix.
    tolerance : ε.
    weights : by kind of chain, (T, b) what is left of the labels after each round, B_t.
    energies : (b,) shares of the labels' energy.
    rounds : by kind of chain, number of rounds before collapse.
    """

    bins: EigenBins
    tolerance: float
    weights: dict[str, NDArray[np.float64]]
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
    tangent : the same of every single round with its network's own kernel.
    """

    setting: Setting
    learning_rate: float
    weights: NDArray[np.float64]
    steps: NDArray[np.int64]
    tangent: Tangent


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
            "distance of the network's basis weights from the kernel's, root mean square over bins and rounds, ± s.e.",
        ]

    def closing(self) -> list[str]:
        """Settings without a result."""
        return [f"no chain {setting}: {reason}" for setting, reason in self.unmet.items()]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per setting: distances from both chains and from the tangent kernel's, sparsity by round."""
        return [
            {
                "network": each.setting.network,
                "setting": each.setting.name,
                "from flow": _shown(self._distances(each, "gradient flow")),
                "from ridge": _shown(self._distances(each, "ridge")),
                "from own tangent kernel": _shown(each.tangent.distances()),
                "eigenvectors in use by round": _listed(self._in_use(each).mean(axis=1)),
                "steps": ", ".join(f"{steps:,.0f}" for steps in each.steps.mean(axis=1)),
            }
            for each in self.measured
        ]

    def claims(self) -> list[form.Claim]:
        """What nobody has published: how the agreement goes with width and training; and who gets sparser."""
        several = [name for name in self.kernels if len(self.plain(name)) > 1]
        claims = [self._width_claim(name, kernel) for name in several for kernel in (INFINITE, OWN)]
        for each in self.measured:
            if not each.setting.is_plain:
                claims.append(self._variant_claim(each))
        for setting in self.unmet:
            note = "no chain: training did not come to ε"
            claims.append(form.Claim(OTHERWISE, form.Verdict.REPORTED, {}, note, setting=setting))
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
                    "distances": {kind: self._distances(each, kind).tolist() for kind in KINDS},
                    "eigenvectors_in_use": _json(self._in_use(each)),
                    "tangent": {
                        **{name: _json(values) for name, values in each.tangent._asdict().items()},
                        "distances": each.tangent.distances().tolist(),
                    },
                }
                for each in self.measured
            ],
        }

    def _kernel(self, each: Measured) -> Kernel:
        return self.kernels[each.setting.network]

    def _distances(self, each: Measured, kind: str) -> NDArray[np.float64]:
        return self._kernel(each).distances(each.weights, kind)

    def from_flow(self, each: Measured, kernel: str) -> NDArray[np.float64]:
        """(S,) distances of a setting's networks from gradient flow with one of two kernels, `INFINITE` or `OWN`."""
        return each.tangent.distances() if kernel == OWN else self._distances(each, "gradient flow")

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
            note += f", {further.mean:+.3f} ± {further.standard_error:.3f} over small steps, p = {further.p_value:.2g}"
        return form.Claim(
            OTHERWISE,
            form.Verdict.REPORTED,
            numbers,
            note,
            setting=f"{each.setting.network}, width {each.setting.width:,}, {each.setting.name}",
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


def _json(values: NDArray[np.float64]) -> Any:
    """Nested lists, with None where there is no finite number."""
    if values.ndim > 1:
        return [_json(each) for each in values]
    return [float(value) if np.isfinite(value) else None for value in values]


def _estimate(found: form.Estimate) -> str:
    return f"{found.mean:.4f} ± {found.standard_error:.4f}"


def _shown(values: NDArray[np.float64]) -> str:
    return _estimate(form.mean_and_standard_error(values))


def _listed(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)
