"""A pre-norm attention block in PyTorch eager: x + attention(norm(x)), then x + MLP(norm(x)); SGD, one thread."""

import measuring  # first: it sets how many threads the libraries will have
import torch
from torch import nn


class Attention(nn.Module):
    """Projections in one product, and PyTorch's own scaled dot-product attention."""

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads, self.inner = heads, nn.Linear(features, 3 * features)
        self.outer = nn.Linear(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, length, features = x.shape
        parts = self.inner(x).view(rows, length, 3, self.heads, features // self.heads).permute(2, 0, 3, 1, 4)
        context = nn.functional.scaled_dot_product_attention(*parts)
        return self.outer(context.transpose(1, 2).reshape(rows, length, features))


class Block(nn.Module):
    """Shapes as in (rows, length, features)."""

    def __init__(self, features: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = Attention(features, heads)
        self.mlp = nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x))


def main() -> None:
    options = measuring.parser(__doc__)
    for name in ("heads", "size", "length", "hidden", "classes"):
        options.add_argument(f"--{name}", type=int, required=True)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    features = arguments.heads * arguments.size
    # A projection first, so that the block's own derivative by its input is asked for.
    network = nn.Sequential(
        nn.Linear(features, features),
        Block(features, arguments.heads, arguments.hidden),
        nn.Flatten(),
        nn.Linear(arguments.length * features, arguments.classes),
    )
    x, y = (
        torch.randn(arguments.batch, arguments.length, features),
        torch.randint(0, arguments.classes, (arguments.batch,)),
    )
    seconds = measuring.seconds_per_step(measuring.step_of(network, x, y), arguments.steps)
    measuring.report("torch_attention", seconds, arguments.batch)


if __name__ == "__main__":
    main()
