"""Stores of cross kernel matrices, and what symmetric ones do that they must not."""

import pickle
import signal

import numpy as np
import pytest
import zarr
from stores import KERNEL, filled, killed_runs, same_folders, with_one_bit_changed

from hilbertsd import distill
from hilbertsd.errors import InvalidFile, InvalidInput, InvalidKernel
from hilbertsd.gram import plan as gram_plan
from hilbertsd.gram import store as gram_store
from hilbertsd.gram import tiles
from hilbertsd.gram.filling import check_fits, fill, tile_seconds
from hilbertsd.gram.kernel_tiles import KernelTiles, TiledKernel
from hilbertsd.gram.operators import ComputedKernel, StoredKernel
from hilbertsd.gram.plan import GramPlan
from hilbertsd.gram.store import GramStore
from hilbertsd.support.progress import PairRate, Task

CONFIG = {"kernel": "rbf", "gamma": 0.1}


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(3).normal(size=(230, 5))


@pytest.fixture(scope="module")
def others():
    return np.random.default_rng(4).normal(size=(70, 5))


def rational(X, Y):
    """A kernel whose values do not depend on the tile they are computed in, to the last bit."""
    return 1 / (1 + np.abs(np.asarray(X)[:, None] - np.asarray(Y)[None]).sum(axis=2))


def lopsided(X, Y):
    """Between a set and itself not symmetric."""
    return rational(X, Y) + np.asarray(X)[:, :1]


def cross(folder, points, others, kernel=KERNEL, **options):
    store = GramStore.create(folder, GramPlan.of(points, CONFIG, others, **options))
    fill(store, kernel, points, others)
    return store


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [32, 70, 100, 230, 1000])
@pytest.mark.parametrize("transposed", [False, True])
def test_it_holds_the_cross_kernel_matrix_to_the_last_bit(points, others, tmp_path, tile, dtype, transposed):
    rows, columns = (others, points) if transposed else (points, others)
    store = cross(tmp_path / "cross", rows, columns, rational, tile=tile, dtype=dtype)
    expected = rational(rows, columns).astype(dtype)
    assert store.shape == store.plan.shape == expected.shape
    assert store.complete
    assert store.missing() == list(store.damaged()) == []
    whole = store.to_array()
    assert whole.dtype == dtype
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "cross" / "kernel", mode="r")[:], expected)
    block = np.random.default_rng(0).normal(size=(len(columns), 3))
    product = store.multiply(block)
    np.testing.assert_allclose(product, expected.astype(float) @ block, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(store.multiply(block), product)


def test_few_rows_or_columns_waste_no_disk(points, others, tmp_path):
    store = cross(tmp_path / "cross", points, others, tile=100, dtype="float64")
    files = [file for file in (tmp_path / "cross" / "kernel" / "c").rglob("*") if file.is_file()]
    assert store.plan.chunks == (100, 70)
    assert len(files) == store.plan.n_tiles == len(store.plan.tiles) == 3
    assert sum(file.stat().st_size for file in files) == store.plan.bytes_stored == 3 * (100 * 70 * 8 + 4)


@pytest.mark.parametrize("tile", [1, 32, 70, 230, 1000])
def test_the_pairs_of_all_tiles_are_the_pairs_of_the_plan(points, others, tile):
    for plan, due in (
        (GramPlan.of(points, {}, tile=tile), 230 * 231 // 2),
        (GramPlan.of(points, {}, others, tile=tile), 230 * 70),
        (GramPlan.of(points, {}, points, tile=tile), 230 * 230),
    ):
        assert plan.n_pairs == sum(plan.pairs(*each) for each in plan.tiles) == due
        assert plan.n_tiles == len(plan.tiles)


def test_a_cross_kernel_matrix_of_points_and_themselves_is_left_as_it_is(points, tmp_path):
    """Where rows and columns are the same slices, they are not the same points: nothing is made symmetric."""
    store = cross(tmp_path / "cross", points, points, lopsided, tile=64, dtype="float64")
    np.testing.assert_array_equal(store.to_array(), lopsided(points, points))
    symmetric = GramStore.create(tmp_path / "gram", GramPlan.of(points, CONFIG, tile=64, dtype="float64"))
    with pytest.raises(InvalidKernel, match="the kernel is not symmetric"):
        fill(symmetric, lopsided, points)
    with pytest.raises(InvalidKernel, match="cross kernel matrix of 230 points and as many others"):
        distill(store, np.sin(points), tolerance=0.1)


class Preparing(TiledKernel):
    """A kernel that prepares its points: it marks what is symmetric, and counts for how many points it was asked."""

    def __init__(self):
        self.prepared_for = []

    def __call__(self, *_):
        raise AssertionError("its tiles are used instead")

    def tiles(self, points, others=None):
        self.prepared_for.append((len(points), None if others is None else len(others)))

        def values(rows, columns):
            found = rational(points[rows], (points if others is None else others)[columns])
            return found + 2 * np.eye(len(found)) if others is None and rows == columns else found

        return values


def test_a_kernel_that_prepares_its_points_does_so_once(points, others, tmp_path):
    expected = rational(points, points) + 2 * np.eye(230)
    kernel = Preparing()
    store = GramStore.create(tmp_path / "gram", GramPlan.of(points, {}, tile=64, dtype="float64"))
    fill(store, kernel, points)
    np.testing.assert_array_equal(store.to_array(), expected)
    np.testing.assert_array_equal(StoredKernel.of(kernel, points).matrix, expected)
    computed = ComputedKernel(kernel, points)
    for _ in range(2):
        np.testing.assert_allclose(computed.multiply(np.eye(230)), expected, rtol=1e-14)
    np.testing.assert_array_equal(cross(tmp_path / "cross", points, points, kernel).to_array().diagonal(), 1)
    cross(tmp_path / "others", points, others, kernel, tile=64)
    assert kernel.prepared_for == [(230, None)] * 3 + [(230, 230), (230, 70)]


def test_what_a_kernel_prepared_does_not_travel(points, others):
    copy = pickle.loads(pickle.dumps(KernelTiles(Preparing(), points, others)))
    assert copy.kernel.prepared_for == [(230, 70)] * 2
    np.testing.assert_array_equal(copy.compute(slice(0, 10), slice(10, 30)), rational(points[:10], others[10:30]))


def test_values_of_another_shape_are_refused(points):
    kernel = Preparing()
    kernel.tiles = lambda *_: lambda rows, _: np.ones(rows.stop)
    with pytest.raises(InvalidKernel, match=r"gives float64 of shape \(64,\) between 64 and 64 points"):
        KernelTiles(kernel, points).compute(slice(0, 64), slice(0, 64))


def test_a_symmetric_store_in_memory_is_mirrored(points, tmp_path):
    for dtype in ("float32", "float64"):
        store = filled(tmp_path / dtype, points, tile=64, dtype=dtype)
        whole = store.to_array()
        assert whole.dtype == dtype
        np.testing.assert_array_equal(whole, whole.T)
        np.testing.assert_allclose(whole, KERNEL(points, points), rtol=8 * np.finfo(dtype).eps)
    store.tile_file(*store.plan.tiles[3]).unlink()
    with pytest.raises(InvalidFile, match="is missing"):
        store.to_array()


def test_what_memory_cannot_hold_is_refused(points, others, tmp_path, monkeypatch):
    store = cross(tmp_path / "cross", points, others, tile=64)
    monkeypatch.setattr(gram_store, "physical_memory", lambda: 64399)
    with pytest.raises(InvalidInput, match=r"the 230 × 70 matrix takes 6\.44e-05 GB"):
        store.to_array()


def test_a_block_of_another_length_is_refused(points, others, tmp_path):
    store = cross(tmp_path / "cross", points, others, tile=64)
    for block in (np.ones((230, 1)), np.ones(70), np.ones((64, 2))):
        with pytest.raises(InvalidInput, match=r"and the matrix \(230, 70\); give \(70, b\)"):
            store.multiply(block)


def test_it_is_no_kernel_operator(points, others, tmp_path):
    store = cross(tmp_path / "cross", points, others)
    with pytest.raises(InvalidKernel, match=r"shape \(230, 70\); give a non-empty square matrix"):
        distill(store, np.sin(points), tolerance=0.1)


def test_cores_do_not_change_a_bit(points, others, tmp_path, monkeypatch):
    cross(tmp_path / "all", points, others, tile=32)
    monkeypatch.setattr(tiles, "available_cores", lambda: 5)
    cross(tmp_path / "five", points, others, tile=32)
    assert same_folders(tmp_path / "all", tmp_path / "five")


@pytest.fixture
def notes(monkeypatch):
    """What progress bars were told beside the counts."""
    told = []
    monkeypatch.setattr(Task, "update", lambda _, __, note="": told.append(note))
    return told


def test_bars_note_pairs_per_second_of_what_is_computed(points, others, tmp_path, notes, monkeypatch):
    counted = []
    monkeypatch.setattr(PairRate, "note", lambda _, pairs: counted.append(pairs) or f"{sum(counted)} pairs/s")
    store = cross(tmp_path / "cross", points, others, tile=64)
    assert notes[-1] == f"{sum(counted)} pairs/s" == "16100 pairs/s"
    counted.clear()
    store.tile_file(*store.plan.tiles[-1]).unlink()
    fill(store, KERNEL, points, others)
    assert (len(counted), sum(counted)) == (8, 38 * 6)
    counted.clear()
    filled(tmp_path / "gram", points, tile=64)
    assert sum(counted) == 230 * 231 // 2
    counted.clear()
    StoredKernel.of(KERNEL, points)
    assert counted == [230 * 231 // 2]


@pytest.mark.parametrize(
    ("kills", "how"),
    [
        (1, signal.SIGKILL),
        pytest.param(6, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param(6, signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_kills_leave_no_trace(begin, points, others, tmp_path, kills, how):
    assert killed_runs(begin, tmp_path, [points, others], 8, kills, how) == kills
    cross(tmp_path / "undisturbed", points, others, tile=8)
    assert same_folders(tmp_path / "killed", tmp_path / "undisturbed")


def test_every_flipped_byte_is_found(points, others, tmp_path):
    store = cross(tmp_path / "cross", points, others, tile=64)
    cross(tmp_path / "intact", points, others, tile=64)
    rng = np.random.default_rng(1)
    for tile in store.plan.tiles:
        file = store.tile_file(*tile)
        content = bytearray(file.read_bytes())
        content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        file.write_bytes(content)
        (line,) = store.damaged()
        assert str(file) in line
        for use in (store.to_array, lambda: store.multiply(np.ones((70, 1)))):
            with pytest.raises(InvalidFile, match="does not agree with its checksum"):
                use()
        fill(store, KERNEL, points, others)
        assert list(store.damaged()) == []
    assert same_folders(tmp_path / "cross", tmp_path / "intact")


def test_a_flipped_byte_in_what_the_store_says_of_itself_is_found(points, others, tmp_path):
    cross(tmp_path / "cross", points, others, tile=64)
    group = tmp_path / "cross" / "zarr.json"
    intact = group.read_bytes()
    start = intact.index(b'"format"')
    for content in with_one_bit_changed(intact, start, intact.index(b'"plan_sha256"') + 80):
        group.write_bytes(content)
        with pytest.raises(InvalidFile):
            GramStore.open(tmp_path / "cross")
    group.write_bytes(intact.replace(b"GramStore/3", b"GramStore/1"))
    with pytest.raises(InvalidFile, match=r"has format 'hilbertsd\.GramStore/1' and this version reads"):
        GramStore.open(tmp_path / "cross")


def test_other_points_others_and_plans_are_refused(points, others, tmp_path):
    store = cross(tmp_path / "cross", points, others, tile=64)
    symmetric = filled(tmp_path / "gram", points, tile=64)
    changed, other_changed = points.copy(), others.copy()
    changed[229, 4] += 1e-15
    other_changed[69, 4] += 1e-15
    for given, message in (
        ((changed, others), "is for other points than the 230 given"),
        ((points, other_changed), "is for others than the 70 given"),
        ((others, points), "is for other points than the 70 given"),
        ((points,), "230 × 70 matrix of 230 points and 70 others; give these"),
    ):
        with pytest.raises(InvalidInput, match=message):
            fill(store, KERNEL, *given)
    with pytest.raises(InvalidInput, match="230 × 230 matrix of 230 points and no others; give these"):
        fill(symmetric, KERNEL, points, points)
    for plan, different in (
        (GramPlan.of(changed, CONFIG, others, tile=64), "inputs"),
        (GramPlan.of(points, CONFIG, other_changed, tile=64), "other_inputs"),
        (GramPlan.of(points, CONFIG, others[:60], tile=64), "n_others and other_inputs"),
        (GramPlan.of(points, CONFIG, tile=64), "n_others and other_inputs"),
        (GramPlan.of(points, {}, others, tile=32), "config and tile"),
    ):
        with pytest.raises(InvalidFile, match=f"is for another kernel matrix, with other {different}; give"):
            GramStore.create(tmp_path / "cross", plan)
    with pytest.raises(InvalidFile, match="with other n_others and other_inputs; give"):
        GramStore.create(tmp_path / "gram", store.plan)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([["a"] * 5]), "others have dtype <U1"),
        (np.zeros((0, 5)), r"others have shape \(0, 5\)"),
        (np.float64(3), r"others have shape \(\)"),
        (np.zeros((70, 4)), r"points have shape \(230, 5\) and others \(70, 4\); give both"),
    ],
)
def test_others_that_do_not_fit_are_refused(points, bad, message):
    with pytest.raises(InvalidInput, match=message):
        GramPlan.of(points, {}, bad)


def test_a_plan_with_half_of_the_others_is_refused():
    for half in ({"n_others": 3}, {"other_inputs": "hash"}):
        with pytest.raises(InvalidInput, match="give both"):
            GramPlan(5, "hash", **half)
    with pytest.raises(InvalidInput, match="n_others is 0"):
        GramPlan(5, "hash", n_others=0, other_inputs="hash")


def test_values_that_are_not_finite_are_refused(points, others, tmp_path):
    store = GramStore.create(tmp_path / "cross", GramPlan.of(points, {}, others, tile=64))
    with pytest.raises(InvalidKernel, match="not finite between points 192 to 230 and others 64 to 70"):
        store.fill_tile(KernelTiles(lambda X, Y: KERNEL(X, Y) * np.nan, points, others), *store.plan.tiles[-1])


def test_what_cannot_fit_is_refused_and_few_columns_need_little_memory(points, others, tmp_path, monkeypatch):
    plan = GramPlan(10**8, "", {}, 2**16, n_others=10**6, other_inputs="")
    with pytest.raises(InvalidInput, match=r"100,000,000 × 1,000,000 samples take 4\.\d+e\+05 GB in float32, and the"):
        check_fits(plan, tmp_path / "not" / "there")
    monkeypatch.setattr("hilbertsd.gram.filling.physical_memory", lambda: 10**6 * tiles.available_cores())
    check_fits(GramPlan.of(points, {}, others[:2], tile=230), tmp_path)
    with pytest.raises(InvalidInput, match="give smaller tiles"):
        check_fits(GramPlan.of(points, {}, points, tile=230), tmp_path)


def test_the_estimate_is_of_a_whole_tile(points, others):
    asked = []

    def kernel(X, Y):
        asked.append((X.shape, Y.shape))
        return KERNEL(X, Y)

    assert tile_seconds(GramPlan.of(points, {}, others, tile=100), kernel, points, others).again > 0
    assert set(asked) == {((100, 5), (70, 5))}


def test_points_are_told_from_others_in_every_part(monkeypatch):
    """By their values, order, type and shape, however many parts are hashed, and the same on any number of cores."""
    monkeypatch.setattr(gram_plan, "HASHED_AT_ONCE", 5 * 3 * 8)
    points = np.random.default_rng(0).normal(size=(23, 3))
    expected = gram_plan.digest(points)
    for number in range(23):
        changed = points.copy()
        changed[number, 1] = np.nextafter(changed[number, 1], 1)
        assert gram_plan.digest(changed) != expected
    for other in (points[::-1], points[:-1], points.astype("float32"), points.reshape(23, 3, 1), points.T):
        assert gram_plan.digest(other) != expected
    monkeypatch.setattr(gram_plan, "available_cores", lambda: 1)
    assert gram_plan.digest(np.asfortranarray(points)) == expected


def test_points_keep_their_hash():
    """Of one part and of several: with another hash the stores that there are would be for other points."""
    points = np.arange(10.0).reshape(5, 2)
    assert gram_plan.digest(points) == "a5aa635b7eed49c128e24530f0fbcfa7d2f3b86057f185971cbb9fb23d62b347"
    many = np.arange(5 * 2**20, dtype="float64").reshape(-1, 4)
    assert many.nbytes > 2 * gram_plan.HASHED_AT_ONCE
    assert gram_plan.digest(many) == "e1257d7d562d2199f759bbf9202cf40ad1fbdd785c6b7ea7f3aa30328130328d"
