"""Texts as sequences of numbers: of characters, words, or parts of words that are merged from pairs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from raydient.spec.text import Text, split_text
from raydient.spec.values import MISSING

from .byte_pairs import Pair, learn_pairs, merged, symbols_of

PADDING, UNKNOWN_TOKEN = 0, 1
"""Numbers of the places behind a text, and of a token that the vocabulary lacks; the vocabulary follows."""
FIRST = 2


@dataclass(frozen=True, slots=True)
class Tokens:
    """The numbers of tokens, fitted to the training part.

    Attributes:
        kind: option of `spec.text.TokenKind`.
        length: tokens of a sample: further ones are cut off, PADDING stands behind a shorter text.
        vocabulary: the tokens with numbers, from FIRST.
        merges: of byte pairs, in the order in which they were learnt.
        lowercase: texts are in lower case.
    """

    kind: str
    length: int
    vocabulary: tuple[str, ...]
    merges: tuple[Pair, ...] = ()
    lowercase: bool = False

    @classmethod
    def fit(cls, texts: Iterable[str], settings: Text) -> "Tokens":
        """Return the tokens of some texts that settings ask for.

        The most frequent ones have numbers, by falling frequency; of equally frequent ones the first in the order of
        their code points.
        """
        kind = settings.tokens.kind
        empty = cls(kind, settings.length, settings.vocabulary, lowercase=settings.lowercase)
        if settings.vocabulary:
            return empty
        most = settings.vocabulary_size - FIRST
        counts = Counter(chain.from_iterable(split_text(kind, empty.plain(text)) for text in texts))
        if kind == "byte_pair":
            vocabulary, merges = learn_pairs(counts, most)
            return replace(empty, vocabulary=vocabulary, merges=merges)
        return replace(empty, vocabulary=tuple(islice(sorted(counts, key=lambda token: (-counts[token], token)), most)))

    def is_of(self, settings: Text) -> bool:
        """True if settings ask for such tokens, whatever their texts."""
        asked = (settings.tokens.kind, settings.length, settings.lowercase)
        return (self.kind, self.length, self.lowercase) == asked and self.count <= settings.vocabulary_size

    @property
    def count(self) -> int:
        """How many numbers there are, from 0."""
        return FIRST + len(self.vocabulary)

    def plain(self, text: str) -> str:
        """Return a text as it is cut: empty if it stands for a missing one, in lower case if asked for."""
        if text in MISSING:
            return ""
        return text.lower() if self.lowercase else text

    def numbers(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the numbers of texts, (n, length), as float32, because inputs of an embedding are floats too."""
        known = {token: number for number, token in enumerate(self.vocabulary, start=FIRST)}
        ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        parts: dict[str, list[int]] = {}  # of each word
        numbers = np.full((len(texts), self.length), PADDING, np.float32)
        for row, text in enumerate(texts):
            tokens = split_text(self.kind, self.plain(text))
            if self.kind == "byte_pair":
                for word in tokens:
                    if word not in parts:
                        parts[word] = [known.get(one, UNKNOWN_TOKEN) for one in merged(symbols_of(word), ranks)]
                places = list(islice(chain.from_iterable(parts[word] for word in tokens), self.length))
            else:
                places = [known.get(token, UNKNOWN_TOKEN) for token in tokens[: self.length]]
            numbers[row, : len(places)] = places
        return numbers
