"""Shared memory: one side reads what the other writes, and an announcement of a peer is checked."""

import os
import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.arrays import CACHE_LINE, aligned_zeros
from raydient.steps.places import Place
from raydient.wire.memory import Bundle, Segment

ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "labels": np.array([3, -1], np.int64),
    "none": np.zeros((0, 4), np.float64),
    "scalar": np.array(2.5, np.float32),
    "mask": np.array([True, False, True]),
}
DTYPES = st.sampled_from(["<f4", "<f8", "<i4", "<i8", "|u1", "|b1"])
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)


def test_a_new_segment_is_zero_and_writable():
    segment = Segment.create(100)

    assert bytes(segment.buffer) == bytes(100)
    segment.buffer[99] = 7
    assert segment.array("|u1", (4,), 96).tolist() == [0, 0, 0, 7]


def test_two_mappings_of_one_segment_are_the_same_memory():
    segment = Segment.create(12)
    other = Segment(os.dup(segment.descriptor), 12)

    segment.array("<f4", (3,))[:] = [1, 2, 3]

    assert other.array("<f4", (3,)).tolist() == [1, 2, 3]


def test_a_segment_travels_through_a_socket_and_outlives_its_maker():
    near, far = socket.socketpair()
    with near, far:
        bundle = Bundle.of(ARRAYS)
        places, size = bundle.places, bundle.segment.size
        socket.send_fds(near, [b"x"], [bundle.segment.descriptor])
        del bundle
        _, (descriptor,), _, _ = socket.recv_fds(far, 1, 1)

    received = Bundle(Segment(descriptor, size), places).arrays

    assert received.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert received[name].dtype == array.dtype
        assert received[name].shape == array.shape
        assert received[name].tolist() == array.tolist()


def test_arrays_keep_the_mapping_alive_and_nothing_keeps_the_descriptor(open_descriptors):
    before = open_descriptors()
    array = Segment.create(4096).array("<f4", (1024,))

    array[:] = 5

    assert open_descriptors() <= before + 1  # the mapping may hold one of its own
    assert array.sum() == 5 * 1024
    del array
    assert open_descriptors() == before


@given(st.dictionaries(st.text(max_size=4), st.tuples(DTYPES, SHAPES), max_size=6))
def test_arrays_of_a_bundle_are_aligned_zero_and_apart(wanted):
    bundle = Bundle.allocate(wanted)

    assert {name: (a.dtype.str, a.shape) for name, a in bundle.arrays.items()} == wanted
    end = 0
    for name, place in bundle.places.items():
        assert place.offset % 64 == 0
        assert place.offset >= end
        assert not bundle.arrays[name].any()
        end = place.offset + place.size
    assert end <= bundle.segment.size


def test_an_empty_bundle_is_one_too():
    bundle = Bundle.of({})

    assert bundle.segment.size == 0
    assert bytes(bundle.segment.buffer) == b""


def test_a_segment_smaller_than_announced_is_refused_and_closed(open_descriptors):
    small = Segment.create(100)
    before = open_descriptors()

    with pytest.raises(ValueError, match="101 bytes was announced"):
        Segment(os.dup(small.descriptor), 101)

    assert open_descriptors() == before


def test_a_descriptor_that_cannot_be_mapped_is_closed(pipe_ends, open_descriptors):
    before = open_descriptors()

    with pytest.raises((ValueError, OSError)):
        Segment(os.dup(pipe_ends[0].fileno()), 0)

    assert open_descriptors() == before


@pytest.mark.parametrize(
    "place",
    [
        Place("<f4", (4,), -4),
        Place("<f4", (4,), 1),
        Place("<f4", (5,), 0),
        Place("<f4", (-1,), 0),
        Place("<f4", (-1, -1), 0),
        Place("<f4", (2**62, 2**62), 0),
        Place("<f4", (0,), 17),
        Place("<f4", (4,), 2**70),
        Place("|O", (1,), 0),
        Place("<U1", (1,), 0),
        Place("<f4,<f4", (1,), 0),
        Place("<M8[s]", (1,), 0),
        Place("nonsense", (1,), 0),
        Place("", (1,), 0),
    ],
)
def test_a_place_that_is_no_array_inside_the_segment_is_refused(place):
    with pytest.raises(ValueError, match="array evil does not lie inside its segment"):
        Bundle(Segment.create(16), {"good": Place("<f4", (4,), 0), "evil": place})


@given(st.text(max_size=6), st.lists(st.integers(-(2**65), 2**65), max_size=4).map(tuple), st.integers(-(2**65), 2**65))
def test_whatever_a_peer_announces_is_an_array_inside_the_segment_or_a_value_error(dtype, shape, offset):
    segment = Segment.create(64)
    try:
        array = Bundle(segment, {"a": Place(dtype, shape, offset)}).arrays["a"]
    except ValueError:
        return
    assert offset + array.nbytes <= 64


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.bool_])
def test_aligned_zeros_begin_with_a_cache_line(dtype):
    shapes = [(), (1,), (7, 3), (1000,), (2, 0)]
    arrays = [aligned_zeros(shape, dtype) for shape in shapes]
    assert [array.ctypes.data % CACHE_LINE for array in arrays if array.size] == [0] * 4
    assert [array.shape for array in arrays] == shapes
    assert all(array.dtype == dtype and not array.any() and array.flags.c_contiguous for array in arrays)
