"""CIFAR files as their authors write them, of random samples."""

import pickle
from typing import ClassVar

import numpy as np

TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FINE = [f"fine {number}" for number in range(100)]
COARSE = [f"coarse {number}" for number in range(20)]


class Python2Pickler(pickle._Pickler):
    """Protocol 2 as Python 2 wrote it: text is bytes, NumPy goes by its old name, flags are numbers."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)
    flags_as_numbers = True

    def save_bytes(self, value):
        value = value.encode() if isinstance(value, str) else bytes(value)
        short = len(value) < 256
        self.write(b"U" + bytes([len(value)]) if short else b"T" + len(value).to_bytes(4, "little"))
        self.write(value)
        self.memoize(value)

    def save_class(self, value, name=None):
        name = name or value.__name__
        module = "numpy.core.multiarray" if name == "_reconstruct" else value.__module__
        self.write(f"c{module}\n{name}\n".encode())
        self.memoize(value)

    def save_flag(self, value):
        self.save_long(int(value)) if self.flags_as_numbers else self.save_bool(value)

    save_global = save_class
    dispatch[str] = dispatch[bytes] = save_bytes
    dispatch[bool] = save_flag
    dispatch[type(np.empty(0).__reduce__()[0])] = save_class
    dispatch[type] = save_class


def python2(path, content):
    with path.open("wb") as file:
        Python2Pickler(file, protocol=2).dump(content)


def samples(rng, n):
    """Images (n, 32, 32, 3), fine labels, coarse labels."""
    return (
        rng.integers(0, 256, size=(n, 32, 32, 3), dtype=np.uint8),
        rng.integers(0, 100, size=n),
        rng.integers(0, 20, size=n),
    )


def planes(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def records(images, *labels):
    columns = [np.asarray(values, dtype=np.uint8)[:, None] for values in labels]
    return np.hstack([*columns, planes(images)]).tobytes()


def ten_samples(rng):
    """Images and labels of CIFAR-10 by the names of its six files, of different numbers."""
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    made = {name: samples(rng, 2 + number) for number, name in enumerate(names)}
    return {name: (images, fine % 10) for name, (images, fine, _) in made.items()}


def hundred_samples(rng):
    """Images, fine and coarse labels of CIFAR-100 by the names of its two files."""
    return {"train": samples(rng, 7), "test": samples(rng, 4)}


def write_binary(root, ten, hundred):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    for name, (images, labels) in ten.items():
        (folder / f"{name}.bin").write_bytes(records(images, labels))
    (folder / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    folder = root / "cifar-100-binary"
    folder.mkdir()
    for name, (images, fine, coarse) in hundred.items():
        (folder / f"{name}.bin").write_bytes(records(images, coarse, fine))
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")


def write_python(root, ten, hundred):
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for name, (images, labels) in ten.items():
        python2(folder / name, {"batch_label": name, "labels": labels.tolist(), "data": planes(images)})
    python2(folder / "batches.meta", {"num_cases_per_batch": 10000, "label_names": TEN, "num_vis": 3072})
    folder = root / "cifar-100-python"
    folder.mkdir()
    for name, (images, fine, coarse) in hundred.items():
        labels = {"fine_labels": fine.tolist(), "coarse_labels": coarse.tolist()}
        python2(folder / name, {"batch_label": name, "data": planes(images), **labels})
    python2(folder / "meta", {"fine_label_names": FINE, "coarse_label_names": COARSE})
