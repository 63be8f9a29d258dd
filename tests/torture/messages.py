"""What goes over a line to PostgreSQL, message by message: just enough of the protocol to name each step.

A step is what a client asks (`ask: INSERT INTO collector.walk`), sends (`send: data`) or is told
(`told: COMMIT`, `told: COPY ready`). The names come from the statements themselves, so that a write path that
is written anew has its own steps here without a line being changed.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

_LENGTH = 60


def gist(sql: str) -> str:
    """A statement's name: how it begins, without what differs from day to day."""
    return re.sub(r"\d{8}", "DAY", " ".join(sql.replace('"', "").split()))[:_LENGTH].rstrip(" ($,")


@dataclass
class Asked:
    """What a client says, cut into messages; each with its step or None. The first has no type."""

    statements: dict[bytes, str] = field(default_factory=dict)
    open: deque[str] = field(default_factory=deque)
    """What is asked and not answered yet, oldest first."""
    values: bytes = b""
    """What was bound last: the same for the same statement asked once more."""
    _rest: bytes = b""
    _portal: str = ""
    _has_begun: bool = False

    def take(self, data: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
        """(type, whole message, step) of each message that is complete."""
        self._rest += data
        while message := self._next():
            kind = message[:1] if self._has_begun else b""
            self._has_begun = True
            yield kind, message, self._step(kind, message[5:])

    def _next(self) -> bytes:
        start = 1 if self._has_begun else 0
        if len(self._rest) < start + 4:
            return b""
        size = start + int.from_bytes(self._rest[start : start + 4], "big")
        if len(self._rest) < size:
            return b""
        message, self._rest = self._rest[:size], self._rest[size:]
        return message

    def _step(self, kind: bytes, body: bytes) -> str | None:
        if kind == b"P":
            name, sql, *_ = body.split(b"\0", 2)
            self.statements[name] = gist(sql.decode())
            return f"prepare: {self.statements[name]}"
        if kind == b"B":
            _, name, self.values = body.split(b"\0", 2)
            self._portal = self.statements.get(name, "?")
        if kind in (b"E", b"Q"):
            what = self._portal if kind == b"E" else gist(body[:-1].decode())
            self.open.append(what)
            return f"ask: {what}"
        return {b"": "connect", b"d": "send: data", b"c": "send: end of data", b"X": "say goodbye"}.get(kind)


@dataclass
class Told:
    """What the server says, cut into messages; each with its step or None."""

    asked: Asked
    _rest: bytes = b""

    def take(self, data: bytes) -> Iterator[tuple[bytes, bytes, str | None]]:
        self._rest += data
        while len(self._rest) >= 5:
            size = 1 + int.from_bytes(self._rest[1:5], "big")
            if len(self._rest) < size:
                return
            message, self._rest = self._rest[:size], self._rest[size:]
            yield message[:1], message, self._step(message[:1])

    def _step(self, kind: bytes) -> str | None:
        waiting = self.asked.open
        if kind in (b"C", b"s") and waiting:
            return f"told: {waiting.popleft()}"
        if kind == b"G":
            return "told: ready for data"
        if kind == b"Z":
            waiting.clear()
        return None
