"""Texts as sequences of tokens: how they are cut, and which tokens have numbers."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from .base import Model, OneOf
from .columns import distinct
from .functions import Empty

_WORDS = re.compile(r"\w+|[^\w\s]")
MOST_TOKENS = 65_536
_LIST = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": MOST_TOKENS}
_FILE = {
    "type": "object",
    "properties": {"file": {"type": "string", "minLength": 1}},
    "required": ["file"],
    "additionalProperties": False,
}


def _no_file(vocabulary: object) -> object:
    if isinstance(vocabulary, Mapping):
        raise ValueError("a list of tokens is needed; only a job file, `train` and `submit` read `{file: PATH}`")
    return vocabulary


Vocabulary = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(max_length=MOST_TOKENS, strict=False),
    BeforeValidator(_no_file),
    WithJsonSchema({"anyOf": [_LIST, _FILE], "title": "Vocabulary"}),
]
"""The tokens. A job file may name a file that has them, see `vocabulary_files`."""


class TokenKind(OneOf):
    """The kind of token: a character, a word or a mark of punctuation, or a part of a word that occurs often."""

    character: Empty | None = None
    word: Empty | None = None
    byte_pair: Empty | None = None


class Text(Model):
    """A text becomes the numbers of its tokens, `length` of them.

    Further tokens are cut off, and 0 stands behind a shorter text. The number 1 is that of a token without a number of
    its own. The others belong to the most frequent tokens of the training part, at most `vocabulary_size` with these
    two, or to those of `vocabulary`.
    """

    tokens: TokenKind
    length: Annotated[int, Field(ge=1, le=65_536)]
    vocabulary_size: Annotated[int, Field(ge=3, le=1_000_000)] = 10_000
    vocabulary: Vocabulary = ()
    lowercase: bool = False

    @field_validator("vocabulary")
    @classmethod
    def _of_tokens(cls, vocabulary: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        tokens = info.data.get("tokens")
        if not vocabulary or tokens is None:
            return vocabulary
        if tokens.byte_pair:
            raise ValueError("byte pairs are learnt from the training part: leave the list out, or name another kind")
        for text in vocabulary:
            if problem := kind_problem(text, tokens.kind):
                raise ValueError(problem)
        return distinct(vocabulary)

    @field_validator("lowercase")
    @classmethod
    def _of_the_vocabulary_too(cls, lowercase: bool, info: ValidationInfo) -> bool:
        for text in info.data.get("vocabulary", ()) if lowercase else ():
            if problem := case_problem(text):
                raise ValueError(problem)
        return lowercase


def kind_problem(token: str, kind: str) -> str:
    """Return why a text is no token of a kind; empty if it is one."""
    return "" if split_text(kind, token) == [token] else f'"{token}" is not one {kind}'


def case_problem(token: str) -> str:
    """Return why a token never occurs among texts in lower case; empty if it may."""
    lower = token.lower()
    return "" if token == lower else f'"{token}" of the vocabulary never occurs in lower case: write "{lower}"'


def split_text(kind: str, text: str) -> list[str]:
    """Return the characters of a text, its words and marks, or for byte pairs what stands between white space."""
    if kind == "character":
        return list(text)
    return _WORDS.findall(text) if kind == "word" else text.split()
