"""Kernel matrices beyond memory: a Zarr store of tiles, each with its checksum.

    store = GramStore.create("gram", GramPlan.of(points, {"kernel": "matern"}))
    fill(store, hilbertsd.greens.matern, points)  # may be killed and called again
    path = hilbertsd.distill(store, targets, tolerance=0.1)
    list(store.damaged())  # []

A store is a folder, a Zarr v3 group with
- `kernel`, of points and themselves (n, n) in square chunks of which only those on and above the diagonal exist, or of
  points and others (n, m), whole; every chunk ends in its CRC-32C;
- attributes: what the kernel matrix was computed from (`inputs`, a hash, and `config`), with a hash of their own;
- `finished.json`, the completion record, written last: the checksums of all tiles, with which every tile that is read
  is compared from then on.
A file is replaced whole or not at all, so that a run killed at any moment loses the tiles in flight and no more. Only
one run at a time may fill a store.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hilbertsd.errors import InvalidFile, InvalidInput
from hilbertsd.gram.kernel_tiles import KernelTiles
from hilbertsd.gram.operators import KernelOperator
from hilbertsd.gram.plan import STORE_FORMAT, GramPlan, digest
from hilbertsd.gram.tiles import Tile, rectangular_product, symmetric_product
from hilbertsd.support.files import write_json
from hilbertsd.support.machine import physical_memory
from hilbertsd.support.progress import tracked

if TYPE_CHECKING:
    import zarr

RECOMPUTE = "`hilbertsd gram run`, or hilbertsd.gram.fill, computes it again"


@dataclass(frozen=True, eq=False)
class GramStore(KernelOperator):
    """Kernel matrix in a store; once complete, an operator that distils or, with others, a matrix to multiply with.

    Attributes
    ----------
    folder : folder of the store.
    plan : points, tiles and dtype of the matrix.
    precision : machine epsilon of the stored values.
    symmetric : whether rows and columns are the same points; a cross kernel matrix is not, even if it is square.
    """

    folder: Path
    plan: GramPlan
    _kernel: "zarr.Array" = field(repr=False)
    precision: float = field(init=False, repr=False)
    symmetric: bool = field(init=False, repr=False)
    block_size = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "precision", float(np.finfo(self.plan.dtype).eps))
        object.__setattr__(self, "symmetric", self.plan.symmetric)

    @classmethod
    def create(cls, folder: str | os.PathLike[str], plan: GramPlan) -> Self:
        """Make a store, or open the one that is in the folder if it has the same plan.

        Raises
        ------
        InvalidFile
            The folder holds something else, or another plan's store; or it cannot be written.
        """
        import zarr  # takes half a second, which commands that need no store should not take
        from zarr.codecs import Crc32cCodec

        folder = Path(folder).absolute()
        if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
            return cls._resume(folder, plan)
        # Made beside its place and then moved, so that no half of a store is ever taken for one.
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            attributes = {"format": STORE_FORMAT, "plan": plan.record, "plan_sha256": plan.hash}
            group = zarr.create_group(temporary, attributes=attributes)
            group.create_array(
                "kernel",
                shape=plan.shape,
                chunks=plan.chunks,
                dtype=plan.dtype,
                fill_value=float("nan"),
                filters=None,
                compressors=[Crc32cCodec()],
            )
            temporary.replace(folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if (folder / "zarr.json").is_file():  # another process was faster
                return cls._resume(folder, plan)
            raise InvalidFile(f"{folder} cannot be made a store: {error.strerror}; give another folder") from error
        return cls.open(folder)

    @classmethod
    def _resume(cls, folder: Path, plan: GramPlan) -> Self:
        """Open what is in a folder, which must be a store of the same plan."""
        if not (folder / "zarr.json").is_file():
            raise InvalidFile(f"{folder} is no store of a kernel matrix and is not empty; give another folder")
        store = cls.open(folder)
        if store.plan != plan:
            different = [name for name, value in asdict(plan).items() if asdict(store.plan)[name] != value]
            raise InvalidFile(
                f"{folder} is for another kernel matrix, with other {' and '.join(different)}; give another folder"
            )
        return store

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Open the store in a folder, complete or not; its tiles are checked when they are read.

        Raises
        ------
        InvalidFile
            There is none, or its plan or layout is damaged.
        """
        import zarr
        from zarr.codecs import Crc32cCodec

        folder = Path(folder)
        if not (folder / "zarr.json").is_file():
            raise InvalidFile(
                f"{folder} is no store of a kernel matrix; make one with `hilbertsd gram run` or GramStore.create"
            )
        try:
            group = zarr.open_group(folder, mode="r+", zarr_format=3)
            attributes: Any = dict(group.attrs)
            if attributes.get("format") != STORE_FORMAT:
                raise InvalidFile(
                    f"{folder} has format {attributes.get('format')!r} and this version reads {STORE_FORMAT!r}; begin "
                    "the store anew in another folder"
                )
            kernel: Any = group["kernel"]
            plan = GramPlan(**attributes["plan"])
            missing_are_nan = bool(np.isnan(kernel.fill_value))
            layout = (kernel.shape, kernel.chunks, str(kernel.dtype), tuple(kernel.compressors), missing_are_nan)
            expected = (plan.shape, plan.chunks, plan.dtype, (Crc32cCodec(),), True)
            if attributes["plan_sha256"] != plan.hash or layout != expected:
                raise InvalidFile(f"{folder} is damaged: a zarr.json is not what was written; begin the store anew")
        except InvalidFile:
            raise
        except Exception as error:  # whatever Zarr makes of files that are not what they were
            raise InvalidFile(f"{folder} is damaged: {error}; begin the store anew in another folder") from error
        return cls(folder, plan, kernel)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n), or (n, m) with others."""
        return self.plan.shape

    def multiply(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, b) raw kernel matrix times an (n, b) block, with others an (m, b) block; every tile is checked.

        Raises
        ------
        InvalidFile
            A tile, which it names, is missing or damaged.
        InvalidInput
            The block has another number of rows than the matrix has columns.
        """
        if np.ndim(block) != 2 or len(block) != self.shape[1]:
            raise InvalidInput(
                f"the block has shape {np.shape(block)} and the matrix {self.shape}; give ({self.shape[1]}, b)"
            )
        if self.symmetric:
            return symmetric_product(self.read, self.plan.tile, block)
        return rectangular_product(self.read, self.shape[0], self.plan.tile, block)

    def to_array(self) -> NDArray[Any]:
        """Whole matrix in memory, in the dtype it is stored in; every tile is checked.

        Raises
        ------
        InvalidFile
            A tile, which it names, is missing or damaged.
        InvalidInput
            It is larger than the memory of this machine.
        """
        n, m = self.shape
        needed, memory = n * m * np.dtype(self.plan.dtype).itemsize, physical_memory()
        if memory is not None and needed > memory:
            raise InvalidInput(
                f"the {n:,} × {m:,} matrix takes {needed / 1e9:.3g} GB, and this machine has {memory / 1e9:.3g} GB; "
                "read tiles of it, or multiply with it on disk"
            )
        matrix = np.empty(self.shape, self.plan.dtype)
        for rows, columns in tracked(self.plan.tiles, "tiles read"):
            matrix[rows, columns] = values = self.read(rows, columns)
            if self.symmetric and rows != columns:
                matrix[columns, rows] = values.T
        return matrix

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Values of a tile.

        Raises
        ------
        InvalidFile
            It is missing, does not agree with its checksum, or is not the tile of the completion record.
        """
        try:
            values = np.asarray(self._kernel[rows, columns])
        except OSError as error:
            raise InvalidFile(f"{self.tile_file(rows, columns)} cannot be read: {error.strerror}") from error
        except Exception as error:  # a checksum that does not agree, or bytes that are no chunk at all
            raise InvalidFile(
                f"{self.tile_file(rows, columns)} is damaged: it does not agree with its checksum; {RECOMPUTE}"
            ) from error
        if np.isnan(values[0, 0]):
            raise InvalidFile(f"{self.tile_file(rows, columns)} is missing; {RECOMPUTE}")
        if not self._agrees_with_record(rows, columns):
            raise InvalidFile(f"{self.tile_file(rows, columns)} is not the tile that was finished; {RECOMPUTE}")
        return values

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Store the values of a tile; a completion record, which is of the tile before, is deleted first.

        Raises InvalidFile where the tile cannot be written.
        """
        try:
            self._record.unlink(missing_ok=True)
            self._kernel[rows, columns] = values
        except OSError as error:
            raise InvalidFile(f"{self.tile_file(rows, columns)} cannot be written: {error.strerror}") from error

    def fill_tile(self, matrix: KernelTiles, rows: slice, columns: slice) -> int:
        """Compute a tile and store it, unless it is there and intact; returns how many pairs of points it computed.

        The matrix must be that of the plan: see :meth:`check_points`. Raises InvalidKernel as
        :meth:`KernelTiles.compute`.
        """
        if self.tile_file(rows, columns).exists():
            with suppress(InvalidFile):
                self.read(rows, columns)
                return 0
        self.write(rows, columns, matrix.compute(rows, columns, self.plan.dtype))
        return self.plan.pairs(rows, columns)

    def discard_replaced_tiles(self) -> None:
        """Delete tiles that are not those of the completion record, for instance two whose files were exchanged.

        To be called before the first tile is written, because the record, which alone shows them, is then deleted.
        """
        for tile, checksum in zip(self.plan.tiles, self._finished() or (), strict=False):
            with suppress(OSError):  # a missing tile is computed anyway
                if self._checksum(*tile) != checksum:
                    self.tile_file(*tile).unlink()

    def tile_file(self, rows: slice, columns: slice) -> Path:
        """File that holds a tile."""
        return self.folder / "kernel" / "c" / str(rows.start // self.plan.tile) / str(columns.start // self.plan.tile)

    def missing(self) -> list[Tile]:
        """Tiles that are not there."""
        return [tile for tile in self.plan.tiles if not self.tile_file(*tile).exists()]

    @property
    def complete(self) -> bool:
        """Whether the completion record is there and intact; :meth:`missing` says which tiles were deleted since."""
        return self._finished() is not None

    def finish(self) -> None:
        """Write the completion record and delete what killed writes left behind.

        Raises InvalidFile where a tile is missing.
        """
        try:
            for leftover in self.folder.rglob("*.partial"):
                leftover.unlink(missing_ok=True)
            checksums = [self._checksum(*tile) for tile in self.plan.tiles]
        except OSError as error:
            raise InvalidFile(f"{self.folder} cannot be finished: {error}; fill it first") from error
        if not self.complete:
            write_json(self._record, {"checksums": checksums, "sha256": self._hash(checksums)})

    def damaged(self) -> Iterator[str]:
        """One line per tile that is missing, disagrees with its checksum or is not the one that was finished."""
        if self._finished() is None and self._record.exists():
            yield f"{self._record} is damaged; `hilbertsd gram run`, or hilbertsd.gram.fill, writes it again"
        for tile in tracked(self.plan.tiles, "tiles verified"):
            try:
                self.read(*tile)
            except InvalidFile as error:
                yield str(error)

    @property
    def _record(self) -> Path:
        return self.folder / "finished.json"

    def _agrees_with_record(self, rows: slice, columns: slice) -> bool:
        """Whether a tile is the one that was finished, or there is no intact completion record."""
        try:
            record = self._record.stat()
            finished = _finished_once(self, (record.st_mtime_ns, record.st_ino, record.st_size))
            return finished is None or finished[self.plan.place(rows, columns)] == self._checksum(rows, columns)
        except FileNotFoundError:  # no record yet, or none any more while a tile is replaced
            return True

    def _finished(self) -> list[int] | None:
        """Checksums of the tiles as they were finished, None where the record is missing or damaged."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
            return record["checksums"] if record["sha256"] == self._hash(record["checksums"]) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _hash(self, checksums: list[int]) -> str:
        return hashlib.sha256(json.dumps([self.plan.hash, checksums]).encode()).hexdigest()

    def check_points(self, points: Any, others: Any = None) -> None:
        """Raise InvalidInput unless these are the points, and the others, that the store is for."""
        plan = self.plan
        if plan.symmetric != (others is None):
            n, m = plan.shape
            due = "no others" if plan.symmetric else f"{m:,} others"
            raise InvalidInput(f"{self.folder} is for the {n:,} × {m:,} matrix of {n:,} points and {due}; give these")
        if len(points) != plan.n_samples or digest(points) != plan.inputs:
            raise InvalidInput(f"{self.folder} is for other points than the {len(points):,} given; give another folder")
        if others is not None and (len(others) != plan.n_others or digest(others, "others") != plan.other_inputs):
            raise InvalidInput(f"{self.folder} is for others than the {len(others):,} given; give another folder")

    def _checksum(self, rows: slice, columns: slice) -> int:
        """Checksum of a tile: the last four bytes of its file."""
        with self.tile_file(rows, columns).open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")


@lru_cache(maxsize=8)
def _finished_once(store: GramStore, _record_version: tuple[int, ...]) -> list[int] | None:
    """Checksums in a store's completion record, read once for every version of that file."""
    return store._finished()
