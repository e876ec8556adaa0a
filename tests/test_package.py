"""The package as a whole."""

import contextlib
import importlib.util
import inspect
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hilbertsd
from hilbertsd import errors

ROOT = Path(__file__).parents[1]
HEAVY = ("jax", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "typer")


def loaded_by(statement):
    code = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_libraries_load_when_used():
    assert loaded_by("import hilbertsd") == set()
    assert loaded_by("import hilbertsd; hilbertsd.distill") == {"numpy"}
    assert not {"jax", "matplotlib"} & loaded_by("import hilbertsd; hilbertsd.SelfDistilledKernelRegressor")
    assert not {"numpy", "sklearn", "matplotlib"} & loaded_by("import hilbertsd.cli")
    assert loaded_by("from hilbertsd.studies import distill, check_bounds") == {"numpy"}


def test_every_public_name_exists_and_is_listed():
    for name in hilbertsd.__all__:
        assert getattr(hilbertsd, name) is not None
        assert name in dir(hilbertsd)
    assert {"distill", "Spectrum", "DistillationPath", "gram", "ntk"} <= set(hilbertsd.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        hilbertsd.nothing  # noqa: B018


def test_errors_are_one_hierarchy():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        assert issubclass(kind, UserWarning if kind.__name__.endswith("Warning") else errors.HilbertsdError)
        assert kind.__doc__


def test_nothing_installs_tensorflow():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"tensorflow", "tf2jax"} <= set(project["tool"]["uv"]["exclude-dependencies"])
    assert importlib.util.find_spec("tensorflow") is None


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == hilbertsd.__version__
    assert f"version: {hilbertsd.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_package_is_typed():
    assert (Path(hilbertsd.__file__).parent / "py.typed").exists()


def test_every_study_has_a_committed_result_and_a_place_in_the_gallery():
    from hilbertsd.studies import studies

    gallery = (ROOT / "figures/README.md").read_text(encoding="utf-8")
    for name in (name for name, study in studies().items() if not study.is_own_command):
        record = json.loads((ROOT / "figures" / name / "result.json").read_text(encoding="utf-8"))
        assert record["command"].startswith(f"hilbertsd run {name}")
        assert {"config", "versions", "machine"} <= set(record)
        assert f"## {name}\n" in gallery
        figures = sorted((ROOT / "figures" / name).glob("*.png"))
        assert figures or name == "sizes"  # a table of test sizes
        for figure in figures:
            assert figure.with_suffix(".svg").exists()
            assert f"({name}/{figure.name})" in gallery


def test_the_committed_bounds_are_the_full_run():
    record = json.loads((ROOT / "figures/bounds/result.json").read_text(encoding="utf-8"))
    assert (record["n_problems"], record["n_violations"]) == (20_000, 0)
    assert record["theorem_6"]["largest_relative_distance"] < 1e-3
    assert record["theorem_6"]["not_monotone"] == 0
    assert len(record["statements"]) == 25


def test_signatures_name_types_as_the_source_does():
    """`help` in a terminal: ArrayLike is one word, not the union of a screen that it stands for."""
    for room in filter(inspect.ismodule, (getattr(hilbertsd, name) for name in hilbertsd.__all__)):
        for name in getattr(room, "__all__", dir(room)):
            if callable(value := getattr(room, name)) and value.__module__.startswith("hilbertsd."):
                with contextlib.suppress(ValueError):  # some classes of Python itself have no signature
                    assert "_typing" not in str(inspect.signature(value)), f"{room.__name__}.{name}"
