"""Saved paths: they come back as they were, and no damage to a file gives another path."""

import dataclasses
import json

import numpy as np
import pytest

from hilbertsd import DistillationPath, Spectrum, distill, distill_spectrum
from hilbertsd.errors import InvalidFile
from hilbertsd.spectral import KrylovSpectrum


@pytest.fixture
def path(data):
    return distill(data[0], data[1], tolerance=0.2)


@pytest.mark.parametrize("name", ["path", "path.npz", "path.v1"])
def test_saving_and_loading_keeps_everything(path, data, tmp_path, name):
    file = path.save(tmp_path / name)
    assert file.suffix == ".npz"
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    loaded = DistillationPath.load(tmp_path / name)
    assert json.dumps(loaded.to_dict()) == json.dumps(path.to_dict())
    np.testing.assert_array_equal(loaded.predict(data[2], 1), path.predict(data[2], 1))
    assert str(np.load(file, allow_pickle=False)["metadata"]).startswith('{"format": "hilbertsd.')


def test_files_that_hold_no_path_are_refused(path, tmp_path):
    with pytest.raises(InvalidFile, match="does not exist"):
        DistillationPath.load(tmp_path / "none")
    (tmp_path / "text.npz").write_text("no zip file")
    with pytest.raises(InvalidFile, match=r"text\.npz' holds no DistillationPath: File is not a zip file"):
        DistillationPath.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(InvalidFile, match="metadata"):
        DistillationPath.load(tmp_path / "other.npz")
    whole_file = path.save(tmp_path / "whole")
    whole = whole_file.read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidFile, match=r"half\.npz' holds no DistillationPath: File is not a zip file"):
        DistillationPath.load(tmp_path / "half.npz")
    np.savez(tmp_path / "new.npz", metadata=np.array('{"format": "hilbertsd.DistillationPath/99"}'))
    with pytest.raises(InvalidFile, match=r"DistillationPath/99.*reads"):
        DistillationPath.load(tmp_path / "new.npz")
    arrays = dict(np.load(whole_file))
    np.savez(tmp_path / "short.npz", **{**arrays, "multipliers": arrays["multipliers"][:1]})
    with pytest.raises(InvalidFile, match="1 multipliers beside series of"):
        DistillationPath.load(tmp_path / "short.npz")
    np.savez(tmp_path / "thin.npz", **{**arrays, "eigenvalues": arrays["eigenvalues"][:-1]})
    with pytest.raises(InvalidFile, match="59 eigenvalues beside a basis"):
        DistillationPath.load(tmp_path / "thin.npz")


def test_places_that_cannot_be_written_are_refused_and_left_clean(path, tmp_path):
    (tmp_path / "taken.npz").mkdir()
    for name in ("missing/path", "taken"):
        with pytest.raises(InvalidFile, match="cannot be written"):
            path.save(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["taken.npz"]
    (tmp_path / "file").write_text("x")
    for name in ("taken", "file/path"):
        with pytest.raises(InvalidFile):
            DistillationPath.load(tmp_path / name)


SMALL = np.diag([0.5, 1.0, 2.0, 4.0]) + 0.25


TARGETS = np.array([[1.0, 0.5], [0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])


def multiply(block):
    """Product that says nothing of itself, so that no random direction joins the targets: one step is incomplete."""
    return SMALL @ block


PATHS = {
    "exact": lambda: distill(SMALL, TARGETS, tolerance=0.5),
    "krylov": lambda: distill_spectrum(Spectrum.from_operator(multiply, TARGETS, steps=1), tolerance=0.5),
    "fixed": lambda: distill(SMALL, TARGETS, multiplier=0.1, max_rounds=2),
}


def content(value):
    """Everything that a path holds, as comparable bytes and numbers."""
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {f.name: content(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


BITS = [1 << bit for bit in range(8)]
FLIPS = {"every bit of it": lambda _: BITS, "a bit of it": lambda position: [BITS[position % 8]]}
"""What is changed in a byte at a position."""


@pytest.mark.parametrize(
    ("name", "flips"),
    [
        ("krylov", "a bit of it"),
        *(pytest.param(name, "a bit of it", marks=pytest.mark.slow) for name in ("exact", "fixed")),
        *(pytest.param(name, "every bit of it", marks=pytest.mark.exhaustive) for name in PATHS),
    ],
)
def test_every_byte_in_which_bits_are_flipped_is_harmless_or_refused(name, flips, tmp_path):
    whole = PATHS[name]()
    file = whole.save(tmp_path / "whole")
    expected, saved = content(whole), file.read_bytes()
    assert content(DistillationPath.load(file)) == expected
    damaged, refused = tmp_path / "damaged.npz", 0
    for position in range(len(saved)):
        for flip in FLIPS[flips](position):
            altered = bytearray(saved)
            altered[position] ^= flip
            damaged.write_bytes(altered)
            try:
                assert content(DistillationPath.load(damaged)) == expected, (position, flip)
            except InvalidFile:
                refused += 1
    assert refused > len(saved) / 2


def rewritten(file, **changes):
    """The same file with some arrays and metadata changed, its checksums right."""
    arrays = dict(np.load(file))
    metadata = json.loads(str(arrays.pop("metadata")))
    for name, value in changes.items():
        (arrays if isinstance(value, np.ndarray) else metadata)[name] = value
    np.savez(file, allow_pickle=False, metadata=np.array(json.dumps(metadata)), **arrays)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("exact", {"multipliers": [np.nan]}, "multipliers holds nan"),
        ("exact", {"multipliers": [-1.0]}, "multipliers holds -1"),
        ("exact", {"multipliers": [0.0]}, "multipliers holds 0"),
        ("exact", {"target_mean_squares": [np.inf]}, "target_mean_squares holds inf"),
        ("exact", {"training_errors": [-0.5]}, "training_errors holds -0.5"),
        ("exact", {"eigenvalues": [-2.0]}, "eigenvalues holds -2"),
        ("exact", {"rotated_targets": [np.nan]}, "rotated_targets holds nan"),
        ("exact", {"vectors": [np.inf]}, "vectors holds inf"),
        ("exact", {"packed": [np.nan]}, "packed holds nan"),
        ("exact", {"scales": [-1.0]}, "scales holds -1"),
        ("krylov", {"basis": [np.nan]}, "basis holds nan"),
        ("krylov", {"remainder": [np.nan]}, "remainder holds nan"),
        ("exact", {"tolerance": float("nan")}, "tolerance is nan"),
        ("exact", {"tolerance": -0.1}, "tolerance is -0.1"),
        ("exact", {"tolerance": "much"}, "tolerance is 'much'"),
        ("exact", {"tolerance": 1e-9}, "collapse_round is .* with tolerance 1e-09"),
        ("exact", {"tolerance": None}, "collapse_round is .* with tolerance None"),
        ("exact", {"collapse_round": 0}, "collapse_round is 0 after"),
        ("exact", {"collapse_round": None}, "collapse_round is None after"),
        ("fixed", {"collapse_round": 2}, "collapse_round is 2 after 2 rounds with tolerance None"),
        ("exact", {"single_output": True}, "single_output is True with 2 outputs"),
        ("exact", {"single_output": "no"}, "single_output is 'no'"),
        ("exact", {"clipped": -1.0}, "clipped is -1.0"),
        ("exact", {"rounding": float("inf")}, "rounding inf"),
    ],
)
def test_values_that_no_path_has_are_refused(name, change, message, tmp_path):
    file = PATHS[name]().save(tmp_path / "path")
    (key, value), arrays = next(iter(change.items())), np.load(file)
    if isinstance(value, list):
        value = arrays[key].copy()
        value.flat[0] = change[key][0]
    rewritten(file, **{key: value})
    with pytest.raises(InvalidFile, match=message):
        DistillationPath.load(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"multipliers": np.ones((2, 2))}, r"array multipliers of shape \(2, 2\)"),
        ({"multipliers": np.array(["a", "b"])}, "multipliers has dtype <U1"),
        ({"eigenvalues": np.ones(4) * 1j}, "eigenvalues is complex"),
        ({"extra": np.ones(3)}, r"array extra of shape \(3,\)"),
        ({"remainder": np.ones((1, 3))}, r"2 eigenvalues beside a remainder of shape \(1, 3\)"),
        (
            {"rotated_targets": np.ones((3, 2))},
            r"2 eigenvalues beside a basis of shape \(4, 2\) and targets of",
        ),
    ],
)
def test_arrays_that_no_path_has_are_refused(change, message, tmp_path):
    file = PATHS["krylov"]().save(tmp_path / "path")
    rewritten(file, **change)
    with pytest.raises(InvalidFile, match=message):
        DistillationPath.load(file)


def test_an_array_with_bytes_behind_it_is_refused(tmp_path):
    """A header that names fewer rows than there are would end the reading before the checksum is compared."""
    import io
    import zipfile

    file = PATHS["exact"]().save(tmp_path / "path")
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    longer = io.BytesIO()
    np.save(longer, np.load(io.BytesIO(members["multipliers.npy"])))
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, longer.getvalue() + bytes(8) if name == "multipliers.npy" else member)
    with pytest.raises(InvalidFile, match=r"multipliers\.npy is longer than its array"):
        DistillationPath.load(file)


def test_the_format_is_what_earlier_versions_wrote(tmp_path):
    common = {"metadata", "multipliers", "target_mean_squares", "training_errors", "eigenvalues", "rotated_targets"}
    kinds = {"exact": {"vectors", "packed", "scales"}, "krylov": {"basis", "remainder"}}
    for name, further in kinds.items():
        members = np.load(PATHS[name]().save(tmp_path / name))
        assert set(members.files) == common | further
        metadata = json.loads(str(members["metadata"]))
        assert metadata["format"] == "hilbertsd.DistillationPath/1"
        assert set(metadata) == {"format", "tolerance", "collapse_round", "single_output", "clipped", "rounding"}


def test_a_loaded_path_has_the_kind_of_its_spectrum(tmp_path):
    for name, kind in (("exact", Spectrum), ("krylov", KrylovSpectrum)):
        assert type(DistillationPath.load(PATHS[name]().save(tmp_path / name)).spectrum) is kind


IMPOSSIBLE = {"too long": "x" * 300, "a NUL byte": "nul\0byte", "no name": "/", "empty": ""}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_names_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, path = IMPOSSIBLE[kind], PATHS["exact"]()
    with pytest.raises(InvalidFile):
        path.save(name)
    with pytest.raises(InvalidFile):
        DistillationPath.load(name)
    assert not list(tmp_path.iterdir())


def test_paths_without_rounds_come_back(tmp_path):
    spectrum = Spectrum.from_kernel(SMALL, np.ones(4))
    with pytest.warns(match="no round"):
        empty = distill_spectrum(spectrum, tolerance=2.0)
    assert content(DistillationPath.load(empty.save(tmp_path / "empty"))) == content(empty)
