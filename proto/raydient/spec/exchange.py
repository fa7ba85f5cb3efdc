"""The exchange of gradients between workers and parameter servers."""

from typing import Annotated

from pydantic import Field

from .base import Model, OneOf
from .functions import Empty


class TopKCodec(Model):
    """The `fraction` of the values with the largest magnitudes is sent, the rest is added to the next gradient.

    For each 256 values, rounded to a whole number, at least one.
    """

    fraction: Annotated[float, Field(ge=0.002, le=0.2)] = 0.01


class Codec(OneOf):
    """The form in which the gradient of each microbatch is added, and travels over TCP.

    none: float32. float16, bfloat16: rounded to nearest even. int8: whole multiples of a scale for each 256 values,
    with stochastic rounding. top_k: the largest of each 256 values, with error feedback.
    """

    none: Empty | None = None
    float16: Empty | None = None
    bfloat16: Empty | None = None
    int8: Empty | None = None
    top_k: TopKCodec | None = None

    @property
    def name(self) -> str:
        """The name of the option, with its setting if it has one."""
        return self.kind if self.top_k is None else f"{self.kind} {self.top_k.fraction}"

    @property
    def feeds_back(self) -> bool:
        """True if what is not sent of a microbatch's gradient is kept for its next one."""
        return self.top_k is not None


class Exchange(Model):
    """The exchange of a job. The codec of its gradients changes the resulting weights."""

    codec: Codec = Codec(none=Empty())
