"""The studies of trained networks, as a user runs them."""

import contextlib
import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flax", reason="needs the extra `networks`")

from forks import commands

from hilbertsd.errors import WorkerDied
from hilbertsd.studies.network_chains import presets
from hilbertsd.studies.network_chains.experiment import chains, load
from hilbertsd.studies.network_chains.presets import VARIANTS, NetworkConfig
from hilbertsd.studies.network_chains.results import _falls, _loss_drops, _rises
from hilbertsd.studies.network_early_stopping import stops
from hilbertsd.studies.network_early_stopping.experiment import run as run_stopping


@pytest.fixture
def quick(monkeypatch):
    """The smoke preset with a network that compiles at once."""
    smoke = presets.PRESETS["smoke"]
    quick = replace(
        smoke,
        networks=({"name": "fully-connected-1-16"},),
        images=presets.Images(None, 60, 50),
        training={"steps": 40, "batch_size": 20, "learning_rate": 0.2, "weight_decay": 0.0},
        tolerance=0.75,
    )
    monkeypatch.setitem(presets.PRESETS, "smoke", quick)
    return quick


@pytest.mark.usefixtures("quick")
def test_both_studies_from_the_command_line(hilbertsd, tmp_path):
    code, out, err = hilbertsd("run", "network-chains", "--json", "--out", "chains")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record == json.loads((tmp_path / "chains/result.json").read_text(encoding="utf-8"))
    assert record["command"] == "hilbertsd run network-chains --preset smoke --dataset digits --seed 0"
    assert {"flax", "optax", "jaxlib"} <= set(record["versions"])
    assert str(tmp_path) not in out
    assert [chain["variant"] for chain in record["chains"]] == list(VARIANTS)
    for chain in record["chains"]:
        assert np.shape(chain["test_accuracy"]) == np.shape(chain["agreement"]) == (3, 2)
        assert chain["train_accuracy"][0][0] > 0.5
    verdicts = {(claim["verdict"], claim["source"] == "") for claim in record["claims"]}
    assert verdicts == {("not testable here", False), ("reported", True)}
    # Of 12 questions the paper answers 6: D.2 is of ℓ2, D.3 of the gain alone, and nothing is of networks stopped at ε.
    assert sum("MFB" in claim["source"] for claim in record["claims"]) == 6
    names = sorted(path.name for path in (tmp_path / "chains").iterdir())
    assert names == ["network-chains.png", "network-chains.svg", "networks", "report.html", "result.json"]
    code, out, err = hilbertsd("run", "network-early-stopping", "--networks", "chains/networks", "--out", "stopped")
    assert (code, err) == (0, "")
    assert "l2: test accuracy differs from that of early stopping at equal training loss (MFB §5.2" in out
    stopped = json.loads((tmp_path / "stopped/result.json").read_text(encoding="utf-8"))
    assert [each["variant"] for each in stopped["comparisons"]] == ["l2", "cross-entropy"]
    for each, chain in zip(stopped["comparisons"], record["chains"], strict=False):
        assert each["test_accuracy"] == chain["test_accuracy"]
        reached = np.array(each["stopped_steps"]) >= 0
        assert reached.any()
        assert [made["device"] for made in each["stopped_made_with"]] == ["cpu", "cpu"]
        assert np.array_equal(reached, [[v is not None for v in row] for row in each["stopped_test_accuracy"]])


def test_a_fresh_network_is_stopped_at_the_first_look_at_which_its_loss_is_low_enough(quick, tmp_path, monkeypatch):
    result = run_stopping(NetworkConfig("smoke", "digits", networks=tmp_path))
    each = result.comparisons["fully-connected-1", "l2"]
    for s, found in enumerate(each.stops):
        reached = found.reached
        assert np.all(found.steps[reached] % quick.check_every == 0)
        assert np.all(found.losses[reached] <= each.path.train_loss[reached, s])
        order = np.argsort(-each.path.train_loss[reached, s])
        assert np.all(np.diff(found.steps[reached][order]) >= 0)
    # A run that is killed goes on, with the same networks.
    monkeypatch.setattr(stops, "STORED_EVERY", 1)
    kept, calls = stops.ChainFolder.write_state, []

    def killed(self, round, state, seconds):  # noqa: A002
        kept(self, round, state, seconds)
        calls.append(state.step)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(stops.ChainFolder, "write_state", killed)
    for path in (tmp_path / "fully-connected-1-l2-stopped").glob("seed-1000-*"):
        path.unlink()
    with pytest.raises(KeyboardInterrupt):
        run_stopping(NetworkConfig("smoke", "digits", networks=tmp_path))
    again = run_stopping(NetworkConfig("smoke", "digits", networks=tmp_path))
    assert again.to_dict() == result.to_dict()


@pytest.mark.slow
def test_a_command_that_is_killed_five_times_ends_with_the_same_result(tmp_path):
    """At random moments of its training, whatever it is doing; what differs at most are times."""
    words = ("run", "network-chains", "--dataset", "digits", "--out")
    with commands(QUICK_COMMAND, tmp_path) as begin:
        assert begin(*words, "whole")[1]() == 0
        rng = np.random.default_rng(0)
        # After a training state or after a whole network: on a slow machine, states alone never reach a network's end.
        for awaited in ("training", "seed", "training", "seed", "training"):
            before, (command, end) = time.time(), begin(*words, "killed")
            while not written_since(tmp_path / "killed/networks", before, awaited):
                os.kill(command, 0)  # raises where it is over
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.3))
            os.kill(command, signal.SIGKILL)
            assert os.WTERMSIG(end()) == signal.SIGKILL
        assert not (tmp_path / "killed/result.json").exists()
        assert 0 < len(list((tmp_path / "killed/networks").glob("*/seed-*"))) < 24
        assert begin(*words, "killed")[1]() == 0
    one, other = ((tmp_path / name / "result.json").read_bytes() for name in ("whole", "killed"))
    assert one == other


def written_since(folder, moment, kind):
    """Whether a file of a kind, a training state or a finished network, is newer than a moment."""
    with contextlib.suppress(FileNotFoundError):  # a state of what is finished goes away
        return any(path.stat().st_mtime > moment for path in folder.glob(f"*/{kind}*.npz"))
    return False


QUICK_COMMAND = """
from dataclasses import replace
from hilbertsd.networks import chain, chains
from hilbertsd.studies.network_chains import experiment, presets

chain.STORED_EVERY = 0.05
training = {"steps": 150, "batch_size": 20, "learning_rate": 0.2, "weight_decay": 0.0}
network = {"name": "fully-connected-1-16"}
presets.PRESETS["smoke"] = replace(
    presets.PRESETS["smoke"], networks=(network,), training=training, spread="one by one", tolerance=0.5
)
"""


class Path:
    """What verdicts look at of a path."""

    def __init__(self, test, train=None):
        self.test_accuracy, self.train_accuracy = np.array(test) / 100, np.array(test if train is None else train) / 100
        self.train_loss = 1 - np.array(test) / 100
        self.n_rounds, self.seeds = self.test_accuracy.shape[0], np.arange(self.test_accuracy.shape[1])


NOISE = np.random.default_rng(0).normal(size=(4, 5)) / 10


@pytest.mark.parametrize(
    ("means", "rises", "falls"),
    [
        ((50, 52, 51, 48), "reproduced", "reproduced in part"),
        ((50, 52, 52, 48), "reproduced", "reproduced in part"),
        ((50, 52, 52, 52), "reproduced in part", "not under this protocol"),
        ((50, 49, 48, 47), "not under this protocol", "reproduced"),
        ((50, 50, 49, 48), "undecided", "reproduced in part"),
        ((50, 50, 50, 50), "undecided", "undecided"),
        ((50, 51, 52, 53), "reproduced in part", "not under this protocol"),
    ],
)
def test_verdicts_follow_from_effects_that_are_put_in(means, rises, falls):
    path = Path(np.array(means)[:, None] + NOISE * (np.ptp(means) > 0) + (np.ptp(means) == 0) * 10 * NOISE)
    assert _rises(path, "net", "l2", True).verdict == _loss_drops(path, "net", "l2", True).verdict == rises
    assert _falls(path, "net", "l2", True).verdict == falls
    gain = _rises(path, "net", "hard-labels", True)
    assert gain.verdict == rises.replace(" in part", "")
    assert (gain.claim, gain.source) == ("test accuracy rises above that of round 0", "MFB D.3")
    assert _rises(path, "net", "l2-constrained", True).verdict == "reported"
    assert _rises(path, "net", "l2", False).verdict == _falls(path, "net", "l2", False).verdict == "not testable here"


def test_the_papers_preset_has_the_papers_numbers():
    """MFB D.1, for CIFAR-10 and for CIFAR-100."""
    for dataset, numbers in (("cifar10", (16, 1e-3, 1e-4)), ("cifar100", (64, 1e-4, 5e-5))):
        training = presets.PRESETS["paper"].loss_and_training("l2", dataset)["training"]
        assert (training.batch_size, training.learning_rate, training.weight_decay) == numbers
        assert (training.steps, training.optimiser, training.schedule) == (64_000, "adam", "constant")
        assert training.decay == "in the loss"


def test_a_tolerance_that_is_not_met_costs_its_chain_alone(quick, hilbertsd, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "smoke", replace(quick, tolerance=1e-6, rounds=1))
    code, out, err = hilbertsd("run", "network-chains", "--out", "o")
    assert (code, err) == (0, "")
    assert "no chain fully-connected-1, l2-constrained: the error of seed 0 in round 0 is" in out


@pytest.mark.usefixtures("quick")
def test_a_process_that_dies_is_no_result(hilbertsd, monkeypatch, tmp_path):
    """Trained again the chain may come to its end, which a loss that does not converge will not."""

    def died(*_arguments, **_options):
        raise WorkerDied("the process that trained seed 0 ended with code -9")

    monkeypatch.setattr("hilbertsd.networks.distill_network", died)
    code, _, err = hilbertsd("run", "network-chains", "--out", "o")
    assert (code, err) == (2, "error: the process that trained seed 0 ended with code -9\n")
    assert not (tmp_path / "o/result.json").exists()


@pytest.mark.usefixtures("quick")
def test_bad_usage_is_one_line(hilbertsd, monkeypatch, tmp_path):
    monkeypatch.delenv("HILBERTSD_DATA", raising=False)
    for words, message in (
        (["--preset", "huge"], "huge"),
        (["--preset", "cpu"], "HILBERTSD_DATA"),
        (["--preset", "paper"], "'paper' takes weeks on a processor and JAX sees no accelerator"),
    ):
        code, _, err = hilbertsd("run", "network-chains", *words, "--out", "o")
        assert code == 2
        assert message in err
    config = NetworkConfig("smoke", "digits", networks=tmp_path / "n")
    chains(config, load(config), presets.PRESETS["smoke"].architectures(10), ("l2",))
    code, _, err = hilbertsd("run", "network-chains", "--seed", 1, "--networks", "n", "--out", "o")
    assert code == 2
    assert "holds networks of another configuration: images" in err
    assert len(err.strip().splitlines()) == 1
