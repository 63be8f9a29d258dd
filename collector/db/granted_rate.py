"""The request rate granted by the server, as learned by the rate limiter."""

from collector.db.pool import Connection

_LOWEST = "SELECT min(granted) FROM collector.quota WHERE api_id = 'ka20002'"


async def read_lowest_grant(connection: Connection) -> int | None:
    """The lowest granted rate of all keys for ka20002; None if the server named none.

    A forecast uses it, because a forecast may be too slow, but never too fast.
    """
    return await connection.fetchval(_LOWEST)  # type: ignore[no-any-return]
