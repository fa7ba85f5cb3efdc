"""Explains why a service cannot be reached, with the remedy, and finds the HTTP proxy that gRPC uses."""

import ipaddress
import os
from dataclasses import dataclass

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Environment variables in the order in which gRPC looks for a proxy."""
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of a failed connection.

    Attributes:
        reason: a stable UPPER_SNAKE_CASE word.
        text: the cause and the remedy, for people.
        transient: the same call may succeed soon, as while a server restarts.
    """

    reason: str
    text: str
    transient: bool = False


# part of gRPC's error text -> cause; the first match counts
_CAUSES = {
    "lookup failed": Cause("NO_SUCH_HOST", "there is no host of that name"),
    "errors resolving": Cause("NO_SUCH_HOST", "there is no host of that name"),
    "resolution failed": Cause("NO_SUCH_HOST", "there is no host of that name"),
    "WRONG_VERSION_NUMBER": Cause("TLS_NOT_SPOKEN", "it speaks no TLS; connect without --tls and --tls-ca"),
    "certificate has expired": Cause("CERTIFICATE_EXPIRED", "its certificate has expired; renew it on the server"),
    "ostname": Cause(
        "CERTIFICATE_NAME",
        "its certificate is for other names; use one of them in --address, or name it with --tls-server-name",
    ),
    "CERTIFICATE_VERIFY_FAILED": Cause(
        "CERTIFICATE_UNTRUSTED",
        "no authority trusted here vouches for its certificate; name the authority with --tls-ca",
    ),
    "andshake failed": Cause("TLS_FAILED", "the TLS handshake failed; compare the TLS options of both sides"),
    "HTTP proxy returned": Cause("PROXY", "the HTTP proxy in between refuses"),
    "http1.x": Cause("NOT_GRPC", "it speaks HTTP/1 and not gRPC; metrics have another port"),
    "Failed parsing HTTP/2": Cause("NOT_GRPC", "it does not speak gRPC; another program listens there"),
    "Connection refused": Cause("CONNECTION_REFUSED", "connection refused, nothing listens there", transient=True),
    "No such file": Cause("CONNECTION_REFUSED", "there is no such socket", transient=True),
    "Deadline Exceeded": Cause("NO_ANSWER", "no answer in time"),
}
_CLOSED = Cause("CLOSED", "it closed the connection at once; if it has TLS, connect with --tls or --tls-ca")
_LOST = Cause("CONNECTION_LOST", "the connection was lost", transient=True)


def cause_of(message: str, address: str) -> Cause:
    """Interpret gRPC's error text for a failed connection to `address`."""
    cause = next((cause for part, cause in _CAUSES.items() if part in message), None)
    if cause is None and ("Socket closed" in message or "reset by peer" in message):
        cause = _CLOSED if "failed to connect" in message else _LOST
    if cause is None:
        cause = Cause("UNREACHABLE", message.rpartition(": ")[2].rstrip("]"), transient=True)
    if variable := proxy_variable(address):
        through = f"{cause.text}; {variable}={os.environ[variable]} sends the connection through a proxy, "
        return Cause(cause.reason, through + "no_proxy names hosts that are reached without it", cause.transient)
    return cause


def is_loopback(address: str) -> bool:
    """True if an address, host:port or unix:PATH, is on this machine."""
    if address.startswith("unix:"):
        return True
    host = _host(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def proxy_variable(address: str) -> str | None:
    """Name of the environment variable with the proxy that gRPC uses for `address`; None if it connects directly."""
    if is_loopback(address):
        return None
    variable = next((name for name in PROXIES if os.environ.get(name)), None)
    excepted = next((os.environ[name] for name in EXCEPTIONS if os.environ.get(name)), "")
    hosts = [host.strip() for host in excepted.split(",")]
    return None if any(host and _host(address).endswith(host) for host in hosts) else variable


def _host(address: str) -> str:
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")
