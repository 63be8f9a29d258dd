"""One session with the database that only reads, and the private server for as long as it is open."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_manager
from adbc_driver_postgresql import dbapi

from collector.base import resources
from collector.db import embedded, migrations, reading, setup
from collector.db.connection_text import format_address
from collector.db.dsn import Dsn
from collector.db.pool import connect
from collector.errors import ConfigError, StoreError

_NO_ROWS = "the statement gives no rows"


@asynccontextmanager
async def _private_server(home: Path) -> Any:
    """The private PostgreSQL with an up-to-date schema."""
    async with embedded.running(home) as address:
        async with connect(address, statement_timeout=migrations.SCHEMA_TIMEOUT) as connection:
            await setup.prepare_database(connection, address, resources.path("migrations"))
        yield address


async def check_schema(address: Dsn) -> None:
    """ConfigError unless the database has the schema that this program knows."""
    async with connect(address) as connection:
        state = await migrations.check(connection, address, resources.path("migrations"))
    if state.is_newer:
        raise ConfigError(
            f"the schema of {address} is newer ({state.version}) than this program ({state.known})",
            hint="use the newer program",
        )
    if state.pending:
        raise ConfigError(
            f"the schema of {address} is not up to date: {len(state.pending)} to apply",
            hint="run `collector migrate`",
        )


class PrivateServer:
    """Keeps the private PostgreSQL up from a thread of its own, beside whatever event loop the caller runs."""

    def __init__(self, home: Path) -> None:
        self._closing = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._address: Dsn | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(_private_server(home),), daemon=True)

    def start(self) -> Dsn:
        """Wait until the server answers; ConfigError or StoreError says why it does not."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        assert self._address is not None
        return self._address

    def stop(self) -> None:
        """Leave the server: it stops if no other process uses it."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self, server: AbstractAsyncContextManager[Dsn]) -> None:
        try:
            self._loop.run_until_complete(self._keep(server))
        except (ConfigError, StoreError) as error:
            self._error = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _keep(self, server: AbstractAsyncContextManager[Dsn]) -> None:
        async with server as self._address:
            self._ready.set()
            await self._closing.wait()


def run_blocking(work: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end in a thread of its own: a notebook's thread runs a loop already."""
    outcome: list[Any] = []
    errors: list[Exception] = []

    def _work() -> None:
        try:
            outcome.append(asyncio.run(work()))
        except (ConfigError, StoreError) as error:
            errors.append(error)

    thread = threading.Thread(target=_work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


class ReadSession:
    """A connection that speaks Arrow. Every question is a transaction of its own that only reads."""

    def __init__(self, address: Dsn) -> None:
        self._address = address
        self._lock = threading.Lock()
        with self._translate("connecting"):
            self._connection = dbapi.connect(format_address(address, "uri", with_password=True))
            with self._connection.cursor() as cursor:
                for setting in reading.SETTINGS:
                    cursor.execute(setting)
            self._connection.commit()

    def fetch(self, query: str, *values: object) -> Any:
        """The rows of one question as a table of Arrow."""
        with self.transaction() as ask:
            return ask(query, *values)

    @contextmanager
    def transaction(self) -> Iterator[Callable[..., Any]]:
        """Several questions about the same state of the database."""
        with self._lock, self._translate("reading"):
            try:
                self._execute(reading.SNAPSHOT)
                yield self._fetch
            finally:
                self._connection.rollback()

    def close(self) -> None:
        with self._translate("closing"):
            self._connection.close()

    def _execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _fetch(self, query: str, *values: object) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values or None)
            if cursor.description is None:
                raise ConfigError(_NO_ROWS, hint="a reader only reads: SELECT …")
            return cursor.fetch_arrow_table()

    @contextmanager
    def _translate(self, what: str) -> Iterator[None]:
        try:
            yield
        except adbc_driver_manager.Error as error:
            raise StoreError(f"{what}: {_first_line(error)} (database {self._address})") from None


def _first_line(error: Exception) -> str:
    """What the server says, without the driver's words around it."""
    lines: Sequence[str] = [line for line in str(error).splitlines() if line.strip()]
    server = [line.partition("ERROR:")[2].strip() for line in lines if "ERROR:" in line]
    return (server or list(lines) or ["no reason was given"])[0]
