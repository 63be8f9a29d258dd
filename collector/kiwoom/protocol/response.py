"""Represents one HTTP answer as plain values and checks its headers."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.errors import Unreadable

_KEY_LENGTH = 50


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """Status, headers as they came (names in any case, repeats kept) and the decompressed body."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    _values: dict[str, list[str]] = field(init=False, repr=False, compare=False, default_factory=dict)
    """The values of each header, by its name in small letters: five headers are looked up for a page."""

    def __post_init__(self) -> None:
        for name, value in self.headers:
            self._values.setdefault(name.lower(), []).append(value.strip())

    def header(self, name: str) -> str:
        """Return the value of a header, "" if it is absent; Unreadable if it came with two different values.

        A repeat with the same value is unambiguous and accepted, except for continuation headers: `next_key`
        is stricter.
        """
        values = self._all(name)
        if len(set(values)) > 1:
            raise Unreadable(f"the header {name} came {len(values)} times with different values")
        return values[0] if values else ""

    def _all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def says_whether_more(self) -> bool:
        """Whether the answer has a cont-yn; without one, the last page is only assumed."""
        return any(self._all("cont-yn"))

    def next_key(self) -> str | None:
        """Return the key of the next page, None on the last one.

        cont-yn is Y or N (absent or empty counts as N, as on the token call, unless there is a next-key); Y
        needs a next-key of 1–50 visible ASCII characters (length from the official page). Anything else is
        Unreadable: a walk without a certain end is not complete.
        """
        flags, keys = self._all("cont-yn"), self._all("next-key")
        if len(flags) > 1 or len(keys) > 1:
            raise Unreadable("a continuation header came more than once")
        flag = flags[0] if flags else ""
        key = keys[0] if keys else ""
        if flag == "N" or not (flag or key):
            return None
        if flag != "Y":
            raise Unreadable("cont-yn is neither Y nor N")
        if not 1 <= len(key) <= _KEY_LENGTH or not all("!" <= char <= "~" for char in key):
            raise Unreadable("cont-yn is Y but next-key is not 1 to 50 visible ASCII characters")
        return key
