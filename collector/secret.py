"""Holds a value that no output can show by accident."""

import hmac


class Secret:
    """A key, token or password; `reveal()` is the only way to read it.

    `str`, `repr` and `format` give `***`, pickling is refused, and comparison takes constant time.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value itself. Only the code that sends it calls this."""
        return self.__value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # A value from the environment may hold bytes outside UTF-8, decoded as lone surrogates.
        ours, theirs = (text.encode("utf-8", "surrogatepass") for text in (self.__value, other.reveal()))
        return hmac.compare_digest(ours, theirs)

    def __hash__(self) -> int:
        return hash(self.__value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
