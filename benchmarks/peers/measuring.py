"""Shared by the peers: arguments, the network, timing and the JSON line. Imported before torch or numpy is."""

import argparse
import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

WARM_UP_STEPS = 5

# One thread per process, as our workers have; the libraries read these when they are loaded.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every peer has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--batch", type=int, default=128, help="samples per worker and step (default %(default)s)")
    options.add_argument("--steps", type=int, default=100, help="steps that are timed (default %(default)s)")
    return options


def network() -> Any:
    """784-512-512-10 with ReLU; softmax is the loss's."""
    from torch import nn

    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def random_batch(rows: int) -> tuple[Any, Any]:
    """Samples (rows, 784) and class indices (rows,); a step's cost does not depend on them."""
    import torch

    return torch.rand(rows, 784), torch.randint(0, 10, (rows,))


def convolutions() -> Any:
    """Two convolutions on images of 28 x 28, pooling and two dense layers, with ReLU; softmax is the loss's."""
    from torch import nn

    convolution = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*convolution, nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))


def step_of(model: Any, x: Any, y: Any, *, predict: bool = False) -> Callable[[], None]:
    """A training step of a classifier with SGD, or a prediction with softmax."""
    import torch

    optimizer, loss = torch.optim.SGD(model.parameters(), 0.01), torch.nn.CrossEntropyLoss()

    def train() -> None:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    def forward() -> None:
        with torch.inference_mode():
            torch.softmax(model(x), 1)

    return forward if predict else train


def seconds_per_step(step: Callable[[], object], steps: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Mean over `steps` calls, after a few that are not counted."""
    for _ in range(WARM_UP_STEPS):
        step()
    began = clock()
    for _ in range(steps):
        step()
    return (clock() - began) / steps


def report(peer: str, seconds: float, samples: int | None = None, **more: Any) -> None:
    """Print a result: `seconds` per step of `samples` samples, where there are any."""
    rate = {} if samples is None else {"samples_per_s": round(samples / seconds, 1)}
    print(json.dumps({"peer": peer, "ms_per_step": round(seconds * 1e3, 4), **rate, **more}), flush=True)


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spawn_with_gloo(run: Callable[..., None], workers: int, *arguments: Any) -> None:
    """Call `run(rank, *arguments)` in as many processes as there are workers, joined in a gloo group."""
    from torch import multiprocessing

    multiprocessing.spawn(_join_group, (workers, free_port(), run, arguments), workers)


def _join_group(rank: int, workers: int, port: int, run: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    import torch
    from torch import distributed

    os.setsid()  # as our workers: Linux may share out a busy machine by session
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers)
    run(rank, *arguments)
    distributed.barrier()
    # Threads of torch's now and then abort a process that ends the usual way; nothing is left to be done.
    os._exit(0)
