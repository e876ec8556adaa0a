"""Seconds in which one network is trained, and its test accuracy at the end, by a preset of `network-chains`.

    python benchmarks/time_to_accuracy.py --preset fast --epochs 16 --json     # on a GPU

The seconds are those of the steps: without compiling (one step is taken before), reading data, and the outputs for the
test images, which are computed once, after the last step. Networks are trained one after another, from new seeds; the
number of epochs is given, and is not chosen by the accuracies that are seen.

The fastest public training code reaches 94 % in 2.6 s of an A100 (KellerJordan/cifar10-airbench, airbench94). Of its
recipe the preset `fast` takes the triangular schedule, flips that alternate, products in half precision, images that
stay on the device, and large batches. It takes neither the whitening first layer, nor its smaller network, nor averages
of weights, nor test-time augmentation.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from hilbertsd.networks import FiniteNetwork
from hilbertsd.networks.jax_backend import jax, made_with
from hilbertsd.networks.training import Trainer
from hilbertsd.studies.network_chains.experiment import load
from hilbertsd.studies.network_chains.presets import PRESETS, NetworkConfig
from hilbertsd.support.files import write_json
from hilbertsd.support.provenance import provenance


def main() -> None:
    """Train, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=list(PRESETS), default="fast")
    parser.add_argument("--dataset", help="digits, cifar10 or cifar100 [default: cifar10 with data, digits without]")
    parser.add_argument("--loss", choices=["l2", "cross-entropy"], default="cross-entropy")
    parser.add_argument("--epochs", type=int, help="[default: those of the preset]")
    parser.add_argument("--networks", type=int, default=3, help="number of networks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, help="file for the JSON object")
    arguments = parser.parse_args()
    config = NetworkConfig(arguments.preset, arguments.dataset, arguments.seed)
    images, preset = load(config), PRESETS[config.preset]
    given = preset.loss_and_training(arguments.loss, config.dataset)
    training, network = given["training"], preset.architectures(images.n_classes)[0]
    epoch = len(images.train) // training.batch_size
    if arguments.epochs:
        training = replace(training, steps=arguments.epochs * epoch)
    finite = FiniteNetwork(network, images.train.shape[1:])
    trainer = Trainer(finite, given["loss"], replace(training, check_every=training.steps), images.train)
    targets = given["loss"].labels_as_targets(images.train_labels, images.n_classes)[None]
    trainer.run(replace(trainer.start((arguments.seed,), 0), step=training.steps - 1), targets)  # compiles the step
    networks = []
    for seed in range(arguments.seed, arguments.seed + arguments.networks):
        state = jax.block_until_ready(trainer.start((seed,), 0))
        start = perf_counter()
        state = trainer.run(state, targets)
        jax.block_until_ready(state.parameters)
        seconds = perf_counter() - start
        outputs = trainer.outputs(state.parameters, state.statistics, images.test)[0]
        accuracy = float(np.mean(outputs.argmax(axis=-1) == images.test_labels))
        networks.append({"seed": seed, "seconds": seconds, "test_accuracy": accuracy})
        if not arguments.json:
            print(f"seed {seed}: {seconds:.2f} s, {100 * accuracy:.2f} % of the test images")
    settings = {key: value for key, value in vars(arguments).items() if key not in ("json", "out")}
    typed = [f"--{name} {value}" for name, value in settings.items() if value is not None]
    record = {
        **provenance(f"python benchmarks/time_to_accuracy.py {' '.join(typed)} --json", settings),
        "device": made_with()["device"],
        "network": network.config,
        "training": vars(training),
        "n_train": len(images.train),
        "n_test": len(images.test),
        "epochs": training.steps / epoch,
        "seconds": float(np.median([each["seconds"] for each in networks])),
        "test_accuracy": float(np.mean([each["test_accuracy"] for each in networks])),
        "networks": networks,
    }
    if arguments.out:
        write_json(arguments.out, record)
    if arguments.json:
        print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
