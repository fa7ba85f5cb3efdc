"""One small network with layers that other jobs of these tests lack: one worker and three train the same weights."""

from .conftest import execute

PENALTY = {"activity_regularizer": {"l1": 1e-3, "l2": 1e-2}}
IMAGE = [
    {"reshape": {"name": "image", "shape": [3, 3, 4], "inputs": "seen"}},
    {"prelu": {"shared_axes": [1, 2]}},
    {"group_normalization": {"groups": 2}},
    {"conv2d_transpose": {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", **PENALTY}},
    {"up_sampling2d": {"size": [1, 2]}},
    {"global_max_pooling2d": {"name": "largest"}},
]
SEQUENCE = [
    {"reshape": {"name": "steps", "shape": [6, 6], "inputs": "seen"}},
    {"bidirectional": {"layer": {"lstm": {"units": 3, "return_sequences": True, "recurrent_dropout": 0.2}}}},
    "position_embedding",
    {"rms_normalization": {"name": "normalized"}},
    {"dense": {"name": "mask", "units": 6, "activation": "relu", "inputs": "seen"}},
    {"multi_head_attention": {"num_heads": 2, "key_dim": 3, "dropout": 0.1, "inputs": ["normalized", "mask"]}},
    {"conv1d_transpose": {"filters": 3, "kernel_size": 2, "strides": 3}},
    {"global_max_pooling1d": {"name": "latest"}},
]
NETWORK = {
    "layers": [
        {"dense": {"units": 36, "activation": "exact_gelu"}},
        {"activity_regularization": {"name": "seen", **PENALTY["activity_regularizer"]}},
        *IMAGE,
        *SEQUENCE,
        {"concatenate": {"inputs": ["largest", "latest"]}},
        {"dense": {"units": 3}},
    ],
    "loss": "categorical_focal_cross_entropy",
    "metrics": [{"f1": {"average": "weighted"}}, {"precision": {"average": "micro"}}],
}


def test_one_worker_and_three_train_the_same_weights(job, local, tmp_path):
    digests = {
        execute(job(workers, network=NETWORK, epochs=1), local, tmp_path / str(workers)).digest for workers in (1, 3)
    }
    assert len(digests) == 1
