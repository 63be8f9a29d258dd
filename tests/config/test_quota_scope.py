"""The key `quota.scope` of the configuration."""

import pytest

from collector import config
from collector.errors import ConfigError
from collector.kiwoom.api_facts import ApiFacts

UNIVERSE = "universes:\n  all:\n    - {market: KOSPI, sectors: ['001']}\n"


@pytest.mark.parametrize(
    ("lines", "scope"),
    [("", "learned"), ("quota: {scope: learned}\n", "learned"), ("quota: {scope: call}\n", "call"),
     ("quota:\n  scope: key\n", "key"), ("quota: {}\n", "learned")],
)  # fmt: skip
def test_the_scope_is_learned_unless_it_is_written(lines: str, scope: str) -> None:
    assert config.parse((lines + UNIVERSE).encode(), "x.yaml").quota.scope == scope


@pytest.mark.parametrize("text", ["keys", "KEY", "[call]", "1"])
def test_another_word_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:5: quota\.scope is .*use one of learned, call, key"):
        config.parse(f"{UNIVERSE}quota:\n  scope: {text}\n".encode(), "x.yaml")


@pytest.mark.parametrize(
    ("learned", "written", "scope"),
    [("key", "call", "call"), ("call", "key", "key"), ("call", "learned", "call"), (None, "key", "key"),
     (None, "learned", None)],
)  # fmt: skip
def test_a_written_scope_wins_over_a_learned_one(
    learned: str | None, written: str, scope: str | None
) -> None:
    facts = ApiFacts.from_texts({"quota.scope": learned} if learned else {})
    assert facts.override_scope(written).scope == scope
