"""Training steps of a residual network: images per second over those of PyTorch.

    uv run --with torch python benchmarks/training.py --json

Both train ResNet-8 with batch normalisation by SGD with Nesterov momentum and decoupled weight decay on equal batches
in float32, ours by the compiled step of `hilbertsd.networks.training`, PyTorch eagerly in its default layout and in
channels_last, of which the faster counts. They take turns in one run:

- "process per core": two processes, each on one core, as chains of seeds are trained here;
- "two threads": one process on two cores.

Other processes on the same cores take time from both, which seconds of the clock count and seconds of the cores do not.
PyTorch's threads wait for each other without computing (OMP_WAIT_POLICY): where cores are shared, OpenMP's default took
them ten times as long.

PyTorch pads strided convolutions on the other side. With images and filters turned by 180 degrees both are the same
function: they start from the same parameters, and the losses of the first steps are compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from hilbertsd.networks.workers import environment
from hilbertsd.support.files import write_json
from hilbertsd.support.provenance import provenance

CONTESTANTS = ("hilbertsd", "torch", "torch channels_last")
MODES = {"process per core": (2, 1), "two threads": (1, 2)}
"""Number of processes, and cores of each."""

RATE, MOMENTUM, DECAY = 0.1, 0.9, 5e-4
COMPARED = 3
"""Steps whose losses are compared."""

Contestant = tuple[int, list[float], Callable[[int], None]]
"""Number of parameters, losses of the first steps, and a function that takes some more."""


def batches(settings: dict[str, Any]) -> Iterator[np.ndarray]:
    """Rows of one batch after another."""
    rng = np.random.default_rng([settings["seed"], 1])
    while True:
        yield rng.permutation(10 * settings["batch"])[: settings["batch"]]


def examples(settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Random images, and labels."""
    rng = np.random.default_rng(settings["seed"])
    n, side = 10 * settings["batch"], settings["side"]
    return rng.normal(size=(n, side, side, 3)).astype("float32"), rng.integers(0, 10, n)


def ours(settings: dict[str, Any]) -> Contestant:
    """The step of `Trainer`; the parameters at the start are written to a file for PyTorch."""
    import jax
    import jax.numpy as jnp

    from hilbertsd.networks import architecture
    from hilbertsd.networks.finite import FiniteNetwork
    from hilbertsd.networks.losses import Loss
    from hilbertsd.networks.training import Trainer, Training

    images, labels = examples(settings)
    network = FiniteNetwork(architecture("resnet-8", normalisation="batch", width=settings["width"]), images.shape[1:])
    loss, rows = Loss(), batches(settings)
    training = Training(1, settings["batch"], "sgd", RATE, "constant", MOMENTUM, DECAY)
    trainer = Trainer(network, loss, training, images)
    state = trainer.start((0,), 0)
    one = jax.tree.map(lambda leaf: np.asarray(leaf[0]), state.parameters)
    weights = [leaf for leaf in jax.tree.leaves(one) if leaf.ndim > 1]
    np.savez(settings["weights"], *weights)
    targets = jnp.asarray(loss.labels_as_targets(labels, 10))[None]
    step, active = trainer._step(0, False), jnp.ones(1, bool)
    moved = (state.parameters, state.statistics, state.optimiser)

    @jax.jit
    def loss_of(parameters: Any, statistics: Any, batch: Any) -> Any:
        outputs = network.apply(parameters, statistics, trainer._images[batch], training=True)[0]
        return jnp.mean(loss.of(outputs, targets[0][batch]))

    def run(count: int) -> None:
        nonlocal moved
        for _ in range(count):
            batch = next(rows)[None]
            moved, _ = step(moved, None, None, targets, trainer._images, batch, None, active, state.log_penalty)
        jax.block_until_ready(moved)

    losses, first = [], batches(settings)
    for _ in range(COMPARED):
        parameters, statistics = jax.tree.map(lambda leaf: leaf[0], moved[:2])
        losses.append(float(loss_of(parameters, statistics, next(first))))
        run(1)
    return sum(leaf.size for leaf in jax.tree.leaves(one)), losses, run


def theirs(settings: dict[str, Any]) -> Contestant:
    """The same network and step in PyTorch."""
    torch: Any = import_module("torch")
    nn, functional = torch.nn, torch.nn.functional

    torch.set_num_threads(settings["cores"])
    form = torch.channels_last if settings["contestant"].endswith("channels_last") else torch.contiguous_format

    def convolution(before: int, after: int, stride: int = 1) -> Any:
        return nn.Conv2d(before, after, 3, stride, padding=1, bias=False)

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.first, self.second = convolution(before, after, stride), convolution(after, after)
            self.first_norm, self.second_norm = nn.BatchNorm2d(after), nn.BatchNorm2d(after)
            self.new = (after - before) // 2

        def forward(self, values: Any) -> Any:
            main = functional.relu(self.first_norm(self.first(values)))
            main = self.second_norm(self.second(main))
            if self.new:
                values = functional.pad(values[:, :, 1::2, 1::2], (0, 0, 0, 0, self.new, self.new))
            return functional.relu(main + values)

    class ResNet8(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.norm = convolution(3, width), nn.BatchNorm2d(width)
            self.blocks = nn.Sequential(
                Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2)
            )
            self.last = nn.Linear(4 * width, 10)

        def forward(self, values: Any) -> Any:
            return self.last(self.blocks(functional.relu(self.norm(self.first(values)))).mean((2, 3)))

    model = ResNet8(settings["width"])
    weighted = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    with np.load(settings["weights"]) as stored, torch.no_grad():
        # Ours are stored in the order of the layers: filters as (rows, columns, before, after).
        for module, weights in zip(weighted, stored.values(), strict=True):
            turned = weights[::-1, ::-1].transpose(3, 2, 0, 1) if weights.ndim == 4 else weights.T
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(turned)))
        model.last.bias.zero_()
    model = model.to(memory_format=form)
    images, labels = examples(settings)
    turned = torch.from_numpy(np.ascontiguousarray(images[:, ::-1, ::-1].transpose(0, 3, 1, 2)))
    turned, targets = turned.contiguous(memory_format=form), torch.eye(10)[torch.from_numpy(labels)]
    parameters = list(model.parameters())
    optimiser = torch.optim.SGD(parameters, RATE, MOMENTUM, nesterov=True)
    rows = batches(settings)

    def step() -> Any:
        batch = torch.from_numpy(next(rows))
        optimiser.zero_grad()
        outputs = model(turned[batch].contiguous(memory_format=form))
        loss = ((torch.softmax(outputs, 1) - targets[batch]) ** 2).sum(1).mean()
        loss.backward()
        with torch.no_grad():
            torch._foreach_mul_(parameters, 1 - RATE * DECAY)  # decoupled weight decay, as ours
        optimiser.step()
        return loss

    losses = [step().item() for _ in range(COMPARED)]

    def run(count: int) -> None:
        for _ in range(count):
            step()

    return sum(parameter.numel() for parameter in parameters), losses, run


def serve(settings: dict[str, Any]) -> None:
    """Take as many steps as each line of the input says, and print the seconds of the clock and those of the cores."""
    n_parameters, losses, run = (ours if settings["contestant"] == "hilbertsd" else theirs)(settings)
    run(2)
    print(json.dumps({"parameters": n_parameters, "losses": losses}), flush=True)
    for line in sys.stdin:
        start, computed = perf_counter(), process_time()
        run(int(line))
        print(json.dumps([perf_counter() - start, process_time() - computed]), flush=True)


class Process:
    """Process on some cores that takes steps."""

    def __init__(self, settings: dict[str, Any], cores: set[int]) -> None:
        command = [sys.executable, __file__, "--serve", json.dumps({**settings, "cores": len(cores)})]
        # On its cores from the start: JAX and PyTorch take as many threads. Memory is kept as in training, for both.
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        pipe = subprocess.PIPE
        variables = {**environment(), "OMP_WAIT_POLICY": "passive"}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=variables)
        os.sched_setaffinity(0, mine)

    def __enter__(self) -> "Process":
        self.facts = json.loads(self.read())
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def read(self) -> str:
        """One line of what the process prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit("a process ended before its time; its error is above")
        return line

    def begin(self, steps: int) -> None:
        """Have it take steps."""
        assert self.process.stdin is not None
        print(steps, file=self.process.stdin, flush=True)


def measure(side: int, mode: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Images per second of all contestants, and the ratio."""
    n_processes, n_cores = MODES[mode]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < n_processes * n_cores:
        sys.exit(f"{mode!r} takes {n_processes * n_cores} cores, and this process has {len(cores)}")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        processes: dict[str, list[Process]] = {}
        for who in CONTESTANTS:
            processes[who] = []
            for number in range(n_processes):
                settings = {
                    "contestant": who,
                    "side": side,
                    "batch": arguments.batch,
                    "width": arguments.width,
                    "seed": arguments.seed,
                    "weights": str(Path(folder) / f"{number}.npz"),
                }
                own = set(cores[number * n_cores : (number + 1) * n_cores])
                processes[who].append(stack.enter_context(Process(settings, own)))
        rates: dict[str, list[float]] = {who: [] for who in CONTESTANTS}
        of_cores: dict[str, list[float]] = {who: [] for who in CONTESTANTS}
        for turn in range(arguments.turns):
            for who in (*CONTESTANTS[turn % 3 :], *CONTESTANTS[: turn % 3]):
                for process in processes[who]:
                    process.begin(arguments.steps)
                seconds = np.array([json.loads(process.read()) for process in processes[who]])
                images = arguments.steps * arguments.batch
                rates[who].append(float(np.sum(images / seconds[:, 0])))
                of_cores[who].append(float(n_processes * images / np.sum(seconds[:, 1])))
        facts = {who: each[0].facts for who, each in processes.items()}
    medians = {who: float(np.median(each)) for who, each in rates.items()}
    best = max(CONTESTANTS[1:], key=lambda who: medians[who])
    ratios = {
        name: float(np.median(np.array(each["hilbertsd"]) / each[best]))
        for name, each in (("ratio", rates), ("ratio_of_core_seconds", of_cores))
    }
    losses = np.array([each["losses"] for each in facts.values()])
    return {
        "side": side,
        "mode": mode,
        "images_per_second": medians,
        **ratios,
        "over": best,
        "parameters": {who: each["parameters"] for who, each in facts.items()},
        "first_losses": {who: each["losses"] for who, each in facts.items()},
        "largest_relative_difference_of_losses": float(np.max(np.abs(losses / losses[0] - 1))),
        "turns": rates,
        "images_per_core_second": of_cores,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 16])
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4, help="of one turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="file for the JSON object")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if find_spec("torch") is None:
        sys.exit("this benchmark compares with PyTorch; uv run --with torch python benchmarks/training.py")
    if arguments.serve:
        serve(arguments.serve)
        return
    config = {key: value for key, value in vars(arguments).items() if key not in ("json", "out", "serve")}
    command = "uv run --with torch python benchmarks/training.py " + " ".join(sys.argv[1:])
    record = {**provenance(command, config), "results": []}
    record["versions"] |= {package: metadata.version(package) for package in ("flax", "optax", "torch")}
    for side in arguments.sides:
        for mode in MODES:
            result = measure(side, mode, arguments)
            record["results"].append(result)
            if arguments.out:
                write_json(arguments.out, record)  # of what there is so far
            if not arguments.json:
                rates = ", ".join(f"{who} {rate:,.0f}" for who, rate in result["images_per_second"].items())
                print(
                    f"{side} px, {mode}: {rates} images/s, ratio {result['ratio']:.2f}, "
                    f"of core seconds {result['ratio_of_core_seconds']:.2f}"
                )
    if arguments.json:
        print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
