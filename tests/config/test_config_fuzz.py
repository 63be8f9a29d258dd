"""Whatever stands in the file, it loads or it is refused."""

import random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collector import config
from collector.base import resources
from collector.errors import ConfigError

EXAMPLE = resources.path("config", "collector.yaml")


def loads(data: bytes) -> bool:
    try:
        config.parse(data, "c.yaml")
    except ConfigError:
        return False
    return True


@given(st.binary() | st.text().map(str.encode))
def test_nothing_but_a_config_error_escapes(data):
    loads(data)


SCALARS = st.text(max_size=12) | st.sampled_from(
    ["001", "all", "KOSPI", "KRX", "5m", "9" * 5000, "-1", "1e999", "u"]
)
SECTIONS = ["api", "universes", "schedules", "database", "web"]
KEYS = ["base_url", "requests_per_second", "timeout", "trusted_hosts", "keep_days", "listen", "u"]
KEYS += ["market", "sectors", "exchanges", "universe", "every", "during", "at", "days", "grace"]
WORDS = st.sampled_from(SECTIONS + KEYS)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.extended
@given(st.dictionaries(WORDS, TREES, max_size=5))
def test_nothing_but_a_config_error_escapes_any_tree(tree):
    loads(yaml.safe_dump(tree, allow_unicode=True).encode())


@pytest.mark.extended
def test_a_mutated_example_loads_or_is_refused():
    """Bytes, lines and words are swapped, doubled and dropped; a fixed seed makes it repeatable."""
    dice = random.Random(20002)
    loaded = sum(loads(_mutated(EXAMPLE.read_bytes(), dice)) for _ in range(500))
    assert 0 < loaded < 500


def _mutated(data: bytes, dice: random.Random) -> bytes:
    cut = dice.choice([None, b"\n", b" "])
    parts = [bytes([byte]) for byte in data] if cut is None else data.split(cut)
    for _ in range(dice.randint(1, 4)):
        place, other = dice.randrange(len(parts)), dice.randrange(len(parts))
        change = dice.randrange(4)
        if change == 0:
            del parts[place]
        elif change == 1:
            parts.insert(place, parts[other])
        elif change == 2:
            parts[place], parts[other] = parts[other], parts[place]
        else:
            parts[place] = bytes([dice.randrange(256)])
    return (cut or b"").join(parts)
