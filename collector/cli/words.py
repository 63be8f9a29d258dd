"""Plain words for internal texts of libraries and of the ledger."""

import re

_NOT_CONNECTED = re.compile(
    r"\[?(?:Errno \d+\]? ?)?(?:Multiple exceptions: .*|Connect call failed \([^)]*\))"
)
_SOURCES = {
    "real": "Kiwoom's real host",
    "mock": "Kiwoom's mock host",
    "ours": "a simulator, or another host of your own",
}


def in_plain_words(text: str) -> str:
    """The message with Python's text for a refused connection replaced."""
    return _NOT_CONNECTED.sub("the connection was refused", text)


def source(kind: str | None) -> str:
    """The source of the prices in a database, by its name in the ledger."""
    return _SOURCES.get(kind or "", kind or "none yet")
