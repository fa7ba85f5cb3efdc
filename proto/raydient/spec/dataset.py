"""The data of a job: one table or array with its label, or several inputs and labels by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Protocol

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .augmentation import Augmentation
from .base import Model
from .columns import Column, ColumnSettings, DateForm, Impute, distinct
from .csv_format import CsvFormat
from .inputs import Input
from .layers import INPUT, Name
from .sources import FurtherUris, Uri, are_distinct, spread, uris_of
from .splits import AnySplit, Split, Validation, split_column

LABEL = "label"
"""Name of the only label of a job where labels have names."""
SPLIT = "split column"
"""Name of the column that decides which rows are held out, among those columns; it has a space for the same reason."""
DEFAULT_LABEL = "y"
DEFAULT_ARRAY = "x"
"""The array of samples in an NPZ file where the job names none."""
SAMPLE_WEIGHT = "sample weight"
"""Name of the weights among the columns read beside the inputs; it has a space, which no label's name has."""


def _columns_of(inputs: Mapping[str, Input]) -> list[str]:
    return [column for input_ in inputs.values() for column in input_.columns]


def _kind(input_: Input) -> str:
    """Return the name of what an input holds, if that are no numbers."""
    if input_.image:
        return "images"
    return "texts" if input_.text else "categories" if input_.is_text else ""


class Dataset(Model):
    """The file of samples, and which of its columns or arrays are features, labels and weights.

    A CSV file has a header; every column but the label is a feature. An NPZ file holds `x` (one sample a row, any
    shape) and `y`, or the arrays named by `features` and `label`. A network of several inputs has them by name in
    `inputs` instead, one of several outputs what they are compared with in `labels`. `sample_weight` is a factor of
    each sample's loss, 0 or more. `label_columns` are the columns of a CSV file that make one label of several values,
    one for each output or position. `standardize_label` gives all labels, or `standardize_labels` some of `labels`,
    mean 0 and variance 1 in the training part; predictions have the unit of the label. `impute` fills missing values in
    all inputs of numbers, `columns` prepares single columns of a table and stands before it. With `validation` no row
    of the file is held out.
    """

    uri: Uri
    label: Column = DEFAULT_LABEL
    features: Annotated[tuple[str, ...], Field(max_length=65_536, strict=False)] = ()
    split: Split = Split()
    standardize: bool = False
    inputs: Annotated[dict[Name, Input], Field(max_length=64)] = {}  # noqa: RUF012  (pydantic copies it)
    labels: Annotated[dict[Name, Column], Field(max_length=64)] = {}  # noqa: RUF012
    sample_weight: Column | None = None
    label_columns: Annotated[tuple[Column, ...], Field(max_length=65_536, strict=False)] = ()
    impute: Impute | None = None
    columns: Annotated[dict[Column, ColumnSettings], Field(max_length=65_536)] = {}  # noqa: RUF012
    validation: Validation | None = None
    csv: CsvFormat = CsvFormat()
    standardize_label: bool = False
    standardize_labels: Annotated[tuple[Name, ...], Field(max_length=64, strict=False)] = ()
    further_uris: FurtherUris = ()
    augment: Annotated[dict[Name, Augmentation], Field(max_length=64)] = {}  # noqa: RUF012

    @field_validator("augment")
    @classmethod
    def _of_numbers(cls, augment: dict[str, Augmentation], info: ValidationInfo) -> dict[str, Augmentation]:
        inputs = info.data.get("inputs")
        for name in augment if inputs is not None else ():
            if name not in (inputs or (INPUT,)):
                raise ValueError(f'"{name}" is no input; these are {", ".join(inputs or (INPUT,))}')
            if inputs and inputs[name].is_text:
                raise ValueError(f'"{name}" holds {_kind(inputs[name])}: only numbers and images are augmented')
        return augment

    @model_validator(mode="before")
    @classmethod
    def _a_list_of_files(cls, data: object) -> object:
        return spread(data)

    @field_validator("further_uris")
    @classmethod
    def _files_are_distinct(cls, further: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        validation = info.data.get("validation")
        for uri in further:
            if validation and not validation.arrays and uri in validation.uris.values():
                raise ValueError(f'"{uri}" is a file of the held-out data too: name another one')
        return are_distinct(info.data.get("uri", ""), further)

    @model_validator(mode="before")
    @classmethod
    def _hold_out_no_row_twice(cls, data: object) -> object:
        if isinstance(data, Mapping) and data.get("validation") is not None:
            split = data.get("split") or {}
            if isinstance(split, Mapping) and "test" not in split:
                return {**data, "split": {**split, "test": 0.0}}
        return data

    @field_validator("features")
    @classmethod
    def _features_are_distinct(cls, features: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("label") in features:
            raise ValueError(f'"{info.data["label"]}" is the label, so it cannot be a feature too')
        return distinct(features)

    @field_validator("split")
    @classmethod
    def _by_no_feature(cls, split: Split, info: ValidationInfo) -> Split:
        if split.column in info.data.get("features", ()):
            raise ValueError(f'"{split.column}" decides which rows are held out, so it cannot be a feature too')
        return split

    @field_validator("inputs")
    @classmethod
    def _instead_of_features(cls, inputs: dict[str, Input], info: ValidationInfo) -> dict[str, Input]:
        split = info.data.get("split")
        for name, input_ in inputs.items():
            if split is not None and split.column in input_.columns:
                raise ValueError(
                    f'"{split.column}" decides which rows are held out, so it cannot be in the input {name} too'
                )
        if inputs and info.data.get("features"):
            raise ValueError("stands instead of `features`: leave one of them out")
        return inputs

    @field_validator("labels")
    @classmethod
    def _instead_of_label(cls, labels: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if labels and info.data.get("label") != DEFAULT_LABEL:
            raise ValueError("stands instead of `label`: leave one of them out")
        taken = {column: name for name, input_ in info.data.get("inputs", {}).items() for column in input_.columns}
        for name, column in labels.items():
            if column in taken:
                raise ValueError(f'"{column}" is the label {name}, so it cannot be in the input {taken[column]} too')
        return labels

    @property
    def named_labels(self) -> Mapping[str, str]:
        """The column or array of each label, by its name; of a label of several columns the first and the last."""
        if self.label_columns:
            return {LABEL: " to ".join(dict.fromkeys((self.label_columns[0], self.label_columns[-1])))}
        return self.labels or {LABEL: self.label}

    @field_validator("sample_weight")
    @classmethod
    def _a_column_of_its_own(cls, column: str | None, info: ValidationInfo) -> str | None:
        inputs, labels = info.data.get("inputs", {}), info.data.get("labels", {}) or {LABEL: info.data.get("label")}
        taken = {*info.data.get("features", ()), *labels.values(), *_columns_of(inputs)}
        if column in taken:
            raise ValueError(f'"{column}" is an input or a label, so it cannot be the weight too')
        return column

    @field_validator("label_columns")
    @classmethod
    def _instead_of_one_column(cls, columns: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not columns:
            return columns
        if info.data.get("labels"):
            raise ValueError("stands instead of `labels`: leave one of them out")
        if info.data.get("label") != DEFAULT_LABEL:
            raise ValueError("stands instead of `label`: leave one of them out")
        taken = {
            *info.data.get("features", ()),
            *_columns_of(info.data.get("inputs", {})),
            info.data.get("sample_weight"),
        }
        for column in columns:
            if column in taken:
                raise ValueError(f'"{column}" is an input or the weight, so it cannot be a label too')
        return distinct(columns)

    @field_validator("columns")
    @classmethod
    def _columns_of_numbers(cls, columns: dict[str, ColumnSettings], info: ValidationInfo) -> dict[str, ColumnSettings]:
        inputs, features = info.data.get("inputs", {}), info.data.get("features", ())
        labels = info.data.get("labels", {}) or {LABEL: info.data.get("label")}
        listed = {*features, *_columns_of(inputs)}
        beside = {*labels.values(), *info.data.get("label_columns", ()), info.data.get("sample_weight")} - listed
        kinds = {column: kind for input_ in inputs.values() if (kind := _kind(input_)) for column in input_.columns}
        for column, settings in columns.items():
            # an invalid `impute` has an error of its own
            if settings.indicator and not (settings.impute or info.data.get("impute", True)):
                raise ValueError(f'"{column}" has an indicator of missing values, which needs `impute` too')
            if (split := info.data.get("split")) and column == split.column:
                raise ValueError(f'"{column}" is the column of the split: only inputs are prepared')
            if column in beside:
                raise ValueError(f'"{column}" is a label or the weight: only inputs are prepared')
            if column in kinds:
                raise ValueError(f'"{column}" holds {kinds[column]}: only numbers and dates are prepared')
            if listed and column not in listed:
                raise ValueError(f'"{column}" is no column of an input')
        return columns

    @field_validator("validation")
    @classmethod
    def _held_out_once(cls, validation: Validation | None, info: ValidationInfo) -> Validation | None:
        if validation is None or not {"uri", "label", "features", "split", "inputs", "labels"} <= info.data.keys():
            return validation
        if share := info.data["split"].test:
            raise ValueError(f"`split.test` holds {share:g} of the rows out already: leave one of the two out")
        if (kind := info.data["split"].method.kind) != "random":
            raise ValueError(f"`split.method` holds rows out already, {kind}: leave one of the two out")
        if not validation.arrays:
            if validation.uri is None:
                raise ValueError("needs `uri`, another file, or `arrays`, other arrays of the same NPZ file")
            if (uri := info.data["uri"]) in validation.uris.values():
                raise ValueError(f'"{uri}" is the file of the training data: name another one')
            return validation
        inputs = _columns_of(info.data["inputs"])
        labels = [*info.data["labels"].values()] or [info.data["label"]]
        names = [*(inputs or info.data["features"] or [DEFAULT_ARRAY]), *labels, info.data.get("sample_weight")]
        used = [name for name in names if name]
        known = set(used)
        for name in validation.arrays:
            if name not in known:
                raise ValueError(f'`arrays`: "{name}" is no array that the job reads; these are {", ".join(used)}')
        if validation.uri is None:
            for name in used:
                if validation.arrays.get(name, name) in known:
                    raise ValueError(f'`arrays`: "{name}" needs an array that the training part does not have')
        return validation

    @field_validator("standardize_labels")
    @classmethod
    def _names_of_labels(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        labels = info.data.get("labels")
        if names and info.data.get("standardize_label"):
            raise ValueError("`standardize_label` stands for all labels: leave one of the two out")
        if names and not labels and labels is not None:
            raise ValueError("names some of `labels`: of the only label write `standardize_label: true`")
        for name in names:
            if labels and name not in labels:
                raise ValueError(f'"{name}" is none of `labels`; these are {", ".join(labels)}')
        return distinct(names)

    def standardizes(self, label: str) -> bool:
        """Return True if the label of this name is standardized."""
        return self.standardize_label or label in self.standardize_labels

    @property
    def uris(self) -> Mapping[str, str]:
        """The files that the job reads by the paths of their settings: its data, and held-out data of their own."""
        return {**self.training_uris, **self.validation_uris}

    @property
    def training_uris(self) -> Mapping[str, str]:
        """The files of `uri` by the paths of their settings."""
        return uris_of("dataset.uri", self.uri, self.further_uris)

    @property
    def validation_uris(self) -> Mapping[str, str]:
        """The files of held-out data of their own by the paths of their settings."""
        return self.validation.uris if self.validation else {}

    def imputes(self, column: str) -> Impute | None:
        """Return what stands in place of a column's missing values; None if these are errors."""
        settings = self.columns.get(column)
        return settings.impute if settings and settings.impute else self.impute

    def date_of(self, column: str) -> DateForm | None:
        """Return the numbers that a column of dates becomes; None for other columns."""
        settings = self.columns.get(column)
        return settings.date if settings else None

    def scale_of(self, column: str) -> str:
        """Return the kind of a column's scale."""
        settings = self.columns.get(column)
        if settings and settings.scale:
            return settings.scale.kind
        return "standardize" if self.standardize else "none"

    def indicators(self, columns: Iterable[str]) -> list[str]:
        """Return the columns among these that have an indicator, in their order."""
        return [name for name in columns if name in self.columns and self.columns[name].indicator]

    @property
    def read_beside(self) -> Mapping[str, tuple[str, ...]]:
        """The columns or arrays that are read beside the inputs.

        They are the labels, the weights under SAMPLE_WEIGHT, and the column that decides a split under SPLIT.
        """
        labels = {name: self.label_columns or (column,) for name, column in self.named_labels.items()}
        others = {SAMPLE_WEIGHT: self.sample_weight, SPLIT: self.split.column}
        return {**labels, **{name: (column,) for name, column in others.items() if column}}

    @property
    def images(self) -> frozenset[str]:
        """The columns that hold images."""
        return frozenset(column for input_ in self.inputs.values() if input_.image for column in input_.columns)

    @property
    def reads_folders(self) -> bool:
        """True if a folder can be the data: it holds files of images or of texts."""
        return any(input_.image or input_.text for input_ in self.inputs.values())

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names by which layers refer to the inputs."""
        return tuple(self.inputs) or (INPUT,)


class AnyDataset(Protocol):
    """A `Dataset`, or its message."""

    @property
    def features(self) -> Sequence[str]: ...
    @property
    def inputs(self) -> Mapping[str, object]: ...
    @property
    def label(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def label_columns(self) -> Sequence[str]: ...
    @property
    def sample_weight(self) -> str | None: ...
    @property
    def split(self) -> AnySplit: ...


def columns_beside(dataset: AnyDataset) -> tuple[str, ...] | None:
    """Return the columns of the data that are no inputs; None if the job chooses among columns, so any may occur."""
    if dataset.features or dataset.inputs:
        return None
    labels = dataset.label_columns or dataset.labels.values() or [dataset.label]
    return tuple(name for name in (*labels, dataset.sample_weight, split_column(dataset.split)) if name)
