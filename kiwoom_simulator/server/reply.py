"""An answer in two steps: first its content, then its bytes."""

from dataclasses import dataclass, field
from json import dumps

from kiwoom_simulator.server.http import HttpResponse
from kiwoom_simulator.server.protocol import JSON_TYPE, OK, ApiRefusal

MISSING = object()
"""Marks an absent return code."""


@dataclass(slots=True)
class SimulatedReply:
    """The content of an answer. `rows` is an encoded JSON list, because pages are cached in that form."""

    api_id: str
    status: int = 200
    fields: dict[str, object] = field(default_factory=dict)
    list_name: str = ""
    rows: bytes = b"[]"
    count: int = 0
    return_code: object = 0
    return_msg: str = OK
    next_key: str | None = None
    """The key of the next page; None on the last page."""
    outcome: str = "ok"
    """The name of the result in the request log."""
    headers: tuple[tuple[str, str], ...] = ()
    """Additional headers."""
    instead: HttpResponse | None = None
    """A response to send instead of this reply: an answer without Kiwoom's envelope."""

    def refuse(self, refusal: ApiRefusal, outcome: str) -> "SimulatedReply":
        """Turn the reply into a refusal."""
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
    """The reply as bytes, with the headers of the real server."""
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
