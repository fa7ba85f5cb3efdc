"""The rows that are held out for evaluation, or held-out data of their own."""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import Field, ValidationInfo, field_validator, model_validator

from .base import Fraction, Model, OneOf
from .columns import Column, distinct
from .functions import Empty
from .sources import FurtherUris, Uri, are_distinct, spread, uris_of

Words = Annotated[tuple[Column, ...], Field(min_length=1, max_length=64, strict=False)]


class Stratified(Model):
    """The share is held out of each class; the classes are those of a column, by default the only label's."""

    by: Column | None = None


class Grouped(Model):
    """Rows with the same value in a column stay in one part."""

    by: Column


class Ordered(Model):
    """The last rows in the order of a column are held out."""

    by: Column


class PartColumn(Model):
    """A column names each row's part, by the words for the training part and those for the held-out part."""

    name: Column
    train: Words = ("train",)
    test: Words = ("test",)

    @field_validator("test")
    @classmethod
    def _of_one_part(cls, words: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for word in words:
            if word in info.data.get("train", ()):
                raise ValueError(f'"{word}" is a word for the training part already')
        return words


class Folds(Model):
    """One of `number` folds of the rows is held out, `fold`; each row is in one of them, as cross-validation needs it.

    With `stratified` each fold has the same share of each class, with `grouped` rows with the same value stay together.
    """

    number: Annotated[int, Field(ge=2, le=1000)] = 5
    fold: Annotated[int, Field(ge=1, le=1000)] = 1
    stratified: Stratified | None = None
    grouped: Grouped | None = None

    @field_validator("fold")
    @classmethod
    def _one_of_them(cls, fold: int, info: ValidationInfo) -> int:
        if fold > info.data.get("number", fold):
            raise ValueError(f"{fold} is none of the folds 1 to {info.data['number']}")
        return fold

    @field_validator("grouped")
    @classmethod
    def _one_of_both(cls, grouped: Grouped | None, info: ValidationInfo) -> Grouped | None:
        if grouped is not None and info.data.get("stratified") is not None:
            raise ValueError("folds are either `stratified` or `grouped`: leave one of the two out")
        return grouped


class SplitMethod(OneOf):
    """The choice of the rows that are held out."""

    random: Empty | None = None
    stratified: Stratified | None = None
    grouped: Grouped | None = None
    ordered: Ordered | None = None
    column: PartColumn | None = None
    folds: Folds | None = None

    @property
    def has_no_share(self) -> bool:
        """True if the method itself says how many rows are held out."""
        return self.kind in ("column", "folds")

    @property
    def classes(self) -> Stratified | None:
        """The classes that both parts have the same share of, if any."""
        return self.folds.stratified if self.folds else self.stratified


class Split(Model):
    """The rows that are held out for evaluation: their share, and how they are chosen with the job's seed.

    The column of a method is no feature. A column that names the part and the folds decide alone, then the share is 0.
    """

    test: Fraction = 0.2
    method: SplitMethod = SplitMethod(random=Empty())

    @model_validator(mode="before")
    @classmethod
    def _no_share_beside_names(cls, data: object) -> object:
        if isinstance(data, Mapping) and "test" not in data:
            method = data.get("method")
            if method == "folds" or (isinstance(method, Mapping) and method.keys() & {"column", "folds"}):
                return {**data, "test": 0.0}
        return data

    @field_validator("method")
    @classmethod
    def _names_or_share(cls, method: SplitMethod, info: ValidationInfo) -> SplitMethod:
        if method.has_no_share and (share := info.data.get("test")):
            names = "names the rows that are" if method.column else "says how many rows are"
            raise ValueError(f"`{method.kind}` {names} held out, and `test` a share, {share:g}: leave out `test`")
        return method

    @property
    def column(self) -> str | None:
        """The column that decides, if it is not the label."""
        return split_column(self)

    @property
    def path(self) -> str:
        """Path of the setting that names the column, or that of the method."""
        folds = self.method.folds
        variant = "stratified" if folds and folds.stratified else "grouped" if folds and folds.grouped else ""
        place = "name" if self.method.column else "by" if self.column else ""
        return ".".join(filter(None, ("dataset.split.method", self.method.kind, variant, place)))


class AnySplit(Protocol):
    """A `Split`, or its message."""

    @property
    def method(self) -> Any: ...


def split_column(split: AnySplit) -> str | None:
    """Return the column that decides which rows are held out, if it is not the label."""
    method = split.method
    folds = (method.folds.stratified, method.folds.grouped) if method.folds else ()
    columns = [one.by for one in (method.stratified, method.grouped, method.ordered, *folds) if one]
    columns += [method.column.name] if method.column else []
    return next(filter(None, columns), None)


class Validation(Model):
    """Held-out data of their own: another file of the same columns, or other arrays of an NPZ file.

    Without `uri` it is the training data's file. `arrays` names the array of the held-out part for one of the training
    part.
    """

    uri: Uri | None = None
    arrays: Annotated[dict[Column, Column], Field(max_length=256)] = {}  # noqa: RUF012
    further_uris: FurtherUris = ()

    @model_validator(mode="before")
    @classmethod
    def _a_list_of_files(cls, data: object) -> object:
        return spread(data)

    @field_validator("further_uris")
    @classmethod
    def _files_are_distinct(cls, further: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return are_distinct(info.data.get("uri", ""), further)

    @property
    def uris(self) -> Mapping[str, str]:
        """The files by the paths of their settings in a job."""
        return {} if self.uri is None else uris_of("dataset.validation.uri", self.uri, self.further_uris)

    @field_validator("arrays")
    @classmethod
    def _arrays_are_distinct(cls, arrays: dict[str, str]) -> dict[str, str]:
        distinct(tuple(arrays.values()))
        return arrays
