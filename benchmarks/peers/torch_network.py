"""One PyTorch process without any distribution: a training step, or a prediction, of mlp or cnn.

What is timed is the processor's time: there is one thread, and what else runs disturbs it less than the clock's.
"""

import time

from measuring import convolutions, network, parser, random_batch, report, seconds_per_step, step_of

MLP, CNN = "mlp", "cnn"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--model", choices=(MLP, CNN), default=MLP)
    options.add_argument("--predict", action="store_true", help="forward pass only, with softmax")
    arguments = options.parse_args()
    import torch

    torch.set_num_threads(1)
    model = network() if arguments.model == MLP else convolutions()
    x, y = random_batch(arguments.batch)
    if arguments.model == CNN:
        x = x.reshape(-1, 1, 28, 28)
    seconds = seconds_per_step(step_of(model, x, y, predict=arguments.predict), arguments.steps, time.process_time)
    report("PyTorch, one process", seconds, arguments.batch, model=arguments.model)


if __name__ == "__main__":
    main()
