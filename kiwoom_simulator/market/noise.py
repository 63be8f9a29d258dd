"""Random numbers by look-up: the same seed, stream and index always give the same number.

Prices must be a pure function of time, so this module keeps no state between calls.
"""

_MASK = (1 << 64) - 1


def mix(value: int) -> int:
    """Scatter an integer over 64 bits (the finalizer of splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def roll(key: int, stream: int, index: int = 0) -> int:
    """The 64 bits at `index` of one `stream` of `key`."""
    return mix(key ^ mix((stream << 48) ^ (index & 0xFFFFFFFFFFFF)))


def unit(key: int, stream: int, index: int = 0) -> float:
    """The same as a number in [0, 1)."""
    return roll(key, stream, index) / 18446744073709551616.0
