"""A user's table, from the file to the path: what `distill`, `check-bounds` and the study `spectrum` share.

    config = TableConfig(Path("table.csv"), "price", gamma=0.3)
    prepared = prepare(config, test_fraction=0.25)     # read, split, standardised, centred, decomposed
    path = distilled(prepared, config)                 # with ε = 0.1 of the training targets' mean square

Features are standardised by the training rows and the target is centred on their mean.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hilbertsd.data.tables import Table, column_statistics, read_table, standardised_columns
from hilbertsd.distillation.centring import centred_targets
from hilbertsd.distillation.chain import bytes_to_decompose, distill_spectrum
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.errors import InvalidInput
from hilbertsd.spectral.spectrum import Spectrum
from hilbertsd.studies import form
from hilbertsd.support.machine import physical_memory
from hilbertsd.support.progress import working

if TYPE_CHECKING:
    from hilbertsd.gram.named import NamedKernel


@dataclass(frozen=True)
class TableConfig(form.Config):
    """Which table, kernel and ε."""

    table: Path = form.argument("CSV or other delimited text, Parquet or NPZ, with named columns.")
    target: str = form.option(help="Column (NPZ: array) to predict; all others are features.")
    kernel: str = form.option("rbf", "A scikit-learn pairwise kernel: rbf, laplacian, linear, ...")
    gamma: float | None = form.option(None, "Kernel width, on standardised features. [default: 1/number of features]")
    relative_tolerance: float = form.option(0.1, "ε as a fraction of the centred targets' mean square.")
    drop: tuple[str, ...] = form.option((), "Column to leave out; repeat for more.")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table ready to be distilled: split, standardised, centred, decomposed.

    Attributes
    ----------
    table : features and targets as read.
    train, test : positions of the training and test rows, each ascending.
    kernel : kernel function between standardised rows.
    means, scales : what the features were standardised with.
    features : (n_train, p) standardised features of the training rows.
    intercept : mean of the training targets, one per output.
    spectrum : spectrum of the training rows' kernel matrix and centred targets, in the target's units.
    cross_kernel : (n_test, n_train) kernel values, None without test rows.
    test_targets : (n_test,) targets minus the training mean.
    """

    table: Table
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    kernel: "NamedKernel"
    means: NDArray[np.float64]
    scales: NDArray[np.float64]
    features: NDArray[np.float64]
    intercept: NDArray[np.float64]
    spectrum: Spectrum
    cross_kernel: NDArray[np.float64] | None
    test_targets: NDArray[np.float64]


def prepare(config: TableConfig, test_fraction: float = 0.0, seed: int = 0) -> Prepared:
    """Read a table, split its rows, standardise by the training rows, and decompose.

    Parameters
    ----------
    config : table, kernel and ε.
    test_fraction : share of the rows held out, drawn at random.
    seed : seed of that draw.

    Raises
    ------
    InvalidFile
        The table cannot be read; see :func:`hilbertsd.data.read_table`.
    InvalidInput
        The test fraction is outside [0, 1) or leaves fewer than two training rows; the kernel is unknown; the
        kernel matrix and its eigenvectors would not fit in memory.
    InvalidTargets, NotPositiveSemidefinite
        As `distill`.
    """
    from hilbertsd.gram.named import NamedKernel

    table = read_table(config.table, config.target, config.drop)
    train, test = _split(len(table.targets), test_fraction, seed)
    _check_memory(len(train))
    kernel = NamedKernel(config.kernel, config.gamma)
    means, scales = column_statistics(table.features[train])
    features = standardised_columns(table.features, means, scales)
    centred, intercept = centred_targets(table.targets[train])
    with working(f"decomposing the kernel matrix of {len(train):,} rows"):
        kernel_matrix = kernel(features[train], features[train])
        cross_kernel = kernel(features[test], features[train]) if len(test) else None
        spectrum = Spectrum.from_kernel(kernel_matrix, centred)
    return Prepared(
        table=table,
        train=train,
        test=test,
        kernel=kernel,
        means=means,
        scales=scales,
        features=features[train],
        intercept=np.atleast_1d(intercept),
        spectrum=spectrum,
        cross_kernel=cross_kernel,
        test_targets=table.targets[test] - intercept,
    )


def distilled(prepared: Prepared, config: TableConfig) -> DistillationPath:
    """Path to collapse, with ε as a fraction of the targets' mean square; raises and warns as `distill`."""
    return distill_spectrum(prepared.spectrum, relative_tolerance=config.relative_tolerance)


def described(config: TableConfig, rows: str, n_features: int, mean_square: float) -> str:
    """Line that says what was distilled: rows, features, kernel and ε."""
    width = "" if config.gamma is None else f" of gamma {config.gamma:g}"
    return (
        f"{rows}, {n_features} standardised features, {config.kernel} kernel{width}, "
        f"ε = {config.relative_tolerance * mean_square:.6g}, that is {config.relative_tolerance:g} of the mean square "
        f"{mean_square:.6g} of {config.target}"
    )


def _split(n_samples: int, test_fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Training and test rows of a random split, each ascending."""
    if not 0 <= test_fraction < 1:
        raise InvalidInput(f"test fraction is {test_fraction:g}; give a number of at least 0 and below 1")
    n_test = round(test_fraction * n_samples)
    if n_samples - n_test < 2:
        raise InvalidInput(
            f"test fraction {test_fraction:g} of {n_samples} rows leaves {n_samples - n_test} to train on; "
            "a fit needs at least 2: give a smaller fraction"
        )
    order = np.random.default_rng(seed).permutation(n_samples)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _check_memory(n_train: int) -> None:
    """Raise InvalidInput where the kernel matrix and its eigenvectors do not fit in this machine's memory."""
    needed = bytes_to_decompose(n_train)
    available = physical_memory()
    if available is not None and needed > available:
        raise InvalidInput(
            f"{n_train:,} training rows need about {needed / 1e9:.0f} GB for the kernel matrix and its eigenvectors "
            f"and this machine has {available / 1e9:.0f} GB; give fewer rows, for instance by a larger --test"
        )
