"""The price grid of KRX: legal ticks by price band, and the daily limits of 30 %."""

from collections.abc import Sequence

_BANDS = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))


def tick(price: int, *, fund: bool = False) -> int:
    """The step upwards from `price`, in won. Funds (ETF, ETN) have 1 below 2,000 and 5 above."""
    if fund:
        return 1 if price < 2_000 else 5
    for ceiling, step in _BANDS:
        if price < ceiling:
            return step
    return 1_000


def floor(price: float, *, fund: bool = False) -> int:
    """The highest legal price not above `price`, at least 1."""
    whole = int(price)
    return whole - whole % tick(whole, fund=fund) if whole > 1 else 1


def above(price: int, *, fund: bool = False) -> int:
    return price + tick(price, fund=fund)


def below(price: int, *, fund: bool = False) -> int:
    return floor(price - 1, fund=fund)


def limits(base: int, *, fund: bool = False) -> tuple[int, int]:
    """The lowest and the highest price of a day with the previous close `base`."""
    bottom = -(-base * 7 // 10)
    lowest = floor(bottom, fund=fund)
    if lowest < bottom:
        lowest = above(lowest, fund=fund)
    return lowest, floor(base * 13 // 10, fund=fund)


def legal(prices: Sequence[float], lowest: int, highest: int, *, fund: bool = False) -> list[int]:
    """Round one day's prices to the grid and its limits. A fast path serves limits in one price band."""
    step = tick(lowest, fund=fund)
    if step != tick(highest - 1, fund=fund):
        return [min(max(floor(price, fund=fund), lowest), highest) for price in prices]
    return [
        lowest if price <= lowest else highest if price >= highest else int(price) // step * step
        for price in prices
    ]
