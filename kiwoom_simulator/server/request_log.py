"""The log of requests and answers, for comparison with a client's own records."""

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Arrival:
    """One request. `arrived` is from the event loop's clock (the monotonic one), `wall` is seconds since 1970.

    `answer` is "" before the answer; then "ok", a kind of refusal, or the names of the faults applied.
    """

    seq: int
    arrived: float
    wall: float
    key: str
    api_id: str
    market: str = ""
    sector: str = ""
    exchange: str = ""
    symbol: str = ""
    page: int = 0
    walk: int = 0
    answer: str = ""
    rows: int = 0
    bytes: int = 0


class RequestLog:
    """Keeps the last arrivals in full and counts all of them."""

    def __init__(self, size: int) -> None:
        self._last: deque[Arrival] = deque(maxlen=size)
        self._answers: Counter[tuple[str, str]] = Counter()
        self.count = 0

    def arrive(self, *, at: float, key: str, api_id: str) -> Arrival:
        self.count += 1
        arrival = Arrival(self.count, at, time.time(), key, api_id)
        self._last.append(arrival)
        return arrival

    def answer(self, arrival: Arrival, answer: str, size: int) -> None:
        arrival.answer, arrival.bytes = answer, size
        self._answers[arrival.api_id, answer] += 1

    def since(self, seq: int) -> list[dict[str, object]]:
        """The kept arrivals after `seq`, in the order of arrival."""
        return [asdict(arrival) for arrival in self._last if arrival.seq > seq]

    def answers(self) -> dict[str, dict[str, int]]:
        """The number of answers by api-id and result."""
        counts: dict[str, dict[str, int]] = {}
        for (api_id, answer), count in sorted(self._answers.items()):
            counts.setdefault(api_id, {})[answer] = count
        return counts
