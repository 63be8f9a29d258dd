"""Logs each outage twice: at its beginning and at its end."""

from collections.abc import Callable

from collector.log import logger


class Outages:
    """The services that are down, and since when. `clock` counts seconds and never goes back.

    `on_begin` hears of each outage with its reason, `on_end` of its end.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        on_begin: Callable[[str, str], None] = lambda _who, _reason: None,
        on_end: Callable[[str], None] = lambda _who: None,
    ) -> None:
        self._clock = clock
        self._on_begin = on_begin
        self._on_end = on_end
        self._since: dict[str, float] = {}
        self._last_texts: dict[str, str] = {}

    def begin(self, who: str, reason: str, *, hint: str = "") -> None:
        """Record a service as down; repeated calls log nothing. `hint`, if known, tells the operator how to
        fix it."""
        if who not in self._since:
            self._since[who] = self._clock()
            self._on_begin(who, reason)
            logger.error("outage.began", of=who, reason=reason, **({"hint": hint} if hint else {}))

    def end(self, who: str) -> None:
        """Record an answer of a service. Logs the end of its outage if there was one."""
        since = self._since.pop(who, None)
        if since is not None:
            self._on_end(who)
            logger.info("outage.ended", of=who, seconds=round(self._clock() - since, 1))

    def is_news(self, what: str, text: str) -> bool:
        """Whether `text` differs from the last text of this topic: a warning is logged once, not at every
        attempt."""
        is_news = self._last_texts.get(what) != text
        self._last_texts[what] = text
        return is_news
