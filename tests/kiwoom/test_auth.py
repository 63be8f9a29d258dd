"""One live token for each key, shared through the database, sealed, and renewed once for everybody."""

import asyncio
import random
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from collector.db.database import Database
from collector.db.dsn import Dsn
from collector.db.pool import open_pool
from collector.errors import ApiError, CollectorError, Denied, Rejected, Throttled, Unavailable, Unreadable
from collector.kiwoom.auth import ISSUED_WITHIN, TokenStore
from collector.kiwoom.protocol import Token
from collector.secret import Secret
from tests.support.harness import execute, fetch

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
DAY = timedelta(hours=24)


@dataclass
class Issuer:
    """The token call of the API: each token kills the one before it."""

    life: timedelta = DAY
    takes: float = 0.0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    issued: int = 0
    fails: list[CollectorError] = field(default_factory=list)
    live: str = ""
    clock: Callable[[], datetime] = lambda: NOW

    async def __call__(self) -> Token:
        self.asked.set()
        await asyncio.sleep(self.takes)  # the duration is the subject
        if self.fails:
            raise self.fails.pop(0)
        self.issued += 1
        self.live = f"s3ntinel-token-{self.issued}"
        return Token(Secret(self.live), self.clock() + self.life)


@asynccontextmanager
async def program(
    address: Dsn,
    issuer: Issuer,
    *,
    secret_key: str = "secret",
    clock: Callable[[], datetime] = lambda: NOW,
    within: float = ISSUED_WITHIN,
) -> AsyncIterator[TokenStore]:
    """The tokens of a program of its own."""
    async with open_pool(address, size=3) as pool:
        keys = Secret("key"), Secret(secret_key)
        yield TokenStore(Database(pool, address), *keys, issue=issuer, now=clock, within=within)


async def test_a_token_is_issued_once_and_remembered(database: Dsn) -> None:
    issuer = Issuer()
    async with program(database, issuer) as tokens:
        found = [await tokens.current() for _ in range(3)]
    assert [token.reveal() for token in found] == [issuer.live] * 3
    assert issuer.issued == 1


async def test_another_program_takes_the_token_that_is_there(database: Dsn) -> None:
    issuer = Issuer()
    async with program(database, issuer) as first, program(database, issuer) as second:
        assert await first.current() == await second.current()
    assert issuer.issued == 1


async def later(address: Dsn, seconds: float) -> None:
    """Let time pass, as far as the pause after a failed token call can tell."""
    back = timedelta(seconds=seconds)
    await execute(address, "UPDATE collector.token SET retry_at = retry_at - $1::interval", back)


async def test_a_token_that_takes_too_long_is_an_api_that_is_away(database: Dsn) -> None:
    slow, quick = Issuer(takes=3600), Issuer()
    async with program(database, slow, within=0.1) as first, program(database, quick) as second:
        with pytest.raises(Unavailable, match="no token within"):
            await first.current()
        await later(database, 61)
        assert (await second.current()).reveal() == quick.live


async def test_programs_that_start_together_share_one_issuance(database: Dsn) -> None:
    issuer = Issuer(takes=0.05)
    async with AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(program(database, issuer)) for _ in range(4)]
        found = await asyncio.gather(*(tokens.current() for tokens in programs * 3))
    assert {token.reveal() for token in found} == {issuer.live}
    assert issuer.issued == 1


async def test_a_dead_token_is_renewed_once_for_everybody(database: Dsn) -> None:
    issuer = Issuer(takes=0.02)
    async with AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(program(database, issuer)) for _ in range(4)]
        dead = await asyncio.gather(*(tokens.current() for tokens in programs))
        found = await asyncio.gather(
            *(tokens.renew(token) for tokens, token in zip(programs * 2, dead * 2, strict=True))
        )
        late = await programs[0].renew(dead[0])
    assert {token.reveal() for token in (*found, late)} == {"s3ntinel-token-2"}
    assert issuer.issued == 2


@pytest.mark.parametrize(
    ("left", "issued"), [(timedelta(minutes=10, seconds=1), 1), (timedelta(minutes=10), 2)], ids=str
)
async def test_a_token_is_renewed_ten_minutes_before_its_end(
    database: Dsn, left: timedelta, issued: int
) -> None:
    issuer = Issuer()
    async with program(database, issuer) as tokens:
        await tokens.current()
    async with program(database, issuer, clock=lambda: NOW + DAY - left) as later:
        await later.current()
    assert issuer.issued == issued


async def test_a_token_that_is_held_is_renewed_in_time_too(database: Dsn) -> None:
    clock = [NOW]
    issuer = Issuer(clock=lambda: clock[0])
    async with program(database, issuer, clock=lambda: clock[0]) as tokens:
        first = await tokens.current()
        clock[0] += DAY - timedelta(minutes=5)
        assert await tokens.current() != first
    assert issuer.issued == 2


async def test_a_token_of_a_short_life_is_not_issued_at_every_turn(database: Dsn) -> None:
    clock = [NOW]
    issuer = Issuer(life=timedelta(minutes=5), clock=lambda: clock[0])
    async with program(database, issuer, clock=lambda: clock[0]) as one:
        for _ in range(3):
            await one.current()
    async with program(database, issuer, clock=lambda: clock[0]) as other:
        await other.current()
        assert issuer.issued == 1
        clock[0] += timedelta(minutes=4, seconds=31)
        await other.current()
    assert issuer.issued == 2


async def test_a_dump_of_the_database_does_not_show_the_token(database: Dsn) -> None:
    issuer = Issuer()
    async with program(database, issuer) as tokens:
        await tokens.current()
    [[row, sealed]] = await fetch(database, "SELECT t::text, sealed FROM collector.token AS t")
    token = issuer.live.encode()
    for form in (token, urlsafe_b64encode(token).rstrip(b"="), token.hex().encode(), b"s3ntinel", b"secret"):
        assert form not in row.encode()
        assert form not in sealed


async def test_a_token_that_another_secret_sealed_is_replaced_without_a_word(database: Dsn) -> None:
    issuer = Issuer()
    async with program(database, issuer) as before, program(database, issuer, secret_key="new") as after:
        first = await before.current()
        assert await after.current() != first
        assert await after.renew(first) == await after.current()
    assert issuer.issued == 2


async def test_what_lies_there_broken_is_replaced(database: Dsn) -> None:
    issuer = Issuer()
    async with program(database, issuer) as tokens:
        await tokens.current()
    await fetch(database, "UPDATE collector.token SET sealed = '\\x00ff' RETURNING 1")
    async with program(database, issuer) as another:
        assert (await another.current()).reveal() == issuer.live
    assert issuer.issued == 2


@pytest.mark.parametrize("life", [timedelta(seconds=-1), timedelta(0), timedelta(days=9)], ids=str)
async def test_an_end_that_cannot_be_true_is_everybodys_affair(database: Dsn, life: timedelta) -> None:
    async with program(database, Issuer(life=life)) as tokens:
        with pytest.raises(Denied, match=r"no token can be issued: .* in the past or in the far future"):
            await tokens.current()
    assert await fetch(database, "SELECT sealed FROM collector.token") in ([], [(None,)])


@pytest.mark.parametrize(
    "error", [Rejected("no"), Unreadable("what?")], ids=lambda error: type(error).__name__
)
async def test_a_token_that_is_not_to_be_had_is_everybodys_affair(database: Dsn, error: ApiError) -> None:
    async with program(database, Issuer(fails=[error])) as tokens:
        with pytest.raises(Denied, match="no token can be issued") as caught:
            await tokens.current()
    assert caught.value.hint


FAILURES = [
    Unavailable("HTTP 503"),
    Unavailable("no answer in time"),
    Throttled("HTTP 429"),
    Unreadable("the token is not a text of 1 to 1,000 characters"),
    Unreadable("expires_dt is not fourteen digits"),
    Unreadable("the answer is no JSON"),
]


@pytest.mark.parametrize("error", FAILURES, ids=str)
async def test_while_the_token_call_fails_one_program_asks_for_everybody(
    database: Dsn, error: ApiError
) -> None:
    """60, 120 and then 240 seconds: nobody else asks meanwhile, and everybody hears why."""
    issuer = Issuer(fails=[error] * 5)
    async with program(database, issuer) as one, program(database, issuer) as other:
        for number, pause in enumerate((60, 120, 240, 240, 240), start=1):
            with pytest.raises((Unavailable, Denied), match=str(error)):
                await one.current()
            for _ in range(3):
                for waiting in (one, other):
                    with pytest.raises(Unavailable, match=rf"no token: {error}; next attempt in \d+ s"):
                        await waiting.current()
            await later(database, pause - 20)
            with pytest.raises(Unavailable, match="next attempt in"):
                await other.current()
            assert len(issuer.fails) == 5 - number
            assert one.is_failing
            assert other.is_failing
            await later(database, 20)
        assert (await other.current()).reveal() == issuer.live
        assert await one.current() == await other.current()
        assert not other.is_failing
    assert await fetch(database, "SELECT failures, retry_at, failure FROM collector.token") == [
        (0, None, None)
    ]


async def test_many_who_want_a_token_at_once_cost_one_failed_issuance(database: Dsn) -> None:
    issuer = Issuer(fails=[Unavailable("away")] * 50, takes=0.02)
    async with AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(program(database, issuer)) for _ in range(4)]
        results = await asyncio.gather(*(one.current() for one in programs * 8), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    assert len(issuer.fails) == 49


async def test_who_tries_on_purpose_does_not_wait(database: Dsn) -> None:
    issuer = Issuer(fails=[Unavailable("away")])
    async with program(database, issuer) as one:
        with pytest.raises(Unavailable):
            await one.current()
        assert (await one.current(ignore_pause=True)).reveal() == issuer.live


@pytest.mark.parametrize("ahead", ["5 minutes", "400 days"])
async def test_a_pause_that_no_failure_makes_is_not_believed(database: Dsn, ahead: str) -> None:
    issuer = Issuer(fails=[Unavailable("away")])
    async with program(database, issuer) as one:
        with pytest.raises(Unavailable):
            await one.current()
        await execute(
            database, "UPDATE collector.token SET retry_at = clock_timestamp() + $1::text::interval", ahead
        )
        assert (await one.current()).reveal() == issuer.live


@pytest.mark.parametrize("error", [Rejected("no"), Denied("wrong keys")], ids=str)
async def test_a_refusal_makes_nobody_wait(database: Dsn, error: CollectorError) -> None:
    """The operator mends it, and then it is to work at once."""
    issuer = Issuer(fails=[error])
    async with program(database, issuer) as one:
        with pytest.raises(Denied):
            await one.current()
        assert (await one.current()).reveal() == issuer.live


async def test_a_token_is_used_to_its_end_while_no_new_one_is_to_be_had(database: Dsn) -> None:
    clock = [NOW]
    issuer = Issuer(clock=lambda: clock[0])
    async with program(database, issuer, clock=lambda: clock[0]) as tokens:
        first = await tokens.current()
        issuer.fails = [Unavailable("away")] * 2
        clock[0] += DAY - timedelta(minutes=5)
        assert [await tokens.current() for _ in range(3)] == [first] * 3
        assert len(issuer.fails) == 1
        clock[0] += timedelta(minutes=5)
        with pytest.raises(Unavailable):
            await tokens.current()


async def test_who_is_cancelled_while_asking_does_not_keep_the_others_waiting(database: Dsn) -> None:
    issuer = Issuer(takes=3600)
    async with program(database, issuer, within=3600) as slow, program(database, Issuer()) as quick:
        asking = asyncio.ensure_future(slow.current())
        await issuer.asked.wait()
        waiting = asyncio.ensure_future(quick.current())
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with asyncio.timeout(600):
            assert (await waiting).reveal() == "s3ntinel-token-1"


@pytest.mark.extended
@pytest.mark.parametrize("invalidations", [40, 200])
async def test_issuances_follow_invalidations_one_to_one(database: Dsn, invalidations: int) -> None:
    chance = random.Random(7)
    issuer = Issuer(takes=0.001)
    over = asyncio.Event()

    async def work(tokens: TokenStore) -> int:
        found = 0
        while not over.is_set():
            token = await tokens.current()
            while token.reveal() != issuer.live and not over.is_set():
                token = await tokens.renew(token)
            found += 1
            await asyncio.sleep(chance.random() * 0.01)  # any moment will do
        return found

    async with AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(program(database, issuer)) for _ in range(4)]
        workers = [asyncio.ensure_future(work(tokens)) for tokens in programs * 2]
        for _ in range(invalidations):
            await asyncio.sleep(chance.random() * 0.02)  # any moment will do
            issuer.live = "none"
        over.set()
        assert all(await asyncio.gather(*workers))
    assert 1 < issuer.issued <= invalidations + 1
