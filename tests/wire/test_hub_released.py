"""A hub gives a connection back to its caller, and drops all others."""

import pytest

from raydient.wire.frames import Header, Kind

SECRET = b"s" * 32


def joined(hub, dialler, endpoint, family):
    """Return both ends of a new connection, the hub's first."""
    member = dialler(hub, endpoint, family).join(SECRET)
    member.send(Header(Kind.CONTROL))
    events = []
    while not events:
        events += hub.poll(20)
    ((near, _),) = events
    return near, member


def test_a_released_connection_is_blocking_and_stays_when_all_others_are_dropped(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    near, member = joined(hub, dialler, endpoint, family)
    _, other = joined(hub, dialler, endpoint, family)

    hub.release(near)
    hub.drop_all()

    with pytest.raises(ConnectionError):
        other.receive()
    member.send(Header(Kind.STOP))
    assert list(hub.poll(0)) == []
    assert near.receive().header.kind is Kind.STOP
    third, _ = joined(hub, dialler, endpoint, family)
    assert third is not near
    near.close()


def test_a_connection_that_has_ended_cannot_be_released(make_hub, dialler, family):
    hub, endpoint = make_hub(SECRET)
    near, member = joined(hub, dialler, endpoint, family)
    member.close()
    while not list(hub.poll(20)):
        pass
    with pytest.raises(ConnectionError):
        hub.release(near)
