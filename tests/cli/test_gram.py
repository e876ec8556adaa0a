"""`hilbertsd gram`: plan, run, status, verify, as a user meets them."""

import json
import sys

import numpy as np
import pytest
from commands import in_a_process, one_line
from sklearn.metrics.pairwise import rbf_kernel
from stores import same_folders

from hilbertsd import distill
from hilbertsd.errors import InvalidInput
from hilbertsd.gram.store import GramPlan, GramStore


@pytest.fixture
def points(tmp_path, rng):
    file = tmp_path / "points.npy"
    np.save(file, rng.normal(size=(300, 4)))
    return file


def test_from_plan_to_path(hilbertsd, points, tmp_path):
    options = (points, "store", "--gamma", 0.1, "--tile", 128, "--dtype", "float64")
    code, out, err = hilbertsd("gram", "plan", *options, "--json")
    planned = json.loads(out)
    assert (code, err) == (0, "")
    assert (planned["samples"], planned["tiles"], planned["dtype"]) == (300, 6, "float64")
    assert planned["gigabytes"] == pytest.approx(6 * (128**2 * 8 + 4) / 1e9)
    assert planned["estimated_seconds"] > 0
    assert not (tmp_path / "store").exists()

    assert hilbertsd("gram", "run", *options)[0] == 0
    size = sum(tile.stat().st_size for tile in (tmp_path / "store" / "kernel" / "c").rglob("*") if tile.is_file())
    assert size == planned["gigabytes"] * 1e9
    status = json.loads(hilbertsd("gram", "status", "store", "--json")[1])
    assert (status["missing"], status["complete"], status["kernel"], status["gamma"]) == (0, True, "rbf", 0.1)
    code, out, _ = hilbertsd("gram", "verify", "store")
    assert (code, out) == (0, "all 6 tiles of the 300 × 300 matrix are intact\n")

    X = np.load(points)
    targets = np.sin(X[:, 0])
    found = distill(GramStore.open(tmp_path / "store"), targets, tolerance=0.05, rtol=1e-8)
    exact = distill(rbf_kernel(X, gamma=0.1), targets, tolerance=0.05)
    np.testing.assert_allclose(found.multipliers, exact.multipliers, rtol=1e-7)


def test_a_cross_kernel_matrix(hilbertsd, points, tmp_path, rng):
    others = rng.normal(size=(50, 4))
    np.save(tmp_path / "others.npy", others)
    options = (points, "store", "--others", "others.npy", "--gamma", 0.1, "--tile", 128, "--dtype", "float64")
    planned = json.loads(hilbertsd("gram", "plan", *options, "--json")[1])
    assert (planned["samples"], planned["shape"], planned["tiles"]) == (300, [300, 50], 3)
    assert planned["gigabytes"] == pytest.approx(3 * (128 * 50 * 8 + 4) / 1e9)
    assert hilbertsd("gram", "run", *options)[0] == 0
    store = GramStore.open(tmp_path / "store")
    np.testing.assert_allclose(store.to_array(), rbf_kernel(np.load(points), others, gamma=0.1), rtol=1e-13)
    status = hilbertsd("gram", "status", "store")[1]
    assert "300 × 50" in status
    assert hilbertsd("gram", "verify", "store")[1] == "all 3 tiles of the 300 × 50 matrix are intact\n"
    assert json.loads(hilbertsd("gram", "verify", "store", "--json")[1])["shape"] == [300, 50]
    assert "with other n_others and other_inputs" in one_line(
        *hilbertsd("gram", "run", points, "store", "--gamma", 0.1, "--tile", 128, "--dtype", "float64")
    )


def test_damage_is_found_and_mended(hilbertsd, points, tmp_path):
    options = (points, "store", "--tile", 128)
    hilbertsd("gram", "run", *options)
    file = tmp_path / "store" / "kernel" / "c" / "0" / "1"
    content = bytearray(file.read_bytes())
    content[1000] ^= 4
    file.write_bytes(content)
    code, out, _ = hilbertsd("gram", "verify", "store")
    assert code == 1
    assert "is damaged" in out
    assert "1 damaged, of 6 tiles of the 300 × 300 matrix and their record" in out
    assert len(json.loads(hilbertsd("gram", "verify", "store", "--json")[1])["damaged"]) == 1
    assert hilbertsd("gram", "run", *options)[0] == 0
    assert hilbertsd("gram", "verify", "store")[0] == 0


def test_a_run_says_what_it_made(hilbertsd, points):
    out = hilbertsd("gram", "run", points, "store", "--tile", 128)[1]
    for line in (" kernel    rbf ", " shape     300 × 300 ", " tiles     6 ", " complete  yes "):
        assert line in out


@pytest.mark.parametrize(
    "words", [("plan", "points.npy", "store"), ("run", "points.npy", "store"), ("status", "large")]
)
@pytest.mark.usefixtures("points")
def test_lists_read_at_eighty_columns(hilbertsd, monkeypatch, tmp_path, words):
    monkeypatch.setenv("COLUMNS", "80")
    config = {"kernel": "ntk", "architecture": {"name": "fully-connected", "depth": 5, "weight_std": 2**0.5}}
    GramStore.create(tmp_path / "large", GramPlan(50_000, "hash", config, tile=1024, n_others=10_000, other_inputs="h"))
    code, out, _ = hilbertsd("gram", *words)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    facts = dict(line.split(maxsplit=1) for line in out.splitlines() if line[1] != " ")
    assert facts["dtype"].strip() == "float32"
    if words[0] == "status":
        assert facts["shape"].strip() == "50,000 × 10,000"
        assert facts["size"].strip() == "2.1 GB"
        assert "name fully-connected, depth 5, weight_std 1.414" in out


def test_a_run_on_a_cluster(hilbertsd, points, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra `cluster`")
    # Threads instead of processes, which take seconds to start; the command still connects over TCP.
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(processes=False, protocol="tcp", **options) as cluster:
        options = ("--others", points, "--scheduler", cluster.scheduler_address, "--json")
        done = in_a_process("gram", "run", points, tmp_path / "there", *options)
    assert done.returncode == 0
    assert json.loads(done.stdout)["complete"]
    hilbertsd("gram", "run", points, "here", "--others", points)
    assert same_folders(tmp_path / "here", tmp_path / "there")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gram", "plan", "nothing.npy", "store"), "does not exist"),
        (("gram", "run", "text.npy", "store"), "is no .npy file"),
        (("gram", "run", "line.npy", "store"), "give one (n, n_features) array"),
        (("gram", "run", "points.npy", "store", "--kernel", "nothing"), "kernel is 'nothing'"),
        (("gram", "run", "points.npy", "store", "--kernel", "precomputed"), "give one of additive_chi2"),
        (("gram", "plan", "points.npy", "store", "--gamma", "-1"), "gamma is -1.0"),
        (("gram", "run", "points.npy", "store", "--gamma", "0"), "gamma is 0.0"),
        (("gram", "plan", "points.npy", "store", "--dtype", "float16"), "dtype is 'float16'"),
        (("gram", "run", "points.npy", "store", "--tile", "0"), "--tile"),
        (("gram", "run", "points.npy", "text.npy"), "is no store"),
        (("gram", "run", "points.npy", "store", "--scheduler", "nonsense"), "no Dask scheduler answers at 'nonsense'"),
        (("gram", "run", "words.npy", "store"), "points have dtype <U5"),
        (("gram", "run", "complex.npy", "store"), "points have dtype complex128"),
        (("gram", "plan", "empty.npy", "store"), "points have shape (0, 4)"),
        (("gram", "run", "objects.npy", "store"), "is no .npy file"),
        (("gram", "plan", "points.npy", "store", "--others", "nothing.npy"), "nothing.npy does not exist"),
        (("gram", "run", "points.npy", "store", "--others", "line.npy"), "give one (n, n_features) array"),
        (("gram", "run", "points.npy", "store", "--others", "empty.npy"), "others have shape (0, 4)"),
        (("gram", "run", "points.npy", "store", "--others", "narrow.npy"), "and others (5, 3); give both of one shape"),
        (("gram", "plan", "", "store"), "Invalid value for 'points': it is empty; give a path"),
        (("gram", "plan", "points.npy", "store", "--others", ""), "Invalid value for '--others': it is empty"),
        (("gram", "run", "holes.npy", "store"), "points hold nan at index (70000, 2); leave that sample out"),
        (("gram", "run", "points.npy", "store", "--others", "holes.npy"), "others hold nan at index (70000, 2)"),
        (("gram", "run", "points.npy", ""), "Invalid value for 'store': it is empty; give a path"),
        (("gram", "run", ".", "store"), "is no .npy file"),
        (("gram", "plan", "points.npy", "store", "--gamma", "nan"), "gamma is nan"),
        (("gram", "plan", "points.npy", "store", "--tile", "-1"), "--tile"),
        (("gram", "status", "points.npy"), "is no store"),
        (("gram", "status", "nothing"), "is no store"),
        (("gram", "verify", "nothing"), "is no store"),
    ],
)
def test_bad_input_is_one_line(hilbertsd, points, tmp_path, words, message):
    (tmp_path / "text.npy").write_text("no numbers")
    np.save(tmp_path / "line.npy", np.arange(5.0))
    np.save(tmp_path / "words.npy", np.array([["these", "words"]]))
    np.save(tmp_path / "complex.npy", np.ones((5, 4)) * 1j)
    np.save(tmp_path / "narrow.npy", np.ones((5, 3)))
    np.save(tmp_path / "empty.npy", np.ones((0, 4)))
    holes = np.ones((70_001, 4))
    holes[70_000, 2:] = np.nan, np.inf
    np.save(tmp_path / "holes.npy", holes)
    np.save(tmp_path / "objects.npy", np.array([[None, 1]]), allow_pickle=True)
    assert message in one_line(*hilbertsd(*words))
    assert points.exists()
    assert not (tmp_path / "store").exists()


def test_every_flipped_byte_of_the_header_of_points_is_harmless_or_refused(points):
    from hilbertsd.cli.gram import _points

    content = points.read_bytes()
    refused = 0
    for place in range(128):
        for bit in range(8):
            points.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            try:
                _points(points)
            except InvalidInput:
                refused += 1
    assert refused > 500


def test_help_says_every_default(hilbertsd):
    out = " ".join(hilbertsd("gram", "plan", "--help")[1].split())
    for default in ("rbf", "(1/number of features)", "2048", "float32"):
        assert f"[default: {default}]" in out


def test_without_dask_a_scheduler_is_refused(hilbertsd, points, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "hilbertsd.gram.cluster", raising=False)
    message = one_line(*hilbertsd("gram", "run", points, "store", "--scheduler", "tcp://127.0.0.1:1"))
    assert "pip install 'hilbertsd[cluster]'" in message
