"""The check at a daemon's start: one token per key, to report faults before the first slot."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from collector.cli.words import in_plain_words
from collector.errors import ApiError, Denied, StoreError
from collector.kiwoom.client import KiwoomClient
from collector.log import logger

AWAY = (
    "the first slot tries again; check api.base_url and the network of this machine"
    " / 첫 슬롯에 다시 시도합니다. api.base_url과 네트워크를 확인하세요"
)


@asynccontextmanager
async def checking(keys: Sequence[KiwoomClient], base_url: str) -> AsyncIterator[None]:
    """Check the keys while the block runs. The block does not wait for the check, and its end cancels it."""
    task = asyncio.ensure_future(check_keys(keys, base_url))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def check_keys(keys: Sequence[KiwoomClient], base_url: str) -> None:
    """Get the token of each key, and log the result. A live shared token costs no request."""
    for kiwoom in keys:
        try:
            await kiwoom.token()
        except Denied as error:
            logger.error("key.denied", key=kiwoom.name, reason=str(error), hint=error.hint)
        except ApiError as error:
            reason = in_plain_words(str(error))
            logger.warning("api.unavailable", key=kiwoom.name, base_url=base_url, reason=reason, hint=AWAY)
        except StoreError:
            return  # the daemon reports this error itself
        else:
            logger.info("api.checked", key=kiwoom.name, base_url=base_url)
