"""A listener whose end is complete: afterwards every socket that it accepted is closed.

`asyncio.start_server` forgets a connection that it accepted just before its end: the task that would close
it is cancelled before it began. The garbage collector then finds the socket, amid another test.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@asynccontextmanager
async def listening(
    handle: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    limit: int = 1 << 16,
) -> AsyncIterator[int]:
    """Call `handle` for each connection and close the connection afterwards; yields the port.

    A reader has lines of at most `limit` bytes. EOFError and OSError of `handle` are the end of a connection.
    At the end the handlers are cancelled and the connections aborted.
    """
    loop = asyncio.get_running_loop()
    handlers: set[asyncio.Task[None]] = set()
    accepted: list[socket.socket] = []
    writers: dict[socket.socket, asyncio.StreamWriter] = {}

    async def serve(connection: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        with suppress(OSError, EOFError):
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
            writer = writers[connection] = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await handle(reader, writer)
            finally:
                writer.close()

    def accept() -> None:
        with suppress(BlockingIOError, ConnectionError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            accepted.append(connection)
            task = loop.create_task(serve(connection))
            handlers.add(task)
            task.add_done_callback(handlers.discard)

    # With the protocol's number: asyncio sends at once (TCP_NODELAY) only where it knows that a socket is of TCP.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(100)
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
    for task in tuple(handlers):
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)
    for connection in accepted:
        if (writer := writers.get(connection)) is None:
            connection.close()  # its handler was cancelled before it began, or TLS was not agreed on
            continue
        with suppress(AttributeError):  # of asyncio before 3.11.4, where TLS has ended already
            writer.transport.abort()
        while connection.fileno() >= 0:  # noqa: ASYNC110 - a transport closes its socket in a later turn of the loop
            await asyncio.sleep(0)
    await asyncio.sleep(0)
