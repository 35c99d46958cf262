"""What the package costs over the program, and over NumPy. `python measure.py`, with safetensors installed.

Wall-clock time of whole processes, the two alternating, and processor time of imports, which does not depend on what else runs.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import dahlquist as dq

RUNS = 5
CERTIFY = """
import dahlquist as dq
from safetensors.numpy import load_file
samples, model = load_file("samples.safetensors"), dq.load("net.safetensors")
model.seal().certify(samples["x"], samples["y"]).certificate().save("python.json")
"""


def processor_time(code: str) -> float:
    """Returns the least processor time of a process of Python."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(RUNS))


def wall_time(folder: Path, *words: str) -> float:
    """Returns the wall-clock time of a process of Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    numpy, package = processor_time("import numpy"), processor_time("import numpy, dahlquist")
    print(f"import dahlquist: {package - numpy:.3f} s of processor time over NumPy's {numpy:.3f} s")

    rng = np.random.default_rng(0)
    layers = []
    for n, m in ((784, 256), (256, 256), (256, 10)):
        weight = (rng.normal(size=(m, n)) / np.sqrt(n)).astype(np.float32)
        layers += [{"type": "dense", "weight": weight}, {"type": "activation", "function": "relu"}]
    x, y = rng.uniform(size=(10_000, 784)).astype(np.float32), rng.integers(0, 10, 10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dq.Model(784, layers[:-1]).save(folder / "net.safetensors")
        save_file({"x": x, "y": y}, folder / "samples.safetensors")
        program = "certify net.safetensors --data samples.safetensors --certificate program.json".split()
        times = [(wall_time(folder, "-m", "dahlquist", *program), wall_time(folder, "-c", CERTIFY)) for _ in range(RUNS)]
        same = (folder / "program.json").read_bytes() == (folder / "python.json").read_bytes()
    a, b = np.median(times, axis=0)
    print(f"certify {len(x):,} samples: program {a:.2f} s, Python {b:.2f} s (medians), ratio {b / a:.3f}")
    print(f"the two certificates are {'the same' if same else 'NOT the same'}, byte for byte")


if __name__ == "__main__":
    main()
