"""Write `torch_figures.json`, losses and weights that PyTorch computes, which `test_torch_figures.py` compares.

    python tests/network/peers/torch_figures.py

needs PyTorch alone; 2.13 (CPU) wrote the file. Each case trains from the flat vector of weights of the network
of the same name, by gradient descent in float64, with PyTorch's own functions and derivatives.
"""

import json
import math
from pathlib import Path

import torch
from torch.nn import functional

RATE, STEPS, ROWS = 0.5, 5, 4


def wave(*shape, phase=0.0):
    """Numbers between -1 and 1 that any program computes alike."""
    count = math.prod(shape)
    return torch.tensor([math.sin(1.7 * n + phase) for n in range(count)], dtype=torch.float64).reshape(shape)


def whole(below, *shape):
    """Whole numbers from 0 on."""
    count = math.prod(shape)
    return torch.tensor([(n * n + n // 3) % below for n in range(count)]).reshape(shape)


def take(weights, *shapes):
    """The parameters of a flat vector, in order."""
    parts = torch.split(weights, [math.prod(shape) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def dense(weights, x, units):
    kernel, bias = take(weights, (x.shape[-1], units), (units,))
    return x @ kernel + bias


def mean_by_sample(costs, counts):
    """The mean over the samples of the means over their positions that count."""
    return ((costs * counts).sum(dim=1) / counts.sum(dim=1)).mean()


def sequence(weights):
    y = dense(weights, wave(ROWS, 5, 2), 3)
    return functional.cross_entropy(y.reshape(-1, 3), whole(3, ROWS, 5).reshape(-1))


def padded(weights):
    y, labels = dense(weights, wave(ROWS, 5, 2), 3), whole(3, ROWS, 5) - 1
    costs = functional.cross_entropy(y.reshape(-1, 3), labels.reshape(-1), ignore_index=-1, reduction="none")
    return mean_by_sample(costs.reshape(ROWS, 5), labels >= 0)


def segmentation(weights):
    y = dense(weights, wave(ROWS, 2, 3, 2), 3)
    return functional.cross_entropy(y.permute(0, 3, 1, 2), whole(3, ROWS, 2, 3), label_smoothing=0.1)


def several_labels(weights):
    return functional.binary_cross_entropy_with_logits(dense(weights, wave(ROWS, 2), 3), whole(2, ROWS, 3).double())


def attention(weights):
    """Two heads of size 2 with a key padding mask, then the mean of each feature and one dense output."""
    x, mask = wave(ROWS, 4, 3), whole(2, ROWS, 4).bool() | (torch.arange(4) == 1)
    *parameters, kernel, bias = take(weights, *[(3, 4), (4,)] * 3, (4, 3), (3,), (3, 1), (1,))
    projected = [x @ parameters[n] + parameters[n + 1] for n in (0, 2, 4)]
    q, k, v = (part.reshape(ROWS, 4, 2, 2).transpose(1, 2) for part in projected)
    context = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    y = context.transpose(1, 2).reshape(ROWS, 4, 4) @ parameters[6] + parameters[7]
    return functional.mse_loss(y.mean(dim=1) @ kernel + bias, wave(ROWS, 1, phase=1.0))


def positions(weights):
    """Vectors of the places, and self-attention in one head to places up to its own."""
    x = wave(ROWS, 4, 3)
    places, *parameters = take(weights, (4, 3), *[(3, 3)] * 4, (3, 2), (2,))
    q, k, v = ((x + places) @ kernel for kernel in parameters[:3])
    y = functional.scaled_dot_product_attention(q, k, v, is_causal=True) @ parameters[3] @ parameters[4] + parameters[5]
    return functional.cross_entropy(y.reshape(-1, 2), whole(2, ROWS, 4).reshape(-1))


def recurrent(kind, weights, x, units):
    """A recurrent module of PyTorch in both directions; weights in raydient's order of gates, for each direction."""
    gates, features = {"LSTM": 4, "GRU": 3}[kind], x.shape[-1]
    rows = 2 if kind == "GRU" else 1
    shapes = [(features, gates * units), (units, gates * units), (rows, gates * units)]
    order = {"LSTM": range(4), "GRU": (1, 0, 2)}[kind]  # PyTorch's GRU has r, z, n, where ours has z, r, g

    def rearranged(values):
        parts = torch.split(values, units, dim=-1)
        return torch.cat([parts[n] for n in order], dim=-1)

    parameters = {}
    for way, (kernel, inner, bias) in zip(("", "_reverse"), take_pairs(weights, shapes), strict=True):
        biases = rearranged(bias)
        parameters |= {
            f"weight_ih_l0{way}": rearranged(kernel).T,
            f"weight_hh_l0{way}": rearranged(inner).T,
            f"bias_ih_l0{way}": biases[0],
            f"bias_hh_l0{way}": biases[1] if rows == 2 else torch.zeros_like(biases[0]),
        }
    module = getattr(torch.nn, kind)(features, units, batch_first=True, bidirectional=True).double()
    return torch.func.functional_call(module, parameters, (x,))


def take_pairs(weights, shapes):
    parts = take(weights, *shapes, *shapes)
    return parts[: len(shapes)], parts[len(shapes) :]


def lstm_in_both_directions(weights):
    """Two units in each direction, side by side at each of four steps; a class at each step."""
    count = 2 * (3 * 8 + 2 * 8 + 8)
    y, _ = recurrent("LSTM", weights[:count], wave(ROWS, 4, 3), 2)
    return functional.cross_entropy(dense(weights[count:], y, 3).reshape(-1, 3), whole(3, ROWS, 4).reshape(-1))


def gru_in_both_directions(weights):
    """The mean of the last states of both directions, and a dense output."""
    count = 2 * (3 * 6 + 2 * 6 + 12)
    _, states = recurrent("GRU", weights[:count], wave(ROWS, 4, 3), 2)
    return functional.mse_loss(dense(weights[count:], states.mean(dim=0), 1), wave(ROWS, 1, phase=1.0))


def image_layers(weights):
    """PReLU with a slope for each channel, group normalization, repetition of pixels and global maxima."""
    x = wave(ROWS, 2, 3, 4).permute(0, 3, 1, 2)
    alpha, gamma, beta, kernel, bias = take(weights, (4,), (4,), (4,), (4, 2), (2,))
    y = functional.group_norm(functional.prelu(x, alpha), 2, gamma, beta, eps=1e-3)
    y = functional.interpolate(y, scale_factor=(2, 3), mode="nearest").amax(dim=(2, 3)) @ kernel + bias
    return functional.cross_entropy(y, whole(2, ROWS))


def rms(weights):
    scale, kernel, bias = take(weights, (3,), (3, 1), (1,))
    y = functional.rms_norm(wave(ROWS, 3), (3,), scale, eps=1e-6) @ kernel + bias
    return functional.mse_loss(y, wave(ROWS, 1, phase=1.0))


def transposed(weights):
    """Two transposed convolutions as in Keras: `same` padding, and a kernel smaller than the stride."""
    x = wave(ROWS, 2, 3, 2).permute(0, 3, 1, 2)
    first, b, second, c = take(weights, (3, 4, 3, 2), (3,), (1, 3, 2, 3), (2,))
    y = functional.conv_transpose2d(x, first.permute(3, 2, 0, 1), b, stride=2)[
        :, :, :4, 1:7
    ]  # same: pads 0, 1 and 1, 1
    y = functional.conv_transpose2d(torch.tanh(y), second.permute(3, 2, 0, 1), c, stride=(2, 1), output_padding=(1, 0))
    return functional.mse_loss(y.permute(0, 2, 3, 1).reshape(ROWS, -1), wave(ROWS, 8 * 8 * 2, phase=1.0))


def transposed_in_groups(weights):
    """Groups, strides, dilation, padding and output padding as PyTorch defines them."""
    x = wave(ROWS, 2, 3, 4).permute(0, 3, 1, 2)
    first, b, second, c = take(weights, (3, 2, 1, 4), (2,), (2, 3, 2, 2), (2,))
    options = {"stride": (2, 3), "padding": (1, 2), "output_padding": (1, 2), "dilation": (2, 1), "groups": 2}
    y = functional.conv_transpose2d(x, first.permute(3, 2, 0, 1), b, **options)
    y = functional.conv_transpose2d(torch.tanh(y), second.permute(3, 2, 0, 1), c, dilation=(1, 2))
    return functional.mse_loss(y.permute(0, 2, 3, 1).reshape(ROWS, -1), wave(ROWS, 7 * 10 * 2, phase=1.0))


def exact_gelu(weights):
    hidden = functional.gelu(dense(weights[:20], wave(ROWS, 3), 5))
    return functional.mse_loss(dense(weights[20:], hidden, 2), wave(ROWS, 2, phase=1.0))


def activity(weights):
    """A penalty on the hidden outputs, which is no part of the reported loss."""
    hidden = torch.tanh(dense(weights[:20], wave(ROWS, 3), 5))
    penalty = (0.1 * hidden.abs().sum() + 0.2 * (hidden**2).sum()) / ROWS
    loss = functional.mse_loss(dense(weights[20:], hidden, 2), wave(ROWS, 2, phase=1.0))
    return loss + (penalty - penalty.detach())


def quantile(weights):
    """The pinball loss of a quantile of 0.9."""
    errors = wave(ROWS, 2, phase=1.0) - dense(weights, wave(ROWS, 3), 2)
    return torch.maximum(0.9 * errors, -0.1 * errors).mean()


def binary_focal(weights):
    """The focal loss with balanced classes, written as in torchvision's `sigmoid_focal_loss`."""
    y, labels = dense(weights, wave(ROWS, 2), 3), whole(2, ROWS, 3).double()
    p = torch.sigmoid(y)
    p_true = p * labels + (1 - p) * (1 - labels)
    costs = functional.binary_cross_entropy_with_logits(y, labels, reduction="none") * (1 - p_true) ** 2
    return ((0.25 * labels + 0.75 * (1 - labels)) * costs).mean()


def cosine(weights):
    return -functional.cosine_similarity(dense(weights, wave(ROWS, 2), 3), wave(ROWS, 3, phase=1.0)).mean()


CASES = {
    "sequence": (sequence, 9),
    "padded": (padded, 9),
    "segmentation": (segmentation, 9),
    "several_labels": (several_labels, 9),
    "attention": (attention, 67),
    "image_layers": (image_layers, 22),
    "rms": (rms, 7),
    "transposed": (transposed, 95),
    "transposed_in_groups": (transposed_in_groups, 52),
    "exact_gelu": (exact_gelu, 32),
    "activity": (activity, 32),
    "quantile": (quantile, 8),
    "cosine": (cosine, 9),
    "binary_focal": (binary_focal, 9),
    "lstm_in_both_directions": (lstm_in_both_directions, 111),
    "gru_in_both_directions": (gru_in_both_directions, 87),
    "positions": (positions, 56),
}


def trajectory(function, size):
    weights = wave(size, phase=0.3).requires_grad_()
    losses = []
    for _ in range(STEPS):
        loss = function(weights)
        (gradient,) = torch.autograd.grad(loss, weights)
        losses.append(loss.item())
        weights = (weights - RATE * gradient).detach().requires_grad_()
    return {"losses": losses, "weights": weights.tolist()}


if __name__ == "__main__":
    figures = {name: trajectory(*case) for name, case in CASES.items()}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
