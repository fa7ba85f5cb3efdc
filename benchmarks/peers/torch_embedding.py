"""PyTorch eager on one thread: the mean of embeddings, a dense layer, softmax cross-entropy; SGD or Adam."""

from itertools import cycle

from measuring import parser, report, seconds_per_step

CLASSES, BATCHES = 10, 40

if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--vocabulary", type=int, default=200_000)
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--length", type=int, default=10, help="numbers per sample (default %(default)s)")
    options.add_argument("--optimizer", choices=("sgd", "adam"), default="sgd")
    options.add_argument("--sparse", action="store_true", help="the gradient by the table is a sparse tensor")
    chosen = options.parse_args()

    import torch
    from torch import nn

    torch.set_num_threads(1)
    words = nn.EmbeddingBag(chosen.vocabulary, chosen.width, mode="mean", sparse=chosen.sparse)
    head, loss = nn.Linear(chosen.width, CLASSES), nn.CrossEntropyLoss()
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[chosen.optimizer]
    optimizer = rule([*words.parameters(), *head.parameters()], 0.01)
    # Other rows in every step, as in training: those of the last one would still be in the cache.
    samples = torch.randint(0, chosen.vocabulary, (BATCHES, chosen.batch, chosen.length))
    batches = cycle(zip(samples, torch.randint(0, CLASSES, (BATCHES, chosen.batch)), strict=True))

    def step() -> None:
        x, y = next(batches)
        optimizer.zero_grad()
        loss(head(words(x)), y).backward()
        optimizer.step()

    report("torch embedding", seconds_per_step(step, chosen.steps), chosen.batch)
