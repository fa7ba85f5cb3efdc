"""Places of parameters in the vector, and the digest against a twin written from its definition."""

import struct
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.layout import Layout

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
SHAPES = st.dictionaries(NAMES, st.lists(st.integers(0, 4), max_size=3).map(tuple), max_size=6)


def naive_digest(arrays):
    """Return the digest by its definition.

    Sorted by name; name, NUL, rank and shape as int64, values as float32, all little-endian.
    """
    data = b""
    for name in sorted(arrays):
        data += name.encode("utf-8") + bytes(1)
        for number in (arrays[name].ndim, *arrays[name].shape):
            data += int(number).to_bytes(8, "little")
        for value in arrays[name].ravel():
            data += struct.pack("<f", value)
    return sha256(data).hexdigest()


@given(SHAPES, st.integers(0, 2**32 - 1))
def test_the_digest_is_the_one_that_the_definition_gives_in_any_order(shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    names = list(shapes)
    for order in (names, names[::-1]):
        layout = Layout.of((name, shapes[name]) for name in order)
        vector = np.concatenate([np.empty(0, np.float32), *(arrays[name].ravel() for name in order)])
        assert layout.digest(vector) == naive_digest(arrays)


def test_the_digest_tells_shape_name_and_value_apart():
    vector = np.arange(4, dtype=np.float32)
    digests = {
        Layout.of([("a", (4,))]).digest(vector),
        Layout.of([("a", (2, 2))]).digest(vector),
        Layout.of([("b", (4,))]).digest(vector),
        Layout.of([("a", (4,))]).digest(-vector),
        Layout.of([("a", (2,)), ("b", (2,))]).digest(vector),
    }

    assert len(digests) == 5


def test_the_digest_is_of_float32_whatever_the_vector_holds():
    layout = Layout.of([("w", (2, 3))])
    vector = np.linspace(0, 1, 6)

    assert layout.digest(vector) == layout.digest(vector.astype(np.float32)) == layout.digest(vector.astype(">f4"))


@given(SHAPES)
def test_parameters_lie_one_behind_the_other(shapes):
    layout = Layout.of(shapes.items())

    offset = 0
    for parameter, (name, shape) in zip(layout.parameters, shapes.items(), strict=True):
        assert (parameter.name, parameter.shape, parameter.offset) == (name, shape, offset)
        offset += int(np.prod(shape, dtype=int))
    assert layout.size == offset


def test_views_share_the_vectors_memory():
    layout = Layout.of([("kernel", (2, 3)), ("bias", (3,)), ("scale", ())])
    vector = np.zeros(10, np.float32)
    views = layout.views(vector)

    views["kernel"][1, 2] = 1
    views["bias"][:] = 2
    views["scale"][...] = 3

    assert vector.tolist() == [0, 0, 0, 0, 0, 1, 2, 2, 2, 3]
    assert {name: view.shape for name, view in views.items()} == {"kernel": (2, 3), "bias": (3,), "scale": ()}


def test_a_name_used_twice_is_our_own_bug():
    with pytest.raises(AssertionError, match="used twice"):
        Layout.of([("w", (1,)), ("w", (1,))])
