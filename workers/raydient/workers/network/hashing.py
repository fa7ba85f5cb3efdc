"""Numbers of categories by a hash of their texts."""

from dataclasses import dataclass
from hashlib import blake2b

from raydient.spec.values import BOOLEANS, MISSING, other_writings

DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Hashing:
    """A category has the number 0 if it is missing, else 1 + h mod (buckets - 1), with h = BLAKE2b of its text.

    The hash is keyed (RFC 7693), so that categories that share a number cannot be chosen without the salt. Texts that
    stand for each other have one number: `42.0` has that of `42`, and `True` and `TRUE` have that of `true`.

    Attributes:
        buckets: how many numbers there are, at least 2.
        salt: the key of the hash.
    """

    buckets: int
    salt: int = 0

    def numbers(self, texts: list[str]) -> list[int]:
        """Return the number of each text."""
        known = dict.fromkeys(MISSING, 0)
        for text in texts:
            if text not in known:
                known[text] = self._number(text)
        return [known[text] for text in texts]

    def _number(self, text: str) -> int:
        key = self.salt.to_bytes(DIGEST_BYTES, "little")
        digest = blake2b(_plain(text).encode(), digest_size=DIGEST_BYTES, key=key).digest()
        return 1 + int.from_bytes(digest, "little") % (self.buckets - 1)


def _plain(text: str) -> str:
    """Return one text for all that stand for each other."""
    if text.lower() in BOOLEANS:
        return text.lower()
    return min((text, *other_writings(text)), key=len)
