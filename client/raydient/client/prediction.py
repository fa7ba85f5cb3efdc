"""The predictions of a network, from a service or in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .notebook import table

if TYPE_CHECKING:
    from numpy import float32, int32
    from numpy.typing import NDArray

FIRST_VALUES = 5
"""Classes or outputs that the `repr` of a prediction shows."""


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """The predictions of one output, one sample per row.

    Attributes:
        outputs: float32 [samples, ...]; probabilities if the loss is a cross-entropy.
        classes: int32 [samples], the most probable classes; [samples, ...] if there is one at each position, or 0 or 1
            for each of several outputs; None if the loss has no classes.
        class_names: the label that each class stands for; empty if labels are numbers.
    """

    outputs: "NDArray[float32]"
    classes: "NDArray[int32] | None"
    class_names: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: the number of samples, the shape of an output, and the first predictions."""
        count, *shape = self.outputs.shape
        samples = "1 sample" if count == 1 else f"{count:,} samples"
        width = "1 output" if shape == [1] else f"{' x '.join(map(str, shape)) or 1} outputs"
        values = self.outputs if self.classes is None else self.classes
        first = values.ravel()[:FIRST_VALUES].tolist()
        named = self.classes is not None and self.class_names
        texts = [repr(self.class_names[value]) if named else f"{value:.6g}" for value in first]
        texts += ["..."] * (values.size > FIRST_VALUES)
        what = "outputs" if self.classes is None else "classes"
        return f"<Prediction of {samples}, {width}{' each' * (count != 1)}: {what} {', '.join(texts)}>"

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.outputs)

    def __getitem__(self, rows: slice) -> "Prediction":
        """The predictions of consecutive samples: `prediction[:5]`."""
        if not isinstance(rows, slice):
            text = f"a prediction takes slices, such as [:5], not {rows!r}"
            raise TypeError(f"{text}; its `outputs` and `classes` are arrays")
        classes = None if self.classes is None else self.classes[rows]
        return Prediction(self.outputs[rows], classes, self.class_names)

    def _repr_html_(self) -> str:
        """The first samples, one row each, with their first outputs."""
        rows = []
        for place, sample in enumerate(self.outputs[:FIRST_VALUES]):
            outputs = sample.ravel().tolist()
            shown = [f"{value:.6g}" for value in outputs[:FIRST_VALUES]]
            shown += ["..."] * (len(outputs) > FIRST_VALUES)
            rows.append([str(place), *([] if self.classes is None else [self._class(place)]), ", ".join(shown)])
        return table(["sample", *([] if self.classes is None else ["class"]), "outputs"], rows, repr(self)[1:-1])

    def _class(self, place: int) -> str:
        """The class of a sample as text; of several, the first ones."""
        assert self.classes is not None
        values = self.classes[place].ravel().tolist()
        texts = [self.class_names[value] if self.class_names else str(value) for value in values[:FIRST_VALUES]]
        return ", ".join(texts + ["..."] * (len(values) > FIRST_VALUES))


def joined(parts: Sequence[Mapping[str, Prediction]]) -> dict[str, Prediction]:
    """Join the predictions of consecutive parts of samples, at least one part, by output."""
    import numpy as np

    first, *rest = parts
    if not rest:
        return dict(first)
    return {
        name: Prediction(
            np.concatenate([part[name].outputs for part in parts]),
            None if one.classes is None else np.concatenate([_classes(part[name]) for part in parts]),
            one.class_names,
        )
        for name, one in first.items()
    }


def _classes(prediction: Prediction) -> "NDArray[int32]":
    assert prediction.classes is not None, "all parts of an output have classes, or none"
    return prediction.classes
