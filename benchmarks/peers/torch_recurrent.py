"""PyTorch eager on one thread: a recurrent layer, a dense one on its last state, softmax cross-entropy, SGD."""

from measuring import parser, report, seconds_per_step

CLASSES = 10

if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--kind", choices=("lstm", "gru"), default="lstm")
    options.add_argument("--units", type=int, default=128)
    options.add_argument("--features", type=int, default=128)
    options.add_argument("--length", type=int, default=64)
    chosen = options.parse_args()

    import torch
    from torch import nn

    torch.set_num_threads(1)
    layer = {"lstm": nn.LSTM, "gru": nn.GRU}[chosen.kind](chosen.features, chosen.units, batch_first=True)
    head, loss = nn.Linear(chosen.units, CLASSES), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD([*layer.parameters(), *head.parameters()], 0.01)
    x, y = torch.randn(chosen.batch, chosen.length, chosen.features), torch.randint(0, CLASSES, (chosen.batch,))

    def step() -> None:
        optimizer.zero_grad()
        states, _ = layer(x)
        loss(head(states[:, -1]), y).backward()
        optimizer.step()

    report(f"torch {chosen.kind}", seconds_per_step(step, chosen.steps), chosen.batch)
