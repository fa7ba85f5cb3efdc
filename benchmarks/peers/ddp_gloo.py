"""PyTorch DistributedDataParallel over gloo, synchronous SGD: what most would take on CPUs."""

from argparse import Namespace

from measuring import network, parser, random_batch, report, seconds_per_step, spawn_with_gloo, step_of


def run(rank: int, options: Namespace) -> None:
    from torch import nn

    model = nn.parallel.DistributedDataParallel(network())
    x, y = random_batch(options.batch)
    seconds = seconds_per_step(step_of(model, x, y), options.steps)
    if rank == 0:
        report("PyTorch DDP, gloo", seconds, options.batch * options.workers, workers=options.workers)


if __name__ == "__main__":
    options = parser(__doc__).parse_args()
    spawn_with_gloo(run, options.workers, options)
