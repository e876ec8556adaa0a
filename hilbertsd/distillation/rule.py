"""How the rounds of a path are regularised: by ε, by ε as a fraction of the targets' mean square, or by one c.

rule = Rule.checked(None, 0.1, None, None)
rule.tolerance_for(mean_square)  # 0.1 * mean_square
"""

from dataclasses import dataclass
from typing import Any, Self

from hilbertsd.errors import InvalidTolerance
from hilbertsd.support.checks import check_positive, check_whole


@dataclass(frozen=True)
class Rule:
    """One of three numbers, the other two None, and the largest number of rounds.

    Attributes
    ----------
    tolerance : ε, in squared units of the targets.
    relative_tolerance : ε as a fraction of the targets' mean square ‖Y‖²/n.
    multiplier : c of every round.
    max_rounds : largest number of fits, None to go on until collapse.
    """

    tolerance: float | None
    relative_tolerance: float | None
    multiplier: float | None
    max_rounds: int | None

    @classmethod
    def checked(cls, tolerance: Any, relative_tolerance: Any, multiplier: Any, max_rounds: Any) -> Self:
        """Rule of what a user gives; InvalidTolerance unless it is exactly one positive number, and ends."""
        given = {"tolerance": tolerance, "relative_tolerance": relative_tolerance, "multiplier": multiplier}
        present = {name: value for name, value in given.items() if value is not None}
        if len(present) != 1:
            found = " and ".join(f"{name}={value!r}" for name, value in present.items()) or "none of them"
            raise InvalidTolerance(
                f"give exactly one of tolerance (ε in squared units of the targets), relative_tolerance (ε as a "
                f"fraction of their mean square) and multiplier, not {found}"
            )
        if max_rounds is not None:
            check_whole(max_rounds, "max_rounds", InvalidTolerance)
        checked = {
            name: check_positive(value, name, MEANINGS[name], InvalidTolerance) for name, value in present.items()
        }
        if multiplier is not None and max_rounds is None:
            raise InvalidTolerance(
                f"multiplier {multiplier!r} without max_rounds never ends, because a fixed multiplier never collapses; "
                "give max_rounds"
            )
        return cls(**{name: checked.get(name) for name in given}, max_rounds=max_rounds)

    def tolerance_for(self, mean_square: float) -> float | None:
        """ε in squared units of targets with this mean square, None for a fixed multiplier."""
        return self.tolerance if self.relative_tolerance is None else self.relative_tolerance * mean_square


MEANINGS = {
    "tolerance": "the mean squared training error to allow",
    "relative_tolerance": "the fraction of the targets' mean square to allow",
    "multiplier": "the c of (cI + G)⁻¹",
}
"""What each number is, for messages."""
