"""The process of a parameter server: it introduces itself and serves the part of the job that it is sent.

When another server of the job is lost, it releases the part, introduces itself again and waits for its part in the next
generation. Its connection to the coordinator and its endpoint stay.
"""

import logging
import os
from contextlib import closing
from dataclasses import replace
from typing import Protocol

from raydient.wire import control
from raydient.wire.connection import Connection, Frame, unlimited
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

_log = logging.getLogger(__name__)


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
    """A parameter server on its network. It has one part in each generation."""

    def __init__(self, launch: Launch, network: Network, host: str, node: str = "") -> None:
        self._launch, self._host, self._node = launch, host, node
        self._network = network
        self._coordinator = network.dial(launch.coordinator, node=node)

    def run(self) -> None:
        """Serve until the connection to the coordinator ends.

        Raises ProtocolError if the coordinator breaks the protocol, ConnectionError if it ends between two generations.
        """
        hello = control.Hello(
            role=control.Role.PARAMETER_SERVER,
            member=self._launch.member,
            process=os.getpid(),
            data_plane=self._network.listen(self._host, node=self._node),
            probe=probe(),
            host=self._host,
        )
        try:
            while (generation := self._take_part(hello)) is not None:
                hello = replace(hello, left=generation)
        finally:
            self._coordinator.close()

    def _take_part(self, hello: control.Hello) -> int | None:
        """Introduce this server, and serve until another one is lost; return the number of the generation.

        None if the coordinator has ended. The connections to peers have ended when this returns, and nothing refers to
        the memory of the part.
        """
        self._coordinator.allocate = unlimited  # the answer carries the weights
        control.send(self._coordinator, hello)
        serve, arrays = self._wait_for_part(first=hello.left is None)
        try:
            role = self._begin(serve, arrays)
        except (ConnectionError, TimeoutError) as error:
            _log.info("leaves generation %d, which it cannot join: %s", serve.generation, error)
            self._network.drop_all()
            return serve.generation
        del arrays  # or the weights that began the part would stay in memory until its end
        self._network.adopt(self._coordinator)
        try:
            if not self._serve(role):
                return None
            self._network.release(self._coordinator)
        finally:
            role.close()
            self._network.drop_all()
        return serve.generation

    def _wait_for_part(self, *, first: bool) -> tuple[control.Serve, control.Arrays]:
        """Wait for `Serve`. Unless it is the `first`, messages to the part before may come earlier."""
        while True:
            message, arrays = control.receive(self._coordinator)
            if isinstance(message, control.Serve):
                return message, arrays
            if first:
                raise ProtocolError(f"expected Serve, got {type(message).__name__}")

    def _begin(self, serve: control.Serve, arrays: control.Arrays) -> ServerRole:
        """Begin a part. ConnectionError, TimeoutError if the conductor does not accept this server."""
        coordinator, network = self._coordinator, self._network
        if serve.conductor is None:
            return ConductorShell(network, coordinator=coordinator, serve=serve, arrays=arrays)
        conductor = network.dial(serve.conductor, self._launch.transport, self._node)
        try:
            return ShardShell(network, coordinator=coordinator, conductor=conductor, serve=serve, arrays=arrays)
        except ConnectionError:
            conductor.close()
            raise

    def _serve(self, role: ServerRole) -> bool:
        """Serve until another server is lost; return False if the coordinator has ended, without which there is no job.

        Raises ProtocolError if the coordinator breaks the protocol.
        """
        refused = dict.fromkeys(self._network.refusals.counts, 0)
        while True:
            for connection, frame in self._network.poll(role.timeout_seconds):
                if connection is not self._coordinator:
                    try:
                        role.handle(connection, frame)
                    except ConnectionError as error:
                        _log.info("leaves its part: %s", error)
                        return True
                elif isinstance(frame, Closed):
                    return False
                elif isinstance(message := control.decode(frame).message, control.Leave):
                    return True
                else:
                    role.obey(message)
            role.look()
            if self._network.refusals.counts != refused and not self._coordinator.pending:
                refused = dict(self._network.refusals.counts)
                self._network.send(self._coordinator, control.Refused(refused))
