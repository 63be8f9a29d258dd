"""Collects the errors of one file and suggests likely corrections."""

import difflib
from collections.abc import Iterable

from collector.base.yaml_text import Mapping, format_error, line_of
from collector.errors import ConfigError

_MOST = 20


class ConfigErrors:
    """All errors of one file, for one round of corrections."""

    def __init__(self, origin: str, source: Mapping) -> None:
        self._origin = origin
        self._source = source
        self._found: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, line: int, text: str) -> None:
        self._found.append((line, text))

    def at(self, path: Iterable[str | int], text: str) -> None:
        """Add an error for the key or item at a path."""
        self.add(line_of(self._source, path), text)

    def stop_if_any(self) -> None:
        """Raise ConfigError with a line for each error, in the order of the file."""
        if not self._found:
            return
        lines = [format_error(self._origin, line, text) for line, text in sorted(self._found)]
        more = [f"… and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
        raise ConfigError("\n".join(lines[:_MOST] + more))


def nearest(text: str, names: Iterable[str]) -> str:
    """Return ` (did you mean X?)` if a name is near, "" if none is."""
    by_fold = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(text[:100].casefold(), by_fold, n=1)
    return f" (did you mean {by_fold[near[0]]}?)" if near else ""
