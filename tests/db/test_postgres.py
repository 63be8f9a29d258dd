"""Addresses, sessions and the meaning of failures, against a real server and a proxy before it."""

import asyncio
import os
import shutil
import socket
import traceback
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.db import Connection, embedded
from collector.db.dsn import Dsn, parse_dsn
from collector.db.errors import translate_errors
from collector.db.pool import check_server, connect, open_pool, transaction
from collector.errors import ConfigError, StoreError
from collector.secret import Secret
from tests.support.postgres_server import Server
from tests.support.tcp_listener import listening
from tests.support.tcp_proxy import Proxy, proxied

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        pytest.param(
            "postgresql://kim:pw@db.example:6432/prices",
            Dsn("db.example", "prices", "kim", Secret("pw"), 6432),
            id="everything",
        ),
        pytest.param("postgres://kim@db/prices", Dsn("db", "prices", "kim"), id="short scheme, no password"),
        pytest.param("postgresql://kim@db", Dsn("db", "kim", "kim"), id="database named like the user"),
        pytest.param(
            "postgresql://kim:%23%2F%40%3A@db/p%20q",
            Dsn("db", "p q", "kim", Secret("#/@:")),
            id="percent",
        ),
        pytest.param(
            "postgresql://kim:a:b@db/p", Dsn("db", "p", "kim", Secret("a:b")), id="colon in password"
        ),
        pytest.param("postgresql://kim:a@b@db/p", Dsn("db", "p", "kim", Secret("a@b")), id="at in password"),
        pytest.param("postgresql://kim@[::1]:5433/p", Dsn("::1", "p", "kim", port=5433), id="IPv6"),
        pytest.param("postgresql://kim@/p?host=/run/pg", Dsn("/run/pg", "p", "kim"), id="socket"),
        pytest.param("postgresql://kim@%2Frun%2Fpg/p", Dsn("/run/pg", "p", "kim"), id="socket as host"),
        pytest.param(
            "postgresql://kim@db/p?sslmode=verify-full&sslrootcert=/ca.pem",
            Dsn("db", "p", "kim", sslmode="verify-full", sslrootcert="/ca.pem"),
            id="TLS",
        ),
        pytest.param(
            '  "postgresql+asyncpg://kim@db/p"\n', Dsn("db", "p", "kim"), id="quotes, white space, driver"
        ),
        pytest.param("'postgres+psycopg://kim@db/p'", Dsn("db", "p", "kim"), id="another driver"),
        pytest.param("\ufeffPostgreSQL://kim@db/p", Dsn("db", "p", "kim"), id="a mark, capitals"),
        pytest.param(
            "postgresql://kim@db/p?connect_timeout=10&application_name=x&target_session_attrs=read-write"
            "&channel_binding=prefer&gssencmode=disable&schema=public&connection_limit=5&keepalives=1",
            Dsn("db", "p", "kim"),
            id="parameters that do not matter",
        ),
        pytest.param(
            "postgresql://kim@db/p?sslrootcert=system",
            Dsn("db", "p", "kim", sslmode="verify-full"),
            id="the system's authorities",
        ),
        pytest.param(
            "postgresql://db/p?user=kim&password=pw&port=1&pgbouncer=true",
            Dsn("db", "p", "kim", Secret("pw"), 1, pgbouncer=True),
            id="all as parameters",
        ),
    ],
)
def test_a_url_is_read(url: str, address: Dsn) -> None:
    assert parse_dsn(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("mysql://kim:hunter2@db/p", "does not start with postgresql://", id="scheme"),
        pytest.param("hunter2", "does not start with postgresql://", id="no URL"),
        pytest.param("postgresql://kim:hunter2#x@db/p", "must be percent-encoded", id="hash in password"),
        pytest.param("postgresql://kim:hunter2/x@db/p", "must be percent-encoded", id="slash in password"),
        pytest.param("postgresql://kim:hunter2?x@db/p", "must be percent-encoded", id="question in password"),
        pytest.param("postgresql://kim:hunter2%zz@db/p", "in its password, a %", id="percent in password"),
        pytest.param("postgresql://kim:hunter2%00@db/p", "in its password, a %", id="NUL"),
        pytest.param("postgresql://kim:hunter2%ff@db/p", "its password is not UTF-8", id="not UTF-8"),
        pytest.param("postgresql://kim:hunter2", "port is not a number", id="no host after the password"),
        pytest.param("postgresql://kim:hunter2@db:0/p", "port is not a number; use 1 to 65535", id="port 0"),
        pytest.param("postgresql://kim:hunter2@db:65536/p", "port is not a number", id="port too great"),
        pytest.param("postgresql://kim:hunter2@/p", "names no host", id="no host"),
        pytest.param("postgresql://kim:hunter2@a,b/p", "more than one host", id="two hosts"),
        pytest.param("postgresql://kim:hunter2@db/p?sslmod=require", "use host", id="parameter"),
        pytest.param(
            "postgresql://kim:hunter2@db/p?sslmod=require", "parameter sslmod is unknown", id="its name"
        ),
        pytest.param(
            "postgresql://kim:hunter2@db/p?channel_binding=require",
            "channel_binding asks for a feature the driver lacks; take it out",
            id="channel binding",
        ),
        pytest.param(
            "postgresql://kim:hunter2@db/p?schema=prices", "schema belongs to another program", id="schema"
        ),
        pytest.param(
            "postgresql://kim:hunter2@db/p?options=-csearch_path", "options would change", id="options"
        ),
        pytest.param("postgresql://kim:hunter2@db/p?ssl=true", "write sslmode=require", id="ssl"),
        pytest.param("postgresql://kim:hunter2@db/p?target_session_attrs=standby", "read-only", id="standby"),
        pytest.param(
            "postgresql://kim:hunter2@db/p?sslcert=/a", "client certificates", id="client certificate"
        ),
        pytest.param("postgresql://kim@db/p?hunter2", "one of its parameters is unknown", id="no parameter"),
        pytest.param("jdbc:postgresql://kim:hunter2@db/p", "begins with jdbc:; leave that out", id="jdbc"),
        pytest.param("psql 'postgresql://kim:hunter2@db/p'", "begins with psql; leave", id="psql"),
        pytest.param(
            "DATABASE_URL=postgresql://kim:hunter2@db/p", "begins with DATABASE_URL=", id="the name"
        ),
        pytest.param('""', "it is empty", id="empty quotes"),
        pytest.param(
            "postgresql://kim:hunter2@db/p?sslmode=on", "sslmode is unknown; use disable", id="sslmode"
        ),
    ],
)
def test_a_wrong_url_is_refused_without_a_word_of_the_password(url: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dsn(url)
    assert why in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + caught.value.hint


@given(user=TEXT, password=TEXT, database=TEXT)
def test_whatever_is_percent_encoded_comes_back(user: str, password: str, database: str) -> None:
    url = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@db/{quote(database, safe='')}"
    assert parse_dsn(url) == Dsn("db", database, user, Secret(password))


def parsed_or_refused(url: str) -> Dsn | ConfigError:
    try:
        return parse_dsn(url)
    except ConfigError as refusal:
        return refusal


@given(middle=TEXT)
def test_a_raw_password_is_read_whole_or_refused_in_silence(middle: str) -> None:
    password = f"hunter2{middle}hunter2"
    read = parsed_or_refused(f"postgresql://kim:{password}@db/p")
    if isinstance(read, ConfigError):
        assert "hunter2" not in str(read) + read.hint
    else:
        assert (read.user, read.host, read.database) == ("kim", "db", "p")


@pytest.mark.parametrize(
    ("address", "text"),
    [
        pytest.param(Dsn("db", "p", "kim", Secret("hunter2")), "db:5432/p", id="name"),
        pytest.param(Dsn("::1", "p", "kim"), "[::1]:5432/p", id="IPv6"),
        pytest.param(Dsn("/run/pg", "p", "kim"), "/run/pg/p", id="socket"),
    ],
)
def test_an_address_shows_where_and_not_who(address: Dsn, text: str) -> None:
    assert str(address) == text


def test_an_address_never_shows_its_password() -> None:
    assert "hunter2" not in repr(Dsn("db", "p", "kim", Secret("hunter2")))


async def complaint(address: Dsn) -> StoreError:
    with pytest.raises(StoreError) as caught:
        async with connect(address, timeout=5):
            pass
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_says_so(host: str) -> None:
    with socket.socket() as taken:  # bound but not listening: nobody else gets the port, nobody answers
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = await complaint(Dsn(host, "p", "kim", port=port))
    assert str(error) == f"connecting: nothing answers there (database {host}:{port}/p)"
    assert "start the server" in error.hint


async def test_a_missing_socket_says_so(tmp_path: Path) -> None:
    assert "nothing answers there" in str(await complaint(Dsn(str(tmp_path), "p", "kim")))


async def test_a_peer_that_hangs_up_is_no_mystery() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(hang_up) as port:
        error = await complaint(Dsn("127.0.0.1", "p", "kim", port=port, sslmode="disable"))
    assert "the connection was lost" in str(error)


async def test_a_silent_peer_is_given_up(database: Dsn) -> None:
    async with proxied(database) as proxy:
        proxy.freeze()
        with pytest.raises(StoreError, match=r"no answer within 0\.2 s"):
            async with connect(proxy.address, timeout=0.2):
                pass


async def test_a_missing_database_is_named(server: Server) -> None:
    error = await complaint(replace(server.address, database="nowhere"))
    assert "there is no database nowhere" in str(error)
    assert "CREATE DATABASE" in error.hint


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dsn]:
    """A server that asks the role `kim` for a password, and lets nobody in as `lee`."""
    home = tmp_path_factory.mktemp("guarded")
    async with embedded.running(home, durable=False) as address, connect(address) as connection:
        rules = home / "postgres" / "data" / "pg_hba.conf"
        rules.write_text("local all kim scram-sha-256\nlocal all lee reject\n" + rules.read_text())
        await connection.execute("CREATE ROLE kim LOGIN PASSWORD 'right'; CREATE ROLE lee LOGIN")
        loaded = await connection.fetchval("SELECT pg_conf_load_time()")
        await connection.execute("SELECT pg_reload_conf()")
        while True:  # the reload is a signal; a new session sees it once the server has taken it in
            async with connect(address) as another:
                if await another.fetchval("SELECT pg_conf_load_time()") > loaded:
                    break
        yield address


@pytest.mark.extended
async def test_a_wrong_password_is_named_and_not_shown(guarded: Dsn) -> None:
    error = await complaint(replace(guarded, user="kim", password=Secret("hunter2")))
    assert "the password for kim is wrong" in str(error)
    assert "hunter2" not in "".join(traceback.format_exception(error))


async def test_the_right_password_opens(guarded: Dsn) -> None:
    async with connect(replace(guarded, user="kim", password=Secret("right"))) as connection:
        assert await connection.fetchval("SELECT current_user") == "kim"


@pytest.mark.extended
async def test_a_role_that_may_not_log_in_is_named(guarded: Dsn) -> None:
    assert "lee may not log in" in str(await complaint(replace(guarded, user="lee")))


async def test_a_server_that_may_forget_is_warned_of(guarded: Dsn) -> None:
    async with connect(guarded) as connection:
        warned = {line.split()[0] for line in await check_server(connection, guarded)}
    assert warned == {"fsync", "full_page_writes", "synchronous_commit"}


async def test_a_server_older_than_15_is_refused(database: Dsn) -> None:
    async with connect(database) as connection:
        real = await connection.fetchval("SHOW server_version")
    old = f"14{real[2:]}"
    async with (
        proxied(
            database, found=f"server_version\0{real}".encode(), given=f"server_version\0{old}".encode()
        ) as p,
        connect(p.address) as connection,
    ):
        with pytest.raises(ConfigError, match="PostgreSQL 14; 15 or newer is needed"):
            await check_server(connection, p.address)


async def test_a_database_that_is_not_utf8_is_refused(server: Server) -> None:
    async with (
        server.database(options="ENCODING 'SQL_ASCII' LOCALE 'C'") as address,
        connect(address) as connection,
    ):
        with pytest.raises(ConfigError, match="encoded in SQL_ASCII, UTF8 is needed"):
            await check_server(connection, address)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("53100", "its disk is full"),
        ("53200", "out of memory"),
        ("53300", "no connection left"),
        ("25006", "read-only"),
        ("42501", "lacks a permission: said"),
        ("42P01", "a table is missing: said"),
        ("57014", "its time limit"),
        ("57P01", "shutting down"),
        ("57P03", "starting up or shutting down"),
        ("40001", "another transaction was in the way"),
        ("40P01", "deadlock"),
        ("08006", "the connection was lost"),
        ("23505", "said [23505]"),
    ],
)
async def test_each_state_of_the_server_has_its_words(database: Dsn, code: str, words: str) -> None:
    async with connect(database) as connection:
        with pytest.raises(StoreError) as caught:
            async with translate_errors("storing", database, timeout=5):
                await connection.execute(f"DO $$ BEGIN RAISE 'said' USING ERRCODE = '{code}'; END $$")
    assert str(caught.value).startswith("storing: ")
    assert words in str(caught.value)


async def test_a_lock_that_is_not_granted_is_named(database: Dsn) -> None:
    async with connect(database) as one, connect(database) as other:
        await one.execute("CREATE TABLE t (i int)")
        await other.execute("SET lock_timeout = '20ms'")
        async with transaction(one):
            await one.execute("LOCK TABLE t")
            with pytest.raises(StoreError, match="a lock was not granted in time"):
                async with translate_errors("reading", database, timeout=5):
                    await other.fetch("SELECT i FROM t")


async def test_a_session_that_an_administrator_ends_is_lost(database: Dsn) -> None:
    async with connect(database) as one, connect(database) as other:
        await one.execute("SELECT pg_terminate_backend($1)", other.get_server_pid())
        with pytest.raises(StoreError, match=r"closed the connection|connection was lost"):
            async with translate_errors("reading", database, timeout=5):
                await other.fetchval("SELECT 1")


async def test_a_programming_error_is_not_dressed_up(database: Dsn) -> None:
    with pytest.raises(ZeroDivisionError):
        async with translate_errors("reading", database, timeout=5):
            _ = 1 / 0


async def copy_for_ever(connection: Connection, proxy: Proxy) -> None:
    """A transaction that the network leaves alone in the middle of a COPY."""
    async with transaction(connection):
        await connection.execute("CREATE TABLE t (i int)")
        proxy.freeze()
        await connection.copy_records_to_table("t", records=[(i,) for i in range(100_000)])


async def test_a_network_that_falls_silent_in_copy_is_given_up_in_time(database: Dsn) -> None:
    async with proxied(database) as proxy, connect(proxy.address) as connection, asyncio.timeout(600):
        with pytest.raises(StoreError, match=r"no answer within 0\.5 s"):
            async with translate_errors("storing", database, timeout=0.5):
                await copy_for_ever(connection, proxy)


@asynccontextmanager
async def no_block(_: Connection) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("block", [no_block, transaction])
async def test_a_lent_session_that_falls_silent_is_given_back_in_time(
    database: Dsn, block: Callable[[Connection], AbstractAsyncContextManager[None]]
) -> None:
    async def read() -> None:
        async with (
            translate_errors("reading", proxy.address, timeout=0.3),
            pool.acquire(timeout=0.3) as connection,  # without a limit of its own the return hangs
            block(connection),
        ):
            proxy.freeze()
            await connection.fetchval("SELECT 1")

    async with proxied(database) as proxy, open_pool(proxy.address) as pool, asyncio.timeout(600):
        with pytest.raises(StoreError, match=r"no answer within 0\.3 s"):
            await read()


async def test_cancelling_in_copy_stays_cancelling(database: Dsn) -> None:
    async def store() -> None:
        async with translate_errors("storing", database, timeout=60):
            await copy_for_ever(connection, proxy)

    async with proxied(database) as proxy, connect(proxy.address) as connection, asyncio.timeout(600):
        task = asyncio.create_task(store())
        await proxy.frozen.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_a_connection_cut_in_copy_is_lost(database: Dsn) -> None:
    async def store() -> None:
        async with translate_errors("storing", database, timeout=60):
            await copy_for_ever(connection, proxy)

    async with proxied(database) as proxy, connect(proxy.address) as connection, asyncio.timeout(600):
        task = asyncio.create_task(store())
        await proxy.frozen.wait()
        proxy.cut()
        with pytest.raises(StoreError, match="connection was lost"):
            await task


async def replaced_by_the_driver() -> None:
    """What the driver's own transaction does to a cancellation that meets a dead connection."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise asyncpg.InterfaceError("cannot call Transaction.__aexit__()")  # noqa: B904 - as the driver does


async def test_a_cancellation_that_the_driver_replaced_is_one_again(database: Dsn) -> None:
    async def store() -> None:
        async with translate_errors("storing", database, timeout=60):
            await replaced_by_the_driver()

    task = asyncio.create_task(store())
    await asyncio.sleep(0)  # the task begins
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_deadline_that_the_driver_replaced_is_one_again(database: Dsn) -> None:
    with pytest.raises(StoreError, match=r"no answer within 0\.01 s"):
        async with translate_errors("storing", database, timeout=0.01):
            await replaced_by_the_driver()


async def test_a_block_that_fails_leaves_nothing_and_the_session_goes_on(database: Dsn) -> None:
    async def insert(number: int, divisor: int) -> None:
        async with transaction(connection):
            await connection.execute("INSERT INTO t VALUES ($1)", number)
            _ = 1 / divisor

    async with connect(database) as connection:
        await connection.execute("CREATE TABLE t (i int)")
        with pytest.raises(ZeroDivisionError):
            await insert(1, 0)
        await insert(2, 1)
        assert await connection.fetchval("SELECT array_agg(i) FROM t") == [2]


async def test_a_session_has_its_limits(database: Dsn) -> None:
    async with connect(database, statement_timeout=7) as connection:
        limits = [
            await connection.fetchval(f"SHOW {name}") for name in ("statement_timeout", "lock_timeout", "jit")
        ]
    assert limits == ["7s", "5s", "off"]


async def test_behind_pgbouncer_nothing_is_kept_in_the_session(database: Dsn) -> None:
    async with connect(replace(database, pgbouncer=True), statement_timeout=7) as connection:
        await connection.fetchval("SELECT 1")
        kept = await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
        assert kept == 0
        assert await connection.fetchval("SHOW statement_timeout") == "7s"
        async with transaction(connection):
            assert await connection.fetchval("SHOW statement_timeout") == "7s"


BOUNCER = """
[databases]
* = host=127.0.0.1 port={there} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {here}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 1
"""


@asynccontextmanager
async def bounced(target: Dsn, folder: Path, more: str = "") -> AsyncIterator[Dsn]:
    """A real PgBouncer in transaction mode, with one session for all of its clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        here = free.getsockname()[1]
    config = folder / "pgbouncer.ini"
    config.write_text(BOUNCER.format(there=target.port, user=target.user, here=here) + more)
    disguise = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with config.open() as content:
        process = await asyncio.create_subprocess_exec(
            *disguise, "pgbouncer", "-q", "/dev/stdin", stdin=content, stderr=DEVNULL, stdout=DEVNULL
        )
    try:
        yield replace(target, port=here, pgbouncer=True)
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.skipif(not shutil.which("pgbouncer"), reason="needs a pgbouncer")
@pytest.mark.parametrize("lenient", [False, True], ids=["refuses settings", "drops settings"])
async def test_a_pooler_that_the_address_does_not_name_is_named(
    database: Dsn, tmp_path: Path, lenient: bool
) -> None:
    """One refuses the settings of a session; one that was told to ignore them does not keep them."""
    more = "ignore_startup_parameters = " + ",".join(SETTINGS) if lenient else ""
    async with proxied(database) as proxy, bounced(proxy.address, tmp_path, more) as address:
        await wait_until_listening(address)
        with pytest.raises((StoreError, ConfigError)) as caught:
            async with connect(replace(address, pgbouncer=False)) as connection:
                await check_server(connection, address)
    assert "a connection pooler is in between" in str(caught.value)
    assert "add ?pgbouncer=true to DATABASE_URL" in caught.value.hint


SETTINGS = (
    *(
        "default_transaction_isolation",
        "default_transaction_deferrable",
        "lock_timeout",
        "jit",
        "search_path",
    ),
    *("idle_in_transaction_session_timeout", "datestyle", "intervalstyle", "row_security"),
    *("statement_timeout", "idle_session_timeout", "tcp_keepalives_idle", "tcp_keepalives_interval"),
    *("tcp_keepalives_count", "tcp_user_timeout"),
)


@pytest.mark.parametrize("code", ["26000", "42P05"])
async def test_a_prepared_statement_that_is_gone_means_a_pooler(database: Dsn, code: str) -> None:
    async with connect(database) as connection:
        with pytest.raises(StoreError, match="a connection pooler is in between"):
            async with translate_errors("storing", database, timeout=5):
                await connection.execute(f"DO $$ BEGIN RAISE 'said' USING ERRCODE = '{code}'; END $$")


async def wait_until_listening(address: Dsn) -> None:
    async with asyncio.timeout(600):
        while isinstance(await answer(address), StoreError):  # noqa: ASYNC110 - it says nothing when it listens
            await asyncio.sleep(0.02)  # looks again


@pytest.fixture
async def role(server: Server, database: Dsn) -> AsyncIterator[Dsn]:
    """A role of one's own, which owns nothing and may log in."""
    name = f"{database.database}_Kim"
    await server.connection.execute(f'CREATE ROLE "{name}" LOGIN')
    yield replace(database, user=name)
    async with connect(database) as connection:
        await connection.execute(f'DROP OWNED BY "{name}" CASCADE')
    await server.connection.execute(f'DROP ROLE "{name}"')


HABITS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "12345",
    "lock_timeout": "12345",
    "idle_session_timeout": "12345",
    "idle_in_transaction_session_timeout": "12345",
    "search_path": "elsewhere",
    "timezone": "America/St_Johns",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "row_security": "on",
    "jit": "on",
}


@pytest.mark.parametrize("pgbouncer", [False, True], ids=["a session", "a transaction of a pooler"])
@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
async def test_what_a_role_is_used_to_does_not_count(role: Dsn, isolation: str, pgbouncer: bool) -> None:
    """Whatever ALTER ROLE set, a session of ours has what we rely on, in a transaction and outside of one."""
    async with connect(replace(role, user="postgres")) as connection:
        for name, text in (HABITS | {"default_transaction_isolation": isolation}).items():
            quoted = text if name == "datestyle" else f"'{text}'"
            await connection.execute(f'ALTER ROLE "{role.user}" SET {name} = {quoted}')
    names = [*HABITS, "transaction_isolation"]
    async with connect(replace(role, pgbouncer=pgbouncer)) as connection:
        single = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in names}
        async with transaction(connection):
            inside = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in names}
        async with connection.transaction(readonly=True):
            is_read_only = await connection.fetchval("SHOW transaction_read_only")
    for settings in (single, inside):
        assert settings["transaction_isolation"] == "read committed"
        assert (settings["statement_timeout"], settings["lock_timeout"]) == ("30s", "5s")
        assert (settings["search_path"], settings["timezone"], settings["row_security"]) == (
            "public",
            "UTC",
            "off",
        )
        assert (settings["datestyle"], settings["intervalstyle"]) == ("ISO, MDY", "postgres")
        assert (settings["idle_session_timeout"], settings["jit"]) == ("0", "off")
    assert is_read_only == "on"


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("CREATE TABLE public.t (i int)", 'GRANT USAGE, CREATE ON SCHEMA public TO "{user}"'),
        ("SELECT FROM collector.walk", 'GRANT USAGE, CREATE ON SCHEMA collector TO "{user}"'),
        ("SELECT FROM public.walk", 'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE walk TO "{user}"'),
        ("CREATE SCHEMA mine", 'GRANT CREATE, CONNECT ON DATABASE {database} TO "{user}"'),
        ("DROP VIEW public.latest", 'ALTER VIEW latest OWNER TO "{user}"'),
    ],
)
async def test_a_right_that_is_lacking_comes_with_the_statement_that_grants_it(
    role: Dsn, statement: str, hint: str
) -> None:
    async with connect(role) as connection:
        with pytest.raises(StoreError, match="lacks a permission") as caught:
            async with translate_errors("asking", role, timeout=5):
                await connection.execute(statement)
    assert hint.format(user=role.user, database=role.database) in caught.value.hint


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE collector.walk (i int)", "CREATE FUNCTION collector.identity() RETURNS int RETURN 1"],
)
async def test_a_name_that_another_program_uses_asks_for_a_database_of_ones_own(
    database: Dsn, statement: str
) -> None:
    async with connect(database) as connection:
        with pytest.raises(StoreError, match="in use by another program") as caught:
            async with translate_errors("migrating", database, timeout=5):
                await connection.execute(statement)
    assert "give collector a database of its own: CREATE DATABASE" in caught.value.hint


async def test_a_private_server_whose_folder_is_gone_is_not_looked_for_in_the_url(tmp_path: Path) -> None:
    gone = Dsn(str(tmp_path / "gone"), "postgres", "postgres", is_private=True)
    with pytest.raises(StoreError, match="the folder of the private PostgreSQL is gone") as caught:
        async with connect(gone):
            pass
    assert "restart collector" in caught.value.hint
    assert "DATABASE_URL" not in caught.value.hint


@pytest.mark.skipif(not shutil.which("pgbouncer"), reason="needs a pgbouncer")
async def test_pgbouncer_in_transaction_mode_may_stand_between(database: Dsn, tmp_path: Path) -> None:
    async with proxied(database) as proxy, bounced(proxy.address, tmp_path) as address:
        await wait_until_listening(address)
        async with connect(address) as one, connect(address) as other:
            for connection in (one, other, one, other):
                async with translate_errors("storing", address, timeout=5), transaction(connection):
                    assert await connection.fetchval("SELECT $1::int + 1", 1) == 2


async def answer(address: Dsn) -> int | StoreError:
    try:
        async with connect(address) as connection:
            return await connection.fetchval("SELECT 1")
    except StoreError as error:
        return error


async def test_the_kernel_watches_a_connection_over_tcp(database: Dsn) -> None:
    async with proxied(database) as proxy, connect(proxy.address) as connection:
        wire = connection._transport.get_extra_info("socket")
        assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_a_pool_holds_no_more_than_its_size(database: Dsn) -> None:
    async with open_pool(database, size=2) as pool, pool.acquire(), pool.acquire():
        with pytest.raises(StoreError, match="no answer in time"):
            async with translate_errors("reading", database, timeout=5):
                await pool.acquire(timeout=0.01)


async def test_a_pool_is_left_in_time_with_a_session_still_lent(database: Dsn) -> None:
    async with asyncio.timeout(600), open_pool(database) as pool:
        lent = await pool.acquire()
        backend = lent.get_server_pid()
    async with connect(database) as connection:
        seen = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
        assert await connection.fetchval(seen, backend) == 0


async def test_a_pool_heals_after_its_sessions_were_ended(database: Dsn) -> None:
    async with connect(database) as administrator, open_pool(database, size=2) as pool:
        await pool.fetchval("SELECT 1")
        await administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with suppress(StoreError):  # the session that is lent next is dead, unless the pool has noticed
            async with translate_errors("reading", database, timeout=5):
                await pool.fetchval("SELECT 1")
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_role_named_like_our_schema_sees_the_views_all_the_same(database: Dsn) -> None:
    async with connect(database) as connection:
        assert await connection.fetchval("SHOW search_path") == "public"
