"""Memory of a parameter server beyond the weights, the optimizer's state and the pushes in flight of its range.

80 MB of weights, SGD with momentum, two workers that push the sum of their leaves. Measured is the resident memory
without unchanged pages of files, which are the program's own and which the kernel can drop. In shared memory it
includes the segments with weights and pushes that workers map too.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from comparison import Comparison, Measurement, Options, print_document
from members import members

from raydient.server.embedded import train
from raydient.server.training.reports import Outcome, Progress, Report
from raydient.spec.job import JobSpec

WORKERS = 2
SHARE, FIXED_MB = 0.1, 60.0
"""The bound: a share of what the server has to hold, and a number of megabytes."""
BEYOND, ALLOWED = "beyond_mb", "allowed_mb"
ROWS, STEPS = 32, 60


def job(data: Path, units: int, servers: int, epochs: int) -> JobSpec:
    hidden = {"dense": {"units": units, "activation": "relu"}}
    return JobSpec.model_validate(
        {
            "dataset": {"uri": data.name, "split": {"test": 0.0}},
            "network": {"layers": [hidden, hidden, {"dense": {"units": 10}}], "loss": "softmax_cross_entropy"},
            "training": {
                "epochs": epochs,
                "batch_size": ROWS,
                "microbatches": WORKERS,
                "optimizer": {"sgd": {"learning_rate": 0.01, "momentum": 0.9}},
            },
            "resources": {"workers": WORKERS, "parameter_servers": servers},
        }
    )


def resident_bytes(process: int) -> int:
    """Return the memory of a process that lies in no file; segments that it shares count whole."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def memory(data: Path, *, units: int, servers: int, transport: str, epochs: int) -> Measurement:
    """Train, and measure the servers at each report of progress; return the largest server's values."""
    resident: dict[int, int] = {}

    def hear(report: Report) -> None:
        if isinstance(report, Progress) and report.step:
            for process in members("parameter_server"):
                resident[process] = max(resident.get(process, 0), resident_bytes(process))

    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        spec = job(data, units, servers, epochs)
        finished = train(spec, data, directory=Path(directory), report=hear, transport=transport)
    if finished.outcome is not Outcome.SUCCEEDED or len(resident) != servers:
        raise RuntimeError(f"training did not go through undisturbed: {finished.message or resident}")
    inputs = np.load(data)["x"].shape[1]
    weights = 4 * (inputs * units + units + units * units + units + units * 10 + 10) / servers
    state, pushes = weights, WORKERS * weights
    held = weights + state + pushes
    return {
        "resident_mb": max(resident.values()) / 1e6,
        BEYOND: (max(resident.values()) - held) / 1e6,
        ALLOWED: SHARE * held / 1e6 + FIXED_MB,
    }


def main() -> None:
    options = Options.parse(__doc__, 1)
    units, epochs = options.size(4096, 32), options.size(STEPS, 40)
    with TemporaryDirectory(prefix="raydient-benchmark-") as name:
        data = Path(name) / "random.npz"
        generator = np.random.default_rng(0)
        np.savez(data, x=generator.random((ROWS, 784), dtype=np.float32), y=generator.integers(0, 10, ROWS))
        contenders: dict[str, Callable[[], Measurement]] = {
            f"{label}, {servers} {'server' if servers == 1 else 'servers'}": partial(
                memory, data, units=units, servers=servers, transport=transport, epochs=epochs
            )
            for label, transport in (("shared memory", "auto"), ("TCP", "tcp"))
            for servers in (1, 2)
        }
        comparison = Comparison(options, contenders)
        comparison.run()
    kept = all(comparison.median(n, BEYOND) <= comparison.median(n, ALLOWED) for n in contenders)
    print_document(comparison.document("memory", kept=kept))


if __name__ == "__main__":
    main()
