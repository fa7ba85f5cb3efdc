"""Losses. Names are Keras's, in snake case."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from .base import Model, OneOf
from .functions import Empty

Smoothing = Annotated[float, Field(ge=0, lt=1)]
Gamma = Annotated[float, Field(ge=0, le=100)]
IgnoreClass = Annotated[int | None, Field(ge=-(2**31), le=2**31 - 1)]


def _some_weight(weights: tuple[float, ...]) -> tuple[float, ...]:
    if weights and not any(weights):
        raise ValueError("every class has weight 0, so nothing would be learnt: give at least one a weight above 0")
    return weights


def _no_word(weights: object) -> object:
    if weights == "balanced":
        raise ValueError("takes a number for each class: `balanced: true` instead of it computes them")
    return weights


def _without_other_labels(ignored: int | None, info: ValidationInfo) -> int | None:
    for other in ("one_hot", "categories"):
        if ignored is not None and info.data.get(other):
            raise ValueError(f"goes with class indices, not with `{other}`: leave one of them out")
    return ignored


ClassWeight = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1e30)], ...],
    Field(max_length=65_536, strict=False),
    AfterValidator(_some_weight),
    BeforeValidator(_no_word),
]
"""Factors of the losses of each class's samples, by class index; empty: 1."""


def _without_weights(balanced: bool, info: ValidationInfo) -> bool:
    if balanced and info.data.get("class_weight"):
        raise ValueError("computes the weights of the classes, `class_weight` gives them: leave one of them out")
    return balanced


Balanced = Annotated[bool, AfterValidator(_without_weights)]
"""Class weights n / (k · rows of the class), for n rows of the training part in k classes (King and Zeng 2001)."""


class SoftmaxCrossEntropy(Model):
    """Labels are class indices, texts or, if `one_hot`, one probability per class; one for each sample or, where the
    output has more axes than the classes, one for each position, averaged over the positions of a sample.

    With `categories` every distinct label is a class, numbers too, in sorted order; the model keeps their names.
    `label_smoothing` of the label is spread evenly over the classes (Szegedy et al. 2016). Positions with the label
    `ignore_class`, such as padding, do not count.
    """

    label_smoothing: Smoothing = 0.0
    one_hot: bool = False
    class_weight: ClassWeight = ()
    categories: bool = False
    ignore_class: IgnoreClass = None
    balanced: Balanced = False

    _class_indices = field_validator("ignore_class")(_without_other_labels)

    @field_validator("categories")
    @classmethod
    def _one_label_a_row(cls, categories: bool, info: ValidationInfo) -> bool:
        if categories and info.data.get("one_hot"):
            raise ValueError("does not go with `one_hot`, whose labels are probabilities: leave one of them out")
        return categories


class BinaryCrossEntropy(Model):
    """Labels are 0 and 1, or two texts, of which the first in sorted order stands for 0.

    Of several outputs each has a label, 0 or 1, and the loss is their mean: labels that do not exclude each other.

    With `categories` any two labels are the classes, numbers too. `label_smoothing` moves 0 and 1 that share of the way
    to the middle.
    """

    label_smoothing: Smoothing = 0.0
    class_weight: ClassWeight = ()
    categories: bool = False
    balanced: Balanced = False


class Hinge(Model):
    """Labels are 0 and 1, which stand for -1 and 1, or two texts; with `categories` any two labels.

    Of several outputs each has a label, 0 or 1, and the loss is their mean.
    """

    class_weight: ClassWeight = ()
    categories: bool = False
    balanced: Balanced = False


class Huber(Model):
    """Squares of errors up to `delta`, straight lines beyond (Huber 1964)."""

    delta: Annotated[float, Field(gt=0, le=1e30)] = 1.0


class Quantile(Model):
    """Errors below 0 times `quantile`, above 0 times 1 - `quantile` (Koenker and Bassett 1978)."""

    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5


class BinaryFocalCrossEntropy(Model):
    """Labels as for binary cross-entropy. Keras's `from_logits: true`.

    A probability p of the true label makes its loss (1 - p) to the power `gamma` times as large (Lin et al. 2017). With
    `apply_class_balancing` the loss of the label 1 is multiplied by `alpha`, that of 0 by 1 - `alpha`.
    """

    gamma: Gamma = 2.0
    apply_class_balancing: bool = False
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.25
    class_weight: ClassWeight = ()
    categories: bool = False
    balanced: Balanced = False


class CategoricalFocalCrossEntropy(Model):
    """Labels as for softmax cross-entropy, except one probability per class. Keras's `from_logits: true`.

    A probability p of the true class makes its loss `alpha` times (1 - p) to the power `gamma` times as large (Lin et
    al. 2017).
    """

    gamma: Gamma = 2.0
    alpha: Annotated[float, Field(gt=0, le=1e30)] = 0.25
    class_weight: ClassWeight = ()
    categories: bool = False
    ignore_class: IgnoreClass = None
    balanced: Balanced = False

    _class_indices = field_validator("ignore_class")(_without_other_labels)


STANDARDIZED = ("sum_squared_error", "mean_squared_error", "mean_absolute_error", "huber", "quantile")
"""Losses whose labels may be standardized: neither classes nor counts nor directions."""


class Loss(OneOf):
    """The loss that training minimizes.

    `sum_squared_error` sums over a sample's outputs, the others on numbers average over them, and `cosine_similarity`
    compares directions. `softmax_cross_entropy`, `categorical_focal_cross_entropy` and `kl_divergence` take one output
    per class, `binary_cross_entropy`, `binary_focal_cross_entropy` and `hinge` one for each label of 0 or 1, `poisson`
    logarithms of rates as outputs and counts as labels. Each is then averaged over the samples of a batch.
    """

    sum_squared_error: Empty | None = None
    mean_squared_error: Empty | None = None
    softmax_cross_entropy: SoftmaxCrossEntropy | None = None
    binary_cross_entropy: BinaryCrossEntropy | None = None
    mean_absolute_error: Empty | None = None
    huber: Huber | None = None
    hinge: Hinge | None = None
    poisson: Empty | None = None
    quantile: Quantile | None = None
    kl_divergence: Empty | None = None
    binary_focal_cross_entropy: BinaryFocalCrossEntropy | None = None
    categorical_focal_cross_entropy: CategoricalFocalCrossEntropy | None = None
    cosine_similarity: Empty | None = None
