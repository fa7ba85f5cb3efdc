"""PyTorch's fused Adam on one thread: updates of one parameter."""

import time

from measuring import WARM_UP_STEPS, parser, report


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--values", type=int, default=25_000_000)
    chosen = options.parse_args()

    import torch

    torch.set_num_threads(1)
    parameter = torch.nn.Parameter(torch.randn(chosen.values))
    parameter.grad = torch.randn(chosen.values)
    optimizer = torch.optim.Adam([parameter], lr=0.001, fused=True)
    for _ in range(WARM_UP_STEPS):
        optimizer.step()
    began = time.perf_counter()
    for _ in range(chosen.steps):
        optimizer.step()
    report("PyTorch, fused Adam", (time.perf_counter() - began) / chosen.steps, 1)


if __name__ == "__main__":
    main()
