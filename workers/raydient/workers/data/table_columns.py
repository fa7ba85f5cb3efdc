"""Selects the columns of a table that a job uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.images import Image
from raydient.spec.layers import INPUT
from raydient.spec.values import quoted

from .raw import SHOWN_ERRORS, label_path, missing

MAXIMUM_COLUMNS = 2**18
CELL_BYTES = 4096
"""Maximum bytes of a label or category."""
TEXT_BYTES = 65_536
"""Maximum bytes of a text that becomes tokens."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a job uses.

    Attributes:
        place: index in the file, from 0.
        name: name in the header.
        path: path in the specification.
        is_text: read as text, as labels and categories are; all others are read as numbers.
        is_optional: a number, a date or a category that may be missing.
        is_date: values are dates, read as seconds since 1970; where the column is text, they may be, in ISO 8601.
        image: the size and channels of images; they are paths if `is_text`, else the bytes of files.
        most_bytes: maximum bytes of a text.
    """

    place: int
    name: str
    path: str
    is_text: bool
    is_optional: bool = False
    is_date: bool = False
    image: Image | None = None
    most_bytes: int = CELL_BYTES


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table that a job uses.

    Attributes:
        inputs: columns of each input, by its name.
        labels: columns of each label, by its name; includes the weight of samples.
    """

    inputs: Mapping[str, Sequence[Column]]
    labels: Mapping[str, Sequence[Column]]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample of each input, by its name."""
        return {
            name: columns[0].image.shape if columns[0].image else (len(columns),)
            for name, columns in self.inputs.items()
        }

    @property
    def all(self) -> list[Column]:
        """Every column once, in the order of the file."""
        several = (*self.inputs.values(), *self.labels.values())
        columns = {column.place: column for columns in several for column in columns}
        return [columns[place] for place in sorted(columns)]


def find_columns(names: Sequence[str], spec: DatasetSpec) -> Columns:
    """Find the columns that the specification names. If it names no features, all but label and weight are features.

    Raises:
        InvalidSpec: a name is missing, or occurs more than once.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    beside = {label: _label_paths(spec, label, names) for label, names in spec.read_beside.items()}
    labels = [one for several in beside.values() for one in several]
    inputs = _named_inputs(spec) or {INPUT: _other_columns(names, {name for _, name in labels})}
    wanted = [*labels, *(one for names in inputs.values() for one in names)]
    absent = [(path, name) for path, name in wanted if name not in places]
    absent += [(f"dataset.columns.{name}", name) for name in spec.columns if name not in places]
    errors = missing(absent, "a column of the file", names)
    errors += _ambiguous({name: path for path, name in wanted if len(places.get(name, ())) > 1}, places)
    if not spec.inputs and not spec.features:
        errors += _nameless(names)
        if not inputs[INPUT]:
            errors.append(FieldError("dataset.features", "the file has no column besides the label"))
    as_text = {column for input_ in spec.inputs.values() if input_.is_text for column in input_.columns}
    as_text |= {name for _, name in labels}
    for input_, several in _named_inputs(spec).items():
        if not (input_ in spec.inputs and (spec.inputs[input_].is_text or spec.inputs[input_].image)):
            errors += _of_texts([one for one in several if one[1] in as_text], {name for _, name in labels})
    if errors:
        raise InvalidSpec(errors)
    as_text |= {column for input_ in spec.inputs.values() if input_.image for column in input_.columns}
    buckets = {column for input_ in spec.inputs.values() if input_.has_missing for column in input_.columns}
    buckets -= {name for _, name in labels}

    long = {column for input_ in spec.inputs.values() if input_.text for column in input_.columns}

    def column(path: str, name: str, image: Image | None = None) -> Column:
        is_text = name in as_text
        is_optional = name in buckets if is_text else spec.imputes(name) is not None
        is_date = spec.date_of(name) is not None or name == spec.split.column
        most = TEXT_BYTES if name in long else CELL_BYTES
        return Column(places[name][0], name, path, is_text, is_optional, is_date, image, most)

    images = {name: input_.image for name, input_ in spec.inputs.items()}
    return Columns(
        {name: [column(*one, images.get(name)) for one in names] for name, names in inputs.items()},
        {label: [column(*one) for one in several] for label, several in beside.items()},
    )


def _of_texts(wanted: Sequence[tuple[str, str]], labels: set[str]) -> list[FieldError]:
    """Return the errors of columns, by path and name, that are read as texts and wanted as numbers too."""
    errors = []
    for path, name in wanted[:SHOWN_ERRORS]:
        what = "a label" if name in labels else "categories or a text in another input"
        errors.append(FieldError(path, f"column {quoted(name)} is {what} too, so it cannot be a number"))
    return errors


def _label_paths(spec: DatasetSpec, label: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return path and name of each column of a label."""
    path = label_path(spec, label)
    is_list = path == "dataset.label_columns"
    return [(f"{path}[{i}]" if is_list else path, name) for i, name in enumerate(names)]


def _named_inputs(spec: DatasetSpec) -> dict[str, list[tuple[str, str]]]:
    """Return path and name of each column that the specification lists, by input."""
    if spec.inputs:
        return {
            name: [(f"dataset.inputs.{name}.columns[{i}]", column) for i, column in enumerate(input_.columns)]
            for name, input_ in spec.inputs.items()
        }
    features = [(f"dataset.features[{i}]", name) for i, name in enumerate(spec.features)]
    return {INPUT: features} if features else {}


def _other_columns(names: Sequence[str], labels: set[str]) -> list[tuple[str, str]]:
    return [("dataset.features", name) for name in names if name.strip() and name not in labels]


def _ambiguous(paths: Mapping[str, str], places: Mapping[str, Sequence[int]]) -> list[FieldError]:
    """Return the errors of names that a job uses and that more than one column has."""
    errors = []
    for name, path in list(paths.items())[:SHOWN_ERRORS]:
        where = ", ".join(str(place + 1) for place in places[name][:SHOWN_ERRORS])
        text = f"the file has more than one column named {quoted(name)}, the columns {where}: rename all but one"
        errors.append(FieldError(path, text))
    if len(paths) > SHOWN_ERRORS:
        errors.append(FieldError(errors[-1].path, f"{len(paths) - SHOWN_ERRORS} more names occur more than once"))
    return errors


def _nameless(names: Sequence[str]) -> list[FieldError]:
    """Return the error of columns without a name, if every column is a feature."""
    places = [place for place, name in enumerate(names) if not name.strip()]
    if not places:
        return []
    where = ", ".join(str(place + 1) for place in places[:SHOWN_ERRORS])
    text = f"the file has no name for column {where}: name the columns to use in `dataset.features`"
    if places == [0]:
        text += ", or omit the row numbers, as pandas does with `to_csv(..., index=False)`"
    return [FieldError("dataset.features", text)]
