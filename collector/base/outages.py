"""Outages are logged twice: when they begin and when they end."""

from collections.abc import Callable

from collector.log import logger


class Outages:
    """Who is away, and since when. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._said: dict[str, str] = {}

    def begin(self, who: str, reason: str, *, hint: str = "") -> None:
        """Somebody is away, or still is; `hint` says what to do about it, where that is known."""
        if who not in self._since:
            self._since[who] = self._clock()
            logger.error("outage.began", of=who, reason=reason, **({"hint": hint} if hint else {}))

    def end(self, who: str) -> None:
        """Somebody answers, perhaps for the first time in a while."""
        since = self._since.pop(who, None)
        if since is not None:
            logger.info("outage.ended", of=who, seconds=round(self._clock() - since, 1))

    def is_news(self, what: str, text: str) -> bool:
        """Whether `text` differs from the last one of `what`; so that a warning is logged once, not at every try."""
        is_news = self._said.get(what) != text
        self._said[what] = text
        return is_news
