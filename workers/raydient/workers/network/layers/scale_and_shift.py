"""The parameters that normalizations learn: a scale and a shift of each channel."""

from raydient.spec import functions

from .layer import ParameterRule

ONES = functions.Initializer(ones=functions.Empty())
ZEROS = functions.Initializer(zeros=functions.Empty())


def scale_and_shift(channels: int, *, scale: bool, center: bool) -> tuple[ParameterRule, ...]:
    """Return the rules of gamma, ones at the beginning, if `scale`, and of beta, zeros, if `center`."""
    gamma = ParameterRule("gamma", (channels,), ONES, channels, channels)
    beta = ParameterRule("beta", (channels,), ZEROS, channels, channels)
    return (*[gamma] * scale, *[beta] * center)
