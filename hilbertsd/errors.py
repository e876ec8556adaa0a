"""Every error and warning hilbertsd raises on purpose: one hierarchy, each message with number and remedy."""


class HilbertsdError(Exception):
    """Base of every error raised on purpose by hilbertsd."""


class InvalidInput(HilbertsdError, ValueError):
    """An argument cannot be used as it is."""


class InvalidKernel(InvalidInput):
    """A kernel matrix is not a finite, real, symmetric square matrix."""


class NotPositiveSemidefinite(InvalidKernel):
    """A kernel matrix has a negative eigenvalue beyond rounding."""


class InvalidTargets(InvalidInput):
    """Targets do not fit the kernel matrix, hold nothing to fit, or are made of what are no labels or outputs."""


class InvalidTolerance(InvalidInput):
    """A tolerance, multiplier or number of rounds is not a usable number."""


class InfeasibleTolerance(InvalidTolerance):
    """No fit has the requested training error.

    Attributes
    ----------
    floor : training error that no fit goes below, where it is known.
    """

    floor: float | None = None


class InvalidCrossKernel(InvalidInput):
    """A cross kernel does not have one column per training sample."""


class InvalidRound(InvalidInput, IndexError):
    """A path does not have the requested round."""


class IllPosedOperator(InvalidInput):
    """An operator with its boundary conditions has no Green's function that is a kernel."""


class InvalidFile(InvalidInput):
    """A file is missing, or does not hold what it should."""


class MissingPackage(HilbertsdError, ImportError):
    """An optional package is needed and not installed."""


class NotConverged(HilbertsdError, ArithmeticError):
    """An iteration did not reach the requested accuracy."""


class WorkerDied(NotConverged):
    """A process or a worker of a cluster ended before its work did; started again, it may come to its end."""


class HilbertsdWarning(UserWarning):
    """Base of every warning given by hilbertsd."""


class RoundingWarning(HilbertsdWarning):
    """A multiplier lies within the rounding of the eigenvalues, so its digits mean little."""


class MethodWarning(HilbertsdWarning):
    """Another method than the one chosen first had to be used, which takes longer."""


class ManyRoundsWarning(HilbertsdWarning):
    """A tolerance is so small that the path to collapse takes very many rounds."""


class CollapseWarning(HilbertsdWarning):
    """The zero function already meets the tolerance, so a fit is identically zero."""


class MixtureWarning(HilbertsdWarning):
    """Rounds of a path are so much alike that not every combination of them could be tried."""
