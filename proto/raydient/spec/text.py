"""Texts as sequences of tokens: how they are cut, and which tokens have numbers."""

import re
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from .base import Model, OneOf
from .columns import distinct
from .functions import Empty

_WORDS = re.compile(r"\w+|[^\w\s]")


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
    vocabulary: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=65_536, strict=False)] = ()
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
            if split_text(tokens.kind, text) != [text]:
                raise ValueError(f'"{text}" is not one {tokens.kind}')
        return distinct(vocabulary)

    @field_validator("lowercase")
    @classmethod
    def _of_the_vocabulary_too(cls, lowercase: bool, info: ValidationInfo) -> bool:
        for text in info.data.get("vocabulary", ()) if lowercase else ():
            if text != text.lower():
                raise ValueError(f'"{text}" of the vocabulary never occurs in lower case: write "{text.lower()}"')
        return lowercase


def split_text(kind: str, text: str) -> list[str]:
    """Return the characters of a text, its words and marks, or for byte pairs what stands between white space."""
    if kind == "character":
        return list(text)
    return _WORDS.findall(text) if kind == "word" else text.split()
