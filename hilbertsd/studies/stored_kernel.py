"""Distil a kernel regression whose kernel matrix is in a store: accuracies or errors, round by round.

    record = STUDIES["ntk distill"].execute(NetworkConfig(folder=Path("kernels"), relative_tolerance=0.02)).record
    record["test_accuracy"]

The commands `hilbertsd ntk distill` and `hilbertsd gram distill` are this, for a folder of a network's kernels with the
labels of its images, and for any store with targets of yours. Labels are distilled as one-hot rows minus 1/k, numbers
minus their means over the training points. A store that memory can decompose is read, and `distill` chooses the method;
a larger one stays on disk. Nothing here needs JAX.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilbertsd.analysis.cross_validation import leave_one_out_errors
from hilbertsd.data.images import one_hot
from hilbertsd.data.target_files import read_targets
from hilbertsd.distillation.centring import centred_targets
from hilbertsd.distillation.chain import distill, fits_memory
from hilbertsd.distillation.path import DistillationPath
from hilbertsd.distillation.path_page import path_sections
from hilbertsd.errors import InvalidFile, InvalidInput, InvalidTolerance
from hilbertsd.gram.store import GramPlan, GramStore
from hilbertsd.networks.architectures import architecture
from hilbertsd.ntk.labels import stored_split
from hilbertsd.pages.page import Section
from hilbertsd.studies import form
from hilbertsd.support.plotting import new_figure, whole_rounds
from hilbertsd.support.progress import tracked, working


@dataclass(frozen=True, kw_only=True)
class Config(form.Config):
    """Which ε, and how many rounds."""

    tolerance: float | None = form.option(None, "ε in squared units of the targets; or give --relative-tolerance.")
    relative_tolerance: float | None = form.option(
        None, "ε as a fraction of the targets' mean square ‖Y‖²/n, which sums over outputs."
    )
    max_rounds: int | None = form.option(None, "Largest number of rounds. [default: until collapse]", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.tolerance is None) == (self.relative_tolerance is None):
            raise InvalidTolerance(
                f"tolerance is {self.tolerance} and relative_tolerance {self.relative_tolerance}; give exactly one: "
                "--relative-tolerance 0.02 is ε = 0.02 of the targets' mean square"
            )


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Config):
    """A folder of a network's kernels."""

    folder: Path = form.argument("Folder that `hilbertsd ntk run` filled.")


@dataclass(frozen=True, kw_only=True)
class StoreConfig(Config):
    """A store, and targets in files."""

    store: Path = form.argument("Complete store of the kernel matrix of training points.")
    targets: Path = form.argument("File of a target per point: .npy, .npz of one array, .csv.")
    labels: bool = form.option(False, "The targets are labels: distil their centred one-hot code, print accuracies.")
    cross: Path | None = form.option(
        None, "Store of the kernel between test points, its rows, and the training points."
    )
    cross_targets: Path | None = form.option(None, "File of a target per test point.")


@dataclass(frozen=True, eq=False)
class Targets:
    """What is distilled, and what predictions are compared with.

    Attributes
    ----------
    train : (n,) or (n, n_outputs) targets.
    test : the same of test points, None without; of labels their classes.
    classes : (n,) classes of the training points from 0 to k − 1, None for numbers.
    name : what to call them.
    """

    train: NDArray[np.float64]
    test: NDArray[Any] | None
    classes: NDArray[np.int64] | None
    name: str


@dataclass(frozen=True, eq=False)
class Result(form.Result[Config]):
    """A path, and how well each of its rounds predicts.

    Attributes
    ----------
    plan : points and kernel of the store.
    targets : what was distilled.
    path : distillation path.
    train_accuracy : (T,) shares of the training points in the classes of their labels, None for numbers.
    test_scores : (T,) the same of the test points; for numbers mean squared errors; None without test points.
    leave_one_out_errors : (T+1,) as :func:`hilbertsd.leave_one_out_errors` gives them, None for a Krylov path.
    """

    plan: GramPlan
    targets: Targets
    path: DistillationPath
    train_accuracy: NDArray[np.float64] | None
    test_scores: NDArray[np.float64] | None
    leave_one_out_errors: NDArray[np.float64] | None

    @property
    def kernel(self) -> str:
        """What the store's configuration calls its kernel."""
        config = self.plan.config
        if "architecture" not in config:
            return f"{config.get('kernel', 'unnamed')} kernel"
        return f"{config['kernel']} of {architecture(**config['architecture']).name}"

    @property
    def n_test(self) -> int:
        """Number of test points."""
        return 0 if self.targets.test is None else len(self.targets.test)

    @property
    def chosen_round(self) -> int | None:
        """Nonzero round that leave-one-out prefers; None for a Krylov path, or without rounds."""
        errors = self.leave_one_out_errors
        return None if errors is None or not self.path.n_rounds else int(np.argmin(errors[:-1]))

    @property
    def best_test_round(self) -> int | None:
        """Round with the best test score, None without test points or rounds."""
        if self.test_scores is None or not self.path.n_rounds:
            return None
        return int(np.argmin(self.test_scores) if self.targets.classes is None else np.argmax(self.test_scores))

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per round; accuracies in %."""
        rows: list[dict[str, Any]] = [dict(row) for row in self.path.rows()]
        for t, row in enumerate(rows):
            if self.train_accuracy is None:
                row.update({} if self.test_scores is None else {"test_error": float(self.test_scores[t])})
                continue
            row.pop("effective_dimension", None)  # the line would not read at 80 columns
            if self.test_scores is not None:
                error = form.share_standard_error(self.test_scores[t], self.n_test)
                row.update({"test_%": 100 * float(self.test_scores[t]), "standard_error": 100 * error})
            row["training_%"] = 100 * float(self.train_accuracy[t])
        return rows

    def headline(self) -> list[str]:
        """Size of the problem, kernel, method and ε."""
        path = self.path
        test = f" and {self.n_test:,} test" if self.n_test else ""
        mean_square = path.spectrum.target_mean_square
        return [
            f"{self.targets.name}: {path.spectrum.n_samples:,} training{test} points, {self.kernel}, {path.method}",
            f"ε = {path.tolerance:.6g}, {path.relative_tolerance:.4g} of the targets' mean square {mean_square:.6g}",
        ]

    def closing(self) -> list[str]:
        """How the path ends, and the rounds that leave-one-out and the test points prefer."""
        path, zero = self.path, "the targets' mean" if self.targets.classes is None else "no class preferred"
        lines = [path.ending + ("" if path.collapse_round is None else f": {zero} from there on")]
        if (t := self.chosen_round) is not None:
            lines.append(f"leave-one-out on the training points chooses round {t}{self._score(t)}")
        if (t := self.best_test_round) is not None:
            best = "lowest test error" if self.targets.classes is None else "highest test accuracy"
            lines.append(f"{best}: round {t}{self._score(t)}, which is a choice made on the test points")
        return lines

    def _score(self, t: int) -> str:
        """Test score of a round, in brackets."""
        if self.test_scores is None:
            return ""
        if self.targets.classes is None:
            return f" (test error {self.test_scores[t]:.6g})"
        return f" (test accuracy {100 * self.test_scores[t]:.4g} %)"

    def numbers(self) -> dict[str, Any]:
        """Numbers by round; eigenvalues and weights, one per training point, are in the saved path."""
        path = self.path.to_dict()
        del path["eigenvalues"], path["basis_weights"]
        errors, scores = self.leave_one_out_errors, None if self.test_scores is None else self.test_scores.tolist()
        numbers = {
            "targets": self.targets.name,
            "store": self.plan.record,
            "n_test": self.n_test,
            **path,
            "leave_one_out_errors": None if errors is None else errors.tolist(),
            "leave_one_out_round": self.chosen_round,
            "best_test_round": self.best_test_round,
        }
        if self.train_accuracy is None:
            return {**numbers, "test_errors": scores}
        spread = None if scores is None else [form.share_standard_error(share, self.n_test) for share in scores]
        accuracies = {"test_accuracy": scores, "test_accuracy_standard_error": spread}
        return {**numbers, "train_accuracy": self.train_accuracy.tolist(), **accuracies}


def run_network(config: NetworkConfig) -> Result:
    """Distil the labels of the images whose kernels are in a folder.

    Raises
    ------
    InvalidFile
        As :func:`hilbertsd.ntk.stored_split`; a tile is damaged.
    InvalidTolerance, InfeasibleTolerance, NotPositiveSemidefinite, NotConverged
        As :func:`hilbertsd.distill`, which also says what is warned of.
    """
    train, test, labels = stored_split(config.folder)
    targets = Targets(labels.targets, labels.test_labels, labels.train_labels, labels.name)
    return _distilled(config, train, test, targets)


def run_store(config: StoreConfig) -> Result:
    """Distil targets in a file with the kernel matrix in a store.

    Raises
    ------
    InvalidFile
        A store is missing, not complete or damaged, or a file of targets cannot be used.
    InvalidInput
        The cross store is for other points, or only one of `cross` and `cross_targets` is given.
    InvalidTolerance, InfeasibleTolerance, NotPositiveSemidefinite, NotConverged
        As :func:`hilbertsd.distill`, which also says what is warned of.
    """
    store, cross = _complete(config.store), None
    if not store.symmetric:
        raise InvalidInput(f"{config.store} is a cross kernel matrix; give the store of points and themselves")
    if (config.cross is None) != (config.cross_targets is None):
        raise InvalidInput("only one of --cross and --cross-targets is given; give both, or neither")
    n, m = store.shape[0], 0
    if config.cross is not None:
        cross = _complete(config.cross)
        if cross.plan.other_inputs != store.plan.inputs:
            raise InvalidInput(
                f"the columns of {config.cross} are not the points of {config.store}; make it with `hilbertsd gram run "
                "NEW.npy CROSS --others POINTS.npy`, from the same points in the same dtype"
            )
        m = cross.shape[0]
    train = _targets_of(config.targets, n, config.store)
    test = None if config.cross_targets is None else _targets_of(config.cross_targets, m, config.cross)
    targets = _labelled(config, train, test) if config.labels else _numbers(config, train, test)
    return _distilled(config, store, cross, targets)


def _distilled(config: Config, store: GramStore, cross: GramStore | None, targets: Targets) -> Result:
    """Path of the targets, and what its rounds predict."""
    n = store.shape[0]
    kernel: Any = store.to_array() if fits_memory(n) else store
    with working(f"distilling {n:,} points"):
        path = distill(
            kernel,
            targets.train,
            tolerance=config.tolerance,
            relative_tolerance=config.relative_tolerance,
            max_rounds=config.max_rounds,
        )
    train_accuracy, scores = [], []
    for t in tracked(range(path.n_rounds), "rounds predicted"):
        if targets.classes is not None:
            train_accuracy.append(form.correct(path.train_predictions(t), targets.classes).mean())
        if cross is not None and targets.test is not None:
            predictions = cross.multiply(path.dual_coefficients(t))
            if targets.classes is None:
                scores.append(np.sum((predictions - targets.test.reshape(predictions.shape)) ** 2) / len(predictions))
            else:
                scores.append(form.correct(predictions, targets.test).mean())
    return Result(
        config,
        store.plan,
        targets,
        path,
        None if targets.classes is None else np.array(train_accuracy),
        None if cross is None else np.array(scores),
        leave_one_out_errors(path) if path.spectrum.is_whole else None,
    )


def _complete(folder: Path) -> GramStore:
    """Complete store in a folder."""
    store = GramStore.open(folder)
    if not store.complete:
        raise InvalidFile(f"{folder} is not complete; run `hilbertsd gram run` again: it computes what is missing")
    return store


def _targets_of(file: Path, n: int, store: Path | None) -> NDArray[Any]:
    """Targets in a file, which must be one for each of n points."""
    targets = read_targets(file)
    if len(targets) != n:
        raise InvalidFile(f"{file} has {len(targets):,} targets and {store} {n:,} rows; give one target per row")
    return targets


def _numbers(config: StoreConfig, train: NDArray[Any], test: NDArray[Any] | None) -> Targets:
    """Numbers minus their means over the training points."""
    for file, values in ((config.targets, train), (config.cross_targets, test)):
        if values is not None and values.dtype.kind == "U":
            raise InvalidFile(
                f"{file} holds text, such as {str(values.flat[0])!r}; give numbers, or --labels for classes"
            )
    if test is not None and test.shape[1:] != train.shape[1:]:
        raise InvalidFile(
            f"{config.targets} has targets of shape {train.shape} and {config.cross_targets} {test.shape}; give both "
            "as many columns"
        )
    centred, means = centred_targets(train.astype(np.float64))
    return Targets(centred, None if test is None else test - means, None, config.targets.name)


def _labelled(config: StoreConfig, train: NDArray[Any], test: NDArray[Any] | None) -> Targets:
    """Labels as centred one-hot rows; the classes are those of the training labels."""
    for file, values in ((config.targets, train), (config.cross_targets, test)):
        if values is not None and (values.ndim > 1 or (values.dtype.kind == "f" and np.any(values != values.round()))):
            raise InvalidFile(f"{file} has no labels: give (n,) whole numbers or texts, or leave out --labels")
    names, classes = np.unique(train, return_inverse=True)
    if len(names) < 2:
        raise InvalidFile(f"all labels in {config.targets} are {names[0]}; give at least two classes")
    if test is not None:
        unknown = ~np.isin(test, names)
        if unknown.any():
            row = int(np.argmax(unknown))
            raise InvalidFile(f"{config.cross_targets} has label {test[row]} in row {row}, which no training point has")
        test = np.searchsorted(names, test)
    return Targets(one_hot(classes, len(names), centred=True), test, classes, config.targets.name)


def figures(result: Result) -> dict[str, Any]:
    """Accuracy or error by round."""
    figure = new_figure(5.2, 3.6)
    panel = figure.subplots()
    rounds = np.arange(result.path.n_rounds)
    if result.train_accuracy is None:
        panel.plot(rounds, result.path.training_errors, "o-", color="black", markersize=4, label="training")
        if result.test_scores is not None:
            panel.plot(rounds, result.test_scores, "s--", color="C1", markersize=4, label="test")
        panel.set(ylabel="mean squared error, original targets")
    else:
        panel.plot(rounds, 100 * result.train_accuracy, "o-", color="black", markersize=4, label="training")
        if result.test_scores is not None:
            error = [100 * form.share_standard_error(share, result.n_test) for share in result.test_scores]
            look: Any = {"color": "C1", "markersize": 4, "elinewidth": 0.8, "capsize": 2}
            panel.errorbar(rounds, 100 * result.test_scores, error, fmt="s--", label="test, ± s.e.", **look)
        panel.set(ylabel="accuracy against the labels, %")
    if result.chosen_round is not None:
        label = f"leave-one-out's choice, round {result.chosen_round}"
        panel.axvline(result.chosen_round, color="0.6", linestyle=":", label=label)
    panel.set_xlabel("round t")
    panel.set_title(f"{result.targets.name}, {result.kernel}", parse_math=False)
    whole_rounds(panel)
    panel.legend()
    return {"rounds": figure}


def _save(result: Result, folder: Path) -> list[Path]:
    """Write the path, whose eigenvalues and weights result.json leaves out."""
    return [result.path.save(folder / "path.npz")]


def _page(result: Result) -> list[Section]:
    """Slider over the rounds, with the errors that there are; accuracies are in the table."""
    errors = {}
    if result.leave_one_out_errors is not None:
        errors["leave_one_out_error"] = result.leave_one_out_errors
    if result.test_scores is not None and result.targets.classes is None:
        errors["test_error"] = result.test_scores
    return path_sections(result.path, errors)


STUDIES = {
    name: form.Study(name, description, config, run, figures, save=_save, page=_page, is_own_command=True)
    for name, description, config, run in (
        (
            "ntk distill",
            "Distil a network's kernels on the labels of their images: accuracy round by round.",
            NetworkConfig,
            run_network,
        ),
        (
            "gram distill",
            "Distil a store's kernel on targets of yours: training and test error, or accuracy, round by round.",
            StoreConfig,
            run_store,
        ),
    )
}
"""The two commands by their names."""
