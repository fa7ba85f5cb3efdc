"""The bare gloo allreduce of a flat float32 vector: what a step's exchange costs there, with no optimizer."""

from collections.abc import Sequence

from measuring import parser, report, seconds_per_step, spawn_with_gloo

SIZES = (1_000, 669_706, 25_000_000)


def steps_for(size: int) -> int:
    """Calls that are timed: fewer where each takes long."""
    return 200 if size < 1e6 else 40 if size < 1e7 else 8


def run(rank: int, workers: int, sizes: Sequence[int]) -> None:
    import torch
    from torch import distributed

    for size in sizes:
        vector = torch.ones(size)
        seconds = seconds_per_step(lambda vector=vector: distributed.all_reduce(vector), steps_for(size))
        if rank == 0:
            report("gloo allreduce", seconds, values=size, workers=workers)


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--values", type=int, nargs="+", default=SIZES, help="sizes of the vector")
    arguments = options.parse_args()
    spawn_with_gloo(run, arguments.workers, arguments.workers, arguments.values)
