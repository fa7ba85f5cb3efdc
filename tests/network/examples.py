"""Examples of every kind of layer, on which the tests of all kinds run. A new kind of layer adds its examples here.

By kind: settings, and the shapes of the inputs of one sample.
"""

from math import prod
from typing import get_args

from raydient.spec.network import Layer
from raydient.workers.network import Verdict
from raydient.workers.network.gradient_check import ZERO
from raydient.workers.network.layers import LAYERS
from raydient.workers.network.layers.embedding import Embedding

Example = tuple[dict, list[tuple[int, ...]]]

AROUND = {"explicit": {"before": [0, 1], "after": [1, 0]}}
PENALTY = {"activity_regularizer": {"l1": 0.3, "l2": 0.2}}

EXAMPLES: dict[str, list[Example]] = {
    "dense": [
        ({"units": 5, "activation": "tanh"}, [(6,)]),
        ({"units": 3, "use_bias": False}, [(6,)]),
        ({"units": 2, "activation": "sigmoid", **PENALTY}, [(2, 3)]),
    ],
    "flatten": [({}, [(3, 2)]), ({}, [(6,)])],
    "reshape": [({"shape": [2, 3]}, [(6,)]), ({"shape": [6]}, [(3, 2)])],
    "transpose": [({"axes": [1, 0]}, [(3, 2)]), ({"axes": [2, 0, 1]}, [(2, 3, 2)])],
    "activation": [({"function": "tanh"}, [(6,)]), ({"function": "relu"}, [(3, 2)])],
    "add": [({}, [(6,), (6,)]), ({}, [(3, 2)] * 3)],
    "multiply": [({}, [(6,), (6,)]), ({}, [(3, 2)] * 3)],
    "concatenate": [({}, [(6,), (3,)]), ({"axis": 0}, [(3, 2), (1, 2), (2, 2)])],
    "dot": [({}, [(6,), (6,)]), ({}, [(3, 2), (3, 2)])],
    "dropout": [({"rate": 0.4}, [(6,)]), ({"rate": 0.0}, [(3, 2)])],
    "layer_normalization": [
        ({}, [(6,)]),
        ({"epsilon": 0.1}, [(2, 3, 4)]),
        ({"center": False}, [(3, 4)]),
        ({"scale": False, "center": False}, [(6,)]),
    ],
    "embedding": [
        ({"input_dim": 5, "output_dim": 3}, [(4,)]),
        ({"input_dim": 5, "output_dim": 3, "mask_padding": True}, [(4,)]),
        ({"input_dim": 2, "output_dim": 1, "embeddings_initializer": "he_normal", **PENALTY}, [(2, 2)]),
    ],
    "lstm": [
        ({"units": 3}, [(4, 2)]),
        ({"units": 2, "return_sequences": True, "unit_forget_bias": False, **PENALTY}, [(3, 3)]),
        ({"units": 3}, [(4, 2), (4,)]),
        ({"units": 2, "return_sequences": True}, [(3, 3), (3,)]),
        ({"units": 3, "recurrent_dropout": 0.4}, [(4, 2), (4,)]),
    ],
    "gru": [
        ({"units": 3}, [(4, 2)]),
        ({"units": 2, "reset_after": False}, [(4, 2)]),
        ({"units": 2, "return_sequences": True, **PENALTY}, [(3, 3), (3,)]),
        ({"units": 3, "return_sequences": True, "reset_after": False}, [(4, 2), (4,)]),
        ({"units": 3, "recurrent_dropout": 0.4, "return_sequences": True}, [(4, 2)]),
        ({"units": 2, "recurrent_dropout": 0.4, "reset_after": False}, [(4, 2)]),
    ],
    "bidirectional": [
        ({"layer": {"lstm": {"units": 2}}}, [(4, 2)]),
        ({"layer": {"gru": {"units": 2, "return_sequences": True}}, "merge_mode": "mul", **PENALTY}, [(3, 3), (3,)]),
        ({"layer": {"lstm": {"units": 2, "return_sequences": True}}, "merge_mode": "ave"}, [(3, 2), (3,)]),
        ({"layer": {"gru": {"units": 2, "recurrent_dropout": 0.3}}, "merge_mode": "sum"}, [(3, 2)]),
        ({"layer": {"gru": {"units": 2, "return_sequences": True, "reset_after": False}}}, [(3, 2)]),
    ],
    "conv1d": [
        ({"filters": 3, "kernel_size": 3, "activation": "tanh"}, [(6, 2)]),
        ({"filters": 4, "kernel_size": 2, "strides": 2, "padding": "same", "groups": 2}, [(5, 2)]),
        ({"filters": 2, "kernel_size": 3, "dilation_rate": 2, "use_bias": False, **PENALTY}, [(7, 1)]),
        ({"filters": 2, "kernel_size": 5, "padding": {"explicit": {"before": 3, "after": 1}}}, [(3, 2)]),
        ({"filters": 3, "kernel_size": 3, "padding": "same", "groups": 3, "activation": "tanh"}, [(6, 3)]),
    ],
    "conv2d": [
        ({"filters": 2, "kernel_size": [2, 3], "activation": "tanh", **PENALTY}, [(4, 5, 2)]),
        ({"filters": 3, "kernel_size": 1, "activation": "tanh"}, [(3, 4, 2)]),
        ({"filters": 4, "kernel_size": 3, "padding": "same", "groups": 2, "activation": "tanh"}, [(4, 5, 6)]),
        ({"filters": 12, "kernel_size": 2, "groups": 2, "activation": "tanh"}, [(3, 3, 12)]),
        *(
            (
                {
                    "filters": 4,
                    "kernel_size": [3, 2],
                    "padding": padding,
                    "strides": strides,
                    "dilation_rate": dilation,
                    "groups": groups,
                    "activation": "sigmoid",
                    "use_bias": groups == 1,
                },
                [(6, 5, 4 if groups == 4 else 2)],
            )
            for padding in ("valid", "same", {"explicit": {"before": [2, 1], "after": [0, 3]}})
            for strides in (1, 2, [3, 1])
            for dilation in (1, 2)
            for groups in (1, 2, 4)
        ),
    ],
    "conv1d_transpose": [
        ({"filters": 3, "kernel_size": 3, "strides": 2, "activation": "tanh"}, [(3, 2)]),
        ({"filters": 2, "kernel_size": 2, "strides": 3, "padding": "same", "use_bias": False}, [(3, 2)]),
        ({"filters": 2, "kernel_size": 1, "strides": 2, **PENALTY}, [(2, 3)]),
        (
            {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2, "groups": 2, "output_padding": 1},
            [(2, 2)],
        ),
    ],
    "conv2d_transpose": [
        ({"filters": 2, "kernel_size": [2, 3], "activation": "tanh"}, [(2, 3, 2)]),
        ({"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", **PENALTY}, [(2, 3, 2)]),
        ({"filters": 2, "kernel_size": [4, 2], "strides": [1, 3], "padding": "same", "use_bias": False}, [(3, 2, 2)]),
        ({"filters": 1, "kernel_size": [1, 4], "strides": [2, 1], "activation": "sigmoid"}, [(2, 2, 3)]),
        ({"filters": 2, "kernel_size": 3, "padding": "same", "dilation_rate": [2, 1], "groups": 2}, [(3, 2, 4)]),
        (
            {
                "filters": 3,
                "kernel_size": 2,
                "strides": [1, 2],
                "padding": AROUND,
                "output_padding": [0, 1],
                "groups": 3,
            },
            [(3, 2, 3)],
        ),
    ],
    "activity_regularization": [
        ({"l1": 0.3, "l2": 0.2}, [(3, 2)]),
        ({"l2": 0.5}, [(4,)]),
    ],
    "max_pooling1d": [
        ({}, [(6, 2)]),
        ({"pool_size": 3, "strides": 1, "padding": "same"}, [(5, 2)]),
        ({"pool_size": 2, "strides": 3, "padding": {"explicit": {"before": 1}}}, [(6, 2)]),
    ],
    "max_pooling2d": [
        ({}, [(4, 6, 2)]),
        ({"pool_size": [3, 2], "strides": 2, "padding": "same"}, [(5, 4, 2)]),
        ({"pool_size": [2, 3], "strides": [1, 2]}, [(4, 6, 2)]),
        ({"pool_size": 3, "padding": {"explicit": {"before": [1, 2], "after": [0, 1]}}}, [(6, 5, 2)]),
    ],
    "average_pooling1d": [
        ({}, [(6, 2)]),
        ({"pool_size": 3, "strides": 1, "padding": "same"}, [(5, 2)]),
        ({"pool_size": 2, "strides": 3, "padding": {"explicit": {"before": 1}}}, [(6, 2)]),
    ],
    "average_pooling2d": [
        ({}, [(4, 6, 2)]),
        ({"pool_size": [3, 2], "strides": 2, "padding": "same"}, [(5, 4, 2)]),
        ({"pool_size": [2, 3], "strides": [1, 2]}, [(4, 6, 2)]),
        ({"pool_size": 3, "padding": {"explicit": {"before": [1, 2], "after": [0, 1]}}}, [(6, 5, 2)]),
    ],
    "global_average_pooling1d": [({}, [(4, 3)]), ({}, [(4, 3), (4,)])],
    "global_average_pooling2d": [({}, [(3, 2, 2)])],
    "global_max_pooling1d": [({}, [(4, 3)]), ({}, [(4, 3), (4,)])],
    "global_max_pooling2d": [({}, [(3, 2, 2)])],
    "up_sampling1d": [({}, [(3, 2)]), ({"size": 3}, [(2, 1)])],
    "up_sampling2d": [({}, [(2, 3, 1)]), ({"size": [3, 1]}, [(2, 1, 2)])],
    "group_normalization": [
        ({"groups": 2}, [(3, 2, 4)]),
        ({"groups": 3, "center": False}, [(6,)]),
        ({"groups": 1, "scale": False, "epsilon": 0.1}, [(3, 2)]),
    ],
    "rms_normalization": [({}, [(6,)]), ({"epsilon": 0.1}, [(2, 3)])],
    "prelu": [
        ({"alpha_initializer": {"constant": {"value": 0.3}}}, [(6,)]),
        ({"shared_axes": [1, 2], "alpha_initializer": "random_normal"}, [(2, 3, 2)]),
    ],
    "multi_head_attention": [
        ({"num_heads": 2, "key_dim": 3}, [(4, 5)]),
        ({"num_heads": 1, "key_dim": 4, "causal": True}, [(5, 3)]),
        ({"num_heads": 3, "key_dim": 2, "use_bias": False}, [(3, 4), (5, 2)]),
        ({"num_heads": 2, "key_dim": 2, "causal": True}, [(4, 3), (6, 3)]),
        ({"num_heads": 2, "key_dim": 2}, [(4, 3), (4,)]),
        ({"num_heads": 2, "key_dim": 3, "dropout": 0.3}, [(4, 3), (5, 2), (5,)]),
        ({"num_heads": 1, "key_dim": 2, "causal": True, "dropout": 0.5}, [(4, 3)]),
    ],
    "position_embedding": [({}, [(4, 3)])],
    "sine_position_encoding": [({}, [(4, 3)]), ({"max_wavelength": 50.0}, [(3, 4)])],
    "batch_normalization": [
        ({}, [(6,)]),
        ({"epsilon": 0.1}, [(2, 3, 4)]),
        ({"center": False}, [(3, 4)]),
        ({"scale": False, "center": False}, [(6,)]),
        ({"trainable": False}, [(2, 3, 4)]),
        ({"trainable": False, "scale": False}, [(6,)]),
    ],
}


def cases():
    """Return (kind, settings, input shapes) of every example, by id."""
    return {
        f"{kind}-{n}": (kind, *example) for kind, examples in EXAMPLES.items() for n, example in enumerate(examples)
    }


def graph(kind, settings, shapes, *, activation=None, units=3):
    """Return layers with one of this kind between others that learn: a dense layer computes each of its inputs. Samples
    have 4 values; an embedding reads them directly.

    `activation` is that of the layer, if it has one, else of a layer behind it; `units` are those of the last layer.
    """
    layers = []
    for n, shape in enumerate(shapes):
        if LAYERS[kind] is Embedding:
            layers.append({"reshape": {"name": f"shaped_{n}", "shape": list(shape), "inputs": "input"}})
            continue
        layers += [
            {"dense": {"name": f"before_{n}", "units": prod(shape), "activation": "tanh", "inputs": "input"}},
            {"reshape": {"name": f"shaped_{n}", "shape": list(shape)}},
        ]
    middle = {kind: {**settings, "name": "middle", "inputs": [f"shaped_{n}" for n in range(len(shapes))]}}
    behind = []
    if activation and has_activation(kind):
        middle[kind]["activation"] = activation
    elif activation:
        behind = [{"activation": {"function": activation}}]
    return [*layers, middle, *behind, "flatten", {"dense": {"units": units, "name": "after"}}]


def has_activation(kind):
    """Return True if a layer of this kind has an activation of its own."""
    choice = Layer.model_fields[kind].annotation
    return any("activation" in getattr(option, "model_fields", {}) for option in get_args(choice))


def assert_sound(report):
    """Assert that no derivative is wrong. Derivatives that are not resolved are 0, as of dead units."""
    assert {p.reason for p in report.parameters} <= {"", ZERO}, report
    assert not report.of(Verdict.WRONG), report
