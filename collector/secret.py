"""A value that must never be read by accident."""

import hmac


class Secret:
    """Holds a key, token or password so that no output can show it; `reveal()` is the one way out.

    `str`, `repr`, `format` and pickling give `***` or refuse; comparison takes constant time.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self.__value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # What came from the environment may hold bytes that are no UTF-8, as half surrogates.
        ours, theirs = (text.encode("utf-8", "surrogatepass") for text in (self.__value, other.reveal()))
        return hmac.compare_digest(ours, theirs)

    def __hash__(self) -> int:
        return hash(self.__value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
