"""Words for people where a library or the ledger has its own."""

import re

_NOT_CONNECTED = re.compile(
    r"\[?(?:Errno \d+\]? ?)?(?:Multiple exceptions: .*|Connect call failed \([^)]*\))"
)
_SOURCES = {
    "real": "Kiwoom's real host",
    "mock": "Kiwoom's mock host",
    "ours": "a simulator, or another host of yours",
}


def in_plain_words(text: str) -> str:
    """A message without Python's own text for a connection that nobody accepted."""
    return _NOT_CONNECTED.sub("nobody accepts connections there", text)


def source(kind: str | None) -> str:
    """Whose prices a database holds, from the ledger's word for it."""
    return _SOURCES.get(kind or "", kind or "none yet")
