"""How the CSV file of a job is written."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from .base import Model
from .csv_text import DECIMALS, DELIMITERS, ENCODINGS, UTF8, Dialect


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(map(repr, choices))}")
        return text

    return check


def _schema(choices: tuple[str, ...]) -> dict[str, Any]:
    return {"enum": list(choices), "type": "string"}


Delimiter = Annotated[str, AfterValidator(_one_of(DELIMITERS)), WithJsonSchema(_schema(DELIMITERS))]
Decimal = Annotated[str, AfterValidator(_one_of(DECIMALS)), WithJsonSchema(_schema(DECIMALS))]
Encoding = Annotated[str, AfterValidator(_one_of(ENCODINGS)), WithJsonSchema(_schema(ENCODINGS))]


class CsvFormat(Model):
    """How a CSV file is written. Without `delimiter` the header shows it: a comma, or else a semicolon, tab or bar.

    With `decimal: ","` the number one and a half is `1,5`.
    """

    delimiter: Delimiter | None = None
    decimal: Decimal = "."
    encoding: Encoding = UTF8

    @property
    def dialect(self) -> Dialect:
        """The same for readers."""
        return Dialect(self.delimiter, self.decimal, self.encoding)
