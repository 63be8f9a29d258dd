"""What the process itself has sent is counted over all its keys, and over all collectors that it had."""

from collections import Counter
from types import SimpleNamespace

from collector.web.live import Live


def with_keys(**answers: dict[str, int]) -> SimpleNamespace:
    """A collector as far as its keys go."""
    keys = [SimpleNamespace(name=name, answers=Counter(counted)) for name, counted in answers.items()]
    return SimpleNamespace(keys=keys, underway={})


def test_requests_are_counted_by_answer_and_by_key():
    live = Live()
    with live.attach(with_keys(main={"ok": 3, "Throttled": 1}, second={"ok": 2})):
        assert (live.answers()["ok"], live.answers()["Throttled"]) == (5, 1)
        assert live.by_key() == {"main": 4, "second": 2}
    with live.attach(with_keys(main={"ok": 1})):
        assert live.answers()["ok"] == 6
        assert live.by_key() == {"main": 5, "second": 2}
    assert live.by_key() == {"main": 5, "second": 2}
