"""A codec has one digest for any number of workers and servers and any transport, also after a kill."""

from hashlib import sha256

import numpy as np
import pytest

from raydient.server.training.order_record import read_order
from raydient.server.training.preparation import prepare
from raydient.server.training.replay import replay
from raydient.server.training.reports import Progress
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.steps.layout import Average
from raydient.wire.control import Role

from .conftest import execute
from .local_twin import Learner
from .naive import naive

LAYERS = [
    {"dense": {"units": 200, "activation": "relu"}},
    "batch_normalization",
    {"dense": {"units": 40, "activation": "tanh", "trainable": False}},
    {"dropout": {"rate": 0.1}},
    {"dense": {"units": 3}},
]
TRAINING = {"epochs": 2, "batch_size": 100, "microbatches": 5, "seed": 11}


@pytest.fixture
def make(data):
    """Return a function that prepares a job with a codec; its leaves travel one by one or in sums."""

    def build(codec, servers=1, workers=1, epochs=2, **more):
        spec = {
            "dataset": {"uri": data.name},
            "network": {"layers": LAYERS, "loss": "softmax_cross_entropy"},
            "training": TRAINING | {"epochs": epochs},
            "exchange": {"codec": codec},
            "monitoring": {"gradient_health_every": 3},
            "resources": {"workers": workers, "parameter_servers": servers},
        }
        return prepare(validate_job(spec | more), data)

    return build


def decoded(prepared):
    """Return a function for a naive loop: it encodes and decodes the gradient of a leaf, as a whole vector."""
    codec, layout, seed = prepared.spec.exchange.codec.kind, prepared.network.layout, prepared.spec.training.seed

    def of(gradient, step, leaf):
        values, result = gradient.copy(), gradient.copy()
        averages = [p.view(values) for p in layout.parameters if isinstance(p.kind, Average)]
        for average in averages:
            average[:] = 0
        key = sha256("\0".join(("exchange", str(seed), str(step), str(leaf))).encode()).digest()[:16]
        result[:] = CODECS[codec](values, np.random.Philox(key=int.from_bytes(key, "little")))
        for p in layout.parameters:
            if isinstance(p.kind, Average):
                p.view(result)[:] = p.view(gradient)
        return result

    return of


def int8(values, generator):
    blocks = np.zeros((-(-len(values) // 256), 256), np.float32)
    blocks.reshape(-1)[: len(values)] = values
    largest, noise = np.abs(blocks).max(1, keepdims=True), generator.random_raw(blocks.size // 8).view(np.uint8)
    fixed = np.rint(blocks * (np.float32(32512) / np.where(largest == 0, 1, largest))) + noise.reshape(blocks.shape)
    return (np.floor(fixed / 256).astype(np.float32) * (largest * np.float32(1 / 127))).reshape(-1)[: len(values)]


CODECS = {
    "float16": lambda values, generator: values.astype(np.float16),
    "bfloat16": lambda values, generator: nearest(values),
    "int8": int8,
}


def nearest(values):
    """Return values rounded to 8 binary digits; ties go to even."""
    fractions, exponents = np.frexp(values.astype(np.float64))
    return np.ldexp(np.rint(fractions * 256), exponents - 8)


def test_a_codec_has_the_bits_of_the_naive_loop_and_no_others(make, local, tmp_path):
    prepared = make("float16", servers=2, workers=3)
    expected = naive(prepared, decoded=decoded(prepared)).digest
    assert expected != naive(prepared).digest
    assert execute(prepared, local, tmp_path, transport="tcp").digest == expected


@pytest.mark.parametrize(
    ("servers", "workers", "transport"),
    [(1, 1, "shared-memory"), (1, 3, "tcp"), (2, 1, "tcp"), (2, 3, "shared-memory"), (2, 3, "tcp")],
)
def test_workers_servers_and_transport_change_no_bit(make, local, tmp_path, servers, workers, transport):
    prepared, reports = make("int8", servers, workers), []
    finished = execute(prepared, local, tmp_path, reports.append, transport=transport)
    assert finished.digest == naive(prepared, decoded=decoded(prepared)).digest
    saved = [report.measurements.saved_bytes for report in reports if isinstance(report, Progress)][-1]
    assert (saved > 0) == (transport == "tcp" and workers == 3)  # five leaves encoded are longer than their sum


def test_the_contribution_of_local_steps_is_encoded_once(make, local, tmp_path):
    steps = {"batch_size": 25, "consistency": {"local": {"steps": 4}}}
    prepared = make("int8", 2, 3, training=TRAINING | steps)
    expected = naive(prepared, decoded=decoded(prepared), learn=Learner(prepared)).digest
    assert execute(prepared, local, tmp_path, transport="tcp").digest == expected


def test_a_stale_job_may_have_a_codec_and_is_replayed_with_it(make, local, tmp_path):
    training = TRAINING | {"consistency": "asynchronous"}
    finished = execute(make("int8", 2, 3, training=training), local, tmp_path, transport="tcp")
    parts = read_order(tmp_path)
    digests = [replay(make(codec, 1, 1, training=training), parts, (), finished.step) for codec in ("int8", "none")]
    assert digests[0] == finished.digest != digests[1]


def test_a_kill_changes_no_bit(make, local, tmp_path):
    prepared, killed = make("bfloat16", 1, 2, epochs=40), []

    def kill(report):
        if isinstance(report, Progress) and report.step > 30 and not killed:
            killed.append(report.step)
            local.kill(Role.WORKER, 1)

    finished = execute(prepared, local, tmp_path, kill, transport="tcp")
    assert killed
    assert finished.digest == naive(prepared, decoded=decoded(prepared)).digest


def test_a_codec_and_a_gradient_that_travels_by_rows_are_refused(make, data):
    table = {"embedding": {"name": "words", "input_dim": 20_000, "output_dim": 4}}
    layers = [table, "flatten", {"dense": {"units": 3}}]
    with pytest.raises(InvalidSpec) as refused:
        make("int8", network={"layers": layers, "loss": "softmax_cross_entropy"})
    assert [(error.path, error.message) for error in refused.value.errors if error.path == "exchange.codec"] == [
        (
            "exchange.codec",
            "int8 cannot be combined with words.embeddings, whose gradient travels by the rows in use: use none",
        )
    ]
