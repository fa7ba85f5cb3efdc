"""Codecs written again, value by value, from their definitions: independent twins of `raydient.steps.codecs`."""

import math
from fractions import Fraction

import numpy as np

BLOCK = 256


def float16(values, noise):
    return np.array([_half(float(value)) for value in values], np.float32)


def _half(value):
    if not math.isfinite(value):
        return value
    return math.copysign(min(_nearest(abs(value), 10, -14), 65504.0), value)


def bfloat16(values, noise):
    return np.array([_brain(float(value)) for value in values], np.float32)


def _brain(value):
    if not math.isfinite(value):
        return value
    nearest = _nearest(abs(value), 7, -126)
    return math.copysign(nearest if nearest < 2.0**128 else math.inf, value)


def _nearest(value, digits, least):
    """Round to `digits` binary digits after the first, the exponent being at least `least`; ties go to even."""
    if value == 0:
        return 0.0
    place = 2.0 ** (max(math.frexp(value)[1] - 1, least) - digits)
    return round(Fraction(value) / Fraction(place)) * place


def int8(values, noise):
    decoded = []
    for begin in range(0, len(values), BLOCK):
        block = values[begin : begin + BLOCK]
        decoded += _block([np.float32(value) for value in block], noise[begin : begin + BLOCK])
    return np.array(decoded, np.float32)


def _block(block, noise):
    largest = max(abs(value) for value in block)
    if not all(math.isfinite(value) for value in block):
        return [math.nan] * len(block)
    if largest < 2.0**-100:
        return [0.0] * len(block)
    scale, inverse = largest * np.float32(1 / 127), np.float32(127 * 256) / largest
    return [
        np.float32(math.floor(Fraction(round(float(value * inverse)) + int(byte), 256))) * scale
        for value, byte in zip(block, noise, strict=False)
    ]


def top_k(values, noise, count=3):
    sent = np.zeros(len(values), np.float32)
    for begin in range(0, len(values), BLOCK):
        places = range(begin, min(begin + BLOCK, len(values)))
        for place in sorted(places, key=lambda place: -_magnitude(values[place]))[:count]:
            sent[place] = values[place]
    return sent


def _magnitude(value):
    return math.inf if math.isnan(value) else abs(float(value))


TWINS = {"float16": float16, "bfloat16": bfloat16, "int8": int8, "top_k 0.01": top_k}
