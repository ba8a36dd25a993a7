"""Where the server listens: the addresses of a host, on one port."""

import errno
import os
import socket
from typing import Any

from charlm.errors import UsageError
from charlm.serving.access import check_exposure
from charlm.serving.options import ServeOptions

KERNEL_BUFFER = 1 << 18  # bytes that the system keeps for a client that does not read


def bind(options: ServeOptions, key: bytes | None) -> list[socket.socket]:
    """Bind to every address of a host, all on one port. Raises UsageError where that cannot be.

    So it does for an address that other machines reach, where there is no key.
    """
    host, port = options.host, options.port
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as fault:
        raise UsageError(f"there is no address '{host}' to listen on: {fault.strerror}") from None
    for *_, address in found:
        check_exposure(str(address[0]), key)
    sockets: list[socket.socket] = []
    try:
        for family, *_, address in found:
            own = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_bound(family, (address[0], own, *address[2:])))
    except OSError as fault:
        if fault.errno != errno.EADDRNOTAVAIL or not sockets:  # one of two families may be missing
            for each in sockets:
                each.close()
            raise _cannot_listen(fault, host, port) from None
    return sockets


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio delays
    try:
        if os.name == "posix":  # elsewhere it would share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _cannot_listen(fault: OSError, host: str, port: int) -> UsageError:
    if fault.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {port} of {host} is in use already", "pass --port N, or --port 0 for a free one"
        )
    if fault.errno == errno.EACCES:
        return UsageError(f"port {port} is not yours to listen on", "pass --port N, above 1023")
    return UsageError(f"cannot listen on {host}, port {port}: {fault.strerror}")


def address_of(listening: socket.socket) -> str:
    """Give the address of what listens, as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
