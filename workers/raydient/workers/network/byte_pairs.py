"""Byte pair encoding of words (Sennrich, Haddow and Birch 2016, https://aclanthology.org/P16-1162).

A word is a sequence of symbols, at first its characters; the last one ends with a space, which no word contains, so
that ends of words are known. The most frequent pair of neighbours is merged to one symbol, again and again.

A merge takes time for its places alone, so a word of n characters takes n log n.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

Pair = tuple[str, str]

LEAST = 2
"""Frequency below which a pair is not merged."""
_NONE = -1
_MERGED = ""


def symbols_of(word: str) -> list[str]:
    """Return the symbols of a word of at least one character, before any are merged."""
    return [*word[:-1], f"{word[-1]} "]


def merged(symbols: Sequence[str], ranks: Mapping[Pair, int]) -> list[str]:
    """Return the symbols of a word after all merges, each in the order in which it was learnt, `ranks`.

    Every place of a pair is merged, from the left, before pairs with the new symbol are considered.
    """
    chain = _Chain([symbols])
    heap = [(ranks[pair], place) for place, pair in enumerate(pairwise(symbols)) if pair in ranks]
    heapify(heap)
    while heap:
        rank = heap[0][0]
        changed: list[int] = []
        while heap and heap[0][0] == rank:
            _, place = heappop(heap)
            pair = chain.pair(place)
            if pair is not None and ranks.get(pair) == rank:  # the place still has it
                changed += chain.merge(place)
        for place in changed:
            pair = chain.pair(place)
            if pair is not None and pair in ranks:
                heappush(heap, (ranks[pair], place))
    return [symbol for symbol in chain.symbols if symbol != _MERGED]


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


class _Chain:
    """Symbols of words, one after another, each linked to its neighbours in the word.

    A place is the index of a symbol. Merged with its right neighbour it keeps its place, and that of the neighbour is
    empty.
    """

    def __init__(self, words: Iterable[Sequence[str]]) -> None:
        self.symbols: list[str] = []
        self._left: list[int] = []
        self._right: list[int] = []
        for symbols in words:
            first, count = len(self.symbols), len(symbols)
            self.symbols += symbols
            self._left += [_NONE, *range(first, first + count - 1)]
            self._right += [*range(first + 1, first + count), _NONE]

    def pair(self, place: int) -> Pair | None:
        """Return the symbol at a place and its right neighbour; None if it is the last one of its word, or merged."""
        after = self._right[place]
        return None if after == _NONE else (self.symbols[place], self.symbols[after])

    def left(self, place: int) -> int:
        """Return the place of the left neighbour, or _NONE."""
        return self._left[place]

    def right(self, place: int) -> int:
        """Return the place of the right neighbour, or _NONE."""
        return self._right[place]

    def merge(self, place: int) -> list[int]:
        """Merge the symbol at a place with its right neighbour, and return the places of pairs with the new symbol."""
        after = self._right[place]
        further, before = self._right[after], self._left[place]
        self.symbols[place] += self.symbols[after]
        self.symbols[after], self._right[after], self._right[place] = _MERGED, _NONE, further
        if further != _NONE:
            self._left[further] = place
        return [one for one in (before, place if further != _NONE else _NONE) if one != _NONE]


class _Pairs:
    """The pairs of neighbours in words, with their frequencies, which merges keep up to date."""

    def __init__(self, words: Mapping[str, int]) -> None:
        several = [symbols_of(word) for word in words]
        self._chain = _Chain(several)
        self._weights = [count for symbols, count in zip(several, words.values(), strict=True) for _ in symbols]
        self._frequencies: Counter[Pair] = Counter()
        self._places: defaultdict[Pair, list[int]] = defaultdict(list)  # where a pair is, or was
        self.characters: Counter[str] = Counter()
        for place, symbol in enumerate(self._chain.symbols):
            self.characters[symbol] += self._weights[place]
            self._add(place)
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
        """Merge a pair wherever it is, in each word from the left."""
        chain = self._chain
        changed: set[Pair | None] = set()
        for place in sorted(self._places.pop(pair)):
            if chain.pair(place) != pair:
                continue  # a merge has taken one of its symbols
            changed |= {self._remove(one) for one in (chain.left(place), place, chain.right(place))}
            changed |= {self._add(one) for one in chain.merge(place)}
        for other in changed:
            if other is not None and self._frequencies[other] > 0:
                heappush(self._heap, (-self._frequencies[other], other))

    def _add(self, place: int) -> Pair | None:
        """Count the pair at a place, and return it."""
        if (pair := self._chain.pair(place)) is not None:
            self._frequencies[pair] += self._weights[place]
            self._places[pair].append(place)
        return pair

    def _remove(self, place: int) -> Pair | None:
        """Count the pair at a place no longer, and return it."""
        pair = None if place == _NONE else self._chain.pair(place)
        if pair is not None:
            self._frequencies[pair] -= self._weights[place]
        return pair
