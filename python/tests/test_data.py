"""Test sets in the files that people have; a pickle that would run code is refused."""

import gzip
import os
import pickle
import struct

import numpy as np
import pytest

import dahlquist as dq


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, size=(7, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 7)


def test_both_versions_of_cifar10_are_the_same(tmp_path, images):
    x, y = images
    (tmp_path / "bin").mkdir()
    records = np.concatenate([y[:, None].astype(np.uint8), x.reshape(7, -1)], axis=1)
    records.tofile(tmp_path / "bin" / "test_batch.bin")
    with open(tmp_path / "test_batch", "wb") as file:
        pickle.dump({b"data": x.reshape(7, -1), b"labels": y.tolist(), b"batch_label": b"test"}, file, protocol=2)
    for folder in (tmp_path / "bin", tmp_path):
        found, labels = dq.data.cifar10(folder)
        np.testing.assert_array_equal(found, x)
        np.testing.assert_array_equal(labels, y)
    with pytest.raises(FileNotFoundError):
        dq.data.cifar10(tmp_path, train=True)


def test_a_pickle_runs_nothing(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.system, ("touch " + os.fspath(tmp_path / "sprung"),)

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Trap()}))
    with pytest.raises(dq.errors.FormatError, match="system"):
        dq.data.cifar10(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_mnist(tmp_path, rng):
    x, y = rng.integers(0, 256, size=(5, 28, 28), dtype=np.uint8), rng.integers(0, 10, 5).astype(np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 5, 28, 28) + x.tobytes())
    with gzip.open(tmp_path / "t10k-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">4BI", 0, 0, 8, 1, 5) + y.tobytes())
    found, labels = dq.data.mnist(tmp_path)
    np.testing.assert_array_equal(found, x[:, None])
    np.testing.assert_array_equal(labels, y)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 6, 28, 28) + x.tobytes())
    with pytest.raises(dq.errors.FormatError, match="sizes"):
        dq.data.mnist(tmp_path)
