"""The key `witness` of the configuration."""

import pytest

from collector import config
from collector.errors import ConfigError

UNIVERSE = "universes:\n  all:\n    - {market: KOSPI, sectors: ['001']}\n"


@pytest.mark.parametrize(("line", "asked"), [("", "on"), ("witness: on\n", "on"), ("witness: off\n", "off")])
def test_witness_is_on_unless_it_is_off(line: str, asked: str) -> None:
    assert config.parse((line + UNIVERSE).encode(), "x.yaml").witness == asked


@pytest.mark.parametrize("text", ["no", "of", "[on]", "{}"])
def test_another_word_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:4: witness is .*use one of on, off"):
        config.parse(f"{UNIVERSE}witness: {text}\n".encode(), "x.yaml")
