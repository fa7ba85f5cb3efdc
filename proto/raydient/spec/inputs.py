"""The inputs of a network: columns or arrays, of numbers, of categories or of images."""

from typing import Annotated

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .base import Model
from .columns import Column, distinct
from .images import Image
from .text import Text

Columns = Annotated[
    tuple[Column, ...],
    Field(min_length=1, max_length=65_536, strict=False),
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
]


class Hashing(Model):
    """The number of a category is a hash of its text, without a list of all categories.

    A missing category is 0, each other one has a number from 1 to below `buckets`; several may have the same. Another
    `salt` gives other numbers.
    """

    buckets: Annotated[int, Field(ge=2, le=16_777_216)]  # as many as an embedding has vectors
    salt: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class Input(Model):
    """One of several inputs: an array of an NPZ file or columns of a CSV file, side by side.

    A category becomes its index in the sorted list of the column's values, from 0, as an embedding takes it. The model
    keeps the lists. With `buckets` a missing category is 0, one that the training part lacks 1, and its own follow.
    With `hashing` the values are categories too. With `one_hot` a category is a vector instead of its index.
    With `text` a value becomes the numbers of its tokens. With `image` the only column holds images: paths of image
    files, or in a Parquet or Arrow file their bytes.
    """

    columns: Columns
    categories: bool = False
    buckets: bool = False
    hashing: Hashing | None = None
    text: Text | None = None
    one_hot: bool = False
    image: Image | None = None

    @property
    def is_text(self) -> bool:
        """True if values are compared as texts, false if they are numbers."""
        return self.categories or self.hashing is not None or self.text is not None

    @property
    def has_missing(self) -> bool:
        """True if a value may be missing: then a category has a number of its own, and a text is empty."""
        return self.buckets or self.hashing is not None or self.text is not None

    @field_validator("buckets")
    @classmethod
    def _of_categories(cls, buckets: bool, info: ValidationInfo) -> bool:
        if buckets and info.data.get("categories") is False:
            raise ValueError("only categories have buckets for missing and unknown ones: add `categories: true`")
        return buckets

    @field_validator("hashing")
    @classmethod
    def _with_a_bucket_for_each(cls, hashing: Hashing | None, info: ValidationInfo) -> Hashing | None:
        if hashing and info.data.get("buckets"):
            raise ValueError("every category has a bucket already, a missing one 0: leave the setting `buckets` out")
        return hashing

    @field_validator("text")
    @classmethod
    def _without_categories(cls, text: Text | None, info: ValidationInfo) -> Text | None:
        if text is None:
            return text
        for name in ("categories", "buckets", "hashing"):
            if info.data.get(name):
                raise ValueError(f"a text has no categories: leave `{name}` out")
        if len(columns := info.data.get("columns", ("",))) > 1:
            raise ValueError(f"a text is one column, not {len(columns)}: give each an input of its own")
        return text

    @field_validator("one_hot")
    @classmethod
    def _of_indices(cls, one_hot: bool, info: ValidationInfo) -> bool:
        # an invalid field, which is not there, has an error of its own
        if one_hot and not any(info.data.get(name, True) for name in ("categories", "hashing", "text")):
            raise ValueError("only categories and tokens become one-hot vectors: add `categories: true`")
        return one_hot

    @field_validator("image")
    @classmethod
    def _of_one_column(cls, image: Image | None, info: ValidationInfo) -> Image | None:
        if image is not None and len(info.data.get("columns", ())) > 1:
            raise ValueError("the images of an input are in one column: name one, the others in further inputs")
        if image is not None and (info.data.get("categories") or info.data.get("hashing") or info.data.get("text")):
            raise ValueError("images are neither categories nor texts: leave one of the two out")
        return image

    @model_validator(mode="before")
    @classmethod
    def _names_alone(cls, data: object) -> object:
        return {"columns": data} if isinstance(data, str | list | tuple) else data

    @field_validator("columns")
    @classmethod
    def _columns_are_distinct(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(columns)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        title, description = schema.pop("title"), schema.pop("description")
        columns = schema["properties"]["columns"]
        one = {"type": "string", **columns["items"]}
        schema["properties"]["columns"] = {"anyOf": [one, columns]}
        mapping = dict(schema)
        schema.clear()
        schema.update(title=title, description=description, anyOf=[one, columns, mapping])
        return schema
