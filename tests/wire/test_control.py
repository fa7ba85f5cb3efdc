"""Round trips of every message and its arrays over both kinds of sockets; anything else breaks the protocol."""

import json
import math
import os
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.amendments import Amendment
from raydient.steps.ending import Ending
from raydient.steps.layout import Average, Frozen, Layout, Learned
from raydient.steps.manifest import Manifest
from raydient.steps.measurements import GradientHealth, LayerHealth, Measurements, Staleness
from raydient.steps.places import Place
from raydient.steps.schedule import RoundKind, Schedule
from raydient.steps.watched import Watched
from raydient.wire import control
from raydient.wire.connection import Frame
from raydient.wire.control import Order, Role
from raydient.wire.endpoint import Endpoint
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.memory import Bundle

SCHEDULE = Schedule(100, 20, 2, 32, 4)
ENDPOINT = Endpoint("@raydient-1", "10.0.0.1", 1234)
HEALTH = GradientHealth(6, (LayerHealth("dense", 0.5, None, 2, 0.25), LayerHealth("activation", math.inf)))
MEASUREMENTS = Measurements(
    0.25,
    0.5,
    {"forward": 1.5, "apply": 0.0},
    (0, 1, 4),
    0.125,
    {"push": 2**40, "pull": 0},
    HEALTH,
    0.5,
    7,
    staleness=Staleness((4, 7), 5),
)
LAYOUT = Layout.of(
    [("dense.kernel", (4, 3)), ("dense.bias", (3,)), ("batch.moving_mean", (3,)), ("still.kernel", (2, 2))],
    {"dense.kernel": Learned(0.25, 0.5), "batch.moving_mean": Average(0.99), "still.kernel": Frozen()},
    ["dense.kernel"],
)
AMENDMENT = Amendment(1, {"training.max_steps": 500}, 8, 6)
MANIFEST = Manifest("0a" * 32, 64, {"train/x/a": Place("<f4", (4, 3), 0)}, 64, ["ff" * 32], {"format": "1"})
EXAMPLES = [
    control.Hello(Role.PARAMETER_SERVER, 1, 4711, ENDPOINT, left=2),
    control.Alive(1),
    control.Pong(5),
    control.Attached(3),
    control.Status(7, 5, MEASUREMENTS, {2: control.Computed(8, 0.25)}),
    control.PlanInForce(3),
    control.EpochsDone(
        [control.EpochSums(1, 12, 0.5, [100.0, 3.5, 90.0], []), control.EpochSums(2, 24, 0.5, [1.0], [2.0], 0.1, 0.05)]
    ),
    control.Snapshot(
        8, 6, [32.0, 1.25], True, Ending.STOPPED_EARLY, {"early_stopping": Watched(None, 0, 2)}, 1.5, [AMENDMENT]
    ),
    control.SnapshotPart(1, 8, 6),
    control.NonFinite(RoundKind.TRAIN, 6, float("inf"), "dense_1.kernel", False),
    control.Overdue(4, {2: 5.5}),
    control.Amended(AMENDMENT),
    control.Refused({"secret": 1, "peer": 0, "frame": 2}),
    control.Residuals(8),
    control.FetchShard(3),
    control.Ping(5),
    control.Serve(
        4,
        LAYOUT,
        [("dense", 3), ("batch", 0)],
        {"optimizer": {"adam": {"epsilon": 1e-7}}},
        SCHEDULE,
        2,
        8,
        6,
        [],
        [[0, 8], [8, 9]],
        [2],
        {"keep": Watched(0.25, 1)},
        {"layers": []},
        {"image": [28, 28, 1]},
        12.5,
        1,
        ENDPOINT,
        [AMENDMENT],
        [Amendment(2, {"training.clipping": None})],
        "int8",
    ),
    control.Plan(2, [0, 3], [1.0, 0.5]),
    control.TakeSnapshot(),
    control.Pause(True),
    control.Stop(),
    control.Leave(),
    control.Dismiss(3),
    control.Work(
        4,
        {"display_name": "x", "network": {"layers": []}},
        {"image": [28, 28, 1], "table": [3]},
        SCHEDULE,
        [ENDPOINT],
        1,
        2,
        {"prices": [2.5, 1.0]},
        True,
        MANIFEST,
    ),
    control.DataShard(3),
    control.Follow(17, 3),
    control.Reports([control.Numbered(18, {"type": "Started", "step": 0, "workers": 2})], last=False),
    control.Acknowledge(18, 3),
    control.Command(Order.PAUSE),
    control.Scale(4, 2),
    control.Amend(AMENDMENT),
    control.Join(1, 4),
    control.Joined(),
    control.Ready(),
    control.Slots(3),
    control.Forget(3),
    control.TakePart(8, 6),
    control.Retrain({"epochs": 3}, SCHEDULE, {"schedule": Watched(0.5, 1, reductions=2)}),
]
ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "labels": np.array([3, -1], np.int64),
    "none": np.zeros((0, 4)),
}


def listed(value):
    """Return the value with lists in place of tuples, because JSON does not distinguish them."""
    if isinstance(value, list | tuple):
        return [listed(v) for v in value]
    return value


def same(one, other):
    return type(one) is type(other) and all(
        listed(getattr(one, f.name)) == listed(getattr(other, f.name)) for f in fields(one)
    )


def test_every_message_has_an_example():
    assert [type(example) for example in EXAMPLES] == list(control.Message.__args__)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_round_trip_of_a_message(pair, message):
    sender, receiver = pair
    control.send(sender, message)

    received = control.receive(receiver)

    assert same(received.message, message)
    assert received.arrays == {}


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_round_trip_of_a_message_with_arrays(pair, message, open_descriptors):
    sender, receiver = pair
    before = open_descriptors()
    control.send(sender, message, Bundle.of(ARRAYS))

    received = control.receive(receiver)

    assert same(received.message, message)
    assert received.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert received.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(received.arrays[name], array)
        received.arrays[name][...] = 1  # the receiver may change them
    del received
    assert open_descriptors() == before


def test_arrays_over_a_unix_socket_are_the_senders_memory(local_pair):
    sender, receiver = local_pair
    bundle = Bundle.of(ARRAYS)
    control.send(sender, control.TakeSnapshot(), bundle)

    received = control.receive(receiver).arrays["labels"]
    received[0] = 99

    assert bundle.arrays["labels"][0] == 99


@pytest.mark.parametrize("arrays", [{}, {"empty": np.zeros(0, np.float32)}])
def test_a_bundle_without_values(pair, arrays):
    sender, receiver = pair
    control.send(sender, EXAMPLES[0], Bundle.of(arrays))
    control.send(sender, EXAMPLES[1])

    first, second = control.receive(receiver), control.receive(receiver)

    assert {name: a.size for name, a in first.arrays.items()} == dict.fromkeys(arrays, 0)
    assert same(second.message, EXAMPLES[1])


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_travels(local_pair, loss):
    sender, receiver = local_pair
    control.send(sender, control.Status(0, 0, Measurements(loss, 0.5)))

    np.testing.assert_equal(control.receive(receiver).message.measurements.loss, loss)


GOOD = {"type": "Attached", "body": {"worker": 1}}
PLACED = {**GOOD, "size": 16}


def place(**parts):
    return {"places": {"a": {"dtype": "<f4", "shape": [4], "offset": 0, **parts}}}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"type":"Attached"}',
        b"[" * 100_000,
        json.dumps({**GOOD, "type": "Nonsense"}).encode(),
        json.dumps({**GOOD, "type": "__class__"}).encode(),
        json.dumps({**GOOD, "body": {}}).encode(),
        json.dumps({**GOOD, "body": {"worker": "many"}}).encode(),
        json.dumps({**GOOD, "body": {"worker": None}}).encode(),
        json.dumps({"type": "Command", "body": {"order": "explode"}}).encode(),
    ],
)
@pytest.mark.parametrize("with_descriptor", [False, True])
def test_a_text_that_is_no_message_breaks_the_protocol(local_pair, text, with_descriptor, pipe_ends, open_descriptors):
    sender, receiver = local_pair
    before = open_descriptors()
    descriptors = [pipe_ends[0].fileno()] * 2 if with_descriptor else []
    sender.send(Header(Kind.CONTROL, first=len(text)), text, descriptors=descriptors)

    with pytest.raises(ProtocolError, match="a control message cannot be decoded"):
        control.receive(receiver)

    assert open_descriptors() == before


@pytest.mark.parametrize(
    "envelope",
    [
        {**PLACED, **place(shape=[5])},
        {**PLACED, **place(offset=-4)},
        {**PLACED, **place(shape=[-4])},
        {**PLACED, **place(dtype="|O", shape=[1])},
        {**PLACED, **place(dtype="bad")},
        {**PLACED, **place(), "size": 17},
        {**PLACED, **place(), "size": -1},
        {**PLACED, **place(), "size": 2**50},
        {**PLACED, **place(), "size": 2**70},
        {**PLACED, "places": {"a": None}},
    ],
)
def test_arrays_outside_their_segment_break_the_protocol(pair, envelope, open_descriptors):
    sender, receiver = pair
    before = open_descriptors()
    text = json.dumps(envelope).encode()
    bundle = Bundle.of({"a": np.zeros(4, np.float32)})
    header = Header(Kind.CONTROL, first=len(text))
    if sender.is_local:
        os.ftruncate(bundle.segment.descriptor, 16)
        sender.send(header, text, descriptors=[bundle.segment.descriptor])
    else:
        sender.send(header, text, bytes(16))
    del bundle

    with pytest.raises(ProtocolError, match="a control message cannot be decoded"):
        control.receive(receiver)

    assert open_descriptors() == before


def test_a_descriptor_that_is_no_memory_breaks_the_protocol(local_pair, pipe_ends, open_descriptors):
    sender, receiver = local_pair
    before = open_descriptors()
    text = json.dumps({**GOOD, "size": 0, **place(shape=[0])}).encode()
    sender.send(Header(Kind.CONTROL, first=len(text)), text, descriptors=[pipe_ends[0].fileno()])

    with pytest.raises(ProtocolError, match="a control message cannot be decoded"):
        control.receive(receiver)

    assert open_descriptors() == before


def test_another_kind_of_frame_is_no_message(local_pair, pipe_ends, open_descriptors):
    sender, receiver = local_pair
    before = open_descriptors()
    sender.send(Header(Kind.PUSH), b"{}", descriptors=[pipe_ends[0].fileno()])

    with pytest.raises(ProtocolError, match="expected a message, got a PUSH frame"):
        control.receive(receiver)

    assert open_descriptors() == before


@given(st.binary(max_size=60), st.integers(0, 2**32 - 1))
def test_any_bytes_are_a_message_or_break_the_protocol(payload, first):
    with pytest.raises(ProtocolError):
        control.decode(Frame(Header(Kind.CONTROL, first=first), payload))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(EXAMPLES), st.data())
def test_any_body_is_a_message_or_breaks_the_protocol(example, data):
    """The field names are those of the message, so that the fields are validated too."""
    body = {f.name: data.draw(JSON) for f in fields(example)}
    text = json.dumps({"type": type(example).__name__, "body": body}).encode()
    try:
        received = control.decode(Frame(Header(Kind.CONTROL, first=len(text)), text))
    except ProtocolError:
        return
    assert type(received.message) is type(example)
