"""Kernel matrices beyond memory: a Zarr store of tiles on and above the diagonal, each with its checksum.

A store is a folder, a Zarr v3 group with
- `kernel`, (n, n) in square chunks of which only those on and above the diagonal exist, each ending in its CRC-32C;
- `checksums`, (tiles, tiles) those of the finished store: its completion record, written last;
- attributes: what the kernel matrix was computed from (`inputs`, a hash, and `config`).
A chunk replaces its file whole or not at all, so that a run killed at any moment loses the tiles in flight and no more.
:func:`hilbertsd.gram_jobs.fill` computes what is missing; a filled store is a kernel operator.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.kernel_operators import Kernel, Tile, kernel_tile, slices, symmetric_product, upper_tiles
from hilbertsd.progress import tracked

STORE_FORMAT = "hilbertsd.GramStore/1"
DEFAULT_TILE = 2048
DTYPES = ("float32", "float64")
HASHED_AT_ONCE = 2**26
"""Bytes of points."""


@dataclass(frozen=True)
class GramPlan:
    """What a store will hold.

    Attributes
    ----------
    n_samples : n.
    inputs : hash of the points.
    config : what else decides the values: kernel, parameters; ready for JSON.
    tile : rows and columns of a tile; the last ones may be smaller.
    dtype : in which values are stored, float32 or float64. They are computed in the kernel's own precision.
    """

    n_samples: int
    inputs: str
    config: Mapping[str, Any] = field(default_factory=dict)
    tile: int = DEFAULT_TILE
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InvalidInput(f"dtype is {self.dtype!r}; give one of {', '.join(DTYPES)}")
        if self.tile < 1:
            raise InvalidInput(f"tile is {self.tile!r}; give a whole number of at least 1")

    @classmethod
    def of(cls, points: Any, config: Mapping[str, Any], *, tile: int = DEFAULT_TILE, dtype: str = "float32") -> Self:
        """Plan for the kernel matrix of (n, ...) points.

        Raises
        ------
        InvalidInput
            No points, an unknown dtype, or a tile below 1.
        """
        if np.ndim(points) == 0 or len(points) == 0:
            raise InvalidInput(f"points have shape {np.shape(points)}; give (n, ...) points, one per sample")
        return cls(len(points), _digest(points), dict(config), min(tile, len(points)), dtype)

    @cached_property
    def tiles(self) -> list[Tile]:
        """Rows and columns of every tile."""
        return upper_tiles(self.n_samples, self.tile)

    @property
    def bytes_stored(self) -> int:
        """Size of the tiles on disk: edge chunks are stored whole."""
        return len(self.tiles) * (self.tile**2 * np.dtype(self.dtype).itemsize + 4)


@dataclass(frozen=True, eq=False)
class GramStore:
    """Kernel matrix in a store, a kernel operator once it is complete.

    Attributes
    ----------
    folder : of the store.
    plan : what it holds.
    """

    folder: Path
    plan: GramPlan
    _kernel: zarr.Array = field(repr=False)
    block_size: ClassVar[int] = 8

    @classmethod
    def create(cls, folder: str | os.PathLike[str], plan: GramPlan) -> Self:
        """Begin a store, or take up the one that was begun with the same plan.

        Raises
        ------
        InvalidFile
            The folder holds something else, or another plan's store; or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
            store = cls.open(folder)
            if store.plan != plan:
                different = [name for name, value in asdict(plan).items() if asdict(store.plan)[name] != value]
                raise InvalidFile(
                    f"{folder} is for another kernel matrix, with other {' and '.join(different)}; give another folder"
                )
            return store
        # Begun beside its place, so that a store that was killed while being created is not taken for one.
        begun = folder.with_name(folder.name + ".partial")
        try:
            shutil.rmtree(begun, ignore_errors=True)
            group = zarr.create_group(begun, attributes={"format": STORE_FORMAT, "plan": asdict(plan)})
            group.create_array(
                "kernel",
                shape=(plan.n_samples, plan.n_samples),
                chunks=(plan.tile, plan.tile),
                dtype=plan.dtype,
                fill_value=float("nan"),
                filters=None,
                compressors=[Crc32cCodec()],
            )
            begun.replace(folder)
        except OSError as error:
            raise InvalidFile(f"{folder} cannot be made a store: {error.strerror}; give another folder") from error
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Store in a folder, complete or not.

        Raises
        ------
        InvalidFile
            There is none.
        """
        folder = Path(folder)
        try:
            group = zarr.open_group(folder, mode="r+", zarr_format=3)
            attributes = dict(group.attrs)
            if attributes.get("format") != STORE_FORMAT:
                raise InvalidFile(
                    f"{folder} has format {attributes.get('format')!r} and this version reads {STORE_FORMAT!r}"
                )
            kernel = group["kernel"]
            assert isinstance(kernel, zarr.Array)
            return cls(folder, GramPlan(**attributes["plan"]), kernel)  # type: ignore[arg-type]
        except (OSError, KeyError, TypeError, ValueError, AssertionError) as error:
            if isinstance(error, InvalidFile):
                raise
            raise InvalidFile(f"{folder} is no store of a kernel matrix; make one with `hilbertsd gram run`") from error

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (self.plan.n_samples, self.plan.n_samples)

    @property
    def precision(self) -> float:
        """Machine epsilon of the stored values."""
        return float(np.finfo(self.plan.dtype).eps)

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) raw kernel matrix times an (n, b) block, every tile read and held against its checksum.

        Raises InvalidFile, naming the tile, where one is missing or damaged.
        """
        return symmetric_product(self.read, self.plan.tile, block)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a tile.

        Raises
        ------
        InvalidFile
            It is missing, or does not agree with its checksum.
        """
        try:
            values = np.asarray(self._kernel[rows, columns])
        except (OSError, ValueError) as error:
            raise InvalidFile(
                f"{self.tile_file(rows, columns)} is damaged: it does not agree with its checksum; "
                "`hilbertsd gram run` computes it again"
            ) from error
        if np.isnan(values[0, 0]):
            raise InvalidFile(f"{self.tile_file(rows, columns)} is missing; `hilbertsd gram run` computes it")
        return values

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Store the values of a tile, all of them finite; those of one on the diagonal are made symmetric."""
        self._kernel[rows, columns] = (values + values.T) / 2 if rows == columns else values

    def fill_tile(self, kernel: Kernel, points: Any, rows: slice, columns: slice) -> bool:
        """Compute a tile and store it, unless it is there and intact; returns whether it was computed.

        Raises InvalidKernel where a value is not finite.
        """
        if self.tile_file(rows, columns).exists():
            with suppress(InvalidFile):
                self.read(rows, columns)
                return False
        self.write(rows, columns, kernel_tile(kernel, points, rows, columns))
        return True

    def tile_file(self, rows: slice, columns: slice) -> Path:
        """File that holds a tile."""
        return self.folder / "kernel" / "c" / str(rows.start // self.plan.tile) / str(columns.start // self.plan.tile)

    def missing(self) -> list[Tile]:
        """Tiles that are not there."""
        return [tile for tile in self.plan.tiles if not self.tile_file(*tile).exists()]

    @property
    def complete(self) -> bool:
        """Whether every tile was stored and the completion record is there."""
        return (self.folder / "checksums" / "c" / "0" / "0").exists()

    def finish(self) -> None:
        """Write the completion record."""
        for leftover in self.folder.rglob("*.partial"):
            leftover.unlink(missing_ok=True)
        if self.complete:
            return
        n_parts = len(slices(self.plan.n_samples, self.plan.tile))
        checksums = np.zeros((n_parts, n_parts), np.uint32)
        for rows, columns in self.plan.tiles:
            checksums[rows.start // self.plan.tile, columns.start // self.plan.tile] = self._checksum(rows, columns)
        group = zarr.open_group(self.folder, mode="r+")
        group.create_array(
            "checksums", data=checksums, chunks=checksums.shape, compressors=[Crc32cCodec()], overwrite=True
        )

    def damaged(self) -> Iterator[str]:
        """One line per tile that is missing, does not agree with its checksum, or is not the one that was finished."""
        finished: Any = zarr.open_group(self.folder, mode="r")["checksums"] if self.complete else None
        for rows, columns in tracked(self.plan.tiles, "tiles verified"):
            try:
                self.read(rows, columns)
            except InvalidFile as error:
                yield str(error)
                continue
            place = (rows.start // self.plan.tile, columns.start // self.plan.tile)
            if finished is not None and finished[place] != self._checksum(rows, columns):
                name = self.tile_file(rows, columns)
                yield f"{name} is not the tile that was finished; delete it and `hilbertsd gram run`"

    def check_points(self, points: Any) -> None:
        """Raise InvalidInput unless these are the points that the store is for."""
        if len(points) != self.plan.n_samples or _digest(points) != self.plan.inputs:
            raise InvalidInput(f"{self.folder} is for other points than the {len(points):,} given; give another folder")

    def _checksum(self, rows: slice, columns: slice) -> int:
        """Checksum of a tile, as its file ends in it."""
        with self.tile_file(rows, columns).open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")


def _digest(points: Any) -> str:
    """Hash of an array's values, type and shape, read part by part."""
    first = np.asarray(points[:1])
    digest = hashlib.sha256(f"{first.dtype.str} {(len(points), *first.shape[1:])}".encode())
    for part in slices(len(points), max(1, HASHED_AT_ONCE // max(1, first.nbytes))):
        digest.update(np.ascontiguousarray(points[part]).data)
    return digest.hexdigest()
