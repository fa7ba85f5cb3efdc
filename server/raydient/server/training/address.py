"""The address of a coordinator, by which the service attaches to it."""

import json
from dataclasses import dataclass
from typing import Self

from raydient.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Address:
    """The Unix socket and the secret of a coordinator, which always runs on its service's machine."""

    unix: str
    secret: bytes

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.unix, "", 0)

    def to_json(self) -> str:
        return json.dumps({"unix": self.unix, "secret": self.secret.hex()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        return cls(fields["unix"], bytes.fromhex(fields["secret"]))
