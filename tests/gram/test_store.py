"""Kernel matrices in stores of tiles: the values, kills, damage, plans, and paths from them."""

import signal
import time

import numpy as np
import pytest
import zarr
from sklearn.metrics.pairwise import rbf_kernel
from stores import KERNEL, filled, killed_runs, same_folders, with_one_bit_changed

from hilbertsd import distill
from hilbertsd.errors import InvalidFile, InvalidInput, InvalidKernel
from hilbertsd.gram import filling as gram_jobs
from hilbertsd.gram import tiles
from hilbertsd.gram.filling import check_fits, fill, tile_seconds
from hilbertsd.gram.operators import StoredKernel
from hilbertsd.gram.store import GramPlan, GramStore


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(230, 5))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [64, 230, 1000])
def test_it_holds_the_kernel_matrix(points, tmp_path, tile, dtype):
    store = filled(tmp_path / "gram", points, tile=tile, dtype=dtype)
    expected = rbf_kernel(points, gamma=0.1)
    rounding = np.finfo(dtype).eps
    assert store.complete
    assert store.missing() == []
    assert store.precision == rounding
    # Anyone can read it with Zarr alone; below the diagonal tiles nothing was ever stored.
    kernel = zarr.open_array(tmp_path / "gram" / "kernel", mode="r")
    assert kernel.dtype == dtype
    values = np.asarray(kernel[:])
    upper = np.triu_indices(230)
    np.testing.assert_allclose(values[upper], expected[upper], rtol=rounding, atol=1e-15)
    assert np.isnan(values[229, 0]) == (tile == 64)
    block = np.random.default_rng(0).normal(size=(230, 3))
    whole = np.where(np.isnan(values), values.T, values).astype(float)
    np.testing.assert_allclose(store.multiply(block), whole @ block, rtol=1e-12, atol=1e-12)


def test_only_the_upper_tiles_are_stored(points, tmp_path):
    store = filled(tmp_path / "gram", points, tile=64)
    tiles = list((tmp_path / "gram" / "kernel" / "c").rglob("*"))
    assert len([tile for tile in tiles if tile.is_file()]) == len(store.plan.tiles) == 10
    assert sum(tile.stat().st_size for tile in tiles if tile.is_file()) == store.plan.bytes_stored


def test_a_path_from_a_store_is_the_path_from_memory(points, tmp_path):
    store = filled(tmp_path / "gram", points, tile=64, dtype="float64")
    targets = np.sin(points[:, :2])
    tolerance = 0.1 * np.sum(targets**2) / 230
    found = distill(store, targets, tolerance=tolerance, rtol=1e-8)
    exact = distill(rbf_kernel(points, gamma=0.1), targets, tolerance=tolerance)
    np.testing.assert_allclose(found.multipliers, exact.multipliers, rtol=1e-7)
    assert found.collapse_certified


def test_cores_do_not_change_a_bit(points, tmp_path, monkeypatch):
    filled(tmp_path / "all", points, tile=50)
    monkeypatch.setattr(tiles, "available_cores", lambda: 5)
    filled(tmp_path / "five", points, tile=50)
    assert same_folders(tmp_path / "all", tmp_path / "five")


@pytest.mark.parametrize(
    ("kills", "how"),
    [
        (2, signal.SIGKILL),
        pytest.param(6, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(6, signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_kills_leave_no_trace(begin, points, tmp_path, kills, how):
    assert killed_runs(begin, tmp_path, [points], 16, kills, how) == kills
    filled(tmp_path / "undisturbed", points, tile=16)
    assert same_folders(tmp_path / "killed", tmp_path / "undisturbed")


def test_leftovers_of_a_kill_go_and_what_is_there_is_not_computed_again(points, tmp_path):
    store = filled(tmp_path / "gram", points, tile=64)
    (tmp_path / "gram" / "kernel" / "c" / "0" / "0.0123.partial").write_bytes(b"half a tile")

    def never(*_):
        raise AssertionError("computed again")

    fill(store, never, points)
    assert not list((tmp_path / "gram").rglob("*.partial"))


def test_every_flipped_byte_is_found(points, tmp_path):
    """In each tile, one byte at a random place: verify names the tile, and so does a product; a run mends it."""
    store = filled(tmp_path / "gram", points, tile=64)
    filled(tmp_path / "intact", points, tile=64)
    rng = np.random.default_rng(1)
    assert list(store.damaged()) == []
    for rows, columns in store.plan.tiles:
        file = store.tile_file(rows, columns)
        content = bytearray(file.read_bytes())
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        file.write_bytes(content)
        (line,) = store.damaged()
        assert str(file) in line
        with pytest.raises(InvalidFile, match="does not agree with its checksum"):
            store.multiply(np.ones((230, 1)))
        fill(store, KERNEL, points)
        assert list(store.damaged()) == []
    assert same_folders(tmp_path / "gram", tmp_path / "intact")


def test_missing_truncated_and_exchanged_tiles_are_found(points, tmp_path):
    store = filled(tmp_path / "gram", points, tile=64)
    first, second, third = (store.tile_file(*store.plan.tiles[k]) for k in (1, 2, 5))
    first.unlink()
    content = second.read_bytes()
    second.write_bytes(content[:-100])
    third.write_bytes(content)
    lines = list(store.damaged())
    assert len(lines) == 3
    assert "is missing" in lines[0]
    assert "checksum" in lines[1]
    assert "is not the tile that was finished" in lines[2]
    assert store.missing() == [store.plan.tiles[1]]
    with pytest.raises(InvalidFile, match="is missing"):
        store.read(*store.plan.tiles[1])
    with pytest.raises(InvalidFile, match=r"is missing|is damaged"):
        store.multiply(np.ones((230, 1)))


@pytest.mark.parametrize("exchanged", [(1, 2), (1, 3), (0, 9)])
def test_exchanged_tiles_are_never_used_and_computed_again(points, tmp_path, exchanged):
    """Of a finished store, also where one is at the edge, whose padding the other has not, and both have checksums."""
    store = filled(tmp_path / "gram", points, tile=64, dtype="float64")
    filled(tmp_path / "intact", points, tile=64, dtype="float64")
    files = [store.tile_file(*store.plan.tiles[place]) for place in exchanged]
    contents = [file.read_bytes() for file in files]
    for file, content in zip(files, reversed(contents), strict=True):
        file.write_bytes(content)
    opened = GramStore.open(tmp_path / "gram")
    for use in (
        lambda: opened.read(*store.plan.tiles[exchanged[0]]),
        opened.to_array,
        lambda: opened.multiply(np.ones((230, 1))),
    ):
        with pytest.raises(InvalidFile, match="is not the tile that was finished"):
            use()
    fill(opened, KERNEL, points)
    assert same_folders(tmp_path / "gram", tmp_path / "intact")


def test_exchanged_tiles_are_computed_again_even_if_the_run_that_saw_them_was_killed(points, tmp_path):
    """The record goes with the first tile that is written; by then the others that it shows must be gone."""
    store = filled(tmp_path / "gram", points, tile=64)
    filled(tmp_path / "intact", points, tile=64)
    first, second = (store.tile_file(*store.plan.tiles[place]) for place in (1, 5))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    calls = []

    def killed(X, Y):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return KERNEL(X, Y)

    with pytest.raises(KeyboardInterrupt):
        fill(store, killed, points)
    fill(store, KERNEL, points)
    assert same_folders(tmp_path / "gram", tmp_path / "intact")


def test_a_record_that_changes_is_read_again(points, tmp_path):
    """A store that stays open while another process replaces a tile and finishes it anew."""
    store, elsewhere = filled(tmp_path / "gram", points, tile=64), GramStore.open(tmp_path / "gram")
    tile = store.plan.tiles[2]
    before = store.read(*tile)
    elsewhere.tile_file(*tile).unlink()
    fill(elsewhere, lambda X, Y: KERNEL(X, Y) * (1 + 1e-6), points)
    assert np.any(store.read(*tile) != before)


def test_of_runs_that_begin_a_store_at_once_all_get_it(points, tmp_path, monkeypatch):
    plans = [GramPlan.of(points, {}, tile=tile) for tile in (64, 32)]
    create = zarr.create_group

    def slower(*arguments, **options):
        monkeypatch.undo()
        GramStore.create(tmp_path / "gram", plans[0])
        return create(*arguments, **options)

    monkeypatch.setattr(zarr, "create_group", slower)
    assert GramStore.create(tmp_path / "gram", plans[0]).plan == plans[0]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gram"]
    (tmp_path / "gram").rename(tmp_path / "first")
    monkeypatch.setattr(zarr, "create_group", slower)
    with pytest.raises(InvalidFile, match="is for another kernel matrix, with other tile; give another folder"):
        GramStore.create(tmp_path / "gram", plans[1])


def test_advice_helps_whoever_gets_it(points, tmp_path):
    """Creating a store says nothing of creating one; what fills a store need not be `hilbertsd gram run`."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidFile, match=r"is no store of a kernel matrix and is not empty; give another folder$"):
        GramStore.create(tmp_path / "thesis", GramPlan.of(points, {}))
    with pytest.raises(
        InvalidFile, match=r"is no store of a kernel matrix; make one with `hilbertsd gram run` or Gram"
    ):
        GramStore.open(tmp_path / "thesis")
    begun = GramStore.create(tmp_path / "begun", GramPlan.of(points, {}))
    with pytest.raises(InvalidFile, match=r"is missing; `hilbertsd gram run`, or hilbertsd\.gram\.fill, computes it"):
        begun.to_array()


def test_a_flipped_byte_in_what_the_store_says_of_itself_is_found(points, tmp_path):
    """In the completion record a run mends it; in a zarr.json the store is refused, whatever byte it was."""
    store = filled(tmp_path / "gram", points, tile=64)
    filled(tmp_path / "intact", points, tile=64)
    record = tmp_path / "gram" / "finished.json"
    for place in range(0, record.stat().st_size, 7):
        content = bytearray(record.read_bytes())
        content[place] ^= 1
        record.write_bytes(content)
        assert not store.complete
        assert "finished.json is damaged" in next(iter(store.damaged()))
        fill(store, KERNEL, points)
        assert list(store.damaged()) == []
    assert same_folders(tmp_path / "gram", tmp_path / "intact")
    group = tmp_path / "gram" / "zarr.json"
    intact = group.read_bytes()
    start = intact.index(b'"plan"')
    for content in with_one_bit_changed(intact, start, intact.index(b'"plan_sha256"') + 80):
        group.write_bytes(content)
        with pytest.raises(InvalidFile):
            GramStore.open(tmp_path / "gram")
    group.write_bytes(intact)
    array = tmp_path / "gram" / "kernel" / "zarr.json"
    intact = array.read_text()
    for was, made in (("64", "46"), ("crc32c", "gzip"), ('"NaN"', "0.0"), ("float32", "float64")):
        assert was in intact
        array.write_text(intact.replace(was, made))
        with pytest.raises(InvalidFile, match="is damaged"):
            GramStore.open(tmp_path / "gram")


def test_a_tile_computed_anew_is_finished_anew(points, tmp_path):
    """On another processor its last bits may differ; the record is then of the tiles that are there."""
    store = filled(tmp_path / "gram", points, tile=64)
    store.tile_file(*store.plan.tiles[2]).unlink()
    fill(store, lambda X, Y: KERNEL(X, Y) * (1 + 1e-6), points)
    assert store.complete
    assert list(store.damaged()) == []


def test_nothing_of_the_user_is_removed(points, tmp_path, monkeypatch):
    (tmp_path / "gram.partial").mkdir()
    (tmp_path / "gram.partial" / "thesis.tex").write_text("years of work")
    filled(tmp_path / "gram", points)
    assert (tmp_path / "gram.partial" / "thesis.tex").exists()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert filled(".", points).complete


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda X, Y: np.exp(-np.abs(X - Y[:1])), r"gives float64 of shape \(230, 5\) between 230 and 230 points"),
        (lambda X, Y: KERNEL(X, Y) + 0j, "gives complex128"),
        (lambda X, Y: KERNEL(X, Y) * 1e39, "not finite between points 0 to 230"),
        (lambda X, Y: np.full((len(X), len(Y)), "a"), "gives <U1"),
    ],
)
def test_kernels_that_give_no_kernel_matrix_are_refused(points, tmp_path, kernel, message):
    store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}))
    with pytest.raises(InvalidKernel, match=message):
        fill(store, kernel, points)
    with pytest.raises(InvalidKernel, match=message):
        StoredKernel.of(kernel, points, "float32")


def test_whole_numbers_are_values_like_others(points, tmp_path):
    store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}, tile=64))
    fill(store, lambda X, Y: np.full((len(X), len(Y)), 100, np.int8), points)
    np.testing.assert_allclose(store.multiply(np.ones((230, 1))), 23000)


@pytest.mark.parametrize(
    "bad", [np.array(["a", "b"]), np.array([1 + 1j]), np.array([None]), np.zeros((0, 3)), np.float64(3)]
)
def test_points_that_are_no_numbers_are_refused(bad):
    with pytest.raises(InvalidInput, match="points have"):
        GramPlan.of(bad, {})


def test_configs_are_what_is_read_back(points, tmp_path):
    plan = GramPlan.of(points, {"depths": (1, 2)}, tile=np.int64(64))
    GramStore.create(tmp_path / "gram", plan)
    assert GramStore.create(tmp_path / "gram", plan).plan == plan
    for config in ({"gamma": np.nan}, {"kernel": KERNEL}):
        with pytest.raises(InvalidInput, match="cannot be written as JSON"):
            GramPlan.of(points, config)


def test_other_points_and_plans_are_refused(points, tmp_path):
    store = filled(tmp_path / "gram", points, tile=64)
    changed = points.copy()
    changed[229, 4] += 1e-15
    with pytest.raises(InvalidInput, match="is for other points"):
        fill(store, KERNEL, changed)
    for plan, different in (
        (GramPlan.of(changed, store.plan.config, tile=64), "inputs"),
        (GramPlan.of(points, {"kernel": "rbf", "gamma": 0.2}, tile=64), "config"),
        (GramPlan.of(points, store.plan.config, tile=32, dtype="float64"), "tile and dtype"),
    ):
        with pytest.raises(InvalidFile, match=f"is for another kernel matrix, with other {different}; give"):
            GramStore.create(tmp_path / "gram", plan)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    for name in ("file", "folder"):
        with pytest.raises(InvalidFile, match="is no store of a kernel matrix"):
            GramStore.create(tmp_path / name, store.plan)
    zarr.create_group(tmp_path / "other", attributes={"format": "something else"})
    with pytest.raises(InvalidFile, match="has format 'something else'"):
        GramStore.open(tmp_path / "other")
    for bad in ({"dtype": "float16"}, {"tile": 0}, {"tile": 2.5}):
        with pytest.raises(InvalidInput, match="give"):
            GramPlan.of(points, {}, **bad)


def test_values_that_are_not_finite_are_refused_and_the_rest_is_kept(points, tmp_path):
    store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}, tile=64))

    def broken(X, Y):
        return KERNEL(X, Y) if len(Y) == 64 else KERNEL(X, Y) * np.nan

    with pytest.raises(InvalidKernel, match=r"not finite between points .* and 192 to 230"):
        fill(store, broken, points)
    assert not store.complete
    assert 0 < len(store.missing()) < 10


def test_a_store_is_not_finished_before_it_is_full(points, tmp_path):
    store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}, tile=64))
    with pytest.raises(InvalidFile, match="fill it first"):
        store.finish()


def test_an_error_in_one_thread_ends_the_others(monkeypatch):
    read = []

    def tile(rows, columns):
        read.append((rows, columns))
        if len(read) == 2:
            raise InvalidFile("damaged")
        time.sleep(0.01)
        return np.zeros((rows.stop - rows.start, columns.stop - columns.start))

    monkeypatch.setattr(tiles, "available_cores", lambda: 2)
    with pytest.raises(InvalidFile, match="damaged"):
        tiles.symmetric_product(tile, 10, np.ones((230, 1)))
    assert len(read) < 10


def test_what_cannot_fit_is_refused(points, tmp_path, monkeypatch):
    plan = GramPlan(10**8, "", {}, 2**16)
    with pytest.raises(InvalidInput, match=r"100,000,000 samples take 2e\+07 GB in float32, and the disk"):
        check_fits(plan, tmp_path / "not" / "there")
    small = GramPlan.of(points, {}, tile=64)
    check_fits(small, tmp_path)
    monkeypatch.setattr(gram_jobs, "physical_memory", lambda: 1000)
    with pytest.raises(InvalidInput, match="give smaller tiles"):
        check_fits(small, tmp_path)


def test_room_that_tiles_already_take_counts(points, tmp_path, monkeypatch):
    store = filled(tmp_path / "gram", points, tile=64)
    monkeypatch.setattr(gram_jobs.shutil, "disk_usage", lambda _: _Usage(0))
    check_fits(store.plan, tmp_path / "gram")
    with pytest.raises(InvalidInput, match="0 GB free"):
        check_fits(store.plan, tmp_path / "elsewhere")


class _Usage:
    def __init__(self, free):
        self.free = free


def test_the_estimate_is_the_time_of_a_tile(points):
    def slow(X, Y):
        time.sleep(0.05)
        return KERNEL(X, Y)

    for tile in (115, 229, 230):  # the last tile of 229 has one row
        assert 0.05 <= tile_seconds(GramPlan.of(points, {}, tile=tile), slow, points).again < 1


def test_blas_gets_its_threads_back():
    from threadpoolctl import threadpool_info

    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with tiles.single_threaded_blas:
        with tiles.single_threaded_blas:
            pass
        assert set(threads()) == {1}
    assert threads() == before
