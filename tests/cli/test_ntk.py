"""`hilbertsd ntk`: options and folders that cannot be used."""

import json
import re

import pytest
from commands import one_line

pytest.importorskip("jax", reason="needs the extra `ntk`")

WORDS = ("fully-connected-1", "kernels", "--n-train", "20", "--n-test", "10")


@pytest.fixture(autouse=True)
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    (tmp_path / "file").write_text("no folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", *WORDS, "--data", ""), "Invalid value for '--data': it is empty; give a path"),
        (("plan", *WORDS, "--data", "nowhere"), "CIFAR-10 is looked for in nowhere, which is no folder"),
        (("plan", *WORDS, "--data", "file"), "CIFAR-10 is looked for in file, which is no folder"),
        (("plan", *WORDS, "--data", "."), "which does not have it; give the folder"),
        (("run", *WORDS, "--dataset", "cifar10"), "download=True (`hilbertsd ntk run --download`)"),
        (("plan", WORDS[0], ""), "Invalid value for 'folder': it is empty"),
        (("plan", WORDS[0], "file"), "file is a file; give a folder for the stores"),
        (("run", WORDS[0], "file"), "file is a file; give a folder for the stores"),
        (("run", WORDS[0], "file/within", *WORDS[2:]), "Not a directory"),
        (("plan", *WORDS[:2], "--n-train", "0"), "Invalid value for '--n-train'"),
        (("plan", *WORDS, "--size", "-4"), "Invalid value for '--size'"),
        (("plan", *WORDS, "--seed", "-1"), "Invalid value for '--seed'"),
        (("run", *WORDS, "--scheduler", ""), "no Dask scheduler answers at ''"),
    ],
)
def test_bad_input_is_one_line(hilbertsd, tmp_path, words, message):
    if "--scheduler" in words:
        pytest.importorskip("distributed", reason="needs the extra `cluster`")
    assert message in one_line(*hilbertsd("ntk", *words))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_plan_and_run_take_the_same_options(hilbertsd):
    options = (*WORDS, "--tile", 8, "--dtype", "float64", "--seed", 3)
    planned = json.loads(hilbertsd("ntk", "plan", *options, "--json")[1])["stores"]
    stored = json.loads(hilbertsd("ntk", "run", *options, "--json")[1])["stores"]
    assert [{**store, "complete": True} for store in planned] == stored
    assert [store["shape"] for store in stored] == [[20, 20], [10, 20]]
    described = json.loads(hilbertsd("gram", "status", "kernels/train-train", "--json")[1])
    for name in ("samples", "shape", "dtype", "tile", "tiles", "gigabytes"):
        assert described[name] == stored[0][name]
    shown = hilbertsd("ntk", "plan", *options)[1]
    assert " shape  20 × 20      10 × 20 " in shown
    assert re.search(r"about [\d.,]+ s: [\d.,]+ s to start and compile, [\d.e-]+ s of tiles\n$", shown)
