"""The exchange of gradients between workers and parameter servers."""

from .base import Model, OneOf
from .functions import Empty


class Codec(OneOf):
    """The form in which the gradient of each microbatch is added, and travels over TCP.

    none: float32. float16, bfloat16: rounded to nearest even. int8: whole multiples of a scale for each 256 values,
    with stochastic rounding.
    """

    none: Empty | None = None
    float16: Empty | None = None
    bfloat16: Empty | None = None
    int8: Empty | None = None


class Exchange(Model):
    """The exchange of a job. The codec of its gradients changes the resulting weights."""

    codec: Codec = Codec(none=Empty())
