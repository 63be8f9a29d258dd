"""Asks the kernel whether bytes of a connection had to be sent again."""

import asyncio
import socket
import struct

_TOTAL_RETRANS = 100
"""Offset of `tcpi_total_retrans` in `struct tcp_info` (linux/tcp.h): eight bytes and 23 numbers of 32 bits."""


def count_retransmissions(transport: asyncio.BaseTransport | None) -> int | None:
    """Return the number of segments that were sent again on this connection; None where the system does not say
    (only Linux does)."""
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TOTAL_RETRANS + 4)
    except OSError:  # the connection is closed, or is none of TCP
        return None
    if len(info) < _TOTAL_RETRANS + 4:
        return None
    count: int = struct.unpack_from("=I", info, _TOTAL_RETRANS)[0]
    return count
