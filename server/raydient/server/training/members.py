"""The processes of a run's members and the connections to them."""

from collections.abc import Sequence
from pathlib import Path

from raydient.server.clusters.cluster import Cluster, Process
from raydient.spec.job import Placement
from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.endpoint import Endpoint, Transport
from raydient.wire.frames import DepartedPeerError, ProtocolError, UnexpectedPeerError
from raydient.wire.launch import Launch, to_json
from raydient.wire.memory import Bundle
from raydient.wire.network import Network

from .actions import Start
from .departures import Departures


class Members:
    """Starts and ends the members of a run, and sends them messages. One thread calls it.

    Attributes:
        network: the connections of the coordinator's process; it listens already.
        data_planes: endpoints at which the parameter servers listen for workers, by member.
    """

    def __init__(
        self,
        cluster: Cluster,
        network: Network,
        endpoint: Endpoint,
        *,
        job: str,
        secret: bytes,
        logs: Path,
        transport: Transport = Transport.AUTO,
        portable: bool = False,
    ) -> None:
        """Start nothing yet.

        Args:
            cluster: starts the processes.
            network: see above.
            endpoint: address of `network`.
            job: the job's id.
            secret: the run's secret, which members prove.
            logs: folder for the output of the processes.
            transport: of weights and gradients.
            portable: see `Cluster.start`.
        """
        self.network = network
        self.data_planes: dict[int, Endpoint] = {}
        self._cluster, self._job, self._logs = cluster, job, logs
        self._endpoint, self._secret, self._transport, self._portable = endpoint, secret, transport, portable
        self._departures = Departures(network.now)
        self._processes: dict[int, Process] = {}
        self._connections: dict[Connection, int] = {}
        self._lifelines: dict[Connection, int] = {}
        self._started: set[int] = set()  # ever
        self._pings = 0

    def reserve(self, workers: int, placement: Placement) -> None:
        """Reserve room for the parameter servers and this number of workers as a whole."""
        self._cluster.reserve(self._job, workers, placement)

    def start(self, start: Start) -> None:
        """Start the process of a member."""
        launch = Launch(
            job=self._job,
            member=start.member,
            coordinator=self._endpoint,
            secret=self._secret.hex(),
            transport=self._transport,
        )
        self._started.add(start.member)
        log = self._logs / f"{start.role.value}-{start.member}.log"
        self._processes[start.member] = self._cluster.start(start.role, to_json(launch), log, portable=self._portable)

    def refuse(self, member: int) -> None:
        """Use this process no longer; see `Process.refuse`. Its loss is reported if it ends."""
        self._processes[member].refuse()

    def kill(self, member: int) -> None:
        """End a member; its loss is not reported."""
        process = self._processes.pop(member, None)
        if process is not None:
            process.kill()
        self._forget(member)

    def _forget(self, member: int) -> None:
        """Drop the connections of a member; messages of it that are still on their way have no effect."""
        self._departures.forget(member)
        for table in (self._connections, self._lifelines):
            for connection in [c for c, m in table.items() if m == member]:
                del table[connection]
                self.network.drop(connection)

    def close(self) -> None:
        """End every process. Harmless when repeated."""
        for process in self._processes.values():
            process.kill()
        self._processes.clear()
        self._cluster.release()

    # ---- connections

    def introduce(self, connection: Connection, hello: control.Hello) -> None:
        """Note a member's connection. Raises ProtocolError if the member is not expected."""
        self._expect(hello.member)
        if self._connections.get(connection, hello.member) != hello.member:
            raise UnexpectedPeerError(f"member {self._connections[connection]} claims to be member {hello.member}")
        if hello.role is control.Role.PARAMETER_SERVER and hello.data_plane is None:
            raise ProtocolError(f"parameter server {hello.member} without a data plane")
        self._connections[connection] = hello.member
        if hello.data_plane is not None:
            self.data_planes[hello.member] = hello.data_plane

    def _expect(self, member: int) -> None:
        """Raise ProtocolError unless the member runs."""
        if member in self._processes:
            return
        if member in self._started:
            raise DepartedPeerError(f"member {member} has been ended")
        raise UnexpectedPeerError(f"member {member} was never started")

    def lifeline(self, connection: Connection, message: control.Alive | control.Pong) -> int:
        """Return the member that sent this message on its lifeline. Raises ProtocolError if it is no member."""
        if isinstance(message, control.Alive):
            self._expect(message.member)
            self._lifelines[connection] = message.member
        if connection not in self._lifelines:
            raise UnexpectedPeerError("a lifeline of no member")
        return self._lifelines[connection]

    def member(self, connection: Connection) -> int:
        """Return the member that has introduced itself on this connection. KeyError if none has."""
        return self._connections[connection]

    def __contains__(self, connection: Connection) -> bool:
        """True if a member has introduced itself on this connection."""
        return connection in self._connections

    def disconnected(self, connection: Connection) -> None:
        """Note that a connection has ended."""
        self._lifelines.pop(connection, None)
        member = self._connections.pop(connection, None)
        if member is not None:
            self._departures.disconnected(member)

    def send(self, member: int, message: control.Message, bundle: Bundle | None = None) -> None:
        """Send a message; nothing is sent to a member without a connection, whose loss is reported by `lost`."""
        connection = next((c for c, m in self._connections.items() if m == member), None)
        if connection is not None:
            self.network.send(connection, message, bundle)

    def is_local(self, member: int) -> bool:
        """Return True if a member shares memory with this process; also for one without a connection."""
        return all(connection.is_local for connection, number in self._connections.items() if number == member)

    def ping(self, member: int) -> None:
        """Send a ping on the lifeline of a member."""
        self._pings += 1
        for connection in [c for c, m in self._lifelines.items() if m == member]:
            self.network.send(connection, control.Ping(self._pings))

    # ---- processes

    @property
    def unplaced(self) -> Sequence[int]:
        """Members that the cluster has had no room for yet."""
        return [member for member, process in self._processes.items() if process.waiting()]

    @property
    def parting(self) -> bool:
        """True if a process has ended whose last messages may not have been read."""
        return self._departures.pending

    def lost(self, *, quiet: bool) -> list[tuple[int, str]]:
        """Return the members that are lost and why. Their processes and connections have ended when this returns.

        `quiet`: the last poll returned no message.
        """
        lost = []
        for member, process in list(self._processes.items()):
            ended = process.ended()
            why = self._departures.look(member, ended, quiet=quiet)
            if why is not None:
                if ended is None:
                    process.kill()
                del self._processes[member]
                self._forget(member)
                lost.append((member, why))
        return lost
