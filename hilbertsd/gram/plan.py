"""Plan of a stored kernel matrix: its points, its tiles, and the hashes that tell it from other matrices.

Nothing is written or computed but the hashes of the points:

    plan = GramPlan.of(points, {"kernel": "rbf", "gamma": 0.1}, tile=1024)
    plan.n_tiles, plan.bytes_stored
    plan.record  # what a store writes down, ready for JSON
    cross = GramPlan.of(new_points, plan.config, points)  # k(new_points, points)
"""

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
from hilbertsd.support.checks import check_choice, check_unmasked, check_whole
from hilbertsd.support.machine import available_cores
from hilbertsd.support.progress import progress

STORE_FORMAT = "hilbertsd.GramStore/3"
"""Written into every store. Formats 1 and 2 hashed all points as one, which took one core."""

DEFAULT_TILE = 2048
"""Rows and columns of a tile where a plan is given no other number."""

HASHED_AT_ONCE = 2**24
"""Bytes of points that are hashed as one part; another number would change the hashes and need a new format."""


@dataclass(frozen=True)
class GramPlan:
    """What a store will hold: the kernel matrix of n points, or their cross kernel matrix with m others.

    Attributes
    ----------
    n_samples : number n of points.
    inputs : hash of the points.
    config : kernel, parameters and whatever else decides the values; ready for JSON.
    tile : rows and columns of a tile; the last tiles may be smaller.
    dtype : type of the stored values, float32 or float64; the kernel computes them in its own.
    n_others, other_inputs : number m and hash of the others of a cross kernel matrix, None otherwise.

    Raises InvalidInput for an unknown dtype, a number below 1, or one of n_others and other_inputs without the other.
    """

    n_samples: int
    inputs: str
    config: Mapping[str, Any] = field(default_factory=dict)
    tile: int = DEFAULT_TILE
    dtype: str = "float32"
    n_others: int | None = None
    other_inputs: str | None = None

    def __post_init__(self) -> None:
        check_choice(self.dtype, "dtype", DTYPES)
        if (self.n_others is None) != (self.other_inputs is None):
            raise InvalidInput(
                f"n_others is {self.n_others} and other_inputs {self.other_inputs!r}; give both for a cross kernel "
                "matrix, and neither otherwise"
            )
        for name in ("n_samples", "tile") if self.n_others is None else ("n_samples", "tile", "n_others"):
            check_whole(getattr(self, name), name, InvalidInput)
            object.__setattr__(self, name, int(getattr(self, name)))  # NumPy's whole numbers are not JSON's

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
            No points; points that are not finite real numbers, or masked; others whose shape differs from that of the
            points beyond the first axis; an unknown dtype; a tile below 1; or a config that JSON cannot hold.
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
        return cls(n, inputs, config, min(int(tile), max(n, m)), dtype, m, digest(others, "others"))

    @property
    def symmetric(self) -> bool:
        """Whether rows and columns are the same points, so that only half of the matrix is stored."""
        return self.n_others is None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n), or (n, m) with others."""
        return (self.n_samples, self.n_samples if self.n_others is None else self.n_others)

    @property
    def chunks(self) -> tuple[int, int]:
        """Rows and columns of a tile on disk: not more than a cross kernel matrix has."""
        n, m = self.shape
        return (self.tile, self.tile) if self.symmetric else (min(self.tile, n), min(self.tile, m))

    @cached_property
    def tiles(self) -> list[Tile]:
        """Rows and columns of every tile that is stored: those on and above the diagonal, all with others."""
        return upper_tiles(self.n_samples, self.tile) if self.symmetric else all_tiles(self.shape, self.tile)

    def place(self, rows: slice, columns: slice) -> int:
        """Position in :attr:`tiles` of the tile in which these rows and columns begin."""
        i, j = (part.indices(n)[0] // self.tile for part, n in zip((rows, columns), self.shape, strict=True))
        return i * len(range(0, self.shape[1], self.tile)) + j - (i * (i + 1) // 2 if self.symmetric else 0)

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        down, across = (-(-length // self.tile) for length in self.shape)
        return down * (down + 1) // 2 if self.symmetric else down * across

    @property
    def n_pairs(self) -> int:
        """Number of pairs of points, each with one kernel value: n(n+1)/2, or n·m with others."""
        n, m = self.shape
        return n * (n + 1) // 2 if self.symmetric else n * m

    def pairs(self, rows: slice, columns: slice) -> int:
        """Number of pairs of points in a tile; on the diagonal of a kernel matrix every pair counts once."""
        return count_pairs(rows, columns, symmetric=self.symmetric)

    @property
    def bytes_stored(self) -> int:
        """Size of all tiles on disk, where those at the edges take as much as the others."""
        return self.n_tiles * (math.prod(self.chunks) * np.dtype(self.dtype).itemsize + 4)

    @property
    def record(self) -> dict[str, Any]:
        """Fields that are not None, as a store writes them down."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the record."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()


def digest(points: Any, name: str = "points") -> str:
    """Hash of an array's values, type and shape; its parts are read and hashed on all cores.

    Raises InvalidInput, with the name and the place, for a value that is not finite.
    """
    first = np.asarray(points[:1])
    parts = slices(len(points), max(1, HASHED_AT_ONCE // max(1, first.nbytes)))

    def hashed(part: slice) -> bytes:
        values = np.ascontiguousarray(points[part])
        finite = np.isfinite(values)
        if not finite.all():
            place = np.unravel_index(np.argmin(finite), finite.shape)
            index = tuple(map(int, (part.start + place[0], *place[1:])))
            raise InvalidInput(
                f"{name} hold {values[place]} at index {index}; leave that sample out, or fill the value in"
            )
        return hashlib.sha256(values.data).digest()

    whole = hashlib.sha256(f"{first.dtype.str} {(len(points), *first.shape[1:])}".encode())
    with progress("parts of the points hashed", len(parts)) as bar, ThreadPoolExecutor(available_cores()) as pool:
        for done, part_hash in enumerate(pool.map(hashed, parts), 1):
            bar.update(done)
            whole.update(part_hash)
    return whole.hexdigest()


def _check_numbers(points: Any, name: str) -> None:
    """Raise InvalidInput unless the points have at least one axis and one sample, and are real numbers, none masked."""
    if np.ndim(points) == 0 or len(points) == 0:
        raise InvalidInput(f"{name} have shape {np.shape(points)}; give (n, ...) points, one per sample")
    check_unmasked(points, name, InvalidInput)
    kind = np.asarray(points[:1]).dtype
    if kind.kind not in "fiub":
        raise InvalidInput(f"{name} have dtype {kind}; give real numbers")
