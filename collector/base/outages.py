"""Logs each outage twice: at its beginning and at its end."""

from collections.abc import Callable

from collector.log import logger


class Outages:
    """The services that are down, and since when. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._last_texts: dict[str, str] = {}

    def begin(self, who: str, reason: str, *, hint: str = "") -> None:
        """Record a service as down; repeated calls log nothing. `hint`, if known, tells the operator how to
        fix it."""
        if who not in self._since:
            self._since[who] = self._clock()
            logger.error("outage.began", of=who, reason=reason, **({"hint": hint} if hint else {}))

    def end(self, who: str) -> None:
        """Record an answer of a service. Logs the end of its outage if there was one."""
        since = self._since.pop(who, None)
        if since is not None:
            logger.info("outage.ended", of=who, seconds=round(self._clock() - since, 1))

    def is_news(self, what: str, text: str) -> bool:
        """Whether `text` differs from the last text of this topic: a warning is logged once, not at every
        attempt."""
        is_news = self._last_texts.get(what) != text
        self._last_texts[what] = text
        return is_news
