"""Targets by name: one frozen dataclass of a method and its parameters.

partial = PartialTargets("kd-topk", alpha=0.9, temperature=4.0, k=3)
partial(labels, logits=logits)               # (n, K) (1−α) y + α p̃, for a fit that is linear in its targets
partial.of_teacher(labels, logits=logits)    # (n, K) p̃ alone, for `distillation_loss`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hilbertsd.errors import InvalidInput
from hilbertsd.support.checks import check_choice, check_positive, check_whole
from hilbertsd.targets import arguments, methods

LABEL_SMOOTHING = "label-smoothing"
FROM_OUTPUTS = ("kd", "kd-pt", "kd-pt+sim", "kd-topk")
FROM_WEIGHTS = ("kd-sim", "kd-pt+sim")
FROM_HIERARCHY = ("kd-rel",)
METHODS = (LABEL_SMOOTHING, "kd", "kd-pt", "kd-sim", "kd-pt+sim", "kd-topk", "kd-rel")
"""Names of methods, each described by the function of its name."""


@dataclass(frozen=True)
class PartialTargets:
    """Method by name, and its parameters. Those that a method does not use may stay as they are.

    Attributes
    ----------
    name : one of `METHODS`.
    alpha : α, the share of the teacher beside the labels.
    temperature : τ of the teacher's softmax, for KD, KD-pt, KD-pt+sim and KD-topk.
    k : how many of the largest probabilities KD-topk keeps.
    power, similarity_temperature : of KD-sim's similarities, :func:`hilbertsd.targets.class_similarities`. The default
        temperature tells cosines that differ by 0.1 apart.
    share : of KD-sim in KD-pt+sim.
    constants : β₁, β₂, β₃ of KD-rel for the class, its siblings and the others, before they are divided by their sum.

    The source searched its parameters for every data set; the defaults are ours.

    Raises InvalidInput for an unknown name, α or a share outside [0, 1], k that is no whole number of at least 1,
    temperatures and powers that are not positive, and constants that are negative.
    """

    name: str
    alpha: float = 0.5
    temperature: float = 1.0
    k: int = 2
    power: float = 1.0
    similarity_temperature: float = 0.1
    share: float = 0.5
    constants: tuple[float, float, float] = (1.0, 0.1, 0.01)

    def __post_init__(self) -> None:
        check_choice(self.name, "name", METHODS)
        arguments.checked_share(self.alpha, "alpha")
        arguments.checked_share(self.share, "share")
        check_whole(self.k, "k", InvalidInput)
        for name, meaning in (
            ("temperature", "the τ of softmax(z/τ)"),
            ("power", "the exponent of similarities"),
            ("similarity_temperature", "the τ of the softmax of similarities"),
        ):
            check_positive(getattr(self, name), name, meaning, InvalidInput)
        methods.checked_constants(self.constants)

    def __str__(self) -> str:
        parameters = [f"α = {self.alpha:g}"]
        if self.name in FROM_OUTPUTS:
            parameters.append(f"τ = {self.temperature:g}")
        if self.name == "kd-topk":
            parameters.append(f"k = {self.k}")
        if self.name in FROM_WEIGHTS:
            parameters.append(f"power {self.power:g}, τ of similarities {self.similarity_temperature:g}")
        if self.name == "kd-pt+sim":
            parameters.append(f"share of similarities {self.share:g}")
        if self.name in FROM_HIERARCHY:
            parameters.append("β = " + ", ".join(f"{value:g}" for value in self.constants))
        return f"{self.name}, {', '.join(parameters)}"

    @property
    def needs(self) -> tuple[str, ...]:
        """What a call needs beside labels: "outputs" (logits or probabilities), "class_weights", "superclasses"."""
        sources = {"outputs": FROM_OUTPUTS, "class_weights": FROM_WEIGHTS, "superclasses": FROM_HIERARCHY}
        return tuple(source for source, names in sources.items() if self.name in names)

    def __call__(
        self,
        labels: Any,
        *,
        logits: Any = None,
        probabilities: Any = None,
        class_weights: Any = None,
        superclasses: Any = None,
        n_classes: int | None = None,
    ) -> Any:
        """(n, K) targets (1−α) y + α p̃, with the p̃ of :meth:`of_teacher`, whose parameters and errors these are."""
        targets = self.of_teacher(
            labels,
            logits=logits,
            probabilities=probabilities,
            class_weights=class_weights,
            superclasses=superclasses,
            n_classes=n_classes,
        )
        labels = arguments.checked_labels(labels, targets.shape[1], targets)
        return (1 - self.alpha) * arguments.one_hot(labels, targets.shape[1], targets.dtype) + self.alpha * targets

    def of_teacher(
        self,
        labels: Any,
        *,
        logits: Any = None,
        probabilities: Any = None,
        class_weights: Any = None,
        superclasses: Any = None,
        n_classes: int | None = None,
    ) -> Any:
        """(n, K) p̃, what the teacher's term is to teach; for label smoothing 1/K everywhere.

        What a method does not use is only asked for its number of classes, so that one call fits all methods: all have
        the library and floating type of the teacher's outputs where they are given, otherwise of its weights.

        Parameters
        ----------
        labels : (n,) class numbers.
        logits : (n, K) outputs of the teacher before its softmax; or else
        probabilities : (n, K) those after it, at temperature 1.
        class_weights : (K, d) weights of the teacher's last layer, for KD-sim and KD-pt+sim.
        superclasses : the superclass of every class, for KD-rel.
        n_classes : K, where nothing else says it.

        Raises InvalidInput where what the method needs is missing, both logits and probabilities are given, or numbers
        of classes differ; otherwise as the method's function.
        """
        if logits is not None and probabilities is not None:
            raise InvalidInput("both logits and probabilities of the teacher are given; give one of them")
        given = {"class_weights": class_weights, "superclasses": superclasses}
        given["outputs"] = logits if probabilities is None else probabilities
        for source in self.needs:
            if given[source] is None:
                what = "logits or probabilities" if source == "outputs" else source
                raise InvalidInput(f"{self.name} is given no {what} of the teacher; give {what}")
        n_classes = _number_of_classes(logits, probabilities, class_weights, superclasses, n_classes)
        given = [source for source in (logits, probabilities, class_weights) if source is not None]
        like = arguments.as_floating(given[0], "the teacher", InvalidInput) if given else None
        n_samples = None if like is None or given[0] is class_weights else like.shape[0]
        labels = arguments.checked_labels(labels, n_classes, like, n_samples)
        if self.name == LABEL_SMOOTHING:
            return arguments.as_like(methods.label_smoothing(labels, n_classes, 1.0), like)
        if self.name == "kd-rel":
            return arguments.as_like(methods.kd_rel(labels, superclasses, self.constants, n_classes), like)
        if self.name == "kd-sim":
            return self._similarity(class_weights, labels, like)
        if probabilities is None:
            teacher = methods.kd(logits, self.temperature)
        else:
            teacher = methods.kd_from_probabilities(probabilities, self.temperature)
        if self.name == "kd":
            return teacher
        if self.name == "kd-topk":
            return methods.kd_topk(teacher, self.k)
        confidence = methods.kd_pt(teacher, labels)
        if self.name == "kd-pt":
            return confidence
        return methods.kd_pt_sim(confidence, self._similarity(class_weights, labels, like), self.share)

    def _similarity(self, class_weights: Any, labels: Any, like: Any) -> Any:
        weights = arguments.as_like(arguments.checked_class_weights(class_weights), like)
        return methods.kd_sim(weights, labels, self.power, self.similarity_temperature)


def _number_of_classes(
    logits: Any, probabilities: Any, class_weights: Any, superclasses: Any, n_classes: int | None
) -> int:
    """K that everything given agrees on, or InvalidInput."""
    found = {} if n_classes is None else {"n_classes": arguments.checked_classes(n_classes)}
    if logits is not None:
        found["logits"] = arguments.checked_logits(logits).shape[1]
    if probabilities is not None:
        found["probabilities"] = arguments.checked_probabilities(probabilities).shape[1]
    if class_weights is not None:
        found["class_weights"] = arguments.checked_class_weights(class_weights).shape[0]
    if not found and superclasses is not None:
        found["superclasses"] = len(arguments.checked_superclasses(superclasses))
    if not found:
        raise InvalidInput("nothing says how many classes there are; give n_classes")
    if len(set(found.values())) > 1:
        numbers = ", ".join(f"{name} {number}" for name, number in found.items())
        raise InvalidInput(f"numbers of classes differ ({numbers}); give the same classes everywhere")
    number = next(iter(found.values()))
    if superclasses is not None:
        arguments.checked_superclasses(superclasses, number)
    return number
