"""Opens a worker's connections to the parameter servers of its job."""

from collections.abc import Sequence

from raydient.wire.connection import Connection
from raydient.wire.endpoint import Endpoint, Transport
from raydient.wire.launch import Launch
from raydient.wire.network import Network


def dial(wire: Network, data_planes: Sequence[Endpoint], launch: Launch, node: str) -> list[Connection]:
    """Open the connections of `attach`: one to the conductor if all shards share memory, else one to each over TCP."""
    connections: list[Connection] = []
    try:
        for endpoint in data_planes:
            connections.append(wire.dial(endpoint, launch.transport, node))
        return _choose(wire, connections, data_planes, node)
    except BaseException:
        for connection in connections:
            connection.close()
        raise


def _choose(
    wire: Network, connections: list[Connection], data_planes: Sequence[Endpoint], node: str
) -> list[Connection]:
    """Return the connections to keep; those over the other transport are closed."""
    if all(connection.is_local for connection in connections):
        for connection in connections[1:]:
            connection.close()
        return connections[:1]
    for number, connection in enumerate(connections):
        if connection.is_local:
            connection.close()
            connections[number] = wire.dial(data_planes[number], Transport.TCP, node)
    return connections
