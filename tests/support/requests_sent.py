"""Requests that leave with a permit, as the client of the program sends them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from collector.ratelimit.limiter import LowPriorityRateLimiter, PermitInUse, SharedRateLimiter
from collector.ratelimit.window import PermitExpired


@asynccontextmanager
async def sending(
    quota: SharedRateLimiter | LowPriorityRateLimiter, api_id: str
) -> AsyncIterator[PermitInUse]:
    """A request that has left. A permit that expires before, on a slow machine, is given back for another one."""
    while True:
        async with AsyncExitStack() as stack:
            permit = await stack.enter_async_context(quota.acquire(api_id))
            try:
                permit.before_send()
            except PermitExpired:
                continue
            yield permit
            return
