"""What a store of a kernel matrix holds: of which points, in which tiles, and the hashes that tell it from others."""

import hashlib
import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from hilbertsd.errors import InvalidInput
from hilbertsd.gram.kernel_tiles import DTYPES
from hilbertsd.gram.tiles import Tile, all_tiles, count_pairs, slices, upper_tiles
from hilbertsd.support.checks import check_whole
from hilbertsd.support.machine import available_cores
from hilbertsd.support.progress import progress

STORE_FORMAT = "hilbertsd.GramStore/3"
"""Formats 1 and 2 had one hash over all points, which took one core."""

DEFAULT_TILE = 2048
HASHED_AT_ONCE = 2**24
"""Bytes of points whose hash is taken by itself: another number is another format of stores."""


@dataclass(frozen=True)
class GramPlan:
    """What a store will hold: the kernel matrix of n points, or their cross kernel matrix with m others.

    Attributes
    ----------
    n_samples : n.
    inputs : hash of the points.
    config : what else decides the values: kernel, parameters; ready for JSON.
    tile : rows and columns of a tile; the last ones may be smaller.
    dtype : in which values are stored, float32 or float64. They are computed in the kernel's own precision.
    n_others, other_inputs : m and the hash of the others of a cross kernel matrix, None otherwise.
    """

    n_samples: int
    inputs: str
    config: Mapping[str, Any] = field(default_factory=dict)
    tile: int = DEFAULT_TILE
    dtype: str = "float32"
    n_others: int | None = None
    other_inputs: str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InvalidInput(f"dtype is {self.dtype!r}; give one of {', '.join(DTYPES)}")
        check_whole(self.tile, "tile", InvalidInput)
        check_whole(self.n_samples, "n_samples", InvalidInput)
        object.__setattr__(self, "tile", int(self.tile))  # NumPy's whole numbers are not JSON's
        object.__setattr__(self, "n_samples", int(self.n_samples))
        if (self.n_others is None) != (self.other_inputs is None):
            raise InvalidInput(
                f"n_others is {self.n_others} and other_inputs {self.other_inputs!r}; give both for a cross kernel "
                "matrix, and neither otherwise"
            )
        if self.n_others is not None:
            check_whole(self.n_others, "n_others", InvalidInput)
            object.__setattr__(self, "n_others", int(self.n_others))

    @classmethod
    def of(
        cls,
        points: Any,
        config: Mapping[str, Any],
        others: Any = None,
        *,
        tile: int = DEFAULT_TILE,
        dtype: str = "float32",
    ) -> Self:
        """Plan for the kernel matrix of (n, ...) points, or their cross kernel matrix with (m, ...) others as columns.

        Raises
        ------
        InvalidInput
            No points, points that are no real numbers, others of another shape than the points have each, an unknown
            dtype, a tile below 1, or a config that JSON does not know.
        """
        _check_numbers(points, "points")
        if others is not None:
            _check_numbers(others, "others")
            if np.shape(others)[1:] != np.shape(points)[1:]:
                raise InvalidInput(
                    f"points have shape {np.shape(points)} and others {np.shape(others)}; give both of one shape but "
                    "for their number"
                )
        try:
            config = json.loads(json.dumps(dict(config), allow_nan=False))  # as it will be read back
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"config cannot be written as JSON: {error}; give numbers, texts and lists") from error
        check_whole(tile, "tile", InvalidInput)
        n, inputs = len(points), digest(points)
        if others is None:
            return cls(n, inputs, config, min(int(tile), n), dtype)
        m = len(others)
        return cls(n, inputs, config, min(int(tile), max(n, m)), dtype, m, digest(others))

    @property
    def symmetric(self) -> bool:
        """Whether it is the kernel matrix of the points and themselves, of which half is stored."""
        return self.n_others is None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n), or (n, m) with others."""
        return (self.n_samples, self.n_samples if self.n_others is None else self.n_others)

    @property
    def chunks(self) -> tuple[int, int]:
        """Rows and columns of a tile on disk; few rows or columns of a cross kernel matrix waste none."""
        n, m = self.shape
        return (self.tile, self.tile) if self.symmetric else (min(self.tile, n), min(self.tile, m))

    @cached_property
    def tiles(self) -> list[Tile]:
        """Rows and columns of every tile that is stored: those on and above the diagonal, all with others."""
        return upper_tiles(self.n_samples, self.tile) if self.symmetric else all_tiles(self.shape, self.tile)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        down, across = (-(-length // self.tile) for length in self.shape)
        return down * (down + 1) // 2 if self.symmetric else down * across

    @property
    def n_pairs(self) -> int:
        """Pairs of points, each with one kernel value: n(n+1)/2, or n·m with others; what its tiles have, summed."""
        n, m = self.shape
        return n * (n + 1) // 2 if self.symmetric else n * m

    def pairs(self, rows: slice, columns: slice) -> int:
        """Pairs of points of a tile, of one on the diagonal every pair once."""
        return count_pairs(rows, columns, symmetric=self.symmetric)

    @property
    def bytes_stored(self) -> int:
        """Size of the tiles on disk: edge chunks are stored whole."""
        return self.n_tiles * (math.prod(self.chunks) * np.dtype(self.dtype).itemsize + 4)

    @property
    def record(self) -> dict[str, Any]:
        """What a store says of its plan: the fields that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def hash(self) -> str:
        """SHA-256 of what the plan says."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()


def digest(points: Any) -> str:
    """Hash of an array's values, type and shape: of the hashes of its parts, which are read on all cores."""
    first = np.asarray(points[:1])
    parts = slices(len(points), max(1, HASHED_AT_ONCE // max(1, first.nbytes)))

    def hashed(part: slice) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(points[part]).data).digest()

    whole = hashlib.sha256(f"{first.dtype.str} {(len(points), *first.shape[1:])}".encode())
    with progress("parts of the points hashed", len(parts)) as bar, ThreadPoolExecutor(available_cores()) as pool:
        for done, each in enumerate(pool.map(hashed, parts), 1):
            bar.update(done)
            whole.update(each)
    return whole.hexdigest()


def _check_numbers(points: Any, name: str) -> None:
    """Raise InvalidInput unless these are points, and real numbers."""
    if np.ndim(points) == 0 or len(points) == 0:
        raise InvalidInput(f"{name} have shape {np.shape(points)}; give (n, ...) points, one per sample")
    kind = np.asarray(points[:1]).dtype
    if kind.kind not in "fiub":
        raise InvalidInput(f"{name} have dtype {kind}; give real numbers")
