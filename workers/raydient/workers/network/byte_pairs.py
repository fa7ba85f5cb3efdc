"""Byte pair encoding of words (Sennrich, Haddow and Birch 2016, https://aclanthology.org/P16-1162).

A word is a sequence of symbols, at first its characters; the last one ends with a space, which no word contains, so
that ends of words are known. The most frequent pair of neighbours is merged to one symbol, again and again.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

Pair = tuple[str, str]

LEAST = 2
"""Frequency below which a pair is not merged."""


def symbols_of(word: str) -> list[str]:
    """Return the symbols of a word of at least one character, before any are merged."""
    return [*word[:-1], f"{word[-1]} "]


def merged(symbols: list[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Return the symbols of a word after all merges, each in the order in which it was learnt, `ranks`."""
    while len(symbols) > 1:
        pair = min(pairwise(symbols), key=lambda pair: ranks.get(pair, len(ranks)))
        if pair not in ranks:
            break
        symbols = _merge(symbols, pair)
    return symbols


def learn_pairs(words: Mapping[str, int], most: int) -> tuple[tuple[str, ...], tuple[Pair, ...]]:
    """Return the vocabulary and the merges of words.

    Args:
        words: their frequencies.
        most: largest number of symbols. Of more characters the most frequent ones count, and no pair is merged.

    Returns:
        The symbols, characters first, by falling frequency, then merged ones in the order of the merges. Ties go to
        what is first in the order of code points.
    """
    pairs = _Pairs(words)
    characters = pairs.characters
    vocabulary = dict.fromkeys(sorted(characters, key=lambda one: (-characters[one], one))[:most])
    merges: dict[Pair, None] = {}
    while len(vocabulary) < most and (pair := pairs.most_frequent(vocabulary)) is not None:
        pairs.merge(pair)
        merges[pair] = None
        vocabulary["".join(pair)] = None
    return tuple(vocabulary), tuple(merges)


class _Pairs:
    """The pairs of neighbours in words, with their frequencies, which merges keep up to date."""

    def __init__(self, words: Mapping[str, int]) -> None:
        self._words = [symbols_of(word) for word in words]
        self._counts = list(words.values())
        self._frequencies: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, set[int]] = defaultdict(set)  # the words in which a pair is, or was
        self.characters: Counter[str] = Counter()
        for number, symbols in enumerate(self._words):
            for symbol in symbols:
                self.characters[symbol] += self._counts[number]
            self._count(number, 1)
        self._heap = [(-frequency, pair) for pair, frequency in self._frequencies.items()]
        heapify(self._heap)

    def most_frequent(self, known: Mapping[str, None]) -> Pair | None:
        """Return the most frequent pair of known symbols; None if there is none that occurs LEAST times."""
        while self._heap:
            frequency, pair = self._heap[0]
            is_current = self._frequencies[pair] == -frequency
            if is_current and -frequency < LEAST:
                return None
            if is_current and pair[0] in known and pair[1] in known:
                return pair
            heappop(self._heap)  # of an earlier frequency; the present one has an entry too
        return None

    def merge(self, pair: Pair) -> None:
        """Merge a pair in all words."""
        changed: set[Pair] = set()
        for number in sorted(self._places.pop(pair)):
            changed |= set(pairwise(self._words[number]))
            self._count(number, -1)
            self._words[number] = _merge(self._words[number], pair)
            self._count(number, 1)
            changed |= set(pairwise(self._words[number]))
        for one in changed:
            if self._frequencies[one] > 0:
                heappush(self._heap, (-self._frequencies[one], one))

    def _count(self, number: int, sign: int) -> None:
        """Add the pairs of a word to the frequencies, or remove them."""
        for pair in pairwise(self._words[number]):
            self._frequencies[pair] += sign * self._counts[number]
            if sign > 0:
                self._places[pair].add(number)


def _merge(symbols: Sequence[str], pair: Pair) -> list[str]:
    """Return symbols with each occurrence of a pair, from the left, as one symbol."""
    result: list[str] = []
    place = 0
    while place < len(symbols):
        if tuple(symbols[place : place + 2]) == pair:
            result.append("".join(pair))
            place += 2
        else:
            result.append(symbols[place])
            place += 1
    return result
