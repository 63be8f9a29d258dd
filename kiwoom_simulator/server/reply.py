"""An answer while it is being made: first what it says, then the bytes that say it."""

from dataclasses import dataclass, field
from json import dumps

from kiwoom_simulator.server.http import HttpResponse
from kiwoom_simulator.server.protocol import JSON_TYPE, OK, ApiRefusal

MISSING = object()
"""A return code that is not there."""


@dataclass(slots=True)
class SimulatedReply:
    """What an answer says. `rows` is a JSON list, already encoded because pages are kept so."""

    api_id: str
    status: int = 200
    fields: dict[str, object] = field(default_factory=dict)
    list_name: str = ""
    rows: bytes = b"[]"
    count: int = 0
    return_code: object = 0
    return_msg: str = OK
    next_key: str | None = None
    """The key of the next page; None on the last."""
    outcome: str = "ok"
    """How the book of arrivals calls it."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers beyond the usual ones."""
    instead: HttpResponse | None = None
    """What is sent in place of all this: an answer that knows nothing of Kiwoom's envelope."""

    def refuse(self, refusal: ApiRefusal, outcome: str) -> "SimulatedReply":
        """Say no instead."""
        self.status, self.return_code, self.return_msg = (
            refusal.status,
            refusal.return_code,
            refusal.return_msg,
        )
        self.fields, self.list_name, self.count, self.next_key = {}, "", 0, None
        self.outcome = outcome
        return self


def refuse(api_id: str, refusal: ApiRefusal, outcome: str) -> SimulatedReply:
    return SimulatedReply(api_id).refuse(refusal, outcome)


def answer(reply: SimulatedReply) -> HttpResponse:
    """The reply as bytes, with the headers that the real server sends."""
    if reply.instead is not None:
        return reply.instead
    more = reply.next_key is not None
    headers = (
        ("api-id", reply.api_id),
        ("cont-yn", "Y" if more else "N"),
        ("next-key", reply.next_key or ""),
        ("resp-cnt", str(reply.count)),
        ("Content-Type", JSON_TYPE),
        *reply.headers,
    )
    return HttpResponse(reply.status, headers, _body(reply))


def _body(reply: SimulatedReply) -> bytes:
    parts = [f'"{name}":{_json(value)}'.encode() for name, value in reply.fields.items()]
    if reply.list_name:
        parts.append(b'"%b":%b' % (reply.list_name.encode(), reply.rows))
    if reply.return_code is not MISSING:
        parts.append(f'"return_code":{_json(reply.return_code)}'.encode())
    parts.append(f'"return_msg":{_json(reply.return_msg)}'.encode())
    return b"{%b}" % b",".join(parts)


def _json(value: object) -> str:
    return dumps(value, ensure_ascii=False, separators=(",", ":"))
