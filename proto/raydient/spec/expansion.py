"""Bounds on compressed files: small files that declare a lot are refused before they are unpacked."""

MAXIMUM_EXPANSION = 100
"""Largest ratio of an array or a text to its compressed form where it is larger than `PLAIN_BYTES`."""

PLAIN_BYTES = 256 * 2**20


def expansion(size: int, stored: int) -> int:
    """Return how many times as large as its stored form an array or text is, in whole numbers, if refused; else 0."""
    is_refused = size > PLAIN_BYTES and size > MAXIMUM_EXPANSION * stored
    return size // max(1, stored) if is_refused else 0
