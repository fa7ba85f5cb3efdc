"""The gRPC edge: check, convert, call, convert back. Nothing below knows protobuf or gRPC.

Begin reading at `server` (what is served), `training` (a servicer), `status` (what becomes of errors).
"""

from .security import Address, Security
from .server import ApiServer

__all__ = ["Address", "ApiServer", "Security"]
