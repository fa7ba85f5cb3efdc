"""The process of a parameter server: it introduces itself and serves the part of the job that it is sent."""

import os
from contextlib import closing
from typing import Protocol

from raydient.wire import control
from raydient.wire.connection import Connection, Frame, unlimited
from raydient.wire.endpoint import Endpoint
from raydient.wire.frames import ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.launch import Launch, from_json
from raydient.wire.lifeline import hold
from raydient.wire.network import Closed, Network
from raydient.workers.probe import probe

from .conductor_shell import ConductorShell
from .shard_shell import ShardShell

CONTROL_LIMIT = 1 << 20
"""Bytes of a control message without arrays."""


class ServerRole(Protocol):
    """The role of a parameter server in its job: the conductor with the first shard, or a further shard."""

    @property
    def timeout_seconds(self) -> float:
        """The longest time until `look` has something to do."""

    def obey(self, message: control.Message) -> None:
        """Carry out a message of the coordinator. ProtocolError if it is no order to this role."""

    def handle(self, connection: Connection, frame: Frame | Closed) -> None:
        """Handle a frame, or the end, of any other connection. ConnectionError if this role cannot go on."""

    def look(self) -> None:
        """Do what is due."""

    def close(self) -> None:
        """End the threads."""


def main(text: str, host: str, node: str) -> None:
    """Serve the job of a `Launch` (JSON) until its coordinator has ended."""
    launch = from_json(text)
    with hold(launch, node), closing(Hub(bytes.fromhex(launch.secret), CONTROL_LIMIT)) as network:
        ParameterServerShell(launch, network, host, node).run()


class ParameterServerShell:
    """A parameter server on its network."""

    def __init__(self, launch: Launch, network: Network, host: str, node: str = "") -> None:
        self._launch, self._host, self._node = launch, host, node
        self._network = network
        self._coordinator = network.dial(launch.coordinator, node=node)

    def run(self) -> None:
        """Serve until the connection to the coordinator ends.

        Raises ProtocolError if the coordinator breaks the protocol, ConnectionError if another server of the job ends.
        """
        try:
            role = self._begin(self._network.listen(self._host, node=self._node))
            try:
                self._serve(role)
            finally:
                role.close()
        finally:
            self._coordinator.close()

    def _begin(self, endpoint: Endpoint) -> ServerRole:
        hello = control.Hello(
            role=control.Role.PARAMETER_SERVER,
            member=self._launch.member,
            generation=self._launch.generation,
            process=os.getpid(),
            data_plane=endpoint,
            probe=probe(),
            host=self._host,
        )
        self._coordinator.allocate = unlimited  # the answer carries the weights
        control.send(self._coordinator, hello)
        serve, arrays = control.receive(self._coordinator)
        if not isinstance(serve, control.Serve):
            raise ProtocolError(f"expected Serve, got {type(serve).__name__}")
        role: ServerRole
        coordinator, network = self._coordinator, self._network
        if serve.conductor is None:
            role = ConductorShell(self._launch, network, coordinator=coordinator, serve=serve, arrays=arrays)
        else:
            conductor = network.dial(serve.conductor, self._launch.transport, self._node)
            role = ShardShell(
                self._launch, network, coordinator=coordinator, conductor=conductor, serve=serve, arrays=arrays
            )
        self._network.adopt(self._coordinator)
        return role

    def _serve(self, role: ServerRole) -> None:
        refused = dict(self._network.refusals.counts)
        while True:
            for connection, frame in self._network.poll(role.timeout_seconds):
                if connection is not self._coordinator:
                    role.handle(connection, frame)
                elif isinstance(frame, Closed):
                    return  # without a coordinator there is no job
                else:
                    role.obey(control.decode(frame).message)
            role.look()
            if self._network.refusals.counts != refused and not self._coordinator.pending:
                refused = dict(self._network.refusals.counts)
                self._network.send(self._coordinator, control.Refused(refused))
