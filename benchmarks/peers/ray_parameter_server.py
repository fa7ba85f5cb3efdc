"""The parameter server of Ray's documentation: an actor holds the weights, actors compute gradients, ray.get between.

Synchronous, or with --asynchronous every gradient applied when it comes.
"""

import os
from argparse import Namespace
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

from measuring import network, parser, random_batch, report, seconds_per_step

Weights = Mapping[str, Any]


class ParameterServer:
    """Holds the weights and applies SGD."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.model = network()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def apply_gradients(self, *gradients: list[Any]) -> Weights:
        import numpy as np
        import torch

        self.optimizer.zero_grad()
        for parameter, parts in zip(self.model.parameters(), zip(*gradients, strict=True), strict=True):
            parameter.grad = torch.from_numpy(np.stack(parts).sum(axis=0))
        self.optimizer.step()
        return self.get_weights()

    def get_weights(self) -> Weights:
        return {name: tensor.numpy().copy() for name, tensor in self.model.state_dict().items()}


class Worker:
    """Computes the gradient on its batch."""

    def __init__(self, batch: int) -> None:
        import torch

        torch.set_num_threads(1)
        self.model, self.loss = network(), torch.nn.CrossEntropyLoss()
        self.x, self.y = random_batch(batch)

    def compute_gradients(self, weights: Weights) -> list[Any]:
        import torch

        # A copy: what comes out of the object store cannot be written to.
        self.model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
        self.model.zero_grad()
        self.loss(self.model(self.x), self.y).backward()
        return [parameter.grad.numpy() for parameter in self.model.parameters()]


def main(options: Namespace) -> None:
    import ray

    server = ray.remote(num_cpus=0)(ParameterServer).remote()
    workers = [ray.remote(num_cpus=0)(Worker).remote(options.batch) for _ in range(options.workers)]
    weights = server.get_weights.remote()

    def synchronous_step() -> None:
        nonlocal weights
        weights = server.apply_gradients.remote(*[worker.compute_gradients.remote(weights) for worker in workers])
        ray.wait([weights])

    if not options.asynchronous:
        seconds = seconds_per_step(synchronous_step, options.steps)
        samples = options.batch * options.workers
        report("Ray documentation's parameter server, synchronous", seconds, samples, workers=options.workers)
        return

    pending = {worker.compute_gradients.remote(weights): worker for worker in workers}

    def asynchronous_update() -> None:
        nonlocal weights
        (gradient,), _ = ray.wait(list(pending))
        worker = pending.pop(gradient)
        weights = server.apply_gradients.remote(gradient)
        pending[worker.compute_gradients.remote(weights)] = worker

    seconds = seconds_per_step(asynchronous_update, options.steps * options.workers)
    report("Ray documentation's parameter server, asynchronous", seconds, options.batch, workers=options.workers)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--asynchronous", action="store_true")
    parsed = arguments.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    with TemporaryDirectory(prefix="peer-") as directory:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            num_cpus=parsed.workers + 2,
            object_store_memory=2 * 10**9,
            _temp_dir=directory,
        )
        try:
            main(parsed)
        finally:
            ray.shutdown()
