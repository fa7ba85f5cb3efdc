"""A coordinator for tests of clusters: members introduce themselves to it."""

import time

from raydient.wire import control, launch
from raydient.wire.handshake import new_secret
from raydient.wire.hub import CLOSED, Hub

SECONDS = 60.0


class Listener:
    """Receives the first messages of members and never answers. Lifelines are ignored.

    Attributes:
        secret, endpoint: what the launch of a member contains.
    """

    def __init__(self, cluster):
        self.secret = new_secret()
        self._hub = Hub(self.secret, 1 << 20)
        self._lifelines = []
        self.endpoint = self._hub.listen(cluster.host, node=cluster.node)

    def launch_of(self, member):
        """The launch of a member as text."""
        return launch.to_json(launch.Launch("job", member, self.endpoint, self.secret.hex()))

    def next(self):
        """The next message, or CLOSED."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for connection, frame in self._hub.poll(1.0):
                if connection in self._lifelines:
                    continue
                if frame is CLOSED:
                    return CLOSED
                message = control.decode(frame).message
                if not isinstance(message, control.Alive):
                    return message
                self._lifelines.append(connection)
        raise TimeoutError

    def hello(self):
        """The number of the next member that introduces itself; connections that end are ignored."""
        while (message := self.next()) is CLOSED:
            pass
        return message.member

    def close(self):
        self._hub.close()
