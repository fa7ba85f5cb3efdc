"""Mutated frames: every reader accepts a frame or raises ConnectionError, and allocates no more than it announced."""

import json

import pytest

from raydient.wire import control
from raydient.wire.connection import Frame
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.terms import Terms

from .frame_fuzz import LIMIT, Fuzzer

FRAMES = 30_000


def test_mutated_frames_are_accepted_or_refused():
    fuzzer = Fuzzer("suite")

    fuzzer.run(FRAMES)

    readers = {name for name, _ in fuzzer.outcomes}
    assert readers == {"connection", "message", "terms", "dense", "coded", "tables", "channel", "rows"}
    assert all(fuzzer.outcomes[name, "refused"] for name in readers)
    assert fuzzer.outcomes["message", "accepted"]
    assert fuzzer.outcomes["terms", "accepted"]
    assert fuzzer.outcomes["dense", "pushes taken"]
    assert fuzzer.outcomes["coded", "pushes taken"]
    assert fuzzer.outcomes["tables", "pushes taken"]
    assert fuzzer.outcomes["tables", "pulls answered"]
    assert fuzzer.outcomes["rows", "rows taken"]
    assert fuzzer.largest["connection"] <= LIMIT
    assert fuzzer.largest["channel"] <= 1 << 16


def test_arrays_of_a_message_are_as_large_as_its_payload():
    """One byte would be broadcast over a segment of the announced size."""
    places = {"a": {"dtype": "|u1", "shape": [1], "offset": 0}}
    text = json.dumps({"type": "TakeSnapshot", "body": {}, "places": places, "size": 1 << 20}).encode()

    with pytest.raises(ProtocolError, match="1 bytes of arrays, 1048576 were announced"):
        control.decode(Frame(Header(Kind.CONTROL, first=len(text)), text + b"\0"))


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"gradient": {"size": -1}, "slots": 1, "sums": 1}'])
def test_terms_that_are_none(text):
    with pytest.raises(ProtocolError, match="terms"):
        Terms.unpack(text)
