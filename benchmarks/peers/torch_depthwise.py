"""PyTorch eager on one thread: depthwise (d) and pointwise (p) convolutions with ReLU, the mean of each channel, a
dense layer, softmax cross-entropy, SGD. What is timed is the processor's time.
"""

import time

from measuring import parser, report, seconds_per_step, step_of


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--layers", default="pdp", help="a letter for each convolution (default %(default)s)")
    options.add_argument("--size", type=int, default=28, help="height and width (default %(default)s)")
    options.add_argument("--channels", type=int, default=64)
    options.add_argument("--classes", type=int, default=10)
    options.add_argument("--predict", action="store_true", help="forward pass only, with softmax")
    chosen = options.parse_args()

    import torch
    from torch import nn

    torch.set_num_threads(1)
    n, size = chosen.channels, chosen.size
    kinds = {"d": {"kernel_size": 3, "padding": 1, "groups": n}, "p": {"kernel_size": 1}}
    convolutions = [part for kind in chosen.layers for part in (nn.Conv2d(n, n, **kinds[kind]), nn.ReLU())]
    mean = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(*convolutions, *mean, nn.Linear(n, chosen.classes))
    x, y = torch.rand(chosen.batch, n, size, size), torch.randint(0, chosen.classes, (chosen.batch,))

    seconds = seconds_per_step(step_of(model, x, y, predict=chosen.predict), chosen.steps, time.process_time)
    report(f"PyTorch {chosen.layers}", seconds, chosen.batch)


if __name__ == "__main__":
    main()
