"""Facts about data that decide whether a network and a batch fit them, without the values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import Output
from raydient.spec.values import quoted
from raydient.workers.network import Extent, Preprocessing
from raydient.workers.network.losses import distinct, label_form, loss_class, names_hint

from .dataset import Dataset
from .source import Samples, Schema

WEIGHED_CLASSES = 65_536
"""Maximum number of class weights in a specification; higher classes have none."""


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """Facts about the labels of an output, in the encoding of its loss.

    Attributes:
        shape, type: of one label; the NumPy type.
        largest: the largest class index; -1 if labels are not class indices.
        largest_name: text of that class in quotes; empty if classes have no texts.
        hint: addition to the message that the largest class is too large, see `names_hint`.
        weighed: for each part, the classes among its samples with a weight above 0, below WEIGHED_CLASSES.
    """

    shape: tuple[int, ...]
    type: str
    largest: int = -1
    largest_name: str = ""
    hint: str = ""
    weighed: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, labels: Sequence[NDArray[Any]], classes: Sequence[str]) -> "LabelFacts":
        """Return the facts about labels in parts, of which some are not empty; `weighed` stays empty."""
        shape, type_ = labels[0].shape[1:], labels[0].dtype.str
        if labels[0].dtype.kind != "i":
            return cls(shape, type_)
        present = distinct(np.concatenate([distinct(part) for part in labels]))
        if not len(present):
            return cls(shape, type_)  # no label counts
        largest = int(present[-1])
        are_gaps = not classes and len(present) <= largest
        hint = names_hint(present, "softmax_cross_entropy") if are_gaps else ""
        return cls(shape, type_, largest, quoted(classes[largest]) if classes else "", hint)


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about a training part and a held-out part. Those of invalid data may be unknown.

    Attributes:
        input_shapes: shape of one sample of each input, by name; None if unknown.
        train_rows: number of samples of the training part; None if unknown.
        test_rows: number of samples of the held-out part.
        is_weighted: samples have weights.
        labels: facts about labels, by `label_key`.
        extents: for each part with samples, the extent of each input, by name.
    """

    input_shapes: Mapping[str, tuple[int, ...]] | None
    train_rows: int | None = None
    test_rows: int = 0
    is_weighted: bool = False
    labels: Mapping[str, LabelFacts] = field(default_factory=dict)
    extents: tuple[Mapping[str, Extent], ...] = ()

    @classmethod
    def of(cls, data: Dataset, outputs: Iterable[Output]) -> "Profile":
        """Return the facts about data that were read for `outputs`."""
        parts = [part for part in (data.train, data.test) if part.rows]
        return cls(
            input_shapes=data.input_shapes,
            train_rows=data.train.rows,
            test_rows=data.test.rows,
            is_weighted=data.schema.is_weighted,
            labels={label_key(output): _label_facts(data, parts, output) for output in outputs},
            extents=tuple({name: _extent(data.inputs[name], x) for name, x in part.xs.items()} for part in parts),
        )

    def size_bytes(self, outputs: Iterable[Output]) -> int:
        """Return the bytes of all samples with the labels of these outputs, whose facts are known."""
        facts = {output.layer: self.labels[label_key(output)] for output in outputs}
        labels = {name: (one.shape, one.type) for name, one in facts.items()}
        rows = (self.train_rows or 0) + self.test_rows
        return rows * Schema(self.input_shapes or {}, labels, self.is_weighted).row_bytes

    def covers(self, outputs: Iterable[Output]) -> bool:
        """Return True if the facts about the labels of all outputs are known."""
        return all(label_key(output) in self.labels for output in outputs)


class InvalidData(InvalidSpec):
    """A data file that does not fit its specification.

    Attributes:
        profile: the facts that are known nevertheless.
    """

    def __init__(self, errors: Iterable[FieldError], profile: Profile) -> None:
        super().__init__(errors)
        self.profile = profile


def _extent(preprocessing: Preprocessing, x: NDArray[np.float32]) -> Extent:
    """Return the extent of prepared samples; of hashes and tokens that of all numbers, because others follow."""
    if (preprocessing.hashing or preprocessing.tokens) and not preprocessing.one_hot:
        return Extent(None, 0, preprocessing.numbers - 1)
    return Extent.of(x)


def label_key(output: Output) -> str:
    """Return the key of an output's labels in `Profile.labels`: the label and its encoding for the loss."""
    return f"{output.label}: {label_form(output.loss)}"


def _label_facts(data: Dataset, parts: Sequence[Samples], output: Output) -> LabelFacts:
    name, loss, weighed = output.layer, loss_class(output.loss), []
    for part in parts:
        labels = part.ys[name]
        classes = loss.occurring(labels if part.weights is None else labels[part.weights > 0])
        weighed.append(tuple(classes[classes < WEIGHED_CLASSES].tolist()))
    facts = LabelFacts.of([part.ys[name] for part in parts], data.targets[name].classes)
    return replace(facts, weighed=tuple(weighed))
