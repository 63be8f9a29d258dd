"""Input and output of a fault: the request, the reply and the bytes of the answer."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from kiwoom_simulator.market.market import PAGE, SimulatedMarket
from kiwoom_simulator.market.sessions import Moments
from kiwoom_simulator.server.calls import Call
from kiwoom_simulator.server.http import Delivery, HttpResponse
from kiwoom_simulator.server.protocol import KeyOf, PagePosition
from kiwoom_simulator.server.reply import SimulatedReply
from kiwoom_simulator.server.tokens import IssuedTokens


class Args(NamedTuple):
    """Settings of one fault. Each has the type of its default."""

    values: dict[str, str | int | float]

    def number(self, name: str) -> int:
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        return float(self.values[name])

    def text(self, name: str) -> str:
        return str(self.values[name])


@dataclass(slots=True)
class FaultContext:
    """One request under faults. A fault replaces `reply` or `answer`."""

    call: Call
    reply: SimulatedReply
    answer: HttpResponse
    market: SimulatedMarket
    tokens: IssuedTokens
    moments: Moments
    key_of: KeyOf
    struck: int = 0
    """Number of earlier requests hit by the current fault."""

    @property
    def place(self) -> PagePosition:
        assert self.call.position is not None
        return self.call.position

    def deliver(self, delivery: Delivery) -> None:
        self.answer = replace(self.answer, delivery=delivery)

    @property
    def pages(self) -> int:
        """Pages of the walk of this request; 1 for calls with a single page and for empty sectors."""
        if self.call.api_id != "ka20002" or self.call.exchange is None:
            return 1
        return max(1, -(-len(self.market.members(self.call.sector, self.call.exchange)) // PAGE))
