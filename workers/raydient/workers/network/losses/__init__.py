"""The table of losses. A new loss joins it and inherits the gradient check."""

from raydient.spec import losses as spec

from .focal import BinaryFocalCrossEntropy, CategoricalFocalCrossEntropy
from .labels import Encoded, LabelError, Labels, are_texts, distinct, measured, names_hint, shown_classes
from .loss import Loss
from .numbers import CosineSimilarity, Huber, MeanAbsoluteError, MeanSquaredError, Poisson, Quantile, SumSquaredError
from .places import SKIPPED, Places
from .softmax import KlDivergence, SoftmaxCrossEntropy
from .two_classes import BinaryCrossEntropy, Hinge

LOSSES: dict[str, type[Loss]] = {
    "sum_squared_error": SumSquaredError,
    "mean_squared_error": MeanSquaredError,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
    "hinge": Hinge,
    "poisson": Poisson,
    "quantile": Quantile,
    "kl_divergence": KlDivergence,
    "binary_focal_cross_entropy": BinaryFocalCrossEntropy,
    "categorical_focal_cross_entropy": CategoricalFocalCrossEntropy,
    "cosine_similarity": CosineSimilarity,
}


def loss_class(choice: spec.Loss) -> type[Loss]:
    """Return the class of the loss that a specification chooses."""
    return LOSSES[choice.kind].of(choice.value)


def label_form(choice: spec.Loss) -> str:
    """Return the name of a loss's encoding of labels. Losses that take the same labels share one."""
    encoder = loss_class(choice).encode.__qualname__
    ignored = getattr(choice.value, "ignore_class", None)
    if ignored is not None:
        return f"{encoder} without {ignored}"
    return f"{encoder} of categories" if takes_categories(choice) else encoder


def takes_categories(choice: spec.Loss) -> bool:
    """Return True if every distinct label is a class, even if labels are numbers."""
    return bool(getattr(choice.value, "categories", False))


__all__ = [
    "LOSSES",
    "SKIPPED",
    "Encoded",
    "LabelError",
    "Labels",
    "Loss",
    "Places",
    "are_texts",
    "distinct",
    "label_form",
    "loss_class",
    "measured",
    "names_hint",
    "shown_classes",
    "takes_categories",
]
