"""The network room: layers, losses, initializers, the compiled program, gradient check and model file."""

from .graph import Network, build
from .program import Program
from .scaling import Scaling

__all__ = ["Network", "Program", "Scaling", "build"]
